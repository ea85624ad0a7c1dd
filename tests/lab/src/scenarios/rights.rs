//! Checks what the supervisor may do, and over which threads it has precedence.

use std::os::unix::fs::MetadataExt;
use std::thread;

use board::thread::realtime::RealtimePriority;
use firmware_agnostic::identity::BoxId::First;
use rustix::thread::{CapabilitySet, capabilities};

use crate::Lab;
use crate::observers::expectations::whole;
use crate::observers::failure::{Failure, expect};
use crate::scenarios::artifacts::said;
use crate::stage::config::Choices;
use crate::stage::process::Process;

/// The loop, the reactor and the feeder of the watchdog come before all others, and nothing that they start does.
pub(crate) fn realtime(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let supervisor = Process::supervisor(First)?;
    let status = said(lab, First, &["status"]);
    let may =
        thread::spawn(|| RealtimePriority::new(10).is_some_and(|it| it.take().is_ok())).join();
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
    let wanted: &[_] = if granted { &["async-io", "demo", "nursery", "watchdog"] } else { &[] };
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

/// Every thread may do what it is there for and no more, the programs may do what they always could, and none of them
/// gets more.
pub(crate) fn few(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let own = capabilities(None)?.permitted;
    let supervisor = Process::supervisor(First)?;
    let mut seen = Vec::new();
    for task in supervisor.threads()? {
        let name = task.name()?;
        let (uses, starts) = allowed(&name);
        let effective = task.capabilities("CapEff")?;
        let permitted = if starts { own } else { effective };
        expect(
            effective == uses.union(CapabilitySet::IPC_LOCK).intersection(own),
            format!("{name} may {effective:?}"),
        )?;
        expect(
            task.capabilities("CapPrm")? == permitted,
            format!("{name} may take back more than {permitted:?}"),
        )?;
        seen.push(name);
    }
    for name in
        ["async-io", "control", "demo", "resources", "fence", "log", "log service", "watchdog"]
    {
        expect(seen.iter().any(|it| it == name), format!("no thread {name} in {seen:?}"))?;
    }
    let service = supervisor.child("serve")?;
    expect(service.capabilities("CapEff")? == own, "the service may do less than before")?;
    expect(service.field("NoNewPrivs")? == 1, "the service can gain rights")?;
    let bound = supervisor.child("bound")?;
    let bind = CapabilitySet::NET_BIND_SERVICE;
    for word in ["CapEff", "CapPrm", "CapBnd", "CapAmb"] {
        let set = bound.capabilities(word)?;
        expect(set == bind, format!("{word} of the one that is bound is {set:?}"))?;
    }
    let free = supervisor.child("free")?;
    expect(free.field("NoNewPrivs")? == 0, "new_privileges = true does nothing")?;
    for (child, umask) in [(&bound, 0o027), (&free, 0o022)] {
        let has = child.number("status", "Umask", 8)?;
        expect(has == umask, format!("a service has the umask {has:03o} and not {umask:03o}"))?;
    }
    let own = supervisor.number("status", "Umask", 8)?;
    expect(own == 0o077, format!("the supervisor has the umask {own:03o}"))?;
    let history = std::fs::metadata(lab.disk(First).join("twobox.history"))?.mode() & 0o777;
    expect(history == 0o644, format!("the history has the mode {history:03o}"))?;
    expect(supervisor.field("NoNewPrivs")? == 0, "the supervisor could not be upgraded")?;
    Ok(format!("{} threads", seen.len()))
}

/// What a thread uses, and whether it starts programs.
fn allowed(thread: &str) -> (CapabilitySet, bool) {
    let services = CapabilitySet::KILL
        | CapabilitySet::SYS_PTRACE
        | CapabilitySet::DAC_READ_SEARCH
        | CapabilitySet::CHOWN;
    match thread {
        "demo" => {
            let sockets = CapabilitySet::NET_BIND_SERVICE | CapabilitySet::NET_RAW;
            (sockets | CapabilitySet::SYS_BOOT, false)
        }
        "resources" => (services | CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW, true),
        "fence" => (CapabilitySet::KILL, true),
        "nursery" => (CapabilitySet::empty(), true),
        _ => (CapabilitySet::empty(), false),
    }
}

/// Two services besides the usual one: one that has few rights, and one that may gain some.
pub(crate) fn services() -> Choices {
    let usual = crate::scenarios::stories::watched();
    let sleep = |name: &str, words: &str| {
        format!(
            "[[resource]]\nkind = \"process\"\nname = \"{name}\"\n{words}\n\
             command = [\"/bin/sh\", \"-c\", \"sleep 600; :\", \"{name}\"]\n"
        )
    };
    let bound = "capabilities = [\"net_bind_service\"]\numask = \"027\"";
    let resources =
        usual.resources.clone() + &sleep("bound", bound) + &sleep("free", "new_privileges = true");
    Choices { resources, ..usual }
}

/// `SCHED_OTHER` and `SCHED_RR` of `sched(7)`.
const NORMAL: u64 = 0;
const ROUND_ROBIN: u64 = 2;
