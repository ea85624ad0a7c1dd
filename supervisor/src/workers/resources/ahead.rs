//! Looks ahead on the box that is not active: whether its resources could be started here, if they had to be.
//!
//! The node is told of each change. A box on which something could not be started is not fit: nothing is handed
//! over to it.

use std::io;
use std::time::{Duration, Instant};

use board::resource::RunsOn;

use super::ResourceThread;
use super::member::{Member, Position};
use crate::input::Input;

impl Member {
    /// When to look whether it could be started here, if it could have to be.
    pub(super) fn next_ahead(&self, position: Position) -> Option<Instant> {
        let moves = self.config.place == RunsOn::Active;
        self.ahead.filter(|_| position == Position::Standby && moves && !self.runs)
    }

    /// Looks, if it is time to. What runs could be started.
    fn look_ahead(&mut self, position: Position, now: Instant) -> Option<io::Result<()>> {
        if self.runs {
            return Some(Ok(()));
        }
        self.next_ahead(position).filter(|at| *at <= now)?;
        let ready = self.resource.ready();
        let again = ready.as_ref().map_or(Some(PAUSE), |again| *again);
        self.ahead = again.map(|time| now + time);
        Some(ready.map(drop))
    }
}

impl ResourceThread {
    /// Looks at what could have to be started here, and tells what has changed.
    pub(super) fn look_ahead(&mut self, now: Instant) {
        let position = self.position;
        for member in &mut self.members {
            let Some(ready) = member.look_ahead(position, now) else { continue };
            let (known, name) = (member.blocked, &member.config.name);
            member.blocked = ready.is_err();
            if member.blocked != known {
                if let Err(error) = &ready {
                    log::warn!("resource {name} could not be started here: {error}");
                }
                let told = Input::Startable(name.clone(), ready.is_ok());
                let _ = self.inputs.send_blocking(told);
            }
            if member.blocked || known {
                self.states.note_ready(member, ready.err().as_ref());
            }
        }
    }
}

/// Between two looks at what is missing.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::super::reload::tests::Stage;
    use super::*;

    #[test]
    fn what_could_not_be_started_is_told_once_and_so_is_its_end() {
        let mut stage = Stage::active(&[("a", 1), ("b", 1)]);
        stage.stands_by();
        let now = Instant::now() + PAUSE;
        assert_eq!(ahead(&mut stage, now), []);
        stage.becomes(1, "missing");
        assert_eq!(ahead(&mut stage, now), [], "it is not time to look again");
        let now = now + LONG;
        assert_eq!(ahead(&mut stage, now), [("b".to_owned(), false)]);
        assert_eq!(ahead(&mut stage, now + PAUSE), []);
        let failure = |stage: &Stage| stage.hands.states.all().resources[1].failure.clone();
        assert!(failure(&stage).is_some());
        stage.becomes(1, "b");
        assert_eq!(ahead(&mut stage, now + 2 * PAUSE), [("b".to_owned(), true)]);
        assert_eq!(failure(&stage), None);
    }

    /// The node knows a resource by its name, and takes a new one of that name for as little startable.
    #[test]
    fn what_replaces_it_or_starts_after_all_is_told_too() {
        let mut stage = Stage::active(&[("a", 1)]);
        stage.stands_by();
        stage.becomes(0, "missing");
        let now = Instant::now() + LONG;
        assert_eq!(ahead(&mut stage, now), [("a".to_owned(), false)]);
        stage.reload(&[("a", 2)]);
        assert_eq!(ahead(&mut stage, now), [("a".to_owned(), true)]);
        stage.becomes(0, "missing");
        assert_eq!(ahead(&mut stage, now + LONG), [("a".to_owned(), false)]);
        stage.hands.start(7);
        assert_eq!(ahead(&mut stage, now + LONG), [("a".to_owned(), true)]);
    }

    #[test]
    fn what_an_earlier_life_has_left_is_not_looked_at_before_an_order() {
        let mut stage = Stage::active(&[("a", 1)]);
        stage.stands_by();
        stage.becomes(0, "missing");
        stage.hands.position = Position::Unsettled;
        assert_eq!(ahead(&mut stage, Instant::now() + LONG), []);
    }

    /// What is told by a look at this time.
    fn ahead(stage: &mut Stage, now: Instant) -> Vec<(String, bool)> {
        while stage.told.try_recv().is_ok() {}
        stage.hands.look_ahead(now);
        let told = std::iter::from_fn(|| stage.told.try_recv().ok());
        let startable = |input| match input {
            Input::Startable(name, can) => Some((name, can)),
            _ => None,
        };
        told.filter_map(startable).collect()
    }

    /// Longer than until any look.
    const LONG: Duration = Duration::from_secs(60);
}
