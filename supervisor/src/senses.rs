//! What this box asks of the world besides its peer: its witnesses, and the gates of its resources.
//!
//! Each check has a thread of its own, so that one that hangs keeps nobody waiting. The loop hears of what has changed,
//! and decides.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use board::check::{Config, Tally};
use board::fence::{self, Ladder};
use board::patience::Patience;
use board::rights::Rights;
use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::node::Event;
use smol::channel::Sender;

use crate::run::Input;

/// Asks whether one of `witnesses` answers, for ever.
///
/// # Errors
///
/// When the threads cannot be had.
pub(crate) fn watch_witnesses(witnesses: &[Config], inputs: &Sender<Input>) -> io::Result<()> {
    watch(witnesses, inputs, |answers| Event::Witness(answers.contains(&true)))
}

/// Asks whether every one of `gates` is open, for ever.
///
/// # Errors
///
/// When the threads cannot be had.
pub(crate) fn watch_gates(gates: &[Config], inputs: &Sender<Input>) -> io::Result<()> {
    watch(gates, inputs, |answers| Event::Gate { closed: answers.contains(&false) })
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
    let (mut ladder, inputs) = (Ladder::open(own), inputs.clone());
    if system != Fingerprint::default() {
        // The BMC of another box knows nothing of this one.
        ladder.expect(Some(system));
    }
    let rights: Rights = own.iter().map(fence::Config::rights).collect();
    thread::Builder::new().name("past".to_owned()).stack_size(STACK).spawn(move || {
        rights.settle();
        // A BMC that was without power with its box takes a minute to come up.
        for _ in 0..TRIES {
            if let Some(cut) = ladder.was_cut(&Patience::new(ladder.timeout())) {
                let _ = inputs.send_blocking(Input::Event(Event::WasShot(cut)));
                return;
            }
            thread::sleep(PAUSE);
        }
        log::warn!(
            "fencing.at_boot: no device of this box knows whether it was shot: it is taken for shot"
        );
    })?;
    Ok(())
}

fn watch(
    configs: &[Config],
    inputs: &Sender<Input>,
    judge: fn(&[bool]) -> Event,
) -> io::Result<()> {
    let answers = Arc::new(Mutex::new(vec![true; configs.len()]));
    for (place, config) in configs.iter().enumerate() {
        let (config, answers, inputs) = (config.clone(), answers.clone(), inputs.clone());
        thread::Builder::new().name("check".to_owned()).stack_size(STACK).spawn(move || {
            let told = |good| {
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(answer) = answers.get_mut(place) {
                    *answer = good;
                }
                // Under the lock, so that the last event tells of the last answer.
                inputs.send_blocking(Input::Event(judge(&answers))).is_ok()
            };
            config.rights().settle();
            ask_for_ever(&config, told);
        })?;
    }
    Ok(())
}

/// Asks, and tells what has changed, until nobody listens.
fn ask_for_ever(config: &Config, told: impl Fn(bool) -> bool) {
    let (mut check, mut tally) = (config.open(), Tally::new(config.threshold));
    let mut known = true;
    loop {
        let asked = check.ask(&Patience::new(config.timeout));
        let good = tally.count(asked.is_ok());
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
        thread::sleep(config.every);
    }
}

const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(4);
/// As for the resources' thread.
const STACK: usize = 256 * 1024;
