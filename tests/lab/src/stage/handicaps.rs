//! Starts a supervisor of the lab with fewer rights or resources.
//!
//! Words that stand before `twobox` on its command line, and change something before it begins.

use std::fs;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind, mount_move, mount_remount};
use rustix::process::{Resource, Rlimit, Uid, getrlimit, setrlimit};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::stdio::dup2_stderr;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use rustix::thread::{configure_capability_in_ambient_set, set_keep_capabilities, set_thread_uid};

use crate::observers::expectations::PATIENCE;
use crate::stage::machine::name;

/// Puts on what `word` names, and tells whether it names anything.
pub(crate) fn put_on(word: &str) -> Option<io::Result<()>> {
    Some(match word {
        "unarmed" => disarm(),
        "no-cgroups" => hide_cgroups().and_then(|()| give_up(CapabilitySet::SYS_ADMIN)),
        "commoner" => become_commoner().and_then(|()| be_alone_on_demand()),
        "stuck-console" => {
            if is_first() {
                full_pipe()
            } else {
                stopped_terminal()
            }
        }
        "lost-console" => {
            if is_first() {
                broken_pipe()
            } else {
                no_console()
            }
        }
        "lost-syslog" => {
            own_devices().and_then(|()| if is_first() { deaf_syslog() } else { full_pipe() })
        }
        "small-disk" => small_disk(),
        "panics" => panic_on_demand(),
        "hungry" => hunger_on_demand(),
        _ => return None,
    })
}

/// Takes the right away from this process to reset its box.
fn disarm() -> io::Result<()> {
    give_up(CapabilitySet::SYS_BOOT)
}

/// Puts something else where the cgroups are, in this box.
fn hide_cgroups() -> io::Result<()> {
    if !Path::new(CGROUPS).exists() {
        return Ok(());
    }
    Ok(mount("tmpfs", CGROUPS, "tmpfs", MountFlags::NOSUID, None)?)
}

/// Becomes a user for whom the limit of processes counts: root, and a user with these rights, is above it
/// (`getrlimit(2)`, `RLIMIT_NPROC`).
fn become_commoner() -> io::Result<()> {
    set_keep_capabilities(true)?;
    // In a user namespace there is nobody else, and nobody is above it.
    let _ = set_thread_uid(Uid::from_raw(SOMEBODY));
    give_up(CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_RESOURCE)?;
    let kept = capabilities(None)?.permitted;
    for capability in kept {
        // What it executes keeps them as well.
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

fn give_up(what: CapabilitySet) -> io::Result<()> {
    let mut sets = capabilities(None)?;
    sets.permitted.remove(what);
    (sets.effective, sets.inheritable) = (sets.permitted, sets.permitted);
    Ok(set_capabilities(None, sets)?)
}

/// A pipe that takes nothing any more, because nobody reads it.
fn full_pipe() -> io::Result<()> {
    let (reader, mut writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&writer, true)?;
    while writer.write(&[b'.'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false)?;
    std::mem::forget(reader);
    Ok(dup2_stderr(writer)?)
}

/// A pipe whose reader has gone.
fn broken_pipe() -> io::Result<()> {
    Ok(dup2_stderr(io::pipe()?.1)?)
}

/// Not even a descriptor.
fn no_console() -> io::Result<()> {
    let gone = rustix::fs::open("/dev/null", OFlags::RDONLY, Mode::empty())?;
    Ok(dup2_stderr(gone)?)
}

/// A terminal at which somebody has pressed Ctrl-S (`termios(3)`, `IXON`).
fn stopped_terminal() -> io::Result<()> {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&person)?;
    unlockpt(&person)?;
    let path = ptsname(&person, Vec::new())?;
    let terminal = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
    rustix::io::write(&person, b"\x13")?;
    std::mem::forget(person);
    Ok(dup2_stderr(terminal)?)
}

/// A syslog that reads nothing, and whose queue is soon full (`unix(7)`).
fn deaf_syslog() -> io::Result<()> {
    // Of an earlier life; it may just as well not be there.
    let _ = fs::remove_file(SYSLOG);
    std::mem::forget(UnixDatagram::bind(SYSLOG)?);
    Ok(())
}

/// A disk with room for the state of the supervisor and little else.
fn small_disk() -> io::Result<()> {
    if Path::new(DISK).exists() {
        return Ok(());
    }
    fs::create_dir(DISK)?;
    Ok(mount("tmpfs", DISK, "tmpfs", MountFlags::empty(), c"size=64k,mode=0700")?)
}

/// Writes to the small disk until it takes no more.
pub(crate) fn fill() -> io::Result<()> {
    let mut file = fs::File::create(Path::new(DISK).join("filling"))?;
    while file.write_all(&[b'.'; 512]).is_ok() {}
    Ok(())
}

/// Makes the small disk read-only, as soon as nobody has a file open there to write; or writable again.
pub(crate) fn protect(disk: bool) -> io::Result<()> {
    let flags = if disk { MountFlags::RDONLY } else { MountFlags::empty() };
    let begun = Instant::now();
    loop {
        match mount_remount(DISK, flags, c"") {
            Err(Errno::BUSY) if begun.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_micros(100));
            }
            other => return Ok(other?),
        }
    }
}

/// A `/dev` that no other box has, and no syslog in it.
fn own_devices() -> io::Result<()> {
    let (own, all) = (Path::new("/run/dev"), Path::new("/dev"));
    if own.exists() {
        return Ok(());
    }
    fs::create_dir(own)?;
    mount("tmpfs", own, "tmpfs", MountFlags::NOSUID, None)?;
    for device in ["null", "zero", "urandom"] {
        fs::write(own.join(device), "")?;
        mount_bind(all.join(device), own.join(device))?;
    }
    fs::create_dir(own.join("pts"))?;
    mount_bind(all.join("pts"), own.join("pts"))?;
    Ok(mount_move(own, all)?)
}

/// As the product does, which panics by aborting, but when the lab wants it.
fn panic_on_demand() -> io::Result<()> {
    on_demand(PANIC, || {
        let _ = thread::spawn(|| panic!("wanted by the lab")).join();
        std::process::abort();
    })
}

/// Wants more and more memory, when the lab wants it.
fn hunger_on_demand() -> io::Result<()> {
    on_demand(HUNGER, || {
        loop {
            std::mem::forget(std::hint::black_box(vec![1_u8; 1 << 20]));
        }
    })
}

/// Does `what` in the supervisor, and not in its guard, when there is `file`, once.
fn on_demand(file: &'static str, what: fn()) -> io::Result<()> {
    if board::process::guard::is_this() {
        return Ok(());
    }
    let wait = move || {
        while fs::remove_file(file).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        what();
    };
    thread::Builder::new().name("demand".to_owned()).spawn(wait).map(drop)
}

/// As long as the lab wants it, this process can make no other, and no thread.
fn be_alone_on_demand() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nproc).maximum;
    let demand = move || loop {
        let current = if Path::new(ALONE).exists() { Some(0) } else { maximum };
        setrlimit(Resource::Nproc, Rlimit { current, maximum }).expect("less is always allowed");
        thread::sleep(Duration::from_millis(10));
    };
    thread::Builder::new().name("alone".to_owned()).spawn(demand).map(drop)
}

fn is_first() -> bool {
    rustix::system::uname().nodename().to_bytes() == name(BoxId::First).as_bytes()
}

/// Where the small disk is.
pub(crate) const DISK: &str = "/run/state";

const CGROUPS: &str = "/sys/fs/cgroup";

const SYSLOG: &str = "/dev/log";

/// A test that wants a supervisor to panic makes this file.
pub(crate) const PANIC: &str = "/run/panic";

/// A test that wants a supervisor to take all memory makes this file.
pub(crate) const HUNGER: &str = "/run/hunger";

/// While there is this file, the supervisor can start nothing.
pub(crate) const ALONE: &str = "/run/alone";

/// A user that no machine has.
const SOMEBODY: u32 = 424_242;
