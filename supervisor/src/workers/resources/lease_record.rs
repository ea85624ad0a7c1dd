//! Waits for the lease, and leaves a note for the next holder.

use std::io;
use std::path::Path;
use std::time::Duration;

use board::disk::lease::{self, Lease};
use board::thread::deadline::Deadline;

use super::Member;
use crate::config::Config;
use crate::guard::leftovers::configs;

/// The lease of this box, which is taken before anything is touched: a guard may be clearing up just now. It says
/// all that may run here before that runs, and until it has stopped, so that its next holder, guard or life, can
/// stop it.
pub(crate) struct LeaseRecord {
    lease: Lease,
    pub(super) patience: Duration,
    /// The configurations by which something may run here; the last one is in force.
    configs: Vec<String>,
    /// Whether the last holder may have left something, if it is ours.
    left: Option<bool>,
    /// Whether that is noted.
    noted: bool,
}

impl LeaseRecord {
    /// The lease at `path`, for one who runs by `config`; and all that may run here and is none of its resources.
    ///
    /// # Errors
    ///
    /// When there can be no lease.
    pub(crate) fn open(path: &Path, config: &Config) -> io::Result<(Self, Vec<Member>)> {
        let lease = Lease::open(path)?;
        let me = config.settings.me;
        let earlier = configs(&lease, config.name(me)).unwrap_or_else(|error| {
            log::error!(
                "what an earlier life has left on this box is not known: {error}: look for services and addresses that \
                 the file does not have any more"
            );
            Vec::new()
        });
        let mut known: Vec<_> = config.resources.iter().map(|it| it.subject(me)).collect();
        let mut gone = Vec::new();
        for (resource, me) in earlier
            .iter()
            .flat_map(|it| it.resources.iter().map(|resource| (resource, it.settings.me)))
        {
            let subject = resource.subject(me);
            if known.contains(&subject) {
                continue;
            }
            known.push(subject);
            match Member::open(resource, me, &lease::notes(path)) {
                Ok(member) => gone.push(member),
                // What the file does not have any more keeps nobody from starting.
                Err(error) => log::error!(
                    "{error}: an earlier life has left it, and it cannot be stopped: see whether it runs"
                ),
            }
        }
        let others = earlier.into_iter().map(|it| it.text).filter(|it| *it != config.text);
        let texts = others.filter(|_| !gone.is_empty());
        let all = texts.chain([config.text.clone()]).collect();
        Ok((Self::new(lease, all), gone))
    }

    /// For one who runs by the last of `configs`, where something may run by the others.
    pub(super) const fn new(lease: Lease, configs: Vec<String>) -> Self {
        Self { lease, patience: Duration::ZERO, configs, left: None, noted: true }
    }

    /// Takes the lease once, and tells whether an earlier life may have left something.
    pub(super) fn take(&mut self) -> bool {
        if self.left.is_none() {
            match self.lease.take(&Deadline::new(self.patience)) {
                Ok(()) => {
                    self.left = Some(self.lease.noted().is_ok_and(|left| !left.is_empty()));
                    self.note();
                }
                Err(error) => log::error!("cannot take the lease of this box: {error}"),
            }
        }
        self.left.unwrap_or(false)
    }

    /// Something may run by `config` as well, which is in force from now on.
    pub(super) fn begin(&mut self, config: String) {
        self.take();
        if self.configs.last() != Some(&config) {
            self.configs.retain(|known| *known != config);
            self.configs.push(config);
            self.note();
        }
    }

    /// Nothing runs any more but by the configuration that is in force. Tells whether that is new.
    pub(super) fn start_missing(&mut self) -> bool {
        let earlier = self.configs.len().saturating_sub(1);
        if earlier > 0 {
            self.configs.drain(..earlier);
            self.note();
        }
        earlier > 0
    }

    /// Nothing runs any more at all.
    pub(super) fn end(&mut self) {
        self.configs.clear();
        self.note();
    }

    /// Whether all that may run is noted, as far as it is ours to note that.
    pub(super) const fn noted(&self) -> bool {
        self.noted
    }

    /// Tries once more to note what could not be noted, and notes again what somebody has removed.
    pub(super) fn try_again(&mut self) {
        if self.left.is_none() {
            return;
        }
        let missing = match self.lease.restore() {
            Ok(missing) => missing,
            Err(error) => {
                if self.noted {
                    log::error!("the lease of this box: {error}; trying again");
                }
                self.noted = false;
                return;
            }
        };
        if missing && self.noted {
            log::warn!("somebody has removed the note of what runs on this box: written anew");
        }
        if missing || !self.noted {
            self.note();
        }
    }

    fn note(&mut self) {
        if self.left.is_none() {
            return;
        }
        let noted = self.lease.note(self.configs.iter().map(String::as_str));
        if let Err(error) = &noted
            && self.noted
        {
            log::error!(
                "{error}: if the supervisor dies now, nobody may know of all that it runs; trying again"
            );
        }
        self.noted = noted.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_could_not_be_noted_is_tried_again() {
        let room = tempfile::tempdir().unwrap();
        let place = room.path().join("run");
        fs::create_dir(&place).unwrap();
        let path = place.join("lease");
        let mut waiting = LeaseRecord::new(Lease::open(&path).unwrap(), vec!["old".to_owned()]);
        assert!(!waiting.take() && waiting.noted());
        fs::remove_dir_all(&place).unwrap();
        waiting.begin("new".to_owned());
        assert!(!waiting.noted());
        fs::create_dir(&place).unwrap();
        waiting.try_again();
        assert!(waiting.noted());
        let noted = || Lease::open(&path).unwrap().noted().unwrap();
        assert_eq!(noted(), ["old", "new"]);
        assert!(!Lease::open(&path).unwrap().try_take().unwrap(), "it is not held any more");
        fs::remove_dir_all(&place).unwrap();
        fs::create_dir(&place).unwrap();
        waiting.try_again();
        assert_eq!(noted(), ["old", "new"]);
        assert!(waiting.start_missing() && !waiting.start_missing());
        assert_eq!(noted(), ["new"]);
        waiting.end();
        assert_eq!(noted(), [""; 0]);
    }
}
