//! Measures each part of a takeover.
//!
//! | part | from | to |
//! |---|---|---|
//! | detect | the peer's last word | the decision that it is silent |
//! | delay | that decision | the order to cut its power, where there is one: the time in which the other box goes first |
//! | fence | the order, or else the decision | the evidence |
//! | start | the evidence | everything runs |
//! | announce | the evidence | the neighbours know where the addresses are; a part of start |
//!
//! The first four follow each other, and are as long together as the takeover.

use std::time::Duration;

use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::report::{Cause, Change};
use firmware_agnostic::time::Instant;

use crate::observe::record::Record;

/// The takeover that is under way, or the shot.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    detect: Option<Duration>,
    delay: Option<Duration>,
    fence: Option<Duration>,
    doubted: Option<Instant>,
    /// The first order since then, which ends the delay.
    ordered: Option<Instant>,
    /// The shot that is under way.
    shot: Option<Instant>,
    evident: Option<Instant>,
}

impl Phases {
    /// The peer's power was ordered off. What counts is the first try.
    pub(crate) fn shoots(&mut self, now: Instant) {
        self.shot.get_or_insert(now);
        let ordered = *self.ordered.get_or_insert(now);
        self.delay = self.doubted.map(|doubted| ordered - doubted);
    }

    /// Whether a shot is under way.
    pub(crate) const fn is_shooting(&self) -> bool {
        self.shot.is_some()
    }

    /// It was seen off, or was not, while this box serves: how long that took.
    pub(crate) fn shot(&mut self, now: Instant) -> Option<Duration> {
        self.shot.take().map(|shot| now - shot)
    }

    /// The role changed. Adds to `record` what is known when the resources start, and when they run.
    #[must_use]
    pub(crate) fn changed(
        &mut self,
        change: &Change,
        announced: Option<Instant>,
        now: Instant,
        record: Record,
    ) -> Record {
        match (change.from, change.to) {
            (_, Role::Fencing) => {
                let detect = match change.cause {
                    Cause::Silent(_, time) | Cause::NotHeard(time) => Some(time),
                    _ => None,
                };
                *self = Self { detect, doubted: Some(now), ..Self::default() };
                record
            }
            (_, Role::Starting) => {
                self.fence = self.ordered.or(self.doubted).map(|begun| now - begun);
                self.evident = Some(now);
                self.tell(record)
            }
            (Role::Starting, Role::Active) => {
                let evident = self.evident;
                let record = self
                    .tell(record)
                    .with_some("start_ms", evident.map(|evident| millis(now - evident)))
                    .with_some(
                        "announce_ms",
                        evident
                            .zip(announced)
                            .filter(|(evident, told)| told >= evident)
                            .map(|(evident, told)| millis(told - evident)),
                    );
                *self = Self::default();
                record
            }
            _ => {
                *self = Self::default();
                record
            }
        }
    }

    fn tell(&self, record: Record) -> Record {
        record
            .with_some("detect_ms", self.detect.map(millis))
            .with_some("delay_ms", self.delay.map(millis))
            .with_some("fence_ms", self.fence.map(millis))
    }
}

/// As it is written.
pub(crate) fn millis(time: Duration) -> u128 {
    time.as_millis()
}

#[cfg(test)]
mod tests {
    use firmware_agnostic::evidence::Evidence;
    use firmware_agnostic::heartbeat::{Epoch, Incarnation, LinkSet, Term};

    use super::*;

    /// A shot failed, and the power was seen off later.
    #[test]
    fn the_parts_of_a_takeover_are_as_long_as_all_of_it() {
        let mut phases = Phases::default();
        let at = Instant::from_millis;
        let _ = phases.changed(
            &change(Role::Standby, Role::Fencing, Cause::Silent(LinkSet::default(), MILLIS(2_000))),
            None,
            at(2_000),
            Record::default(),
        );
        phases.shoots(at(29_100));
        assert_eq!(phases.shot(at(34_100)), Some(MILLIS(5_000)));
        phases.shoots(at(40_000));
        let cause = Cause::Evidence(Evidence::Fenced);
        let change = change(Role::Fencing, Role::Starting, cause);
        let record = phases.changed(&change, None, at(41_400), Record::default());
        let parts = ["detect_ms", "delay_ms", "fence_ms"].map(|word| record.number(word).unwrap());
        assert_eq!(parts, [2_000, 27_100, 12_300]);
        assert_eq!(parts.iter().sum::<u64>(), 41_400);
    }

    #[test]
    fn every_part_of_a_takeover_is_told() {
        let mut phases = Phases::default();
        let mut told = |from, to, cause, announced: Option<u64>, now| {
            let record = phases.changed(
                &change(from, to, cause),
                announced.map(Instant::from_millis),
                Instant::from_millis(now),
                Record::default(),
            );
            if to == Role::Fencing {
                phases.shoots(Instant::from_millis(now + 300));
                // A second try begins nothing anew.
                phases.shoots(Instant::from_millis(now + 350));
            }
            let words = ["detect_ms", "delay_ms", "fence_ms", "start_ms", "announce_ms"];
            words.map(|word| record.number(word))
        };
        let silent = Cause::Silent(LinkSet::default(), Duration::from_millis(1_002));
        let fenced = Cause::Evidence(Evidence::Fenced);
        assert_eq!(told(Role::Standby, Role::Fencing, silent, None, 5_000), [None; 5]);
        let begun = told(Role::Fencing, Role::Starting, fenced, Some(1), 5_400);
        assert_eq!(begun, [Some(1_002), Some(300), Some(100), None, None]);
        let runs = told(Role::Starting, Role::Active, Cause::Started, Some(5_420), 5_500);
        assert_eq!(runs, [Some(1_002), Some(300), Some(100), Some(100), Some(20)]);
        // A planned move has no silence and no shot, and an announcement of the last time does not count.
        let released = Cause::Evidence(Evidence::Released);
        assert_eq!(told(Role::Standby, Role::Starting, released, None, 9_000), [None; 5]);
        let runs = told(Role::Starting, Role::Active, Cause::Started, Some(5_420), 9_070);
        assert_eq!(runs, [None, None, None, Some(70), None]);
    }

    fn change(from: Role, to: Role, cause: Cause) -> Change {
        let epoch = Epoch { boot: Incarnation([0; 4]), change: 1 };
        Change { from, to, cause, epoch, term: Term(1) }
    }

    const MILLIS: fn(u64) -> Duration = Duration::from_millis;
}
