//! Notes what the clocks of a box showed at one moment, so that its records can be compared with those of the other
//! box.

use std::fmt;
use std::iter::Peekable;
use std::str::Lines;
use std::time::Duration;

use board::time::clock::{Clock, boot_id};
use firmware_agnostic::letter::Reading;
use firmware_agnostic::time::Instant;

use crate::observe::record::Record;

/// The time of day and the time since boot, in thousandths of a second, and the boot that they are of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Anchor {
    /// The time of day, since 1970.
    pub(super) wall: i64,
    /// The time since boot.
    pub(super) up: i64,
    /// The boot of the machine, as records name it.
    pub(super) kernel: Option<String>,
}

impl Anchor {
    /// What the clocks show now.
    pub(crate) fn now() -> Self {
        let moment = Moment::now();
        let up = moment.before - Instant::default();
        Self {
            wall: whole(moment.wall.as_millis()),
            up: whole(up.as_millis()),
            kernel: boot_id().map(str::to_owned),
        }
    }

    /// The time of day at which the time since boot of `record` was 0, if the record is of this boot.
    pub(super) fn zero_of(&self, record: &Record) -> Option<i64> {
        let zero = self.wall - self.up;
        let own = match (&self.kernel, record.get("kernel_boot")) {
            (Some(kernel), Some(other)) => kernel == other,
            // A record that does not say so is of this boot if its own clocks agree with that.
            _ => (zero + record.up()?).abs_diff(record.wall()?) <= SAME_BOOT.unsigned_abs(),
        };
        own.then_some(zero)
    }

    /// Whether `time` is over.
    pub(super) const fn is_past(&self, time: i64) -> bool {
        time <= self.wall + SAME_BOOT
    }

    /// Takes one from the next lines.
    pub(super) fn read(lines: &mut Peekable<Lines<'_>>) -> Option<Self> {
        let words = lines.next()?.split(' ').collect::<Vec<_>>();
        let ["now", wall, up] = *words.as_slice() else { return None };
        let kernel = lines.next_if(|line| line.starts_with(BOOT));
        Some(Self {
            wall: wall.parse().ok()?,
            up: up.parse().ok()?,
            kernel: kernel.and_then(|line| line.strip_prefix(BOOT)).map(str::to_owned),
        })
    }
}

/// The boot has a line of its own, which a version that does not know it takes for no record.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "now {} {}", self.wall, self.up)?;
        self.kernel.iter().try_for_each(|kernel| writeln!(f, "{BOOT}{kernel}"))
    }
}

/// Between which bounds the clock that was read is ahead of the one of this box, in millionths of a second.
pub(crate) fn ahead(reading: Reading) -> (i64, i64) {
    Moment::now().ahead(reading)
}

/// The time of day, read at some moment between two times since boot.
#[derive(Clone, Copy)]
struct Moment {
    before: Instant,
    wall: Duration,
    after: Instant,
}

impl Moment {
    /// The shortest of a few: between the readings of two clocks a busy machine may do something else.
    fn now() -> Self {
        let read = || {
            let before = Clock.now();
            Self { before, wall: Clock.since_1970(), after: Clock.now() }
        };
        let tries = std::iter::repeat_with(read).take(TRIES);
        tries.min_by_key(|it| it.after - it.before).unwrap_or_else(read)
    }

    fn ahead(self, Reading { clock, asked, heard }: Reading) -> (i64, i64) {
        let micros = |instant: Instant| whole((instant - Instant::default()).as_micros());
        let apart = whole(clock.as_micros()) - whole(self.wall.as_micros());
        (apart + micros(self.before) - micros(heard), apart + micros(self.after) - micros(asked))
    }
}

fn whole(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

const BOOT: &str = "boot ";

/// A record has its time to the second, and clocks are put right by little while a box runs.
const SAME_BOOT: i64 = 2_000;

const TRIES: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_within_a_thousandth_of_a_second_moves_no_clock() {
        let at = Instant::from_micros;
        let moment =
            Moment { before: at(5_000_000), wall: Duration::from_secs(100), after: at(5_000_002) };
        let reading = |clock, asked, heard| Reading {
            clock: Duration::from_micros(clock),
            asked: at(asked),
            heard: at(heard),
        };
        // The clocks agree; the answer took 0.3 ms, and crossed the border of a thousandth.
        let (least, most) = moment.ahead(reading(99_000_200, 4_000_000, 4_000_300));
        assert_eq!((least, most), (-100, 202));
        // A clock that is 2 ms ahead is told from one that agrees.
        let (least, most) = moment.ahead(reading(99_002_200, 4_000_000, 4_000_300));
        assert_eq!((least, most), (1_900, 2_202));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let now = Anchor::now();
        let text = format!("{now}what=role\n");
        let mut lines = text.lines().peekable();
        assert_eq!(Anchor::read(&mut lines), Some(now));
        assert_eq!(lines.next(), Some("what=role"));
        // A version before has no line for the boot.
        let old = Anchor { wall: 1, up: 2, kernel: None };
        assert_eq!(Anchor::read(&mut "now 1 2\nwhat=role".lines().peekable()), Some(old));
    }
}
