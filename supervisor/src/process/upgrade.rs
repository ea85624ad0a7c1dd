//! Replaces this supervisor by the program that is on the disk now, by exec(3), in place.
//!
//! The new program keeps the number of the old one, so init notices nothing, and the services run on: it adopts
//! them as after a death. It is tried first, on the configuration as it is now and all that there is no start
//! without, so that a program that cannot run here, or a file that is wrong, ends nothing.

use std::convert::Infallible;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use board::disk::safe_file::{Trust, expect_safe};
use board::process::child::Program;
use board::process::hardening;
use board::thread::capabilities::Rights;
use board::thread::deadline::Deadline;
use board::thread::spawn;
use firmware_agnostic::order::Order;
use smol::channel::Sender;

use crate::control::request::Request;
use crate::input::Input;

/// How this supervisor was started, and what for.
#[derive(Clone, Debug)]
pub(crate) struct OwnProgram {
    /// What stands before the words of the command line: the name of the program.
    pub(crate) before: Vec<OsString>,
    /// The configuration.
    pub(crate) config: PathBuf,
    /// The name of this box.
    pub(crate) name: String,
    /// Whose turn it is to go on with the configuration.
    pub(crate) turn: Arc<Mutex<()>>,
}

impl OwnProgram {
    /// Waits until nobody else goes on with the configuration, and keeps others from it until this is dropped. A
    /// process that has it reads the file after all that the loop has taken in, so that what was read last is in
    /// force. Not for the loop.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Becomes the program on the disk.
    ///
    /// # Errors
    ///
    /// When it did not.
    pub(crate) fn succeed(&self) -> io::Result<Infallible> {
        let mut command = Command::new(program()?);
        if let Some(name) = self.before.first() {
            command.arg0(name);
        }
        hardening::end();
        let error = command.args(words()).exec();
        hardening::begin();
        Err(error)
    }
}

/// Tries the program on the disk, and makes an order of it if it can follow; else tells why not.
pub(crate) fn try_successor(inputs: Sender<Input>, reply: Sender<String>) {
    let refuse = reply.clone();
    let work = move || match check() {
        Ok(()) => {
            let order = Input::Request(Request::Order(Order::Upgrade), reply);
            let _ = inputs.send_blocking(order);
        }
        Err(error) => {
            let _ = reply.try_send(format!("refused\nnothing was done: {error}\n"));
        }
    };
    if let Err(error) = spawn::spawn("upgrade", Rights::PROGRAMS, work) {
        let _ = refuse.try_send(format!("refused\nnothing was done: {error}\n"));
    }
}

/// Whether the program on the disk could go on with the configuration as it is now.
fn check() -> io::Result<()> {
    let program = program()?;
    // With the words that it is started with then, in the same place: it must find out for program which box it is.
    let all = [program.clone().into_os_string()].into_iter().chain(words());
    let mut command: Vec<_> = all.map(|word| word.to_string_lossy().into_owned()).collect();
    command.push("--dry-run".to_owned());
    let directory = Some(env::current_dir()?);
    let said =
        Program { command, directory, ..Program::default() }.run(&Deadline::new(CHECK_TIME))?;
    if said.end.success() {
        return Ok(());
    }
    let (program, errors) = (program.display(), said.errors.trim().to_owned());
    Err(io::Error::other(format!("{program} {} on this configuration: {errors}", said.end)))
}

/// The words with which this program was started.
fn words() -> impl Iterator<Item = OsString> {
    env::args_os().skip(1)
}

/// Where this program was started from, if nobody but root can have put another one there.
fn program() -> io::Result<PathBuf> {
    let path = path()?;
    expect_safe(&path, Trust::default()).map_err(|error| {
        io::Error::new(error.kind(), format!("the program {} {error}", path.display()))
    })?;
    Ok(path)
}

/// What others than root could make of the program that runs, if they could.
pub(crate) fn risk() -> Option<String> {
    program().err().filter(|error| error.raw_os_error().is_none()).map(|error| error.to_string())
}

/// Where this program was started from; another one may lie there by now (`proc_pid_exe(5)`).
fn path() -> io::Result<PathBuf> {
    let link = fs::read_link("/proc/self/exe")?;
    let bytes = link.as_os_str().as_bytes();
    let path = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Ok(OsStr::from_bytes(path).into())
}

/// Less than the person at the command line waits.
const CHECK_TIME: Duration = Duration::from_secs(3);
