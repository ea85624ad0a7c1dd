//! Shows the history to a person. It works without a supervisor, from the file.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use board::safe_file::no_room;
use firmware_agnostic::report::Time;

use super::file;
use crate::json::Json;
use crate::record::Record;

/// The last `count` records of the file at `path`, together with those of the other box's file at `with`.
///
/// # Errors
///
/// When a file cannot be read: which, and what to do.
pub(crate) fn show(
    path: &Path,
    with: Option<&Path>,
    count: usize,
    json: bool,
) -> io::Result<String> {
    let (mut records, mut damaged) = read(path)?;
    if let Some(with) = with {
        let (others, more) = read(with)?;
        records = merge(records, others);
        damaged += more;
    }
    let shown = Shown { records, damaged, count };
    let not_kept = no_room(path, LINES, "history");
    if json {
        return Ok(shown.json(|json| not_kept.iter().for_each(|why| json.text("not_kept", why))));
    }
    Ok(match not_kept {
        None => shown.text(),
        Some(why) => format!("{}what happens now is not kept: {why}\n", shown.lines()),
    })
}

/// What is to be shown: the last `count` of the records.
pub(super) struct Shown {
    pub(super) records: Vec<Record>,
    pub(super) damaged: usize,
    pub(super) count: usize,
}

impl Shown {
    /// For a program, with what `more` has to say.
    pub(super) fn json(&self, more: impl FnOnce(&mut Json)) -> String {
        let mut object = Json::new();
        object.number("damaged", self.damaged as u64);
        more(&mut object);
        object.list("records", self.last().iter(), |json, record| record.json(json));
        object.end()
    }

    /// For a person.
    pub(super) fn text(&self) -> String {
        let nothing = if self.last().is_empty() { "nothing has happened yet\n" } else { "" };
        nothing.to_owned() + &self.lines()
    }

    fn lines(&self) -> String {
        let mut text: String = self.last().iter().map(line).collect();
        if self.damaged > 0 {
            let _ = writeln!(text, "{} lines are not whole, and left out", self.damaged);
        }
        text
    }

    fn last(&self) -> &[Record] {
        let left_out = self.records.len().saturating_sub(self.count);
        self.records.get(left_out..).unwrap_or_default()
    }
}

pub(super) fn read(path: &Path) -> io::Result<(Vec<Record>, usize)> {
    file::read(path).map_err(|error| {
        let none =
            ": no supervisor has run with this configuration yet, or somebody has removed it";
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => no_room(path, LINES, "history")
                .map_or_else(|| none.to_owned(), |why| format!("; {why}")),
            _ => String::new(),
        };
        io::Error::new(
            error.kind(),
            format!("cannot read the history {}: {error}{remedy}", path.display()),
        )
    })
}

/// Brings the views of both boxes into one order. What one box has written stays in its order; between the boxes the
/// term decides, which both know, and within a term the time of day, which may be wrong.
fn merge(mine: Vec<Record>, others: Vec<Record>) -> Vec<Record> {
    let place = |record: &Record| {
        let time = record.get("time").unwrap_or_default().to_owned();
        (record.number("term").unwrap_or(0), time)
    };
    let (mut mine, mut others) = (mine.into_iter().peekable(), others.into_iter().peekable());
    let mut merged = Vec::new();
    loop {
        let first = match (mine.peek(), others.peek()) {
            (Some(one), Some(other)) => place(one) <= place(other),
            (one, _) => one.is_some(),
        };
        let Some(next) = (if first { mine.next() } else { others.next() }) else { return merged };
        merged.push(next);
    }
}

/// A record for an 80-column console: what happened, and below it how long each part of it took.
fn line(record: &Record) -> String {
    let get = |word| record.get(word).unwrap_or("?");
    let time = get("time").replace('T', " ");
    let mut text = format!(
        "{} {:<10} term {:<3} {}\n",
        time.trim_end_matches('Z'),
        get("box"),
        get("term"),
        get("why")
    );
    let phases: Vec<_> = PHASES
        .iter()
        .filter_map(|(word, name)| {
            Some(format!("{name} {}", Time(Duration::from_millis(record.number(word)?))))
        })
        .collect();
    if !phases.is_empty() {
        let _ = writeln!(text, "{:20}{}", "", phases.join(", "));
    }
    text
}

/// A few of them.
const LINES: u64 = 4096;

/// The parts of a takeover, in their order.
const PHASES: [(&str, &str); 5] = [
    ("detect_ms", "detect"),
    ("delay_ms", "delay"),
    ("fence_ms", "fence"),
    ("start_ms", "start"),
    ("announce_ms", "announce"),
];

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_views_of_both_boxes_become_one() {
        let room = tempfile::tempdir().unwrap();
        let [mine, other] = ["mine", "other"].map(|name| room.path().join(name));
        let write = |path: &Path, records: &[(u32, &str, &str)]| {
            let lines = records.iter().map(|(term, time, why)| {
                Record::default().with("time", time).with("term", term).with("why", why).line()
            });
            fs::write(path, lines.collect::<String>()).unwrap();
        };
        // The clock of the other box is an hour ahead.
        write(&mine, &[(1, "10:00", "a"), (2, "10:05", "c"), (3, "10:20", "e")]);
        write(&other, &[(1, "11:01", "b"), (2, "11:06", "d"), (3, "11:21", "f")]);
        let text = show(&mine, Some(&other), 10, false).unwrap();
        let why: Vec<_> =
            text.lines().map(|line| line.split_whitespace().last().unwrap()).collect();
        assert_eq!(why, ["a", "b", "c", "d", "e", "f"]);
        let json = show(&mine, None, 1, true).unwrap();
        assert_eq!(
            json,
            "{\"damaged\":0,\"records\":[{\"time\":\"10:20\",\"term\":3,\"why\":\"e\"}]}\n"
        );
        let error = show(&room.path().join("nowhere"), None, 1, false).unwrap_err().to_string();
        assert!(error.contains("nowhere") && error.contains("no supervisor has run"), "{error}");
    }

    #[test]
    fn a_takeover_shows_its_parts() {
        let record = Record::default()
            .with("time", "2026-01-01T00:00:00Z")
            .with("box", "server2")
            .with("term", 4)
            .with("why", "starting -> active: everything runs")
            .with("detect_ms", 1_002)
            .with("start_ms", 85);
        assert_eq!(
            line(&record),
            "2026-01-01 00:00:00 server2    term 4   starting -> active: everything runs\n\
             \x20                   detect 1.0 s, start 85 ms\n"
        );
    }
}
