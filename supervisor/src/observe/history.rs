//! What has happened to this box, kept over reboots: every change of role, every shot and drill, and every reload.
//!
//! The loop hands a record over and goes on; a thread of its own writes it ([`file`]), because a disk may take its
//! time, or be stuck. What finds no room in the queue is lost, counted and said. The black box goes the same way.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use board::disk::safe_file::SafeFile;
use board::thread::capabilities::Rights;
use board::thread::spawn;

use crate::config::HistoryConfig;
use crate::observe::record::Record;
use crate::observe::write_status::WriteStatus;

mod anchor;
mod both;
mod file;
mod order;
mod show;

pub(crate) use anchor::{Anchor, ahead};
pub(crate) use both::{both, last};
pub(crate) use file::FOR_ALL;
pub(crate) use show::{View, show};

/// The other end of the thread that writes.
pub(crate) struct History {
    jobs: SyncSender<Job>,
    lost: usize,
    written: WriteStatus,
}

enum Job {
    Add(String),
    Dump(PathBuf, String),
    Flush(SyncSender<()>),
}

impl History {
    /// Starts the thread that writes to the file of `config`.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub(crate) fn open(config: &HistoryConfig) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let ring = file::Ring::new(&config.file, config.size.into());
        let written = WriteStatus::default();
        let noted = written.clone();
        spawn::spawn("history", Rights::NONE, move || work(ring, &queue, &noted))?;
        Ok(Self { jobs, lost: 0, written })
    }

    /// Why the last record is not in the file, if it is not.
    pub(crate) fn failure(&self) -> Option<String> {
        self.written.failure()
    }

    /// Writes this down, soon.
    pub(crate) fn add(&mut self, record: &Record) {
        self.give(Job::Add(record.line()));
    }

    /// Writes the file at `path` anew, soon.
    pub(crate) fn dump(&mut self, path: &Path, text: String) {
        self.give(Job::Dump(path.to_owned(), text));
    }

    /// Waits, for a moment at most, until everything is written.
    pub(crate) fn flush(&mut self) {
        let (written, wait) = sync_channel(1);
        if self.jobs.try_send(Job::Flush(written)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_MAX);
        }
    }

    fn give(&mut self, job: Job) {
        if self.jobs.try_send(job).is_ok() {
            self.lost = 0;
        } else {
            if self.lost == 0 {
                log::error!("history: the disk is too slow: what happens is not kept");
            }
            self.lost += 1;
        }
    }
}

fn work(mut ring: file::Ring, jobs: &Receiver<Job>, written: &WriteStatus) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Add(line) => written.note(ring.add(line).err().map(|error| error.to_string())),
            Job::Dump(path, text) => {
                let file = SafeFile::own(&path);
                if let Err(error) = file.and_then(|it| it.replace(0o600, text.as_bytes())) {
                    log::warn!("black box {}: {error}", path.display());
                }
            }
            Job::Flush(written) => drop(written.try_send(())),
        }
    }
}

/// More than the worst minute has.
const JOBS_MAX: usize = 256;
/// As for the log: what waits for this is a box that is about to reset itself.
const FLUSH_MAX: Duration = Duration::from_millis(200);
