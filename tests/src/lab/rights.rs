//! What may the supervisor do, and before whom does it come?

use std::thread;

use board::realtime::Priority;
use firmware_agnostic::identity::BoxId::First;

use super::Lab;
use super::expectations::whole;
use super::failure::{Failure, expect};
use super::kept::said;
use super::process::Process;

/// The loop, the reactor and the feeder of the watchdog come before all others, and nothing that they start does.
pub(super) fn realtime(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let supervisor = Process::supervisor(First)?;
    let status = said(lab, First, &["status"]);
    let may = thread::spawn(|| Priority::new(10).is_some_and(|it| it.take().is_ok())).join();
    let granted = may.unwrap_or(false);
    let remedy = status.contains("give CAP_SYS_NICE");
    expect(remedy != granted, format!("what is missing is not told:\n{status}"))?;
    let mut before_all = Vec::new();
    for task in supervisor.threads()? {
        match task.scheduling()? {
            (ROUND_ROBIN, 10) => before_all.push(task.name()?),
            (NORMAL, 0) => {}
            other => expect(false, format!("{} has {other:?}", task.name()?))?,
        }
    }
    before_all.sort();
    let wanted: &[_] = if granted { &["async-io", "demo", "watchdog"] } else { &[] };
    expect(before_all == wanted, format!("{before_all:?} come before all others"))?;
    let service = supervisor.child("serve")?;
    expect(service.scheduling()? == (NORMAL, 0), "the service has a priority too")?;
    let locked = supervisor.field("VmLck")?;
    let told = !status.contains("memory not locked");
    expect((locked > 0) == told, format!("{locked} KiB are locked, and yet\n{status}"))?;
    expect(!granted || told, format!("memory is not locked:\n{status}"))?;
    expect(service.field("VmLck")? == 0, "the memory of the service is locked too")?;
    let resident = supervisor.field("VmRSS")?;
    Ok(format!("{}: {locked} KiB locked, {resident} KiB resident", before_all.join(", ")))
}

/// `SCHED_OTHER` and `SCHED_RR` of `sched(7)`.
const NORMAL: u32 = 0;
const ROUND_ROBIN: u32 = 2;
