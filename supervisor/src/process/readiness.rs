//! Tells init that this box is ready, and how it is doing.
//!
//! By the notify socket of systemd and its like (`sd_notify(3)`), and by a file for those that have none. Ready means:
//! what an earlier life left behind is gone, and the links are listened to.

use std::path::{Path, PathBuf};

use board::disk::safe_file::SafeFile;
use board::host::notify::InitSocket;
use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::node::Node;
use firmware_agnostic::time::{Instant, Timer};

use crate::observe::names::NameTable;

/// What init was last told.
pub(crate) struct InitNotifier {
    socket: Option<InitSocket>,
    file: Option<PathBuf>,
    told: bool,
    role: Option<Role>,
}

impl InitNotifier {
    /// Looks for somebody to tell.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        if let Some(file) = &file {
            // Left by an earlier life; it may just as well not be there.
            remove(file);
        }
        Self { socket: InitSocket::of_init(), file, told: false, role: None }
    }

    /// Tells what has changed.
    pub(crate) fn note(&mut self, node: &Node, now: Instant, labels: &NameTable) {
        let listens = node.role() != Role::Init || node.timer(Timer::Initdead).is_some();
        if listens && !self.told {
            self.told = true;
            self.tell("READY=1");
            self.write();
        }
        if self.role != Some(node.role()) {
            self.role = Some(node.role());
            let peer = labels.lend().peer();
            let heard = if node.peer().heartbeat(now).is_some() { "heard" } else { "not heard" };
            self.tell(&format!("STATUS={}, {peer} is {heard}", node.role()));
        }
    }

    /// Has the file at another place from now on.
    pub(crate) fn reload(&mut self, file: Option<PathBuf>) {
        let before = std::mem::replace(&mut self.file, file);
        if before == self.file {
            return;
        }
        if let Some(before) = before {
            // As when the supervisor ends.
            remove(&before);
        }
        if self.told {
            self.write();
        }
    }

    fn write(&self) {
        if let Some(file) = &self.file
            && let Err(error) = SafeFile::own(file).and_then(|it| it.replace(0o600, b""))
        {
            log::warn!("cannot write the ready file {}: {error}", file.display());
        }
    }

    fn tell(&self, text: &str) {
        if let Some(socket) = &self.socket {
            socket.tell(text);
        }
    }
}

impl Drop for InitNotifier {
    fn drop(&mut self) {
        self.tell("STOPPING=1");
        if let Some(file) = &self.file {
            remove(file);
        }
    }
}

fn remove(file: &Path) {
    let _ = SafeFile::own(file).and_then(|file| file.remove());
}
