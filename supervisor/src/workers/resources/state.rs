//! Shares the state of the resources: the thread that runs them writes it, and others read it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use board::resource::Config;
use board::time::clock::Clock;
use firmware_agnostic::time::Instant;

use super::Member;

/// How the resources are doing, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct States {
    /// In the order of the configuration.
    pub(crate) resources: Vec<ResourceState>,
}

/// How one resource is doing.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceState {
    name: String,
    /// It was started, and has not failed since.
    pub(crate) runs: bool,
    /// Why it last failed, unless it runs again.
    pub(crate) failure: Option<String>,
    /// When the neighbours were last told that it is here, where they are.
    pub(super) announced: Option<Instant>,
}

/// What both sides know. Clones share it.
#[derive(Clone, Default)]
pub(super) struct StatusBoard(Arc<Mutex<States>>);

impl StatusBoard {
    /// Has a place for each of `configs`, and keeps what is known of it.
    pub(super) fn reload(&self, configs: &[Config]) {
        let mut states = self.states();
        let known = |name: &str| states.resources.iter().find(|state| state.name == name).cloned();
        let new = |name: &str| ResourceState { name: name.to_owned(), ..ResourceState::default() };
        let all = configs.iter().map(|it| known(&it.name).unwrap_or_else(|| new(&it.name)));
        states.resources = all.collect();
    }

    /// Notes how `member` is doing, unless it is no resource any more.
    pub(super) fn note(&self, member: &Member, error: Option<&io::Error>) {
        let mut states = self.states();
        let known = states.resources.iter_mut().find(|state| state.name == member.config.name);
        if let Some(state) = known {
            if member.runs && member.config.announces() {
                state.announced = Some(Clock.now());
            }
            state.runs = member.runs;
            // What is stopped keeps the reason for which it had failed; a start that is called off is none.
            match error.filter(|error| error.kind() != io::ErrorKind::Interrupted) {
                Some(error) => state.failure = Some(error.to_string()),
                None if member.runs => state.failure = None,
                None => {}
            }
        }
    }

    /// Notes whether `member`, which does not run, could be started here, and why not.
    pub(super) fn note_ready(&self, member: &Member, error: Option<&io::Error>) {
        let mut states = self.states();
        let known = states.resources.iter_mut().find(|state| state.name == member.config.name);
        if let Some(state) = known {
            state.failure = error.map(io::Error::to_string);
        }
    }

    /// All that was noted.
    pub(super) fn all(&self) -> States {
        self.states().clone()
    }

    fn states(&self) -> MutexGuard<'_, States> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
