//! Checks that a box gives back its sessions in the BMC of the other one.
//!
//! A BMC has four of them, it may be, and keeps each for a minute.

use firmware_agnostic::identity::BoxId::{First, Second};

use crate::Lab;
use crate::observers::expectations::{PATIENCE, is, whole};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::reloads::{edit, said};

/// One place for the supervisor, and none for anything that is over.
pub(crate) fn given_back(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    // The BMC of server1 is asked by server2.
    taken(lab, 1, "a supervisor keeps one session")?;
    for _ in 0..3 {
        said(lab, Second, &["fence", "--dry-run", "--config", "/run/twobox.toml"])?;
        taken(lab, 1, "after a dry run")?;
        said(lab, Second, &["check", "--here", "--config", "/run/twobox.toml"])?;
        taken(lab, 1, "after a check")?;
    }
    let times = ["4s", "3s", "4s", "3500ms"];
    for pair in times.windows(2) {
        let [from, to] = [pair[0], pair[1]].map(|time| format!("timeout = \"{time}\""));
        edit(lab, Second, &from, &to)?;
        let (_, before) = lab.bmcs()[0].logins();
        said(lab, Second, &["reload"])?;
        let again = |lab: &Lab| lab.bmcs()[0].logins().1 > before;
        expect(lab.wait_for(PATIENCE, again), "the new device did not ask")?;
        taken(lab, 1, "after a reload")?;
    }
    for _ in 0..3 {
        let (_, before) = lab.bmcs()[0].logins();
        said(lab, Second, &["upgrade"])?;
        let again = |lab: &Lab| lab.bmcs()[0].logins().1 > before;
        expect(lab.wait_for(PATIENCE, again), "the successor did not ask")?;
        taken(lab, 1, "after an upgrade")?;
    }
    is(lab, Second, "standby")?;
    lab.shut_down(Second)?;
    taken(lab, 0, "after a box has left")?;
    let (begun, done) = lab.bmcs()[0].logins();
    expect(begun == done, format!("{begun} logins, and {done} were let in"))?;
    Ok(format!("{done} sessions, and none is left"))
}

/// How many places are taken in the BMC of server1, soon.
fn taken(lab: &Lab, places: usize, when: &str) -> Result<(), Failure> {
    let so = |lab: &Lab| lab.bmcs()[First.index()].places() == places;
    expect(lab.wait_for(PATIENCE, so), format!("{when}: {} places", lab.bmcs()[0].places()))
}
