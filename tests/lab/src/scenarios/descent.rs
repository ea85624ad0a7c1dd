//! Stories of services whose processes must be found again: where no cgroup can be made, and whose environment is
//! wiped.

use std::time::Instant;

use firmware_agnostic::identity::BoxId::First;

use crate::observers::expectations::{PATIENCE, nobody_noticed, served_by, whole};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::stories::{LATE, LONG, RESTART, adopted, runs_on, term};
use crate::scenarios::tour::millis;
use crate::stage::config::Choices;
use crate::stage::init::Order;
use crate::stage::power_switch::Switch;
use crate::{FLOATING, Lab};

/// The supervisor dies and comes again, twice, and finds the one copy of each; it dies for good, and its guard
/// stops them.
pub(crate) fn found(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    expect(is_alone(lab)?, "a cgroup was made")?;
    let start = Instant::now();
    let stray = lab.find(First, STRAY)?;
    for order in [Order::Crash, Order::Abort] {
        runs_on(lab, First, |lab| Ok(lab.machine(First).order(order)?))?;
        expect(lab.find(First, STRAY)? == stray, "what it has started was started again")?;
    }
    let measured = nobody_noticed(lab, start)?;
    lab.set_switch(First, Switch::Unreachable);
    lab.machine(First).order(Order::Abandon)?;
    let begun = Instant::now();
    let gone = |lab: &Lab| ["serve", STRAY].iter().all(|word| lab.find(First, word).is_err());
    expect(lab.wait_for(PATIENCE, gone), "something runs that nobody watches")?;
    let held = begun.elapsed();
    expect(held < RESTART + LATE, format!("it ran for {}", millis(held)))?;
    Ok(measured)
}

/// The kernel kills one of two services, as it does when memory is short: it is started again in place, and nothing
/// else moves.
pub(crate) fn one_killed(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let (serves, term, lives) = (lab.find(First, "serve")?, term(lab, First)?, adopted(lab, First));
    let before = lab.find(First, BESIDE)?;
    let start = Instant::now();
    lab.kill(First, BESIDE)?;
    let again = |lab: &Lab| lab.find(First, BESIDE).is_ok_and(|pid| pid != before);
    expect(lab.wait_for(PATIENCE, again), "it was not started again")?;
    std::thread::sleep(LONG);
    served_by(lab, First)?;
    expect(lab.find(First, "serve")? == serves, "the other service was started again")?;
    expect(self::term(lab, First)? == term, "the term has changed")?;
    expect(adopted(lab, First) == lives, "the supervisor was started again")?;
    nobody_noticed(lab, start)
}

/// Whether the service shares a cgroup with its supervisor.
fn is_alone(lab: &Lab) -> Result<bool, Failure> {
    let own = lab.enter(First, "/bin/cat", &["/proc/self/cgroup"])?.stdout;
    let pid = lab.find(First, "serve")?;
    let its = lab.enter(First, "/bin/cat", &[&format!("/proc/{}/cgroup", pid.trim())])?.stdout;
    Ok(own == its)
}

/// The usual service without its environment, and one that has left it; where no cgroup can be made.
pub(crate) fn wiped() -> Choices {
    let usual = Choices::default();
    let script = format!(
        "setsid env -i sh -c 'sleep {STRAY} & wait' & \
         exec env -i NOTIFY_SOCKET=$NOTIFY_SOCKET /run/demo serve {FLOATING}"
    );
    let plain = format!("[\"/run/demo\", \"serve\", \"{FLOATING}\"]");
    let resources =
        usual.resources.replace(&plain, &format!("[\"/bin/sh\", \"-c\", \"{script}\"]"));
    Choices { resources, guise: &["no-cgroups"], ..usual }
}

/// Another service beside the usual one.
pub(crate) fn beside() -> Choices {
    let extra = format!(
        "[[resource]]\nkind = \"process\"\nname = \"beside\"\ncommand = [\"/bin/sleep\", \"{BESIDE}\"]\n"
    );
    Choices { extra, ..Choices::default() }
}

const STRAY: &str = "7011";
const BESIDE: &str = "7012";
