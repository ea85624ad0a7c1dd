//! Measures how long home was well before the resources went there, and how often it failed them (no ping-pong).
//!
//! What is expected is counted from the lines that the giver told, not from what it remembers.

use std::time::Duration;

use firmware_agnostic::failback::STAYS_MAX;
use firmware_agnostic::heartbeat::{Heartbeat, Role};

/// The stays of the resources at home, as the box saw them that gave them back.
#[derive(Debug, Default)]
pub struct Stays {
    /// When home was last seen to fail, or not to be there.
    bad_at: u64,
    failing: bool,
    /// When the resources went home, and after which hold.
    moved: Option<(u64, Duration)>,
    failed: u32,
}

impl Stays {
    /// Notes what home says, to a box that it hears.
    pub fn observe(&mut self, word: Option<&Heartbeat>, now: u64) {
        let gone = word.is_none_or(|word| matches!(word.role, Role::Init | Role::Fencing));
        let failing = word.is_some_and(|word| word.role == Role::Failed || !word.fit) && !gone;
        if gone || failing && !self.failing {
            self.bad_at = now;
        }
        self.failing = failing;
    }

    /// An operator has given an order: what was before does not count.
    pub fn forget(&mut self) {
        (self.moved, self.failed) = (None, 0);
    }

    /// The box serves again; home may have given up because an operator wanted it to.
    pub fn end(&mut self, ordered: bool, now: u64) {
        let Some((at, hold)) = self.moved.take() else { return };
        let stayed = Duration::from_micros(now - at) * 100;
        if stayed < hold * 10 * 99 {
            self.failed += u32::from(!ordered);
        } else {
            // Near ten holds the clock of the box may think otherwise.
            self.failed = 0;
        }
    }

    /// The resources go home after a `hold`, where `configured` is the first one; tells what is wrong with that.
    pub fn begin(&mut self, hold: Duration, configured: Duration, now: u64) -> Option<String> {
        let well = Duration::from_micros(now - self.bad_at);
        let expected = configured * (1 << self.failed);
        self.moved = Some((now, hold));
        if self.failed >= u32::from(STAYS_MAX) {
            Some(format!("{} stays have failed", self.failed))
        } else if hold < expected {
            Some(format!("after {hold:?}, and not {expected:?}"))
        } else if well * 100 < hold * 99 {
            Some(format!("after {well:?} of {hold:?}"))
        } else {
            None
        }
    }

    /// Stays in a row that have failed.
    pub const fn failed(&self) -> u32 {
        self.failed
    }
}
