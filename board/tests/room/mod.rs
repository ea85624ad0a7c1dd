//! A room for a test of services: a directory, a resource of a name that no other test has, and what runs of it.
#![allow(dead_code, reason = "each test program uses its part of the room")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use board::config::table::Source;
use board::process::child::{Child, Program};
use board::process::procfs;
use board::resource::{self, Resource};
use board::thread::deadline::Deadline;
use firmware_agnostic::identity::BoxId;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// A directory for one test, and a resource name that no other test has.
pub(crate) struct Room {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    _directory: Option<TempDir>,
}

impl Room {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        // For those who run as somebody else.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        Self::at(directory.path().canonicalize().unwrap(), Some(directory))
    }

    pub(crate) fn at(path: PathBuf, directory: Option<TempDir>) -> Self {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        Self { path, name, _directory: directory }
    }

    /// A process that is a shell script, in this room.
    pub(crate) fn process(&self, script: &str, words: &str) -> Box<dyn Resource> {
        let path = self.path("script");
        fs::write(&path, script).unwrap();
        let (path, room) = (path.display(), self.path.display());
        self.resource(&format!(
            "command = [\"/bin/sh\", \"{path}\"]\ndirectory = \"{room}\"\n{words}"
        ))
    }

    pub(crate) fn resource(&self, words: &str) -> Box<dyn Resource> {
        let text = format!("kind = \"process\"\nname = {:?}\n{words}\n", self.name);
        let source = Source::new(&text);
        let mut table = source.parse();
        let config = resource::Config::read(&mut table);
        table.finish();
        let complaints = source.into_complaints();
        assert!(complaints.is_empty(), "{complaints:?}");
        config.unwrap().open(BoxId::First, &self.path("notes")).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn wait_for(&self, name: &str) {
        // A shell makes the file before it writes the number into it.
        let number = ["pid", "stray", "worker"].contains(&name);
        until(|| fs::metadata(self.path(name)).is_ok_and(|it| it.len() > 0 || !number), name);
    }

    /// The group of the process, which has written its number to `pid`.
    pub(crate) fn group(&self) -> i32 {
        self.read("pid").trim().parse().unwrap()
    }

    pub(crate) fn members(&self) -> Vec<String> {
        members(self.group())
    }

    /// Whether the process `pid` is known to who looks for it: by the cgroup, which all are in, or by the note.
    pub(crate) fn knows(&self, pid: i32) -> bool {
        let notes = fs::read_dir(self.path("notes")).unwrap().flatten().map(|it| it.path());
        // Not what is just being written.
        let notes = notes.filter(|note| note.extension().is_none());
        let mut notes = notes.filter_map(|note| fs::read_to_string(note).ok());
        notes.any(|note| note.contains("\ncgroup ") || note.contains(&format!("known {pid} ")))
    }

    pub(crate) fn kill(&self, signal: Signal) {
        self.wait_for("pid");
        rustix::process::kill_process(Pid::from_raw(self.group()).unwrap(), signal).unwrap();
    }
}

/// A supervisor that has started `script`, which has written `files`: the same test once more, to be killed.
pub(crate) fn another_supervisor(
    test: &str,
    script: &str,
    words: &str,
    files: &[&str],
) -> (Room, Child) {
    if std::env::var_os(AGAIN).is_some() {
        let room = Room::at(PathBuf::from(std::env::var_os("ROOM").unwrap()), None);
        let mut process = room.process(script, words);
        process.start(&seconds(10)).unwrap();
        for file in files {
            room.wait_for(file);
        }
        fs::write(room.path("started"), "yes").unwrap();
        // As the supervisor looks after it.
        loop {
            thread::sleep(process.rhythm());
            process.monitor().unwrap();
        }
    }
    let room = Room::new();
    let me = std::env::current_exe().unwrap();
    let words = [me.to_str().unwrap(), "--exact", test];
    let environment = [(AGAIN, "yes"), ("ROOM", room.path.to_str().unwrap())];
    let other = child(&words, &environment);
    room.wait_for("started");
    (room, other)
}

/// A program with all in its group, which is killed when the test is over, however it ends. It is a child of ours
/// as others are, so that it is no orphan where those come to us.
pub(crate) fn child(words: &[&str], environment: &[(&str, &str)]) -> Child {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let command = words.iter().map(|&word| word.to_owned()).collect();
    let environment = environment.iter().map(owned).collect();
    let program = Program { command, environment, ..Program::default() };
    program.spawn(Stdio::null(), Stdio::inherit()).unwrap()
}

pub(crate) fn members(group: i32) -> Vec<String> {
    let processes = procfs::take().unwrap().into_iter();
    processes
        .filter(|entry| entry.group == group && entry.alive())
        .map(|entry| entry.to_string())
        .collect()
}

pub(crate) fn alive(pid: i32) -> bool {
    procfs::ProcessEntry::of(pid).is_some_and(|entry| entry.alive())
}

pub(crate) fn seconds(seconds: u64) -> Deadline {
    Deadline::new(Duration::from_secs(seconds))
}

pub(crate) fn until(done: impl Fn() -> bool, what: &str) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} did not come");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Set where a test runs once more in a process of its own.
pub(crate) const AGAIN: &str = "TWOBOX_TEST_AGAIN";
