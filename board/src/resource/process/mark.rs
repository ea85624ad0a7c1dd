//! Whose is a process? Each child carries in its environment which resource it is of, and of which supervisor; what it
//! starts inherits that.

use std::fs;
use std::path::PathBuf;

use firmware_agnostic::heartbeat::Fingerprint;

use crate::child::census::{self, Entry};

/// What a child of a resource carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    /// The name of the resource.
    pub(super) resource: String,
    /// Tells one way to run it from another.
    pub(super) print: String,
    /// The pipe that it was given to write to, as the kernel calls it.
    pub(super) output: u64,
}

impl Mark {
    /// The mark of a child of `resource`; `way` is all that it was started with.
    pub(super) fn new(resource: &str, way: &str, output: u64) -> Self {
        let Fingerprint(bytes) = Fingerprint::of(way.as_bytes());
        let print = format!("{:08x}", u32::from_be_bytes(bytes));
        Self { resource: resource.to_owned(), print, output }
    }

    /// The words of its environment.
    pub(super) fn words(&self) -> [(String, String); 4] {
        [
            (RESOURCE, self.resource.clone()),
            (SUPERVISOR, me().as_ref().map(life).unwrap_or_default()),
            (PRINT, self.print.clone()),
            (OUTPUT, self.output.to_string()),
        ]
        .map(|(word, value)| (word.to_owned(), value))
    }

    /// The mark in `environment`, and the supervisor that made it.
    fn read(environment: &[u8]) -> Option<(Self, String)> {
        let value = |word| {
            let lines = &mut environment.split(|byte| *byte == 0);
            let value = lines
                .find_map(|line: &[u8]| line.strip_prefix(str::as_bytes(word))?.strip_prefix(b"="));
            value.map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let output = value(OUTPUT).and_then(|inode| inode.parse().ok()).unwrap_or_default();
        let print = value(PRINT).unwrap_or_default();
        Some((Self { resource: value(RESOURCE)?, print, output }, value(SUPERVISOR)?))
    }
}

/// What is on this box, and who of it could be an orphan of an earlier life.
pub(super) struct Orphanage {
    census: Vec<Entry>,
    /// Who takes orphans: init, a subreaper, or this very process if it is a later life by exec(3).
    heirs: Vec<i32>,
    me: Option<Entry>,
}

impl Orphanage {
    pub(super) fn visit() -> Self {
        let (census, me) = (census::take(), me());
        let mut heirs = vec![INIT];
        let mut next = me.clone();
        while let Some(entry) = next.filter(|entry| !heirs.contains(&entry.pid)) {
            heirs.push(entry.pid);
            next = census.iter().find(|it| it.pid == entry.parent).cloned();
        }
        Self { census, heirs, me }
    }

    /// Whoever lives, may be an orphan, is in `group` as that tells it, and carries a mark of a supervisor that is dead,
    /// or is this one.
    ///
    /// Only orphans are asked for their environment: it is behind a lock that a sick process may hold. One whose
    /// supervisor lives is never found: it is that supervisor's.
    pub(super) fn orphans(&self) -> impl Iterator<Item = (&Entry, Mark)> {
        let alive = |pid: i32| self.census.iter().any(|it| it.pid == pid && it.alive());
        let namespace = namespace("self");
        let me = self.me.as_ref().map(life);
        self.census
            .iter()
            // The kernel's own threads are in group 0.
            .filter(|entry| entry.alive() && entry.group != 0)
            .filter(move |entry| self.heirs.contains(&entry.parent) || !alive(entry.group))
            .filter_map(move |entry| {
                let words = fs::read(format!("/proc/{}/environ", entry.pid)).ok()?;
                let (mark, supervisor) = Mark::read(&words)?;
                let lives = || self.census.iter().any(|it| it.alive() && life(it) == supervisor);
                // The numbers in a mark mean something only in the PID namespace where it was made.
                let ours = (me.as_ref() == Some(&supervisor) || !lives())
                    && self::namespace(&entry.pid.to_string()) == namespace;
                ours.then_some((entry, mark))
            })
    }
}

fn me() -> Option<Entry> {
    Entry::of(std::process::id().cast_signed())
}

/// Names one life of one process, for as long as the box is up.
fn life(entry: &Entry) -> String {
    format!("{}.{}", entry.pid, entry.started)
}

fn namespace(pid: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

const RESOURCE: &str = "TWOBOX_RESOURCE";
const SUPERVISOR: &str = "TWOBOX_SUPERVISOR";
const PRINT: &str = "TWOBOX_PRINT";
const OUTPUT: &str = "TWOBOX_OUTPUT";

/// Who takes orphans, unless a subreaper does.
const INIT: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = Mark::new("slapd", "all of it", 4711);
        let words = mark.words().map(|(word, value)| format!("{word}={value}")).join("\0");
        let environment = format!("PATH=/bin\0{words}\0");
        let me = me().map(|me| life(&me)).unwrap();
        assert_eq!(Mark::read(environment.as_bytes()), Some((mark, me)));
        assert_eq!(Mark::read(b"TWOBOX_RESOURCE=slapd\0"), None);
        assert_ne!(Mark::new("slapd", "one", 1).print, Mark::new("slapd", "other", 1).print);
    }
}
