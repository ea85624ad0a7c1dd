//! No box keeps an address that nobody watches.
//!
//! Each supervisor starts a guard, tells it all that it could have to know, and then nothing more. When the supervisor
//! dies, the guard waits for `pair.restart_time`. By then a successor holds the [`Lease`], or the guard takes it, stops
//! every resource as the supervisor would have, and gives it back.

use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use board::lease::Lease;
use board::patience::Patience;
use board::resource;

use crate::config::{Config, Identity};
use crate::hooks::Hooks;
use crate::logging;
use board::rights::Rights;

/// All that a guard has to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Brief {
    /// The name of this box.
    pub(crate) name: String,
    /// Where the lease is.
    pub(crate) lease: PathBuf,
    /// How long a successor has to appear.
    pub(crate) patience: Duration,
    /// The configuration that the supervisor runs with: the file may be another by then.
    pub(crate) config: String,
}

impl Brief {
    /// Hands it to a guard.
    ///
    /// # Errors
    ///
    /// When the guard is dead.
    pub(crate) fn hand_over(&self, line: &mut UnixStream) -> io::Result<()> {
        let millis = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX).to_be_bytes();
        let lease = self.lease.as_os_str().as_bytes();
        for field in [self.name.as_bytes(), lease, &millis, self.config.as_bytes()] {
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
        let text = |bytes| String::from_utf8(bytes).map_err(io::Error::other);
        let (name, lease, millis, config) = (text(field()?)?, field()?, field()?, text(field()?)?);
        let millis: [u8; 8] = millis.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Self {
            name,
            lease: std::ffi::OsString::from_vec(lease).into(),
            patience: Duration::from_millis(u64::from_be_bytes(millis)),
            config,
        })
    }
}

/// Keeps guard over the supervisor at the other end of standard input.
///
/// # Errors
///
/// When there is none, or what it has left cannot be known.
pub(crate) fn run() -> io::Result<()> {
    board::guard::begin();
    Rights::NONE.narrow();
    let mut line = io::stdin().lock();
    let brief = Brief::read(&mut line).map_err(|error| {
        io::Error::new(error.kind(), format!("the guard is started by twobox run: {error}"))
    })?;
    if matches!(line.read(&mut [0]), Ok(1)) {
        // Everything was stopped in order.
        return Ok(());
    }
    thread::sleep(brief.patience);
    let mut lease = Lease::open(&brief.lease)?;
    if !lease.try_take()? {
        // A successor answers for it, and has its own guard.
        return Ok(());
    }
    let identity = Identity { told: Some(brief.name), ..Identity::default() };
    let config = Config::read(&brief.config, &identity)
        .map_err(|_| io::Error::other("the supervisor ran with a configuration that is wrong"))?;
    let rights = Rights::RESET | config.resources.iter().map(resource::Config::rights).collect();
    rights.narrow();
    let hooks = Hooks::open(&config.hooks, config.name(config.settings.me))?;
    logging::start(config.log.to, config.log.level, hooks)?;
    log::error!(
        "the supervisor has died, and no other came within {:?}: stopping its services, and removing its addresses",
        brief.patience
    );
    while let Err(error) = stop(&config) {
        log::error!("the guard cannot clear this box: {error}: it is reset");
        logging::flush();
        let Err(error) = board::power::reset();
        log::error!("{error}; trying again");
        thread::sleep(PAUSE);
    }
    lease.note_cleared()?;
    log::warn!("nothing of the pair runs on this box any more");
    logging::flush();
    Ok(())
}

/// Stops every resource in reverse order, whoever started it.
fn stop(config: &Config) -> io::Result<()> {
    let stop = |resource: &resource::Config| {
        let stopped =
            resource.open(config.settings.me)?.stop(&Patience::new(resource.stop_timeout));
        stopped.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", resource.name)))
    };
    // All of them are tried, whatever became of the others.
    config.resources.iter().rev().map(stop).fold(Ok(()), Result::and)
}

/// Far more than the longest configuration.
const FIELD_MAX: u64 = 1024 * 1024;

/// What hangs in the kernel does so for seconds.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_is_read_as_it_was_handed_over() {
        let brief = Brief {
            name: "server1".to_owned(),
            lease: "/run/x".into(),
            patience: Duration::from_millis(1_234),
            config: "[pair]\n".to_owned(),
        };
        let (mut ours, mut its) = UnixStream::pair().unwrap();
        brief.hand_over(&mut ours).unwrap();
        assert_eq!(Brief::read(&mut its).unwrap(), brief);
        ours.write_all(&u64::MAX.to_be_bytes()).unwrap();
        drop(ours);
        assert!(Brief::read(&mut its).is_err());
    }
}
