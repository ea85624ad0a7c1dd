//! Merges the histories of both boxes in the order in which things happened.
//!
//! Their clocks differ, and a letter tells by how much, within bounds. A record has the time of day to the second, and the
//! time since boot to the thousandth: where it is of this boot, the latter tells when that was by the clock as it is now.

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;
use std::time::Duration;

use board::clock::Wall;
use firmware_agnostic::report::Time;
use firmware_agnostic::time::Instant;

use super::show::{Shown, read};
use crate::record::Record;

/// What the clocks of a box showed at one moment, in thousandths of a second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Anchor {
    /// The time of day, since 1970.
    wall: i64,
    /// The time since boot.
    up: i64,
}

impl Anchor {
    /// The time of day is `wall` at `now`.
    pub(crate) fn now(now: Instant, wall: Duration) -> Self {
        Self { wall: millis(wall), up: millis(now - Instant::default()) }
    }

    /// By how much `clock` was ahead of this box's time of day at `at`.
    pub(crate) fn ahead(self, clock: Duration, at: Instant) -> i64 {
        let up = millis(at - Instant::default());
        millis(clock) - (self.wall - self.up + up)
    }

    /// When `record` was written, by the clock as it is now.
    fn time(self, record: &Record) -> i64 {
        let wall = record.get("time").and_then(Wall::read).map_or(0, |Wall(seconds)| seconds);
        let wall = i64::try_from(wall).unwrap_or(0).saturating_mul(1_000);
        let exact = record.get("up").and_then(thousandths).map(|up| self.wall - self.up + up);
        // One of an earlier boot is elsewhere.
        exact.filter(|exact| exact.abs_diff(wall) <= SAME_BOOT).unwrap_or(wall)
    }

    fn read(line: &str) -> Option<Self> {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["now", wall, up] => Some(Self { wall: wall.parse().ok()?, up: up.parse().ok()? }),
            _ => None,
        }
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "now {} {}", self.wall, self.up)
    }
}

/// The last `count` records of the history at `path`, `bytes` of them at the most, as they stand there.
///
/// # Errors
///
/// When it cannot be read: which, and what to do.
pub(crate) fn last(path: &Path, count: usize, bytes: usize) -> io::Result<String> {
    let (records, _) = read(path)?;
    let mut lines: Vec<_> = records.iter().rev().take(count).map(Record::line).collect();
    let mut room = bytes;
    let fits = lines.iter().take_while(|line| {
        let left = room.checked_sub(line.len());
        room = left.unwrap_or(0);
        left.is_some()
    });
    lines.truncate(fits.count());
    Ok(lines.into_iter().rev().collect())
}

/// The last `count` records of the file at `path` and of the other box, which has `told` its own by letter.
///
/// # Errors
///
/// When the file cannot be read, or the letter makes no sense.
pub(crate) fn both(path: &Path, told: &str, count: usize, json: bool) -> io::Result<String> {
    let (mine, damaged) = read(path)?;
    let theirs = Theirs::read(told)
        .ok_or_else(|| io::Error::other("the answer of the other box makes no sense"))?;
    let line = theirs.clocks();
    let ahead = theirs.ahead();
    let mut records: Vec<_> = mine.into_iter().map(|it| (theirs.here.time(&it), it)).collect();
    records.extend(theirs.records.into_iter().map(|it| (theirs.there.time(&it) - ahead, it)));
    // What one box has written at one moment stays in its order.
    records.sort_by_key(|(time, _)| *time);
    let records = records.into_iter().map(|(_, record)| record).collect();
    let shown = Shown { records, damaged, count };
    if json {
        return Ok(shown.json(|json| json.signed("peer_clock_ahead_ms", ahead)));
    }
    Ok(format!("{line}\n{}", shown.text()))
}

/// What the other box has told.
struct Theirs {
    name: String,
    /// Its clock is ahead of this one by something between these.
    least: i64,
    most: i64,
    here: Anchor,
    there: Anchor,
    records: Vec<Record>,
}

impl Theirs {
    fn read(told: &str) -> Option<Self> {
        let mut lines = told.lines();
        let clock = lines.next()?.split(' ').collect::<Vec<_>>();
        let ["clock", name, least, most] = *clock.as_slice() else { return None };
        Some(Self {
            name: name.to_owned(),
            least: least.parse().ok()?,
            most: most.parse().ok()?,
            here: Anchor::read(lines.next()?)?,
            there: Anchor::read(lines.next()?)?,
            records: lines.filter_map(Record::read).collect(),
        })
    }

    /// By how much its clock is taken to be ahead. Clocks that may agree do: over a slow cable much of what was measured is
    /// how long the letter took one way and the other.
    fn ahead(&self) -> i64 {
        if (self.least..=self.most).contains(&0) { 0 } else { self.least.midpoint(self.most) }
    }

    /// How the clocks differ, for a person.
    fn clocks(&self) -> String {
        let Self { name, least, most, .. } = self;
        let (ahead, width) = (self.ahead(), most.abs_diff(*least).div_ceil(2).max(1));
        let time = |millis| Time(Duration::from_millis(millis));
        let mut line = match ahead {
            0 => "the clocks of both boxes agree".to_owned(),
            1.. => {
                format!("the clock of {name} is {} ahead of this one", time(ahead.unsigned_abs()))
            }
            _ => format!("the clock of {name} is {} behind this one", time(ahead.unsigned_abs())),
        };
        let _ = write!(line, ", within {}; each line has the time of its own box", time(width));
        line
    }
}

/// Reads `12.345`, without the code for numbers of any form, which is dear.
fn thousandths(text: &str) -> Option<i64> {
    let (seconds, rest) = text.split_once('.').filter(|(_, rest)| rest.len() == 3)?;
    let (seconds, rest) = (seconds.parse::<u32>().ok()?, rest.parse::<u16>().ok()?);
    Some(i64::from(seconds) * 1_000 + i64::from(rest))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A record has its time to the second, and clocks are put right by little while a box runs.
const SAME_BOOT: u64 = 2_000;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_happened_first_comes_first_against_the_clocks() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("mine");
        let line = |time: u64, up: f64, why: &str| {
            let record = Record::default().with("time", Wall(time)).with("up", format!("{up:.3}"));
            record.with("box", "server1").with("term", 1).with("why", why).line()
        };
        // This box has booted at 1,000, the other one at 4,700 by a clock that is an hour ahead.
        let mine = [line(900, 90.0, "a"), line(1_010, 10.2, "c"), line(1_010, 10.8, "e")];
        fs::write(&path, mine.concat()).unwrap();
        let theirs = [line(4_605, 5.0, "b"), line(4_610, 10.4, "d"), line(4_611, 11.0, "f")];
        let told = format!(
            "clock server2 3599990 3600010\nnow 1020000 20000\nnow 4620000 20000\n{}",
            theirs.concat()
        );
        let text = both(&path, &told, 10, false).unwrap();
        let mut lines = text.lines();
        let clocks = lines.next().unwrap();
        assert!(
            clocks.starts_with("the clock of server2 is 3600.0 s ahead of this one, within 10 ms"),
            "{clocks}"
        );
        let why: Vec<_> = lines.map(|line| line.split_whitespace().last().unwrap()).collect();
        assert_eq!(why, ["a", "b", "c", "d", "e", "f"]);
        let json = both(&path, &told, 1, true).unwrap();
        assert!(json.contains("\"peer_clock_ahead_ms\":3600000"), "{json}");
        assert!(json.contains("\"why\":\"f\"") && !json.contains("\"why\":\"e\""), "{json}");
        let agree = told.replace("3599990 3600010", "-3 4");
        let text = both(&path, &agree, 10, false).unwrap();
        assert!(text.starts_with("the clocks of both boxes agree, within 4 ms"), "{text}");
        for wrong in ["", "clock", "clock x 1 2\nnow 1 2\n", "clock x y z\nnow 1 2\nnow 1 2"] {
            assert!(both(&path, wrong, 1, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn clocks_that_may_agree_do() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("mine");
        let line = |up: f64, why: &str| {
            let record = Record::default().with("time", Wall(1_010)).with("up", format!("{up:.3}"));
            record.with("term", 1).with("why", why).line()
        };
        fs::write(&path, [line(10.1, "a"), line(10.3, "c")].concat()).unwrap();
        // Over a slow cable, where an answer takes longer than a question.
        let told = format!(
            "clock server2 -50 550\nnow 1020000 20000\nnow 1020000 20000\n{}{}",
            line(10.2, "b"),
            line(10.4, "d")
        );
        let text = both(&path, &told, 10, false).unwrap();
        let why = text.lines().skip(1).map(|line| line.split_whitespace().last().unwrap());
        assert_eq!(why.collect::<String>(), "abcd", "{text}");
        assert!(text.starts_with("the clocks of both boxes agree, within 300 ms"), "{text}");
    }

    #[test]
    fn no_more_is_told_than_was_asked_for() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("history");
        let lines: Vec<_> =
            (0..9).map(|term| Record::default().with("term", term).line()).collect();
        fs::write(&path, lines.concat()).unwrap();
        assert_eq!(last(&path, 2, 999).unwrap(), lines[7..].concat());
        assert_eq!(last(&path, 9, lines[0].len() * 3).unwrap(), lines[6..].concat());
        assert_eq!(last(&path, 9, 3).unwrap(), "");
    }

    #[test]
    fn a_clock_is_compared_with_the_time_of_its_reading() {
        let now = Anchor::now(Instant::from_millis(5_000), Duration::from_secs(100));
        assert_eq!(Anchor::read(&now.to_string()), Some(now));
        assert_eq!(now.ahead(Duration::from_secs(99), Instant::from_millis(4_000)), 0);
        assert_eq!(now.ahead(Duration::from_secs(99), Instant::from_millis(4_400)), -400);
    }
}
