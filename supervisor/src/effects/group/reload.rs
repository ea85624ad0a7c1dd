//! What becomes of the resources when the configuration is another one?
//!
//! What would run the same way runs on, and is not touched. What would not is stopped, in reverse order, before anything
//! is started; then whatever has its place here and does not run is started in order. One that does not start has
//! failed, as it may at any time.
//!
//! What is no resource any more, and cannot be stopped, is kept in mind: this box has not released before that has
//! stopped too.

use std::io;

use board::rights::Rights;

use super::{Hands, Member, note};

/// What the thread must be allowed to do for these. It never drops the others for good: whatever a reload brings may take
/// them.
pub(super) fn rights(members: &[Member]) -> Rights {
    members.iter().map(|member| member.config.rights()).collect()
}

impl Hands {
    pub(super) fn reload(&mut self, members: Vec<Member>) {
        self.lease.patience = members.iter().map(|member| member.config.stop_timeout).sum();
        (rights(&self.members) | rights(&members) | rights(&self.leftovers)).narrow();
        let mut gone = std::mem::replace(&mut self.members, members);
        for member in &mut self.members {
            let same = |other: &Member| other.config.runs_like(&member.config);
            if let Some(place) = gone.iter().position(same) {
                member.succeed(gone.remove(place));
            }
        }
        for mut member in gone.into_iter().rev() {
            if !stops(&mut member) {
                self.leftovers.push(member);
            }
        }
        let position = self.position;
        let strangers = self.members.iter_mut().rev();
        for member in strangers.filter(|it| it.runs && !position.has(it.config.place)) {
            stops(member);
            note(&self.states, member, None);
        }
        self.fill_gaps();
        (rights(&self.members) | rights(&self.leftovers)).narrow();
    }

    /// Starts, in order, whatever has its place here and does not run, whatever becomes of the others.
    fn fill_gaps(&mut self) {
        let mut failed = Vec::new();
        let (position, cord) = (self.position, self.cord.clone());
        let gaps = self.members.iter_mut();
        for member in gaps.filter(|it| !it.runs && position.has(it.config.place)) {
            let started = member.start(&cord);
            note(&self.states, member, started.as_ref().err());
            let name = &member.config.name;
            match started {
                Ok(()) => log::info!("resource {name} runs"),
                // Everything is about to be stopped.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
                Err(error) => {
                    log::error!("resource {name} did not start: {error}");
                    failed.push(name.clone());
                }
            }
        }
        for name in failed {
            self.failed(name);
        }
    }
}

/// Stops `member`, and tells whether it has stopped.
pub(super) fn stops(member: &mut Member) -> bool {
    let stopped = member.stop();
    if let Err(error) = &stopped {
        log::error!(
            "resource {} could not be stopped: {error}; this box must not let the other serve before it is",
            member.config.name
        );
    }
    stopped.is_ok()
}
