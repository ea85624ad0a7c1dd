//! Kills a supervisor while something runs that its configuration does not have any more.
//!
//! A service that takes its time to stop, and an address before it that goes only after that, are taken out of the
//! file; the supervisor is killed before they are gone, or before it knows.

use std::fs;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{First, Second};

use crate::Lab;
use crate::observers::expectations::{PATIENCE, nobody_noticed, order, served_by, whole};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::reloads::{edit, said};
use crate::scenarios::stories::{LATE, RESTART, adopted, term};
use crate::scenarios::tour::millis;
use crate::stage::config::Choices;
use crate::stage::init::Order;
use crate::stage::power_switch::Switch;

/// It dies for good while a reload stops them: its guard stops them too.
pub(crate) fn watched_to_its_end(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    lab.set_switch(First, Switch::Unreachable);
    remove_and_reload(lab)?;
    lab.machine(First).order(Order::Abandon)?;
    let begun = Instant::now();
    let gone = |lab: &Lab| !lab.holders().contains(&First) && is_gone(lab);
    expect(lab.wait_for(PATIENCE, gone), "something runs that nobody watches")?;
    let held = begun.elapsed();
    expect(held < RESTART + STOP + LATE, format!("it ran for {}", millis(held)))?;
    lab.set_switch(First, Switch::Sound);
    served_by(lab, Second)?;
    Ok(format!("it was gone after {}", millis(held)))
}

/// It dies while a reload stops them, and comes again: so does its next life, and what is to stay is not touched.
pub(crate) fn let_go_by_the_next_life(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    remove_and_reload(lab)?;
    is_let_go(lab, |lab| Ok(lab.crash_supervisor(First)?))?;
    nobody_noticed(lab, start)
}

/// They are removed from the file alone, and the supervisor is killed, or becomes the program on the disk.
pub(crate) fn unknown_to_the_next_life(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    edit(lab, First, REMOVED, "# none\n")?;
    is_let_go(lab, |lab| Ok(lab.crash_supervisor(First)?))?;
    edit(lab, First, "# none\n", REMOVED)?;
    said(lab, First, &["reload"])?;
    expect(lab.wait_for(PATIENCE, is_there), "what was added does not run")?;
    edit(lab, First, REMOVED, "# none\n")?;
    is_let_go(lab, |lab| order(lab, First, "upgrade"))?;
    nobody_noticed(lab, start)
}

/// The guard is stopping everything when the next life begins, which waits for it and then serves.
pub(crate) fn next_life_waits_for_the_guard(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let hold = "failback_hold = \"2s\"";
    edit(lab, First, hold, &format!("{hold}\nrestart_time = \"100ms\""))?;
    said(lab, First, &["reload"])?;
    noted(lab, "restart_time = \"100ms\"")?;
    edit(lab, First, REMOVED, "# none\n")?;
    lab.machine(First).order(Order::Abandon)?;
    let begun = |lab: &Lab| lab.log(First).contains("no other came within");
    expect(lab.wait_for(PATIENCE, begun), "the guard does not act")?;
    lab.machine(First).order(Order::Return)?;
    std::thread::sleep(STOP / 2);
    expect(is_there(lab), "the guard is not at it any more")?;
    let clear = |lab: &Lab| lab.log(First).contains("nothing of the pair runs on this box");
    expect(lab.wait_for(PATIENCE, clear), "the guard did not clear the box")?;
    expect(is_gone(lab), "the guard did not stop all that ran")?;
    served_by(lab, First)?;
    expect(adopted(lab, First) == 0, "what the guard was stopping was adopted")?;
    let boots = lab.boots(First) + lab.boots(Second);
    expect(boots == 2, "a box was shot, or reset itself")?;
    Ok("it began when the guard had done its work".to_owned())
}

fn remove_and_reload(lab: &Lab) -> Result<(), Failure> {
    expect(is_there(lab), "what is to be removed does not run")?;
    edit(lab, First, REMOVED, "# none\n")?;
    said(lab, First, &["reload"])?;
    noted(lab, "# none\n")?;
    expect(is_there(lab), "it has stopped before the supervisor could die")
}

/// The supervisor of the first box ends, and the next life lets go of what it does not know; the service runs on.
fn is_let_go(lab: &Lab, end: impl FnOnce(&Lab) -> Result<(), Failure>) -> Result<(), Failure> {
    let (service, term, lives) =
        (lab.find(First, "serve")?, term(lab, First)?, adopted(lab, First));
    end(lab)?;
    let back = |lab: &Lab| adopted(lab, First) > lives;
    expect(lab.wait_for(PATIENCE, back), "its services were not adopted")?;
    expect(lab.wait_for(STOP + PATIENCE, is_gone), "something runs that nobody watches")?;
    expect(lab.find(First, "serve")? == service, "the service was started again")?;
    expect(self::term(lab, First)? == term, "the term has changed")?;
    served_by(lab, First)
}

/// Waits until the one that comes after the supervisor of the first box is told of a configuration with these `words`.
fn noted(lab: &Lab, words: &str) -> Result<(), Failure> {
    let lease = lab.machine(First).run().join("twobox.sock.lease.note");
    let so = |_: &Lab| fs::read_to_string(&lease).is_ok_and(|text| text.contains(words));
    expect(lab.wait_for(PATIENCE, so), format!("no {words:?} in {}", lease.display()))
}

/// Both of them.
fn is_there(lab: &Lab) -> bool {
    service_is_there(lab) && address_is_there(lab)
}

/// Neither of them.
fn is_gone(lab: &Lab) -> bool {
    !service_is_there(lab) && !address_is_there(lab)
}

fn service_is_there(lab: &Lab) -> bool {
    lab.find(First, "7003").is_ok()
}

fn address_is_there(lab: &Lab) -> bool {
    let addresses = lab.enter(First, "/bin/cat", &["/proc/net/fib_trie"]);
    addresses.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("192.0.2.11\n"))
}

/// A pair that has both of them.
pub(crate) fn choices() -> Choices {
    Choices { extra: REMOVED.to_owned(), ..Choices::default() }
}

/// How long the service takes to stop.
const STOP: Duration = Duration::from_secs(8);

const REMOVED: &str = "[[resource]]\nkind = \"address\"\naddress = \"192.0.2.11/24\"\ninterface = \"eth0\"\n\n\
                       [[resource]]\nkind = \"process\"\nname = \"slow\"\nstop_timeout = \"12s\"\nkill_after = \"8s\"\n\
                       command = [\"/bin/sh\", \"-c\", \"trap '' TERM; sleep 7003\"]\n";
