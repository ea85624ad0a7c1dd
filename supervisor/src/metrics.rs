//! The figures in a file, for a collector that reads files.
//!
//! A thread asks the loop for them as a client of the control socket does, and writes them: a disk that is slow makes
//! old figures, and nothing else. Whoever reads finds a whole page (`rename(2)`).

use std::io;
use std::thread;

use board::rights::Rights;
use smol::channel::{Sender, bounded};

use crate::config::Metrics;
use crate::history::{FOR_ALL, replace};
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
    let thread = thread::Builder::new().name("metrics".to_owned()).stack_size(STACK);
    thread.spawn(move || {
        Rights::NONE.settle();
        let mut failed = false;
        while let Some(page) = ask(&inputs) {
            let written = replace(&config.file, FOR_ALL, page.as_bytes());
            if let Err(error) = &written
                && !failed
            {
                log::warn!("metrics {}: {error}", config.file.display());
            }
            failed = written.is_err();
            thread::sleep(config.every);
        }
    })?;
    Ok(())
}

/// The page, as long as the loop runs.
fn ask(inputs: &Sender<Input>) -> Option<String> {
    let (reply, answer) = bounded(1);
    inputs.send_blocking(Input::Request(Request::Status(Form::Metrics), reply)).ok()?;
    let said = answer.recv_blocking().ok()?;
    said.split_once('\n').map(|(_, page)| page.to_owned())
}

/// As for the resources' thread.
const STACK: usize = 256 * 1024;
