//! Plays process 1 of a box.
//!
//! An init as small as they come: it sets the box up, keeps one program running (as `respawn` does in an inittab),
//! buries the dead, and takes orders from the lab on its standard input.

use std::fmt;
use std::fs;
use std::io::{self, BufRead};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use firmware_agnostic::identity::BoxId;
use rustix::mount::{MountFlags, mount, mount_bind};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

use crate::stage::ethernet::Segment;
use crate::stage::isolation;
use crate::stage::kernel::Interfaces;
use crate::stage::machine::name;
use crate::stage::management;
use crate::stage::watchdog::Watchdog;

/// What the lab asks of a box.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    /// Kill the program; it is started again.
    Crash,
    /// Kill the program by a signal that has it say no more than a panic does; it is started again.
    Abort,
    /// Kill the program, and do not start it again.
    Abandon,
    /// Start it again after all.
    Return,
    /// Stop the program in its tracks, as a kernel does that has no time for it.
    Stall,
    /// Let it go on.
    Resume,
    /// Hang up on it.
    HangUp,
    /// Ask it to end, and switch the box off when it has.
    ShutDown,
}

impl Order {
    const ALL: [Self; 8] = [
        Self::Crash,
        Self::Abort,
        Self::Abandon,
        Self::Return,
        Self::Stall,
        Self::Resume,
        Self::HangUp,
        Self::ShutDown,
    ];
}

impl fmt::Display for Order {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// Runs the box called `own`, whose files are in `room`, until it is shut down.
///
/// # Errors
///
/// When the box cannot be set up; the lab then sees it die.
pub fn run(own: &str, room: &Path, program: &[String]) -> io::Result<()> {
    let id = BoxId::BOTH.into_iter().find(|id| name(*id) == own).ok_or(io::ErrorKind::NotFound)?;
    set_up(id, room)?;
    let (command, arguments) = program.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let ward = Ward::default();
    let watchdog = Watchdog::open()?;
    let listener = ward.clone();
    std::thread::spawn(move || listener.listen());
    loop {
        let child = {
            let mut state = ward.state();
            if state.leaving {
                return Ok(());
            }
            if state.abandoned {
                drop(state);
                bury();
                continue;
            }
            let mut program = Command::new(command);
            program.args(arguments);
            if let Some(watchdog) = &watchdog {
                watchdog.tell(&mut program);
                watchdog.watch(true);
            }
            let child = program.spawn()?;
            state.pid = Some(Pid::from_child(&child));
            Pid::from_child(&child)
        };
        // Orphans of the box end up here as well, and are buried on the way.
        while wait(WaitOptions::empty())?.is_some_and(|(pid, _)| pid != child) {}
        ward.state().pid = None;
        if let Some(watchdog) = &watchdog {
            watchdog.watch(false);
        }
        std::thread::sleep(RESPAWN);
    }
}

/// The box stays as it is for a while.
fn bury() {
    // There may be nobody to bury at present.
    while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
    std::thread::sleep(RESPAWN);
}

/// The program that pid 1 keeps running, shared with the thread that takes orders.
#[derive(Clone, Debug, Default)]
struct Ward(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pid: Option<Pid>,
    leaving: bool,
    abandoned: bool,
}

impl Ward {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread panics while it holds the ward")
    }

    fn listen(&self) {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let Some(order) = Order::ALL.into_iter().find(|o| o.to_string() == line) else {
                continue;
            };
            let mut state = self.state();
            state.leaving |= order == Order::ShutDown;
            state.abandoned |= order == Order::Abandon;
            let signal = match order {
                Order::Return => {
                    state.abandoned = false;
                    continue;
                }
                Order::Crash | Order::Abandon => Signal::KILL,
                Order::Abort => Signal::ABORT,
                Order::Stall => Signal::STOP,
                Order::Resume => Signal::CONT,
                Order::HangUp => Signal::HUP,
                Order::ShutDown => Signal::TERM,
            };
            if let Some(pid) = state.pid {
                // Fails only when it has just died, and then the order is overtaken.
                let _ = kill_process(pid, signal);
            }
        }
    }
}

fn set_up(id: BoxId, room: &Path) -> io::Result<()> {
    isolation::mount_proc()?;
    // So that the box finds its own network cards there. Where that is not allowed it finds the machine's, and is
    // known by its host name all the same.
    let _ = mount("sysfs", "/sys", "sysfs", MountFlags::NOSUID | MountFlags::NODEV, None);
    mount_bind(room.join("disk"), "/var/lib")?;
    mount_bind(room.join("run"), "/run")?;
    rustix::system::sethostname(name(id).as_bytes())?;
    let interfaces = Interfaces::new()?;
    interfaces.up("lo")?;
    for (segment, address, prefix) in addresses(id) {
        let interface = segment.interface();
        let hardware = [2, 0, 0, 0, segment as u8, id.index() as u8 + 1];
        interfaces.set_hardware(interface, hardware)?;
        interfaces.set_address(interface, address, prefix)?;
        interfaces.up(interface)?;
    }
    fs::write(Path::new("/run").join(BOOTED), "")
}

/// Kills every process of the box that has `word` on its command line, except the one that does so.
///
/// # Errors
///
/// When `/proc` cannot be read.
pub fn kill(word: &str) -> io::Result<()> {
    for (pid, line) in others()? {
        if line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()) {
            kill_process(pid, Signal::KILL)?;
        }
    }
    Ok(())
}

/// The processes of the box that have `word` on their command line.
///
/// # Errors
///
/// When `/proc` cannot be read, or there is none.
pub fn find(word: &str) -> io::Result<String> {
    let has = |line: &[u8]| line.split(|byte| *byte == 0).any(|it| it == word.as_bytes());
    let found: Vec<_> =
        others()?.filter(|(_, line)| has(line)).map(|(pid, _)| pid.to_string()).collect();
    if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found.join(" ")) }
}

/// Stops every process of the box in its tracks, except the one that does so, and pid 1, which does nothing anyway.
///
/// # Errors
///
/// When `/proc` cannot be read.
pub fn freeze() -> io::Result<()> {
    for (pid, _) in others()? {
        // One that has gone meanwhile does nothing either.
        let _ = kill_process(pid, Signal::STOP);
    }
    Ok(())
}

/// Every other process of the box, and its command line.
fn others() -> io::Result<impl Iterator<Item = (Pid, Vec<u8>)>> {
    Ok(fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        // One that has gone meanwhile has no command line.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        (pid != getpid()).then_some((pid, line))
    }))
}

/// The addresses of a box that never move (RFC 5737).
pub(crate) fn addresses(id: BoxId) -> [(Segment, Ipv4Addr, u8); 3] {
    let host = id.index() as u8 + 1;
    [
        (Segment::Lan, Ipv4Addr::new(192, 0, 2, host), 24),
        (Segment::Direct, Ipv4Addr::new(198, 51, 100, host), 30),
        (Segment::Management, Ipv4Addr::new(203, 0, 113, host), management::PREFIX),
    ]
}

/// The first argument of the program as pid 1 of a box.
pub const CHARACTER: &str = "box";

/// In `/run` of a box that is set up.
pub(crate) const BOOTED: &str = "booted";

/// Where a box finds this program.
pub const PROGRAM: &str = "/run/demo";

/// Between the end of the program and its next start, so that one that cannot start does not spin.
const RESPAWN: Duration = Duration::from_millis(200);
