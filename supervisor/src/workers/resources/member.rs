//! One resource of the group, and where the group has its place.

use std::io;
use std::path::Path;
use std::time::Instant;

use board::resource::{Config, Resource, RunsOn};
use board::thread::deadline::{CancelToken, Deadline};
use firmware_agnostic::identity::BoxId;

/// What the group is settled for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Position {
    /// Nothing was ordered yet: what an earlier life has left may run, and is not known.
    Unsettled,
    Active,
    Standby,
    Nowhere,
}

impl Position {
    pub(super) const fn has(self, place: RunsOn) -> bool {
        match self {
            Self::Active => matches!(place, RunsOn::Active | RunsOn::Both),
            Self::Unsettled | Self::Standby => matches!(place, RunsOn::Standby | RunsOn::Both),
            Self::Nowhere => false,
        }
    }
}

/// One resource, as far as it is known here.
pub(crate) struct Member {
    pub(super) config: Config,
    pub(super) resource: Box<dyn Resource>,
    pub(super) runs: bool,
    /// Nothing was done with it yet in this life.
    fresh: bool,
    pub(super) next_look: Instant,
    /// When to look whether it could be started here, if that can be seen before.
    pub(super) ahead: Option<Instant>,
    /// The node was told that it could not be.
    pub(super) blocked: bool,
}

impl Member {
    /// The resources of the box `me`, noted in the folder `notes` when they run. Nothing is started.
    ///
    /// # Errors
    ///
    /// When one of them cannot exist here, by its name.
    pub(crate) fn open_all(configs: &[Config], me: BoxId, notes: &Path) -> io::Result<Vec<Self>> {
        configs.iter().map(|config| Self::open(config, me, notes)).collect()
    }

    pub(super) fn open(config: &Config, me: BoxId, notes: &Path) -> io::Result<Self> {
        let resource = config.open(me, notes).map_err(|error| {
            io::Error::new(error.kind(), format!("resource {}: {error}", config.name))
        })?;
        Ok(Self {
            config: config.clone(),
            resource,
            runs: false,
            fresh: true,
            next_look: Instant::now(),
            ahead: Some(Instant::now()),
            blocked: false,
        })
    }

    /// Goes on with what runs by `other`.
    pub(super) fn succeed(&mut self, other: Self) {
        *self = Self { config: self.config.clone(), ..other };
    }

    /// Watches on what an earlier life has left of it, and tells whether it did.
    pub(super) fn adopt(&mut self) -> bool {
        if std::mem::take(&mut self.fresh) {
            let found = self.resource.adopt();
            if let Err(error) = &found {
                log::warn!("resource {}: an earlier life's: {error}", self.config.name);
            }
            self.runs = found.unwrap_or(false);
            self.next_look = Instant::now() + self.resource.rhythm();
        }
        self.runs
    }

    pub(super) fn start(&mut self, token: &CancelToken) -> io::Result<()> {
        if self.adopt() {
            return Ok(());
        }
        let patience = Deadline::with_cord(self.config.start_timeout, token);
        let started = self.resource.start(&patience);
        if started.is_err() {
            // What was begun is taken back; if it cannot be, the next stop says so.
            let _ = self.resource.stop(&Deadline::new(self.config.stop_timeout));
        }
        self.runs = started.is_ok();
        self.next_look = Instant::now() + self.resource.rhythm();
        started
    }

    pub(super) fn stop(&mut self) -> io::Result<()> {
        (self.runs, self.fresh) = (false, false);
        self.ahead = Some(Instant::now());
        self.resource.stop(&Deadline::new(self.config.stop_timeout))
    }

    pub(super) fn look(&mut self) -> io::Result<()> {
        let seen = self.resource.monitor();
        self.runs = seen.is_ok();
        self.next_look = Instant::now() + self.resource.rhythm();
        seen
    }
}
