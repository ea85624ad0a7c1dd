//! How a box is set up: values that cannot be wrong once they are built.

use core::fmt;
use core::time::Duration;

use heapless::Vec;

use crate::evidence::Require;
use crate::frame::LINE_MAX;
use crate::heartbeat::{Fingerprint, Priority, Rank};
use crate::identity::{BoxId, RESOURCES_MAX};
use crate::recovery::Policy;

/// All that the machine must know.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Settings {
    /// Which of the two this box is.
    pub me: BoxId,
    /// Its rank.
    pub priority: Priority,
    /// Whether the resources go home by themselves.
    pub auto_failback: AutoFailback,
    /// How long home must be well before they do.
    pub failback_hold: Duration,
    /// What a takeover from a silent peer takes.
    pub require: Require,
    /// How long a peer must be dark before that is evidence.
    pub dark_time: Duration,
    /// For how long a supervisor that died is waited for: by its guard before it stops everything, and by the peer.
    pub restart_time: Duration,
    /// What happens when the peer is not heard after boot, and its power is on.
    pub at_boot: AtBoot,
    /// The times.
    pub timing: Timing,
    /// How many links there are.
    pub links: usize,
    /// What to do about the failures of each resource.
    pub resources: Vec<Policy, RESOURCES_MAX>,
    /// What both boxes must have in common.
    pub config: Fingerprint,
    /// The machine that this box is; nothing but zeros if that is not known.
    pub system: Fingerprint,
}

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

/// What a box does that has booted, does not hear its peer, and sees its power on (`fencing.at_boot`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AtBoot {
    /// It waits for the peer, its power to go off, or an operator.
    Wait,
    /// It shoots, if it was not itself shot.
    Fence,
}

impl Settings {
    /// What decides between the boxes when nothing else does.
    pub const fn rank(&self) -> Rank {
        Rank::new(self.priority, self.me)
    }
}

/// Times that stand in the right order to each other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Timing {
    words: Times,
}

/// The times as they are written in the configuration.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Times {
    /// The interval between two heartbeats.
    pub keepalive: Duration,
    /// The silence after which the peer is late.
    pub warntime: Duration,
    /// The silence after which the peer may be dead.
    pub deadtime: Duration,
    /// The same, after boot.
    pub initdead: Duration,
    /// The longest time from the order to cut the peer's power until the power is off.
    pub fence_time: Duration,
    /// The rate of the slowest serial line, in bits per second.
    pub baud: Option<u32>,
}

impl Timing {
    /// Takes over `times` if every [`Inequality`] holds.
    ///
    /// # Errors
    ///
    /// The first one that does not.
    pub fn new(times: Times) -> Result<Self, Inequality> {
        match Self::broken(times).next() {
            None => Ok(Self { words: times }),
            Some(broken) => Err(broken),
        }
    }

    /// Every [`Inequality`] that does not hold for `times`.
    pub fn broken(times: Times) -> impl Iterator<Item = Inequality> {
        Self { words: times }.inequalities().filter(|inequality| !inequality.holds())
    }

    /// The interval between two heartbeats.
    pub const fn keepalive(&self) -> Duration {
        self.words.keepalive
    }

    /// The silence after which the peer is late.
    pub const fn warntime(&self) -> Duration {
        self.words.warntime
    }

    /// The silence after which the peer may be dead.
    pub const fn deadtime(&self) -> Duration {
        self.words.deadtime
    }

    /// The silence after boot after which the peer may be dead.
    pub const fn initdead(&self) -> Duration {
        self.words.initdead
    }

    /// The longest time from the order to cut the peer's power until the power is off.
    pub const fn fence_time(&self) -> Duration {
        self.words.fence_time
    }

    /// Whether a box with these times and one with `others` do not take each other for late.
    pub fn goes_with(&self, others: &Self) -> bool {
        let keepalive = self.words.keepalive.max(others.words.keepalive);
        let warntime = self.words.warntime.min(others.words.warntime);
        keepalive.saturating_mul(2) < warntime
    }

    /// The length of a slot: how long one box lets the other one shoot.
    ///
    /// It is longer than a shot that begins within the [grace](Self::grace) takes, and than the two boxes may differ in
    /// when the slot begins.
    pub fn fence_delay(&self) -> Duration {
        let shot = self.words.fence_time.saturating_add(self.grace());
        shot.saturating_add(self.skew())
    }

    /// How late in its slot a shot may begin.
    pub fn grace(&self) -> Duration {
        self.words.keepalive.saturating_mul(2)
    }

    /// What must hold of a watchdog that waits `timeout` for each feeding. If it resets the box, that takes `reset`
    /// more, and where the peer takes over from silence it must be over before.
    pub fn watchdog(
        &self,
        timeout: Duration,
        reset: Option<Duration>,
        require: Require,
    ) -> impl Iterator<Item = Inequality> + use<> {
        let feeding = Inequality {
            word: "timeout",
            rule: "2 * keepalive < watchdog timeout",
            left: self.words.keepalive.saturating_mul(2),
            right: timeout,
            remedy: "raise the timeout of the watchdog",
        };
        let dead = |reset| Inequality {
            word: "timeout",
            rule: "watchdog timeout + reset + lost heartbeats < deadtime",
            left: self.stall(timeout, reset),
            right: self.words.deadtime,
            remedy: "lower the timeout of the watchdog or raise deadtime",
        };
        // Other evidence than silence does not become true by waiting.
        let bounds = reset.filter(|_| require == Require::Silence).map(dead);
        core::iter::once(feeding).chain(bounds)
    }

    /// The longest time from the last heartbeat that the peer hears of a box that is stuck until nothing runs there,
    /// with a watchdog that waits `timeout` and a reset that takes `reset`: its last heartbeats may have been lost.
    pub fn stall(&self, timeout: Duration, reset: Duration) -> Duration {
        timeout.saturating_add(reset).saturating_add(self.lost())
    }

    /// For how long services may run on whose supervisor has died, unless the configuration says so: until the peer
    /// shoots, for it takes over no sooner than it has seen the power off; where silence is enough, until it could
    /// take over.
    pub fn restart_time(&self, require: Require, dark_time: Duration) -> Duration {
        let shot = self.words.deadtime.saturating_add(self.fence_delay());
        match require {
            Require::Fenced => shot,
            Require::Dark => shot.min(self.words.deadtime.saturating_add(dark_time / 2)),
            Require::Silence => self.words.deadtime.saturating_sub(self.lost()) / 2,
        }
    }

    /// What must hold of it where the peer takes over without having seen the power off: the last heartbeats may
    /// have been lost, and a supervisor that died has closed its end of the serial line.
    pub fn restart(
        &self,
        restart_time: Duration,
        require: Require,
        dark_time: Duration,
    ) -> Option<Inequality> {
        let (rule, right, remedy) = match require {
            Require::Fenced => return None,
            Require::Dark => (
                "restart_time + lost heartbeats < deadtime + dark_time",
                self.words.deadtime.saturating_add(dark_time),
                "lower restart_time or raise dark_time",
            ),
            Require::Silence => (
                "restart_time + lost heartbeats < deadtime",
                self.words.deadtime,
                "lower restart_time or raise deadtime",
            ),
        };
        let left = restart_time.saturating_add(self.lost());
        Some(Inequality { word: "restart_time", rule, left, right, remedy })
    }

    fn lost(&self) -> Duration {
        self.words.keepalive.saturating_mul(LOST)
    }

    /// How far the two boxes may differ in when they became silent to each other: a frame and its echo, each said
    /// once a keepalive, and one keepalive for the way.
    fn skew(&self) -> Duration {
        self.words.keepalive.saturating_mul(3)
    }

    /// Everything that must hold between the times, with its numbers.
    pub fn inequalities(&self) -> impl Iterator<Item = Inequality> + use<> {
        let Times { keepalive, warntime, deadtime, initdead, fence_time, baud } = self.words;
        // A box that boots listens until its peer, silent for as long as it takes to notice, has waited and shot.
        let waits = deadtime.saturating_add(self.fence_delay()).saturating_sub(self.grace());
        let boot = waits.saturating_add(fence_time);
        let line = baud.map(|baud| Inequality {
            word: "keepalive",
            rule: "time of one frame on the serial line < 30 % of keepalive",
            left: Duration::from_micros(LINE_BITS * 1_000_000 / u64::from(baud.max(1))),
            right: keepalive * 3 / 10,
            remedy: "raise baud or keepalive",
        });
        let first = Inequality {
            word: "keepalive",
            rule: "1 ms < keepalive",
            left: Duration::from_millis(1),
            right: keepalive,
            remedy: "raise keepalive",
        };
        [
            first,
            Inequality {
                word: "warntime",
                rule: "2 * keepalive < warntime",
                left: keepalive.saturating_mul(2),
                right: warntime,
                remedy: "raise warntime or lower keepalive",
            },
            // A peer that has booted anew and hears nothing is believed when the old one is late: before it counts
            // as dead.
            Inequality {
                word: "deadtime",
                rule: "warntime + keepalive < deadtime",
                left: warntime.saturating_add(keepalive),
                right: deadtime,
                remedy: "raise deadtime or lower warntime",
            },
            Inequality {
                word: "initdead",
                rule: "deadtime < initdead",
                left: deadtime,
                right: initdead,
                remedy: "raise initdead",
            },
            Inequality {
                word: "keepalive",
                rule: "fence time + detection skew < fence delay",
                left: fence_time.saturating_add(self.skew()),
                right: self.fence_delay(),
                remedy: "lower the fence devices' timeout",
            },
            Inequality {
                word: "initdead",
                rule: "deadtime + fence delay - 2 * keepalive + fence time < initdead",
                left: boot,
                right: initdead,
                remedy: "raise initdead, or lower the fence devices' timeout",
            },
        ]
        .into_iter()
        .chain(line)
    }
}

/// Something that must hold between two times.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Inequality {
    /// The word of its table that it is about.
    pub word: &'static str,
    /// In the words of the configuration.
    pub rule: &'static str,
    /// What must be shorter.
    pub left: Duration,
    /// What must be longer.
    pub right: Duration,
    /// What to do when it is not.
    pub remedy: &'static str,
}

impl Inequality {
    /// Whether it is so.
    pub fn holds(&self) -> bool {
        self.left < self.right
    }
}

impl fmt::Display for Inequality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, left, right, remedy, .. } = self;
        write!(f, "{rule}: {left:?} < {right:?}")?;
        if self.holds() { Ok(()) } else { write!(f, " does not hold: {remedy}") }
    }
}

/// A link may lose a heartbeat, and the next one too.
const LOST: u32 = 2;

/// A start bit, eight bits and a stop bit for every byte of the longest frame.
const LINE_BITS: u64 = LINE_MAX as u64 * 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold() {
        let timing = Timing::new(times()).unwrap();
        assert_eq!(timing.fence_delay(), Duration::from_secs(6));
        assert_eq!(timing.inequalities().count(), 7);
    }

    #[test]
    fn times_in_the_wrong_order_are_not_built() {
        let seconds = Duration::from_secs;
        let wrong = [
            Times { keepalive: Duration::ZERO, ..times() },
            Times { keepalive: Duration::from_millis(250), ..times() },
            Times { warntime: seconds(1), ..times() },
            Times { deadtime: Duration::from_millis(650), ..times() },
            Times { initdead: seconds(1), ..times() },
            Times { fence_time: seconds(7), ..times() },
            Times { baud: Some(9_600), ..times() },
            Times { deadtime: Duration::MAX, initdead: Duration::MAX, ..times() },
        ];
        for times in wrong {
            let broken = Timing::new(times).unwrap_err();
            assert!(!broken.holds(), "{broken}");
        }
    }

    #[test]
    fn a_stuck_box_must_be_dead_only_where_silence_is_enough() {
        let seconds = Duration::from_secs;
        let times = Times { deadtime: seconds(4), initdead: seconds(20), ..times() };
        let timing = Timing::new(times).unwrap();
        let holds = |require, timeout, reset| {
            timing.watchdog(timeout, reset, require).all(|inequality| inequality.holds())
        };
        let (reset, now) = (Some(Duration::from_millis(500)), Some(Duration::ZERO));
        assert!(holds(Require::Silence, seconds(3), reset));
        assert!(!holds(Require::Silence, seconds(4), now));
        assert!(!holds(Require::Silence, seconds(3), Some(seconds(1))));
        assert!(holds(Require::Silence, seconds(4), None));
        assert!(holds(Require::Fenced, seconds(60), reset));
        assert!(!holds(Require::Fenced, Duration::from_millis(400), None));
    }

    #[test]
    fn services_run_on_until_the_peer_could_take_over() {
        let timing = Timing::new(times()).unwrap();
        let dark_time = Duration::from_secs(2);
        let restart_time = timing.restart_time(Require::Fenced, dark_time);
        assert_eq!(restart_time, times().deadtime + timing.fence_delay());
        assert_eq!(timing.restart(restart_time, Require::Fenced, dark_time), None);
        assert!(!timing.restart(restart_time, Require::Dark, dark_time).unwrap().holds());
        for require in [Require::Dark, Require::Silence] {
            let restart_time = timing.restart_time(require, dark_time);
            assert!(timing.restart(restart_time, require, dark_time).unwrap().holds());
        }
        let deadtime = times().deadtime;
        let broken = timing.restart(deadtime, Require::Silence, dark_time).unwrap();
        assert!(!broken.holds());
        assert_eq!(broken.left, deadtime + 2 * times().keepalive, "two heartbeats may be lost");
        assert_eq!(
            std::format!("{broken}"),
            "restart_time + lost heartbeats < deadtime: 1.4s < 1s does not hold: \
             lower restart_time or raise deadtime"
        );
    }

    fn times() -> Times {
        Times {
            keepalive: Duration::from_millis(200),
            warntime: Duration::from_millis(500),
            deadtime: Duration::from_secs(1),
            initdead: Duration::from_secs(15),
            fence_time: Duration::from_secs(5),
            baud: Some(115_200),
        }
    }
}
