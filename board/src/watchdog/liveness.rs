//! Records which threads are in time.
//!
//! Each says when it was last seen at work, and the roll is called before each feeding. The loop and the sender of the
//! heartbeats are one thread, so one word stands for both.

use std::fmt;
use std::time::Duration;

use firmware_agnostic::time::Instant;

/// Who must be in time for the watchdog to be fed, and when each last was.
#[derive(Clone, Debug)]
pub struct Liveness {
    /// How old the last heartbeat may be.
    sender: Duration,
    /// How old the last answer of the disk may be.
    disk: Duration,
    sent: Option<Instant>,
    answered: Instant,
    stance: LoopState,
}

/// What the supervisor is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LoopState {
    /// It does its work, and says so by heartbeats.
    Works,
    /// It waits for its services to stop, until then at the most, and says nothing meanwhile.
    Leaves(Instant),
    /// It must end.
    Condemned,
}

/// Who is not in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Late {
    /// The loop that sends the heartbeats.
    Sender,
    /// The disk, which has not answered for so long.
    Disk(Duration),
    /// The services, which should have stopped.
    Leaving,
    /// Nobody: this box is to reset itself.
    Condemned,
}

impl Liveness {
    /// Everybody is taken to be in time `now`; no heartbeat was sent yet.
    pub const fn new(sender: Duration, disk: Duration, now: Instant) -> Self {
        Self { sender, disk, sent: None, answered: now, stance: LoopState::Works }
    }

    /// A heartbeat may be so old from now on.
    pub const fn expect(&mut self, sender: Duration) {
        self.sender = sender;
    }

    /// A heartbeat has been sent.
    pub const fn sent(&mut self, now: Instant) {
        self.sent = Some(now);
    }

    /// The disk has answered.
    pub const fn answered(&mut self, now: Instant) {
        self.answered = now;
    }

    /// The loop waits for the services to stop, until `until` at the most.
    pub const fn leave(&mut self, until: Instant) {
        self.stance = LoopState::Leaves(until);
    }

    /// Nobody is ever in time again.
    pub const fn fail(&mut self) {
        self.stance = LoopState::Condemned;
    }

    /// Who is not in time at `now`; the watchdog is fed only when nobody is late.
    pub fn late(&self, now: Instant) -> Option<Late> {
        let silent = self.sent.is_none_or(|sent| now - sent >= self.sender);
        let silence = now - self.answered;
        match self.stance {
            LoopState::Condemned => Some(Late::Condemned),
            LoopState::Leaves(until) if now >= until => Some(Late::Leaving),
            LoopState::Works if silent => Some(Late::Sender),
            _ if silence >= self.disk => Some(Late::Disk(silence)),
            _ => None,
        }
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sender => f.write_str("the loop that sends the heartbeats is late"),
            Self::Disk(time) => write!(f, "the disk has not answered for {} s", time.as_secs()),
            Self::Leaving => f.write_str("the services do not stop in time"),
            Self::Condemned => f.write_str("this box is to reset itself"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_must_be_in_time() {
        let mut roll = roll();
        assert_eq!(roll.late(at(0)), Some(Late::Sender), "nothing was sent yet");
        roll.sent(at(100));
        assert_eq!(roll.late(at(100)), None);
        assert_eq!(roll.late(at(299)), None);
        assert_eq!(roll.late(at(300)), Some(Late::Sender));
        roll.sent(at(29_999));
        assert_eq!(roll.late(at(29_999)), None);
        roll.sent(at(30_000));
        assert_eq!(roll.late(at(30_000)), Some(Late::Disk(Duration::from_secs(30))));
        roll.answered(at(30_000));
        assert_eq!(roll.late(at(30_000)), None, "a disk that came back counts again");
    }

    #[test]
    fn a_box_that_leaves_says_nothing_and_is_in_time_for_as_long_as_it_may_take() {
        let mut roll = roll();
        roll.sent(at(100));
        roll.leave(at(15_000));
        assert_eq!(roll.late(at(14_999)), None);
        assert_eq!(roll.late(at(15_000)), Some(Late::Leaving));
        roll.leave(at(60_000));
        assert!(matches!(roll.late(at(40_000)), Some(Late::Disk(_))), "its disk must go on");
    }

    #[test]
    fn nothing_saves_the_condemned() {
        let mut roll = roll();
        roll.sent(at(0));
        roll.fail();
        roll.sent(at(1));
        assert_eq!(roll.late(at(1)), Some(Late::Condemned));
    }

    #[test]
    fn a_clock_that_seems_to_run_back_makes_nobody_late() {
        let mut roll =
            Liveness::new(Duration::from_millis(200), Duration::from_secs(30), at(50_000));
        roll.sent(at(50_000));
        assert_eq!(roll.late(at(0)), None);
    }

    fn roll() -> Liveness {
        Liveness::new(Duration::from_millis(200), Duration::from_secs(30), at(0))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }
}
