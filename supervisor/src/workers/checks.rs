//! What this box asks of the world besides its peer: its witnesses, and the gates of its resources.
//!
//! Each check has a thread of its own, so that one that hangs keeps nobody waiting. The loop hears of what has changed,
//! and decides.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use board::check::{Config, Tally};
use board::fence::{self, Topology};
use board::thread::deadline::{CancelToken, Deadline};
use board::thread::spawn;
use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::node::Event;
use smol::channel::Sender;

use crate::input::Input;

/// Checks that are asked again and again, each by a thread of its own. They end with it.
pub(crate) struct CheckWorkers {
    /// What each of them last said.
    answers: Arc<Mutex<Vec<bool>>>,
    token: CancelToken,
}

impl CheckWorkers {
    /// Asks `checks`, and puts `report` before the loop when the answer of one has changed. Until it has answered,
    /// each is taken to have said `presumed`.
    ///
    /// # Errors
    ///
    /// When the threads cannot be had.
    pub(crate) fn over(
        checks: &[Config],
        presumed: bool,
        inputs: &Sender<Input>,
        report: fn() -> Input,
    ) -> io::Result<Self> {
        let watch = Self {
            answers: Arc::new(Mutex::new(vec![presumed; checks.len()])),
            token: CancelToken::new()?,
        };
        for (place, config) in checks.iter().enumerate() {
            let (config, inputs) = (config.clone(), inputs.clone());
            let (answers, token) = (watch.answers.clone(), watch.token.clone());
            spawn::spawn("check", config.rights(), move || {
                let told = |good| {
                    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                    answers.get_mut(place).into_iter().for_each(|answer| *answer = good);
                    drop(answers);
                    // What all of them say is looked up when the loop comes to it.
                    inputs.send_blocking(report()).is_ok()
                };
                ask_for_ever(&config, presumed, &token, told);
            })?;
        }
        Ok(watch)
    }

    /// Whether one of them answers; nobody has to where there is none.
    pub(crate) fn any(&self) -> bool {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.is_empty() || answers.contains(&true)
    }

    /// Whether all of them answer.
    pub(crate) fn all(&self) -> bool {
        !self.answers.lock().unwrap_or_else(PoisonError::into_inner).contains(&false)
    }
}

impl Drop for CheckWorkers {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// Asks this box's own fence devices whether its power was cut by an order before it booted.
///
/// # Errors
///
/// When the thread cannot be had.
pub(crate) fn ask_how_it_ended(
    own: &[fence::Config],
    system: Fingerprint,
    inputs: &Sender<Input>,
) -> io::Result<()> {
    let (mut ladder, inputs) = (Topology::open(own), inputs.clone());
    if system != Fingerprint::default() {
        // The BMC of another box knows nothing of this one.
        ladder.expect(Some(system));
    }
    let rights = own.iter().map(fence::Config::rights).collect();
    spawn::spawn("past", rights, move || {
        // A BMC that was without power with its box takes a minute to come up.
        for _ in 0..TRIES {
            if let Some(loss) = ladder.last_loss(&Deadline::new(ladder.timeout())) {
                let _ = inputs.send_blocking(Input::Event(Event::LastLoss(loss)));
                return;
            }
            thread::sleep(PAUSE);
        }
        log::warn!(
            "fencing.at_boot: no device of this box tells how its power was lost: it may have been shot"
        );
    })
}

/// Asks, and tells what has changed, until the token is cancelled or nobody listens.
fn ask_for_ever(
    config: &Config,
    mut known: bool,
    token: &CancelToken,
    told: impl Fn(bool) -> bool,
) {
    let (mut check, mut tally) = (config.open(), Tally::new(config.threshold));
    loop {
        let asked = check.ask(&Deadline::with_cord(config.timeout, token));
        if asked.as_ref().is_err_and(called_off) {
            return;
        }
        let bearable = tally.count(asked.is_ok());
        let good = asked.is_ok() || known && bearable;
        if let Err(error) = &asked
            && known
            && !good
        {
            log::warn!("check: {error}");
        }
        if good != known && !told(good) {
            return;
        }
        known = good;
        let slept = Deadline::with_cord(config.every, token).readable(&[]);
        if slept.as_ref().is_err_and(called_off) {
            return;
        }
    }
}

fn called_off(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use board::config::table::Source;
    use smol::channel::unbounded;

    use super::*;

    #[test]
    fn what_is_presumed_holds_until_there_is_an_answer() {
        let (inputs, told) = unbounded();
        for (program, presumed, then) in
            [("/bin/true", false, true), ("/bin/false", true, false), ("/bin/false", false, false)]
        {
            let watch =
                CheckWorkers::over(&[check(program)], presumed, &inputs, || Input::Gate).unwrap();
            assert_eq!((watch.all(), watch.any()), (presumed, presumed));
            if presumed != then {
                assert!(matches!(told.recv_blocking(), Ok(Input::Gate)));
            }
            assert_eq!((watch.all(), watch.any()), (then, then), "{program}");
        }
        let none = CheckWorkers::over(&[], false, &inputs, || Input::Gate).unwrap();
        assert!(none.all() && none.any(), "nobody has to answer where there is none");
    }

    #[test]
    fn a_thread_ends_with_its_watch() {
        let (inputs, told) = unbounded();
        let sleeper = check("/bin/sleep\", \"60");
        drop(
            CheckWorkers::over(&[sleeper, check("/bin/true")], true, &inputs, || Input::Gate)
                .unwrap(),
        );
        drop(inputs);
        // The threads were the last to hold it.
        assert!(told.recv_blocking().is_err());
    }

    fn check(command: &str) -> Config {
        let text = format!(
            "kind = \"command\"\ncommand = [\"{command}\"]\nevery = \"1h\"\ntimeout = \"60s\"\nthreshold = 1\n"
        );
        Config::read(&mut Source::new(&text).parse()).unwrap()
    }
}
