//! Gives the lab namespaces of its own, and leaves nothing behind.
//!
//! The program starts itself again as pid 1 of new namespaces. All that ends that process (the end of its work, a
//! panic, `kill -9`, Ctrl-C), the kernel kills everything that lives in it, and its interfaces and mounts are gone.
//! An ordinary user gets a user namespace around it all, in which they are root.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};

use board::process::cgroup::Cgroup;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Signal, getegid, geteuid, set_parent_process_death_signal};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use rustix::thread::UnshareFlags;

use crate::stage::kernel;

/// Runs this program once more with `arguments`, as the first process of a new world, and waits for it.
///
/// # Errors
///
/// When the kernel does not allow it, with what a person can do about it.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode, String> {
    leave().map_err(|error| refused(&error))?;
    let terminal = tcgetattr(io::stdin()).ok();
    let cgroup = Cgroup::make("lab").ok();
    let mut command = Command::new("/proc/self/exe");
    if let Some(Cgroup { path, id }) = &cgroup {
        command.env(CGROUP, format!("{id} {path}"));
    }
    let mut child = command
        .arg(INSIDE)
        .args(arguments)
        .spawn()
        .map_err(|error| format!("cannot start the lab: {error}"))?;
    let status = child.wait().map_err(|error| format!("cannot wait for the lab: {error}"))?;
    // With those that the boxes have made in it.
    cgroup.iter().for_each(Cgroup::remove);
    if let Some(settings) = terminal {
        // However it ended, the terminal is as it was.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &settings);
    }
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Makes the inside of the new world habitable: its own view of processes, and an empty
/// `/run`.
///
/// # Errors
///
/// When the kernel does not allow it, with what a person can do about it.
pub fn settle() -> Result<(), String> {
    furnish().map_err(|error| refused(&error))?;
    if let Err(error) = fs::OpenOptions::new().read(true).write(true).open(kernel::TUN) {
        return Err(format!("{}: {error}: {}", kernel::TUN, remedy(&error)));
    }
    Ok(())
}

/// Leaves the namespaces of the outside. Must come before the first thread, because of the user namespace.
fn leave() -> io::Result<()> {
    let world = UnshareFlags::NEWNS | UnshareFlags::NEWNET | UnshareFlags::NEWPID;
    let (user, group) = (geteuid(), getegid());
    if user.is_root() {
        return kernel::unshare(world);
    }
    kernel::unshare(world | UnshareFlags::NEWUSER)?;
    // user_namespaces(7): an unprivileged process may map its own two numbers, once, after giving up setgroups.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {} 1", user.as_raw()))?;
    fs::write("/proc/self/gid_map", format!("0 {} 1", group.as_raw()))
}

fn furnish() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    enter_cgroup()?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_proc()?;
    mount("tmpfs", "/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755")?;
    fs::create_dir(ROOM)?;
    // The original is out of reach where mounts are private, and may be built anew while the lab runs.
    fs::copy("/proc/self/exe", PROGRAM)?;
    Ok(())
}

/// Joins the cgroup that was made for the lab, if one could be: the boxes share a kernel, and nothing of them is to
/// stay.
fn enter_cgroup() -> io::Result<()> {
    let Some(word) = env::var_os(CGROUP) else { return Ok(()) };
    let word = word.to_string_lossy().into_owned();
    let Some((id, path)) = word.split_once(' ') else { return Ok(()) };
    let cgroup = Cgroup { path: path.to_owned(), id: id.parse().map_err(io::Error::other)? };
    let Some(folder) = cgroup.open()? else { return Ok(()) };
    File::from(folder.entrance()?).write_all(b"0")
}

/// Mounts the view of the processes of this pid namespace, without the handles by which root in a namespace could
/// still reach the machine below.
///
/// # Errors
///
/// When the kernel does not allow it.
pub(crate) fn mount_proc() -> io::Result<()> {
    mount(
        "proc",
        "/proc",
        "proc",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        None,
    )?;
    for handle in ["/proc/sysrq-trigger", "/dev/watchdog", "/dev/watchdog0", "/dev/ipmi0"] {
        if Path::new(handle).exists() {
            rustix::mount::mount_bind("/dev/null", handle)?;
        }
    }
    Ok(())
}

fn refused(error: &io::Error) -> String {
    let program = env::current_exe().unwrap_or_default();
    format!(
        "this kernel does not let you make namespaces ({error}).\n\
         As an ordinary user: allow it (sysctl kernel.unprivileged_userns_clone,\n\
         user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns), or run\n    \
         sudo {}\n\
         In a container: start that with --privileged.",
        program.display()
    )
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "run it with sudo, or allow it: chmod 0666 /dev/net/tun",
        _ => "load the driver: sudo modprobe tun",
    }
}

/// In the environment of the program inside the new world, its cgroup.
const CGROUP: &str = "LAB_CGROUP";

/// The first argument of the program inside the new world.
pub const INSIDE: &str = "inside";

/// Where the lab keeps its files: memory that goes away with it.
pub(crate) const ROOM: &str = "/run/lab";

/// A copy of this program, which the boxes get by hard link.
pub const PROGRAM: &str = "/run/lab/demo";
