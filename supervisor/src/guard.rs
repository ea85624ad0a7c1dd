//! No box keeps an address that nobody watches.
//!
//! Each supervisor starts a guard, tells it whose it is, and then nothing more. When the supervisor dies, the guard
//! waits for `pair.restart_time`, and says so over the links ([`Speaker`]). By then a successor holds the
//! [`Lease`], or the guard takes it, stops all that may run here by what is noted there, as the supervisor would
//! have, and gives it back.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use board::disk::lease::{self, Lease};
use board::process::guard::LastFrame;
use board::resource;
use board::thread::capabilities::Rights;
use board::thread::deadline::Deadline;

use crate::config::Config;
use crate::guard::leftovers::configs;
use crate::observe::hooks::Hooks;
use crate::observe::logging;

use speaker::Speaker;

pub(crate) mod handle;
pub(crate) mod leftovers;
mod speaker;

/// All that a guard has to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct GuardSpec {
    /// The name of this box.
    pub(crate) name: String,
    /// Where the lease is.
    pub(crate) lease: PathBuf,
}

impl GuardSpec {
    /// Hands it to a guard.
    ///
    /// # Errors
    ///
    /// When the guard is dead.
    pub(crate) fn hand_over(&self, line: &mut UnixStream) -> io::Result<()> {
        let lease = self.lease.as_os_str().as_bytes();
        for field in [self.name.as_bytes(), lease] {
            line.write_all(&(field.len() as u64).to_be_bytes())?;
            line.write_all(field)?;
        }
        Ok(())
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut field = || -> io::Result<Vec<u8>> {
            let mut length = [0; 8];
            from.read_exact(&mut length)?;
            let length = u64::from_be_bytes(length);
            let mut bytes = Vec::new();
            let read = (&mut *from).take(length.min(FIELD_MAX)).read_to_end(&mut bytes)?;
            if read as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        };
        let (name, lease) = (field()?, OsString::from_vec(field()?));
        Ok(Self { name: String::from_utf8(name).map_err(io::Error::other)?, lease: lease.into() })
    }
}

/// Keeps guard over the supervisor at the other end of standard input.
///
/// # Errors
///
/// When there is none, or what it has left cannot be known.
pub(crate) fn run() -> io::Result<()> {
    board::process::guard::begin();
    Rights::NONE.set_effective();
    // Not by way of the buffer of the library: what is handed over with a byte would be lost.
    let mut line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let told = LastFrame::receive(&line).and_then(|last| Ok((GuardSpec::read(&mut line)?, last)));
    let (brief, last) = told.map_err(|error| {
        io::Error::new(error.kind(), format!("the guard is started by twobox run: {error}"))
    })?;
    if matches!(line.read(&mut [0]), Ok(1)) {
        // Everything was stopped in order.
        return Ok(());
    }
    let lease = Lease::open(&brief.lease)?;
    let Some(config) = configs(&lease, &brief.name)?.pop() else {
        // Nothing was touched yet.
        return Ok(());
    };
    let mut speaker = Speaker::new(&config, &last);
    if speaker.wait(&lease, config.settings.restart_time)? || !lease.try_take()? {
        // A successor answers for it, and has its own guard.
        return Ok(());
    }
    // One that has come and gone meanwhile may have noted more.
    let all = configs(&lease, &brief.name)?;
    let Some(config) = all.last() else { return Ok(()) };
    let resources = all.iter().flat_map(|config| &config.resources);
    (Rights::RESET | resources.map(resource::Config::rights).collect()).set_effective();
    let hooks = Hooks::open(&config.hooks, config.name(config.settings.me))?;
    logging::start(config.log.to, config.log.level, hooks)?;
    log::error!(
        "the supervisor has died, and no other came within {:?}: stopping its services, and removing its addresses",
        config.settings.restart_time
    );
    while let Err(error) = stop(&all, &lease::notes(&brief.lease)) {
        log::error!("the guard cannot clear this box: {error}: it is reset");
        logging::flush();
        let Err(error) = board::host::reset::reset();
        log::error!("{error}; trying again");
        thread::sleep(PAUSE);
    }
    lease.note([])?;
    drop(lease);
    log::warn!("nothing of the pair runs on this box any more");
    logging::flush();
    speaker.say_farewell();
    Ok(())
}

/// Stops every resource of `all` in reverse order, also what another process started; first what is no resource any
/// more.
fn stop(all: &[Config], notes: &Path) -> io::Result<()> {
    let stop = |(config, resource): (&Config, &resource::Config)| {
        let me = config.settings.me;
        let stopped = resource.open(me, notes)?.stop(&Deadline::new(resource.stop_timeout));
        stopped.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", resource.name)))
    };
    // All of them are tried, also when some fail.
    let all =
        all.iter().flat_map(|config| config.resources.iter().rev().map(move |it| (config, it)));
    all.map(stop).fold(Ok(()), Result::and)
}

/// As long as a path may be.
const FIELD_MAX: u64 = 4096;

/// What hangs in the kernel does so for seconds.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_is_read_as_it_was_handed_over() {
        let brief = GuardSpec { name: "server1".to_owned(), lease: "/run/x".into() };
        let (mut ours, mut its) = UnixStream::pair().unwrap();
        brief.hand_over(&mut ours).unwrap();
        assert_eq!(GuardSpec::read(&mut its).unwrap(), brief);
        ours.write_all(&u64::MAX.to_be_bytes()).unwrap();
        drop(ours);
        assert!(GuardSpec::read(&mut its).is_err());
    }
}
