//! Shows what both boxes have recorded, in the order in which it happened ([`order`](super::order)).
//!
//! Their clocks differ, and a letter tells by how much, within bounds.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use firmware_agnostic::report::Time;

use super::anchor::Anchor;
use super::order::{merge, times};
use super::show::{Selection, View, read, unwritten};
use crate::observe::record::Record;

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

/// The records of the file at `path` and of the other box, which has `told` its own by letter, as `view` wants them.
///
/// # Errors
///
/// When the file cannot be read, or the letter makes no sense.
pub(crate) fn both(path: &Path, told: &str, view: View, json: bool) -> io::Result<String> {
    let (mine, damaged) = read(path)?;
    let theirs = Theirs::read(told)
        .ok_or_else(|| io::Error::other("the answer of the other box makes no sense"))?;
    let (line, ahead) = (theirs.clocks(), theirs.ahead());
    let mine = times(&mine, Some(&theirs.here)).into_iter().zip(mine).collect();
    let there = times(&theirs.records, Some(&theirs.there)).into_iter();
    let there = there.map(|time| time.saturating_sub(ahead)).zip(theirs.records).collect();
    let shown = Selection { records: merge(mine, there), damaged, failure: unwritten(path) };
    if json {
        return Ok(shown.json(view, |json| json.signed("peer_clock_ahead_ms", ahead)));
    }
    Ok(shown.text(view, &line))
}

/// What the other box has told.
struct Theirs {
    name: String,
    /// Its clock is ahead of this one by something between these, in millionths of a second.
    least: i64,
    most: i64,
    here: Anchor,
    there: Anchor,
    records: Vec<Record>,
}

impl Theirs {
    fn read(told: &str) -> Option<Self> {
        let mut lines = told.lines().peekable();
        let clock = lines.next()?.split(' ').collect::<Vec<_>>();
        let [unit, name, least, most] = *clock.as_slice() else { return None };
        // A supervisor that has not been restarted since an upgrade tells thousandths.
        let unit =
            [("clock_us", 1), ("clock", 1_000)].into_iter().find(|(word, _)| *word == unit)?.1;
        let bound = |text: &str| text.parse::<i64>().ok()?.checked_mul(unit);
        Some(Self {
            name: name.to_owned(),
            least: bound(least)?,
            most: bound(most)?,
            here: Anchor::read(&mut lines)?,
            there: Anchor::read(&mut lines)?,
            records: lines.filter_map(Record::read).collect(),
        })
    }

    /// By how much its clock is taken to be ahead, in thousandths of a second. Clocks that may agree do: over a
    /// slow cable much of what was measured is how long the letter took one way and the other.
    fn ahead(&self) -> i64 {
        if (self.least..=self.most).contains(&0) {
            return 0;
        }
        let middle = self.least.midpoint(self.most);
        (middle + 500 * middle.signum()) / 1_000
    }

    /// How the clocks differ, for a person.
    fn clocks(&self) -> String {
        let Self { name, least, most, .. } = self;
        let ahead = self.ahead();
        let far = |bound: i64| bound.abs_diff(ahead.saturating_mul(1_000));
        let width = far(*least).max(far(*most)).div_ceil(1_000).max(1);
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

#[cfg(test)]
mod tests {
    use std::fs;

    use board::time::clock::Wall;

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
            "clock_us server2 3599990000 3600010000\nnow 1020000 20000\nnow 4620000 20000\n{}",
            theirs.concat()
        );
        let text = both(&path, &told, View::last(10), false).unwrap();
        let mut lines = text.lines();
        let clocks = lines.next().unwrap();
        assert!(
            clocks.starts_with("the clock of server2 is 3600.0 s ahead of this one, within 10 ms"),
            "{clocks}"
        );
        let lines: Vec<_> = lines.collect();
        let why = lines.iter().filter(|line| !line.starts_with("--"));
        let why: Vec<_> = why.map(|line| line.split_whitespace().last().unwrap()).collect();
        assert_eq!(why, ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(lines[1], "-- server1: booted --", "the time since boot is less than before");
        let json = both(&path, &told, View::last(1), true).unwrap();
        assert!(json.contains("\"peer_clock_ahead_ms\":3600000"), "{json}");
        assert!(json.contains("\"why\":\"f\"") && !json.contains("\"why\":\"e\""), "{json}");
        let agree = told.replace("clock_us server2 3599990000 3600010000", "clock server2 -3 4");
        let text = both(&path, &agree, View::last(10), false).unwrap();
        assert!(text.starts_with("the clocks of both boxes agree, within 4 ms"), "{text}");
        for wrong in [
            "",
            "clock",
            "clock x 1 2\nnow 1 2\n",
            "clock_us x y z\nnow 1 2\nnow 1 2",
            "year x 1 2",
        ] {
            assert!(both(&path, wrong, View::last(1), false).is_err(), "{wrong}");
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
            "clock_us server2 -50000 550000\nnow 1020000 20000\nnow 1020000 20000\n{}{}",
            line(10.2, "b"),
            line(10.4, "d")
        );
        let text = both(&path, &told, View::last(10), false).unwrap();
        let why = text
            .lines()
            .filter(|line| line.contains("term"))
            .map(|line| line.split_whitespace().last().unwrap());
        assert_eq!(why.collect::<String>(), "abcd", "{text}");
        assert!(text.starts_with("the clocks of both boxes agree, within 550 ms"), "{text}");
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
}
