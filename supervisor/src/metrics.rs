//! The figures in a file, for a collector that reads files.
//!
//! A thread asks the loop for them as a client of the control socket does, and writes them: a disk that is slow makes
//! old figures, and nothing else. Whoever reads finds a whole page (`rename(2)`).

use std::io;
use std::thread;

use board::threads;

use smol::channel::{Sender, bounded};

use crate::config::Metrics;
use crate::history::replace;
use crate::request::{Form, Request};
use crate::run::Input;

/// Writes the figures, again and again, where `config` wants them.
///
/// # Errors
///
/// When there can be no thread.
pub(crate) fn publish(config: Option<Metrics>, inputs: &Sender<Input>) -> io::Result<()> {
    let Some(config) = config else { return Ok(()) };
    let inputs = inputs.clone();
    threads::spawn("metrics", move || {
        let mut failed = false;
        while let Some(page) = ask(&inputs) {
            let written = replace(&config.file, page.as_bytes());
            if let Err(error) = &written
                && !failed
            {
                log::warn!("metrics {}: {error}", config.file.display());
            }
            failed = written.is_err();
            thread::sleep(config.every);
        }
    })
}

/// The page, as long as the loop runs.
fn ask(inputs: &Sender<Input>) -> Option<String> {
    let (reply, answer) = bounded(1);
    inputs.send_blocking(Input::Request(Request::Status(Form::Metrics), reply)).ok()?;
    let said = answer.recv_blocking().ok()?;
    said.split_once('\n').map(|(_, page)| page.to_owned())
}
