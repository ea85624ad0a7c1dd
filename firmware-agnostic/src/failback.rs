//! When may the resources go home?
//!
//! Never at once: home has to be well, ready and heard for the whole of `failback_hold` first. A
//! home that comes and goes starts the hold anew each time.

use core::time::Duration;

use crate::time::Instant;

/// What happens when home is well again (`auto_failback`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AutoFailback {
    /// The resources go home by themselves.
    On,
    /// They stay where they are.
    Off,
    /// They stay, and an operator is told that home is ready.
    Manual,
}

/// How long home has been ready.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Failback {
    ready_since: Option<Instant>,
}

impl Failback {
    /// Notes whether home is ready at `now`, and says when the hold is over.
    pub fn observe(&mut self, ready: bool, hold: Duration, now: Instant) -> Option<Instant> {
        self.ready_since = if ready { self.ready_since.or(Some(now)) } else { None };
        self.ready_since.map(|since| since + hold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_stumbles_begins_the_hold_anew() {
        let hold = Duration::from_secs(90);
        let at = |seconds: u64| Instant::from_millis(seconds * 1_000);
        let mut failback = Failback::default();
        assert_eq!(failback.observe(true, hold, at(10)), Some(at(100)));
        assert_eq!(failback.observe(true, hold, at(50)), Some(at(100)));
        assert_eq!(failback.observe(false, hold, at(60)), None);
        assert_eq!(failback.observe(true, hold, at(61)), Some(at(151)));
    }
}
