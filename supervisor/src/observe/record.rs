//! Something that happened, in words and values: the one form of it for the history, the hooks and the commands.
//!
//! A record is a line that a person can read and a program can take apart: `word=value` and so on, where a value with
//! blanks stands in quotes. The last word is a checksum, so that a line which a power cut has torn, or a disk has
//! spoiled, is known. Words only ever become more; one that this version does not know is passed over.

use std::fmt::{Display, Write as _};

use board::host::plain_text::plain;
use board::time::clock::Wall;
use firmware_agnostic::heartbeat::Fingerprint;

use crate::observe::json::Json;

/// What happened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Record(Vec<(&'static str, String)>);

impl Record {
    /// The record with one more word.
    #[must_use]
    pub(crate) fn with(mut self, word: &'static str, value: impl Display) -> Self {
        debug_assert!(WORDS.contains(&word), "{word} could not be read back");
        // A quote ends a value.
        self.0.push((word, plain(&value.to_string()).replace('"', "'")));
        self
    }

    /// The same, if there is a value.
    #[must_use]
    pub(crate) fn with_some(self, word: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(word, value),
            None => self,
        }
    }

    /// The value of `word`.
    pub(crate) fn get(&self, word: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| *own == word).map(|(_, value)| value.as_str())
    }

    /// The number that `word` has.
    pub(crate) fn number(&self, word: &str) -> Option<u64> {
        self.get(word)?.parse().ok()
    }

    /// When it was written by the clock of its box, to the second: in thousandths since 1970.
    pub(crate) fn wall(&self) -> Option<i64> {
        let Wall(seconds) = Wall::read(self.get("time")?)?;
        i64::try_from(seconds).ok()?.checked_mul(1_000)
    }

    /// When that was since its box had booted, in thousandths of a second.
    pub(crate) fn up(&self) -> Option<i64> {
        // Without the code for numbers of any form, which is dear.
        let (seconds, rest) =
            self.get("up")?.split_once('.').filter(|(_, rest)| rest.len() == 3)?;
        let (seconds, rest) = (seconds.parse::<u32>().ok()?, rest.parse::<u16>().ok()?);
        Some(i64::from(seconds) * 1_000 + i64::from(rest))
    }

    /// The line, with its end.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        for (word, value) in &self.0 {
            let bare = !value.is_empty()
                && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/+".contains(c));
            let quote = if bare { "" } else { "\"" };
            // Writing to a text cannot fail.
            let _ = write!(line, "{word}={quote}{value}{quote} ");
        }
        let sum = sum(&line);
        let _ = writeln!(line, "sum={sum}");
        line
    }

    /// Reads a line without its end; `None` if it is not whole.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let (said, told) = line.split_at_checked(line.rfind("sum=")?)?;
        if told.strip_prefix("sum=")? != sum(said) {
            return None;
        }
        let (mut record, mut rest) = (Self::default(), said);
        while let Some((word, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once("\" ")?,
                None => after.split_once(' ')?,
            };
            if let Some(word) = WORDS.iter().find(|known| **known == word) {
                // Another box, or another program, may have written the line.
                record.0.push((word, plain(value)));
            }
            rest = after;
        }
        Some(record)
    }

    /// Adds all of it to an object.
    pub(crate) fn json(&self, json: &mut Json) {
        for (word, value) in &self.0 {
            match value.parse::<u64>() {
                Ok(number) if NUMBERS.contains(word) => json.number(word, number),
                _ => json.text(word, value),
            }
        }
    }

    /// All of it as variables: `TWOBOX_WHAT=role`.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let named = |(word, value): &(&str, String)| {
            (format!("TWOBOX_{}", word.to_ascii_uppercase()), value.clone())
        };
        self.0.iter().map(named).collect()
    }
}

/// A short checksum, as the journal has it.
fn sum(said: &str) -> String {
    let Fingerprint([a, b, c, d]) = Fingerprint::of(said.as_bytes());
    format!("{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// Every word, in the order in which they stand.
const WORDS: [&str; 31] = [
    "time",
    "up",
    "box",
    "boot",
    "change",
    "term",
    "what",
    "level",
    "from",
    "to",
    "evidence",
    "outcome",
    "why",
    "detect_ms",
    "delay_ms",
    "fence_ms",
    "start_ms",
    "announce_ms",
    // Which boot of the machine it was, and the newest state of the other box that was heard.
    "kernel_boot",
    "peer_change",
    // Where things stand, for a command that waits.
    "summary",
    "redundant",
    "serves",
    "shoots",
    "peer",
    "peer_boot",
    "heard",
    "fenced",
    "power",
    "failure",
    "shot",
];

/// Those whose values are numbers.
const NUMBERS: [&str; 8] = [
    "change",
    "peer_change",
    "term",
    "detect_ms",
    "delay_ms",
    "fence_ms",
    "start_ms",
    "announce_ms",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for why in ["", "a", "two words", "x=y", "sum=1", "\u{e9} \u{1f980}"] {
            let record = Record::default().with("what", "role").with("why", why).with("term", 7);
            let line = record.line();
            assert_eq!(Record::read(line.trim_end_matches('\n')), Some(record), "{line}");
        }
        let record = Record::default().with("why", "one\n\"two\"");
        assert_eq!(record.get("why"), Some("one 'two'"));
        assert_eq!(record.environment(), [("TWOBOX_WHY".to_owned(), "one 'two'".to_owned())]);
    }

    #[test]
    fn a_line_that_is_not_whole_is_none() {
        let line = Record::default().with("what", "role").with("why", "all of it").line();
        let line = line.trim_end();
        for end in 0..line.len() {
            assert_eq!(Record::read(&line[..end]), None, "{end}");
            let mut spoiled = line.as_bytes().to_vec();
            spoiled[end] ^= 1;
            assert_eq!(Record::read(&String::from_utf8_lossy(&spoiled)), None, "{end}");
        }
        for junk in ["sum=", "what=role", "= sum=", "\" sum=00000000"] {
            assert_eq!(Record::read(junk), None, "{junk}");
        }
    }

    #[test]
    fn a_word_of_a_later_version_is_passed_over() {
        let said = "what=role later=\"more of it\" term=1 ";
        let record = Record::read(&format!("{said}sum={}", sum(said))).unwrap();
        assert_eq!(record, Record::default().with("what", "role").with("term", 1));
    }
}
