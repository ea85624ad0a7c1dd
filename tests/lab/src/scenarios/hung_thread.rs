//! Lets the thread that looks after the resources hang, while all else of the supervisor goes on.

use std::time::Instant;

use firmware_agnostic::identity::BoxId::{First, Second};

use crate::Lab;
use crate::observers::expectations::{PATIENCE, served_by, silence_below, whole};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::stories::TAKEOVER;
use crate::stage::config::Choices;

/// What nobody watches moves to the peer; the box can stop nothing, and resets itself.
pub(crate) fn is_noticed(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let (start, boots) = (Instant::now(), lab.boots(First));
    lab.stick(First, "twobox.sock.lease.note")?;
    let told = |lab: &Lab| lab.log(First).contains("the thread of the resources hangs");
    expect(lab.wait_for(PATIENCE, told), "nobody noticed that it hangs")?;
    served_by(lab, Second)?;
    let stuck = lab.log(First).contains("could not be stopped: this box resets itself");
    expect(stuck, "server1 gave up what it could not stop")?;
    expect(
        lab.wait_for(PATIENCE, |lab| lab.boots(First) > boots || !lab.is_on(First)),
        "server1 runs on",
    )?;
    silence_below(lab, start, TAKEOVER)
}

/// Resources that stop soon, or never.
pub(crate) fn choices() -> Choices {
    let mut choices = Choices::default();
    // The first words are those of the address.
    choices.resources = format!("{STOP}\n{}{STOP}kill_after = \"1s\"\n", choices.resources);
    choices
}

const STOP: &str = "stop_timeout = \"2s\"\n";
