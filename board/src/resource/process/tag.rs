//! What each child of a resource carries in its environment: which resource it is of, and how that was started. What it
//! starts inherits that.
//!
//! It tells services of ours from each other, and people what a process is. It is no proof: anybody can write the same,
//! and many a program writes over its own.

use std::fs;

use firmware_agnostic::heartbeat::Fingerprint;

use crate::process::procfs::ProcessEntry;

/// What a child of a resource carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Tag {
    /// The name of the resource.
    pub(super) resource: String,
    /// Tells one way to run it from another.
    pub(super) print: String,
    /// The pipe that it was given to write to, as the kernel calls it.
    pub(super) output: u64,
}

impl Tag {
    /// The mark of a child of `resource`; `way` is all that it was started with.
    pub(super) fn new(resource: &str, way: &str, output: u64) -> Self {
        let Fingerprint(bytes) = Fingerprint::of(way.as_bytes());
        let print = format!("{:08x}", u32::from_be_bytes(bytes));
        Self { resource: resource.to_owned(), print, output }
    }

    /// The words of its environment. The supervisor is named for one of an earlier version, which goes by that.
    pub(super) fn words(&self) -> [(String, String); 4] {
        let me = ProcessEntry::of(std::process::id().cast_signed());
        [
            (RESOURCE, self.resource.clone()),
            (SUPERVISOR, me.map(|me| format!("{}.{}", me.pid, me.started)).unwrap_or_default()),
            (PRINT, self.print.clone()),
            (OUTPUT, self.output.to_string()),
        ]
        .map(|(word, value)| (word.to_owned(), value))
    }

    /// What the process `pid` carries.
    pub(super) fn of(pid: i32) -> Option<Self> {
        Self::read(&fs::read(format!("/proc/{pid}/environ")).ok()?)
    }

    fn read(environment: &[u8]) -> Option<Self> {
        let value = |word| {
            let lines = &mut environment.split(|byte| *byte == 0);
            let value = lines
                .find_map(|line: &[u8]| line.strip_prefix(str::as_bytes(word))?.strip_prefix(b"="));
            value.map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let output = value(OUTPUT).and_then(|inode| inode.parse().ok()).unwrap_or_default();
        let print = value(PRINT).unwrap_or_default();
        Some(Self { resource: value(RESOURCE)?, print, output })
    }
}

const RESOURCE: &str = "TWOBOX_RESOURCE";
const SUPERVISOR: &str = "TWOBOX_SUPERVISOR";
const PRINT: &str = "TWOBOX_PRINT";
const OUTPUT: &str = "TWOBOX_OUTPUT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = Tag::new("slapd", "all of it", 4711);
        let words = mark.words().map(|(word, value)| format!("{word}={value}")).join("\0");
        let environment = format!("PATH=/bin\0{words}\0");
        assert_eq!(Tag::read(environment.as_bytes()), Some(mark));
        assert_eq!(Tag::read(b"TWOBOX_PRINT=slapd\0"), None);
        assert_ne!(Tag::new("slapd", "one", 1).print, Tag::new("slapd", "other", 1).print);
    }
}
