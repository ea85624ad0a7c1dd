//! What the loop took in and ordered within the last minute, for the person who wonders why.
//!
//! A text in memory, of a bounded size: what repeats itself (a heartbeat, as a rule) takes a few bytes. It is written
//! to a file beside the history before this box shoots, before it resets itself, and when it panics.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use board::disk::safe_file::SafeFile;
use board::host::plain_text::Plain;
use board::time::clock::Clock;
use firmware_agnostic::heartbeat::Heartbeat;
use firmware_agnostic::identity::LINKS_MAX;
use firmware_agnostic::node::{Action, Event};
use firmware_agnostic::receiver::Heard;
use firmware_agnostic::time::Instant;

/// The last minute.
pub(crate) struct BlackBox {
    text: Arc<Mutex<Text>>,
    heard: [Option<Heartbeat>; LINKS_MAX],
    said: Option<Heartbeat>,
}

impl BlackBox {
    /// An empty one, for a file beside the history at `history`. A panic finds it there as well.
    pub(crate) fn new(history: &Path) -> Self {
        let text = Arc::new(Mutex::new(Text::default()));
        let (known, before) = (text.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            // The thread that holds it may be the one that panics.
            if let Ok(known) = known.try_lock() {
                let text = known.whole(&panic.to_string());
                let _ =
                    SafeFile::own(&known.path).and_then(|it| it.replace(0o600, text.as_bytes()));
            }
        }));
        let mut black_box = Self { text, heard: [None; LINKS_MAX], said: None };
        black_box.lie_beside(history);
        black_box
    }

    /// Has its file beside the history at `history` from now on.
    pub(crate) fn lie_beside(&mut self, history: &Path) {
        self.text().path = history.with_extension("blackbox");
    }

    /// Notes what the loop takes in.
    pub(crate) fn takes(&mut self, event: &Event, now: Instant) {
        if let Event::Heartbeat(link, Heard { heartbeat, proof: Some(_) }) = event {
            let known = self.heard.get_mut(link.index());
            if known.is_some_and(|known| known.replace(*heartbeat) == Some(*heartbeat)) {
                return self.note(now, format_args!("< heartbeat by link {}", link.index()));
            }
        }
        self.note(now, format_args!("< {event:?}"));
    }

    /// Notes what it orders.
    pub(crate) fn orders(&mut self, action: &Action, now: Instant) {
        if let Action::Send(heartbeat) = action
            && self.said.replace(*heartbeat) == Some(*heartbeat)
        {
            return self.note(now, format_args!("> send"));
        }
        self.note(now, format_args!("> {action:?}"));
    }

    /// The file, and what is to be written to it because of `why`.
    pub(crate) fn dump(&self, why: &str) -> (PathBuf, String) {
        let text = self.text();
        (text.path.clone(), text.whole(why))
    }

    fn note(&self, now: Instant, what: fmt::Arguments<'_>) {
        self.text().add(now, what);
    }

    fn text(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines, of which the oldest go when there is no room.
#[derive(Default)]
struct Text {
    path: PathBuf,
    lines: VecDeque<u8>,
    line: String,
}

impl Text {
    fn add(&mut self, now: Instant, what: fmt::Arguments<'_>) {
        self.line.clear();
        let (seconds, micros) = (now.as_micros() / 1_000_000, now.as_micros() % 1_000_000);
        // Writing to a text cannot fail.
        let _ = writeln!(self.line, "{seconds}.{micros:06} {what}");
        if self.lines.len() + self.line.len() > TEXT_MAX {
            let room = self.lines.iter().skip(self.line.len()).position(|byte| *byte == b'\n');
            self.lines.drain(..room.map_or(self.lines.len(), |end| self.line.len() + end + 1));
        }
        self.lines.extend(self.line.as_bytes());
    }

    fn whole(&self, why: &str) -> String {
        let (older, newer) = self.lines.as_slices();
        let lines = [older, newer].concat();
        let head = format!("# {} {}\n", Clock.wall(), Plain(why));
        head + &String::from_utf8_lossy(&lines)
    }
}

/// A pair with six links fills less than this in a minute.
const TEXT_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_stay_whole_within_the_bound() {
        let mut text = Text::default();
        for number in 0..10_000_u64 {
            text.add(Instant::from_millis(number), format_args!("line {number}"));
            assert!(text.lines.len() <= TEXT_MAX);
        }
        let whole = text.whole("a test");
        let lines: Vec<_> = whole.lines().skip(1).collect();
        assert!(lines.len() > 2_000 && lines[0].contains(" line "), "{}", lines[0]);
        assert_eq!(lines.last(), Some(&"9.999000 line 9999"));
        let first: usize = lines[0].rsplit(' ').next().unwrap().parse().unwrap();
        assert_eq!(lines.len(), 10_000 - first, "none between them is missing");
    }

    #[test]
    fn it_stays_as_large_as_it_is_in_a_day() {
        let (mut text, keepalive) = (Text::default(), 200);
        let mut minute = |from: u64| {
            for millis in (from..from + 60_000).step_by(keepalive) {
                for link in 0..LINKS_MAX {
                    text.add(
                        Instant::from_millis(millis),
                        format_args!("< heartbeat by link {link}"),
                    );
                }
                text.add(Instant::from_millis(millis), format_args!("> send"));
            }
            (text.lines.capacity(), text.line.capacity())
        };
        // Within some minutes it is full for the first time.
        let full = (0..10).map(|number| minute(number * 60_000)).last();
        let day = 24 * 60;
        // The times grow by a digit on the way.
        let later = (day..day + 10).map(|number| minute(number * 60_000)).last();
        assert_eq!(full, later);
    }

    #[test]
    fn a_panic_leaves_it_behind() {
        let room = tempfile::tempdir().unwrap();
        let mut black_box = BlackBox::new(&room.path().join("twobox.history"));
        black_box.takes(&Event::Timeout, Instant::from_millis(1));
        let _ = std::thread::spawn(|| panic!("the loop is broken")).join();
        let left = std::fs::read_to_string(room.path().join("twobox.blackbox")).unwrap();
        assert!(
            left.contains("the loop is broken") && left.contains("0.001000 < Timeout"),
            "{left}"
        );
    }
}
