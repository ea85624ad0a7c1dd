//! The watchdog of the machine: `/dev/watchdog` (the kernel's `Documentation/watchdog/watchdog-api.rst`).
//!
//! It counts from the moment in which it is opened. A process that closes it without having written a `V` before
//! (the magic close) leaves it counting, and that is what a supervisor does that dies.

use std::ffi::c_int;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, Updater, ioctl, opcode};

use super::Watchdog;

/// A device, and the patience that is asked of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Usually `/dev/watchdog`.
    pub path: PathBuf,
    /// In whole seconds.
    pub timeout: Duration,
}

impl Config {
    /// Opens the device, which begins to count, and asks it for its timeout.
    ///
    /// # Errors
    ///
    /// When it is no watchdog, somebody else has it, or it does not say how long it waits: with the remedy.
    pub fn open(&self) -> io::Result<Device> {
        let path = self.path.display();
        let failed = |error: io::Error, remedy: &str| {
            io::Error::new(error.kind(), format!("watchdog {path}: {error}: {remedy}"))
        };
        let file = OpenOptions::new().write(true).open(&self.path).map_err(|error| {
            let remedy = match Errno::from_io_error(&error) {
                Some(Errno::BUSY) => {
                    "another program feeds it; end that, or let it watch this one (WatchdogSec= of systemd) and name no device"
                }
                _ => "load its driver, and start this as root; or name no device in [watchdog]",
            };
            failed(error, remedy)
        })?;
        let support = support(&file).map_err(|error| failed(error.into(), "is it a watchdog?"))?;
        let (name, never_stops) = (path.to_string(), self.never_stops());
        let mut device = Device { file, name, timeout: self.timeout, never_stops };
        // One whose timeout is fixed refuses, and says below what that is.
        let asked = self.timeout.as_secs().try_into().unwrap_or(c_int::MAX);
        let _ = set_timeout(&device.file, asked);
        match timeout(&device.file) {
            Ok(seconds) => device.timeout = Duration::from_secs(seconds.unsigned_abs().into()),
            Err(error) => {
                let _ = device.let_go();
                return Err(failed(error.into(), "it does not say how long it waits"));
            }
        }
        let identity = identity(&support);
        log::info!("watchdog {path} ({identity}): waits {:?} for each feeding", device.timeout);
        if support.options & MAGICCLOSE == 0 && !self.never_stops() {
            log::warn!("watchdog {path} ({identity}) stops watching when the supervisor dies");
        }
        if let Some(risk) = self.risk() {
            log::warn!("{risk}");
        }
        if boot_status(&device.file).is_ok_and(|status| status & CARDRESET != 0) {
            log::warn!("watchdog {path} ({identity}): this box has booted because it was not fed");
        }
        Ok(device)
    }

    /// What is right about the device, and yet a risk.
    pub fn risk(&self) -> Option<String> {
        self.never_stops().then(|| {
            format!(
                "watchdog {} can never be stopped (nowayout): it resets this box soon after twobox has been stopped, in \
                 order or not; load its driver with nowayout=0 if that is not wanted",
                self.path.display()
            )
        })
    }

    /// Whether it goes on counting when anything is written to it, as far as the kernel tells.
    fn never_stops(&self) -> bool {
        let number = fs::metadata(&self.path).map(|file| file.rdev()).unwrap_or_default();
        never_stops(Path::new("/sys"), libc::major(number), libc::minor(number))
    }
}

/// Looks into `sys` (`Documentation/ABI/testing/sysfs-class-watchdog` of the kernel).
fn never_stops(sys: &Path, major: u32, minor: u32) -> bool {
    let folder = match (major, minor) {
        // The old name for the first.
        MISC => "class/watchdog/watchdog0".to_owned(),
        _ => format!("dev/char/{major}:{minor}"),
    };
    fs::read_to_string(sys.join(folder).join("nowayout")).is_ok_and(|said| said.trim() == "1")
}

/// A watchdog that counts.
#[derive(Debug)]
pub struct Device {
    file: File,
    name: String,
    timeout: Duration,
    never_stops: bool,
}

impl Device {
    /// The magic close, but for the closing.
    fn let_go(&mut self) -> io::Result<()> {
        self.file.write_all(b"V")
    }
}

impl Watchdog for Device {
    fn name(&self) -> &str {
        &self.name
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn resets(&self) -> bool {
        true
    }

    fn feed(&mut self) -> io::Result<()> {
        // Every byte but a V feeds, with every driver; the ioctl is not known to all of them.
        self.file.write_all(b"\0")
    }

    fn trip(&mut self) {
        // Refused by some, whose timeout then ends as it would have ended.
        let _ = set_timeout(&self.file, 1);
    }

    fn release(mut self: Box<Self>) -> io::Result<()> {
        self.let_go()?;
        if self.never_stops {
            return Err(io::Error::other("can never be stopped (nowayout)"));
        }
        Ok(())
    }
}

/// `struct watchdog_info` of `linux/watchdog.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct WatchdogInfo {
    options: u32,
    firmware: u32,
    identity: [u8; 32],
}

fn identity(info: &WatchdogInfo) -> String {
    let text = info.identity.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[allow(unsafe_code)]
fn support(file: &File) -> Result<WatchdogInfo, Errno> {
    // SAFETY: WDIOC_GETSUPPORT writes a `struct watchdog_info`, whose layout `WatchdogInfo` has; any bytes are one.
    unsafe { ioctl(file, Getter::<GETSUPPORT, WatchdogInfo>::new()) }
}

#[allow(unsafe_code)]
fn timeout(file: &File) -> Result<c_int, Errno> {
    // SAFETY: WDIOC_GETTIMEOUT writes an int.
    unsafe { ioctl(file, Getter::<GETTIMEOUT, c_int>::new()) }
}

#[allow(unsafe_code)]
fn boot_status(file: &File) -> Result<c_int, Errno> {
    // SAFETY: WDIOC_GETBOOTSTATUS writes an int.
    unsafe { ioctl(file, Getter::<GETBOOTSTATUS, c_int>::new()) }
}

#[allow(unsafe_code)]
fn set_timeout(file: &File, mut seconds: c_int) -> Result<(), Errno> {
    // SAFETY: WDIOC_SETTIMEOUT reads an int, and writes what it has made of it.
    unsafe { ioctl(file, Updater::<SETTIMEOUT, c_int>::new(&mut seconds)) }
}

/// `WDIOC_*` and `WDIOF_*` of `linux/watchdog.h`.
const GETSUPPORT: Opcode = opcode::read::<WatchdogInfo>(b'W', 0);
const GETBOOTSTATUS: Opcode = opcode::read::<c_int>(b'W', 2);
const SETTIMEOUT: Opcode = opcode::read_write::<c_int>(b'W', 6);
const GETTIMEOUT: Opcode = opcode::read::<c_int>(b'W', 7);
const MAGICCLOSE: u32 = 0x0100;
const CARDRESET: c_int = 0x0020;

/// `MISC_MAJOR` and `WATCHDOG_MINOR` of the kernel.
const MISC: (u32, u32) = (10, 130);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_kernel() {
        assert_eq!(GETSUPPORT, 0x8028_5700);
        assert_eq!((SETTIMEOUT, GETTIMEOUT), (0xc004_5706, 0x8004_5707));
        assert_eq!(GETBOOTSTATUS, 0x8004_5702);
    }

    #[test]
    fn one_that_can_never_be_stopped_is_found_by_either_name() {
        let sys = tempfile::tempdir().unwrap();
        let put = |folder: &str, text: &str| {
            fs::create_dir_all(sys.path().join(folder)).unwrap();
            fs::write(sys.path().join(folder).join("nowayout"), text).unwrap();
        };
        put("class/watchdog/watchdog0", "1\n");
        put("dev/char/248:0", "1\n");
        put("dev/char/248:1", "0\n");
        for (number, never) in
            [((10, 130), true), ((248, 0), true), ((248, 1), false), ((1, 3), false)]
        {
            assert_eq!(never_stops(sys.path(), number.0, number.1), never, "{number:?}");
        }
    }

    #[test]
    fn what_is_no_watchdog_is_told() {
        for (path, told) in [("/dev/null", "is it a watchdog?"), ("/dev/watchdog77", "driver")] {
            let config = Config { path: path.into(), timeout: Duration::from_secs(10) };
            let error = config.open().unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(told), "{error}");
        }
    }
}
