//! The figures in a file, for a collector that reads files.
//!
//! A thread asks the loop for them as a client of the control socket does, and writes them: a disk that is slow makes
//! old figures, and nothing else. Whoever reads finds a whole page (`rename(2)`).

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};

use board::beside::replace;
use board::rights::Rights;
use board::threads;

use smol::channel::{Sender, bounded};

use crate::config::Metrics;
use crate::history::FOR_ALL;
use crate::request::{Form, Request};
use crate::run::Input;

/// Keeps the figures coming. They end with it.
pub(crate) struct Published {
    _alive: Option<mpsc::Sender<()>>,
}

/// Writes the figures, again and again, where `config` wants them.
///
/// # Errors
///
/// When there can be no thread.
pub(crate) fn publish(config: Option<Metrics>, inputs: &Sender<Input>) -> io::Result<Published> {
    let Some(config) = config else { return Ok(Published { _alive: None }) };
    let inputs = inputs.clone();
    let (alive, wanted) = mpsc::channel();
    threads::spawn("metrics", Rights::FILES, move || {
        let mut failed = false;
        while let Some(page) = ask(&inputs) {
            let written = replace(&config.file, FOR_ALL, page.as_bytes());
            if let Err(error) = &written
                && !failed
            {
                log::warn!("metrics {}: {error}", config.file.display());
            }
            failed = written.is_err();
            if wanted.recv_timeout(config.every) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    })?;
    Ok(Published { _alive: Some(alive) })
}

/// The page, as long as the loop runs.
fn ask(inputs: &Sender<Input>) -> Option<String> {
    let (reply, answer) = bounded(1);
    inputs.send_blocking(Input::Request(Request::Status(Form::Metrics), reply)).ok()?;
    let said = answer.recv_blocking().ok()?;
    said.split_once('\n').map(|(_, page)| page.to_owned())
}
