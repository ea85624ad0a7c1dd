//! What did an earlier life of the supervisor leave behind? Processes that carry its [mark](super::mark), and that nobody
//! watches.
//!
//! A service outlives its supervisor, and its [`leader`] can be watched on. Whatever else is there when the leader is not
//! to run is [cleared](clear): workers that still hold the port, also those that have left the group that we killed.

use std::io;
use std::time::Duration;

use rustix::process::Signal;

use super::mark::{Mark, Orphanage};
use crate::child::census::Entry;
use crate::patience::Patience;

/// The process that an earlier life has started for the resource called `name`, if it lives.
///
/// It leads its group and is the oldest of all that carry the mark. It leads no session: whoever does has left it. Of two
/// that are equally old nobody can tell which it is, and then it is neither.
pub(super) fn leader(name: &str) -> Option<(Entry, Mark)> {
    let place = Orphanage::visit();
    let mut found: Vec<_> = place.orphans().filter(|(_, mark)| mark.resource == name).collect();
    found.sort_by_key(|(entry, _)| entry.started);
    let oldest = found.first()?.0.started;
    let mut leaders = found.into_iter().filter(|(entry, _)| {
        entry.started == oldest && entry.group == entry.pid && entry.session != entry.pid
    });
    let (entry, mark) = leaders.next()?;
    leaders.next().is_none().then(|| (entry.clone(), mark))
}

/// Kills all remains of the resource called `name`; its child must not run.
///
/// # Errors
///
/// When one of them stays: it hangs in the kernel.
pub(super) fn clear(name: &str) -> io::Result<()> {
    let patience = Patience::new(KILL_TIME);
    let mut pause = Duration::from_millis(1);
    loop {
        let place = Orphanage::visit();
        let found: Vec<_> = place.orphans().filter(|(_, mark)| mark.resource == name).collect();
        if found.is_empty() {
            return Ok(());
        }
        for (remain, _) in &found {
            log::warn!("{name}: {remain} is left of an earlier life: killed");
            remain.signal(Signal::KILL);
        }
        if patience.sleep(pause).is_err() {
            let left: Vec<_> = found.iter().map(|(remain, _)| remain.to_string()).collect();
            let reason =
                format!("killed, and still there: {}: it hangs in the kernel", left.join("; "));
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        pause *= 2;
    }
}

/// As for a child: what is there after two seconds waits for hardware.
const KILL_TIME: Duration = Duration::from_secs(2);
