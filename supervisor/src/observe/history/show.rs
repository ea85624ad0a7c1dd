//! Shows the history to a person. It works without a supervisor, from the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use board::disk::safe_file::no_room;
use firmware_agnostic::report::Time;

use super::file;
use super::order::{merge, same_boot, times};
use crate::observe::json::Json;
use crate::observe::record::Record;
use crate::observe::screen::wrap;

/// How much is shown, and on what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The last records, so many at most.
    pub(crate) count: usize,
    /// The lines of the screen that all of it must fit on, and on which lines are broken between words.
    pub(crate) rows: Option<usize>,
    /// More than fits on the screen is wanted.
    pub(crate) scrolls: bool,
}

impl View {
    /// The last `count` records, for a file or a program.
    #[cfg(test)]
    pub(super) const fn last(count: usize) -> Self {
        Self { count, rows: None, scrolls: true }
    }
}

/// What is in the file at `path`, together with the file of the other box at `with`, as `view` wants it.
///
/// # Errors
///
/// When a file cannot be read: which, and what to do.
pub(crate) fn show(path: &Path, with: Option<&Path>, view: View, json: bool) -> io::Result<String> {
    let (mut records, mut damaged) = read(path)?;
    if let Some(with) = with {
        let (others, more) = file::read(with).map_err(|error| unreadable(with, &error, ""))?;
        records = merge(timed(records), timed(others));
        damaged += more;
    }
    let shown = Selection { records, damaged, failure: unwritten(path) };
    Ok(if json { shown.json(view, |_| {}) } else { shown.text(view, "") })
}

/// Where nobody knows by how much the clocks differ, the term goes before them.
fn timed(records: Vec<Record>) -> Vec<((u64, i64), Record)> {
    let terms: Vec<_> = records.iter().map(|it| it.number("term").unwrap_or(0)).collect();
    let times = times(&records, None);
    terms.into_iter().zip(times).zip(records).collect()
}

/// What there is to be shown.
pub(super) struct Selection {
    pub(super) records: Vec<Record>,
    pub(super) damaged: usize,
    /// Why nothing can be written to the file now.
    pub(super) failure: Option<String>,
}

impl Selection {
    /// For a program, with what `more` has to say.
    pub(super) fn json(&self, view: View, more: impl FnOnce(&mut Json)) -> String {
        let mut object = Json::new();
        object.number("damaged", self.damaged as u64);
        object.optional_text("failure", self.failure.as_deref());
        more(&mut object);
        let first = self.records.len().saturating_sub(view.count);
        object.list("records", self.records.iter().skip(first), |json, record| record.json(json));
        object.end()
    }

    /// For a person, with `head` before it.
    pub(super) fn text(&self, view: View, head: &str) -> String {
        let fit = |line: &str, indent| match view.rows {
            Some(_) => wrap(line, indent) + "\n",
            None => format!("{line}\n"),
        };
        let head = if head.is_empty() { String::new() } else { fit(head, 0) };
        let mut tail = String::new();
        if self.records.is_empty() {
            tail.push_str(&fit(NOTHING, 0));
        }
        if self.damaged > 0 {
            tail.push_str(&fit(&format!("{} lines are not whole, and left out", self.damaged), 0));
        }
        if let Some(failure) = &self.failure {
            tail.push_str(&fit(&format!("what happens now is not kept: {failure}"), 0));
        }
        let blocks = self.blocks(fit);
        let mut shown = blocks.len().min(view.count);
        let rows = view.rows.filter(|_| !view.scrolls);
        if let Some(rows) = rows {
            // One for the line that says what is left out, and one for the next command.
            let room = rows.saturating_sub(head.lines().count() + tail.lines().count() + 2);
            let mut lines = 0;
            let fits = blocks.iter().rev().take_while(|block| {
                lines += block.lines().count();
                lines <= room
            });
            shown = shown.min(fits.count().max(1));
        }
        let left_out = blocks.len() - shown;
        let mut text = head;
        if left_out > 0 && rows.is_some() {
            let _ = writeln!(text, "({left_out} earlier records: twobox history --all)");
        }
        text.extend(blocks.into_iter().skip(left_out));
        text + &tail
    }

    /// What is written of each record; where its box has begun another life, that stands before it.
    fn blocks(&self, fit: impl Fn(&str, usize) -> String) -> Vec<String> {
        let mut before = BTreeMap::new();
        let block = |record| {
            let name = Record::get(record, "box").unwrap_or("?");
            let life = before.insert(name, record).and_then(|last| begins(name, last, record));
            let lines = life.into_iter().map(|line| (line, 0)).chain(lines(record));
            lines.map(|(line, indent)| fit(&line, indent)).collect()
        };
        self.records.iter().map(block).collect()
    }
}

/// What the box called `name` has begun between two of its records.
fn begins(name: &str, last: &Record, next: &Record) -> Option<String> {
    let what = if !same_boot(last, next) {
        "booted"
    } else if last.get("boot") != next.get("boot") {
        "twobox was started again"
    } else {
        return None;
    };
    let back = last.wall().zip(next.wall()).map_or(0, |(last, next)| last - next);
    let back = u64::try_from(back).ok().filter(|back| *back > CLOCK_STEP);
    let clock = back.map_or_else(String::new, |back| {
        format!("; its clock says {} less than before", Time(Duration::from_millis(back)))
    });
    Some(format!("-- {name}: {what}{clock} --"))
}

/// Reads the file of this box.
pub(super) fn read(path: &Path) -> io::Result<(Vec<Record>, usize)> {
    file::read(path).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => {
                unwritten(path).map_or_else(|| NOWHERE.to_owned(), |failure| format!("; {failure}"))
            }
            _ => String::new(),
        };
        unreadable(path, &error, &remedy)
    })
}

fn unreadable(path: &Path, error: &io::Error, remedy: &str) -> io::Error {
    let text = format!("cannot read the history {}: {error}{remedy}", path.display());
    io::Error::new(error.kind(), text)
}

/// Why nothing can be written to the file at `path` now, as far as everybody can tell.
pub(super) fn unwritten(path: &Path) -> Option<String> {
    no_room(path, LINES, "history")
}

/// A record in lines, each with its indent where it is broken: what happened, and below it how long each part of it
/// took.
fn lines(record: &Record) -> impl Iterator<Item = (String, usize)> {
    let get = |word| record.get(word).unwrap_or("?");
    let time = get("time").replace('T', " ");
    let line = format!(
        "{} {:<10} term {:<3} {}",
        time.trim_end_matches('Z'),
        get("box"),
        get("term"),
        get("why")
    );
    let part = |(word, name): (&str, &str)| {
        Some(format!("{name} {}", Time(Duration::from_millis(record.number(word)?))))
    };
    // A takeover is told as a whole, once it is done.
    let done = record.get("to") != Some("starting");
    let mut parts: Vec<_> = PARTS.into_iter().filter(|_| done).filter_map(part).collect();
    if let (Some(last), Some(announced)) = (parts.last_mut(), part(ANNOUNCED)) {
        let _ = write!(last, " ({announced})");
    }
    let parts = (!parts.is_empty()).then(|| format!("{:20}{}", "", parts.join(", ")));
    [(line, INDENT)].into_iter().chain(parts.map(|parts| (parts, INDENT)))
}

/// The parts of a takeover, in their order: each begins where the one before ends.
const PARTS: [(&str, &str); 4] =
    [("detect_ms", "detect"), ("delay_ms", "delay"), ("fence_ms", "fence"), ("start_ms", "start")];

/// A part of the start.
const ANNOUNCED: (&str, &str) = ("announce_ms", "announced after");

/// The column of the name of the box.
const INDENT: usize = 20;

/// A few of them.
const LINES: u64 = 4_096;

/// In thousandths of a second: a record has its time to the second.
const CLOCK_STEP: u64 = 1_000;

const NOTHING: &str =
    "no records: nothing has happened yet, or it could not be written (see twobox status)";

const NOWHERE: &str = ": nothing was written there yet, or somebody has removed it; is that the [history] of this box?";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_views_of_both_boxes_become_one() {
        let room = tempfile::tempdir().unwrap();
        let [mine, other] = ["mine", "other"].map(|name| room.path().join(name));
        let write = |path: &Path, records: &[(u32, String, &str)]| {
            let lines = records.iter().map(|(term, time, why)| {
                Record::default().with("time", time).with("term", term).with("why", why).line()
            });
            fs::write(path, lines.collect::<String>()).unwrap();
        };
        // The clock of the other box is an hour ahead.
        let at = |time: &str| format!("2026-01-01T{time}:00Z");
        write(&mine, &[(1, at("10:00"), "a"), (2, at("10:05"), "c"), (3, at("10:20"), "e")]);
        write(&other, &[(1, at("11:01"), "b"), (2, at("11:06"), "d"), (3, at("11:21"), "f")]);
        let text = show(&mine, Some(&other), View::last(10), false).unwrap();
        let why: Vec<_> =
            text.lines().map(|line| line.split_whitespace().last().unwrap()).collect();
        assert_eq!(why, ["a", "b", "c", "d", "e", "f"]);
        let json = show(&mine, None, View::last(1), true).unwrap();
        assert_eq!(
            json,
            "{\"damaged\":0,\"failure\":null,\"records\":[{\"time\":\"2026-01-01T10:20:00Z\",\"term\":3,\"why\":\"e\"}]}\n"
        );
        let nowhere = room.path().join("nowhere");
        let error = show(&nowhere, None, View::last(1), false).unwrap_err().to_string();
        assert!(error.contains("nowhere: ") && error.contains("nothing was written"), "{error}");
    }

    #[test]
    fn no_more_is_shown_than_the_screen_has_lines() {
        let record = |term| {
            Record::default()
                .with("box", "server1")
                .with("term", term)
                .with("why", "word ".repeat(30))
        };
        let shown =
            |damaged| Selection { records: (0..99).map(record).collect(), damaged, failure: None };
        let screen = View { count: usize::MAX, rows: Some(24), scrolls: false };
        let text = shown(3).text(screen, "the clocks agree");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.lines().count() <= 23, "one line is for the next command:\n{text}");
        assert!(
            text.starts_with("the clocks agree\n(93 earlier records: twobox history --all)\n"),
            "{text}"
        );
        assert!(
            text.contains("term 98 ") && text.ends_with("3 lines are not whole, and left out\n"),
            "{text}"
        );
        let all = shown(0).text(View { scrolls: true, ..screen }, "");
        assert_eq!(all.matches(" term ").count(), 99);
        let last = shown(0).text(View { scrolls: true, count: 40, ..screen }, "");
        assert!(last.matches(" term ").count() == 40 && !last.contains("earlier"), "{last}");
    }

    #[test]
    fn a_file_system_that_takes_nothing_is_told() {
        let room = tempfile::tempdir().unwrap();
        assert_eq!(unwritten(&room.path().join("history")), None);
        let failure = Some("the file system of /x is full: make room there".to_owned());
        let shown = Selection { records: Vec::new(), damaged: 0, failure };
        let text = shown.text(View::last(9), "");
        assert!(
            text.contains("could not be written") && text.contains("is full: make room"),
            "{text}"
        );
    }

    #[test]
    fn boots_and_lives_are_told_apart() {
        let record = |seconds, up, kernel, life| {
            Record::default()
                .with("time", board::time::clock::Wall(seconds))
                .with("up", up)
                .with("box", "server1")
                .with("kernel_boot", kernel)
                .with("boot", life)
        };
        let records = vec![
            record(90_000, "90.000", "k1", "l1"),
            record(90_001, "91.000", "k1", "l2"),
            record(86_402, "95.000", "k2", "l3"),
        ];
        let text = Selection { records, damaged: 0, failure: None }.text(View::last(9), "");
        let lives: Vec<_> = text.lines().filter(|line| line.starts_with("--")).collect();
        assert_eq!(
            lives,
            [
                "-- server1: twobox was started again --",
                "-- server1: booted; its clock says 3599.0 s less than before --"
            ]
        );
    }

    #[test]
    fn a_takeover_shows_its_parts() {
        let record = |to| {
            Record::default()
                .with("time", "2026-01-01T00:00:00Z")
                .with("box", "server2")
                .with("term", 4)
                .with("to", to)
                .with("why", "what happened")
                .with("detect_ms", 1_002)
                .with("start_ms", 85)
                .with("announce_ms", 20)
        };
        let text = |to| lines(&record(to)).map(|(line, _)| line + "\n").collect::<String>();
        let what = "2026-01-01 00:00:00 server2    term 4   what happened\n";
        assert_eq!(
            text("active"),
            format!("{what}{:20}detect 1.0 s, start 85 ms (announced after 20 ms)\n", "")
        );
        assert_eq!(text("starting"), what, "it is told once");
    }
}
