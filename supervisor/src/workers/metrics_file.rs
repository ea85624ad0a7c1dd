//! The figures in a file, for a collector that reads files.
//!
//! A thread asks the loop for them as a client of the control socket does, and writes them: a disk that is slow makes
//! old figures, and nothing else. A reader finds a whole page (`rename(2)`).

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};

use board::disk::safe_file::{SafeFile, remedy};
use board::thread::capabilities::Rights;
use board::thread::spawn;

use smol::channel::{Sender, bounded};

use crate::config::Metrics;
use crate::control::request::{Request, StatusForm};
use crate::input::Input;
use crate::observe::history::FOR_ALL;
use crate::observe::write_status::WriteStatus;

/// Keeps the figures coming. They end with it.
#[derive(Default)]
pub(crate) struct Published {
    written: WriteStatus,
    _alive: Option<mpsc::Sender<()>>,
}

impl Published {
    /// Why the last figures are not in the file, if they are not.
    pub(crate) fn failure(&self) -> Option<String> {
        self.written.failure()
    }
}

/// Writes the figures, again and again, where `config` wants them.
///
/// # Errors
///
/// When there can be no thread.
pub(crate) fn publish(config: Option<Metrics>, inputs: &Sender<Input>) -> io::Result<Published> {
    let Some(config) = config else { return Ok(Published::default()) };
    let inputs = inputs.clone();
    let (alive, wanted) = mpsc::channel();
    let written = WriteStatus::default();
    let published = Published { written: written.clone(), _alive: Some(alive) };
    spawn::spawn("metrics", Rights::FILES, move || {
        while let Some(page) = ask(&inputs) {
            let path = config.file.display();
            let file = SafeFile::own(&config.file);
            let failure = file.and_then(|it| it.replace(FOR_ALL, page.as_bytes())).err();
            match (&failure, written.failure()) {
                (Some(error), None) => {
                    let remedy = remedy(error, "metrics");
                    log::warn!("metrics {path}: {error}: the figures are old{remedy}");
                }
                (None, Some(_)) => log::info!("metrics {path}: written again"),
                _ => {}
            }
            written.note(failure.map(|error| error.to_string()));
            if wanted.recv_timeout(config.every) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    })?;
    Ok(published)
}

/// The page, as long as the loop runs.
fn ask(inputs: &Sender<Input>) -> Option<String> {
    let (reply, answer) = bounded(1);
    inputs.send_blocking(Input::Request(Request::Status(StatusForm::Metrics), reply)).ok()?;
    let said = answer.recv_blocking().ok()?;
    said.split_once('\n').map(|(_, page)| page.to_owned())
}
