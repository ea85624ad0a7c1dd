//! Writes the journal on a thread of its own, and holds back what rests on a record until that is on the disk.
//!
//! A word that says a new role, a start and a shot follow their record: a power cut after them finds the record. A disk
//! that takes too long is not waited for, or the peer would take this box for dead; that is told.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use board::disk::journal::Store;
use board::thread::capabilities::Rights;
use board::thread::spawn;
use firmware_agnostic::journal::Journal;
use firmware_agnostic::node::{Action, Tag};
use smol::channel::Sender;

use crate::input::Input;
use crate::observe::write_status::WriteStatus;

/// The other end of the journal's thread.
pub(crate) struct JournalWorker {
    jobs: mpsc::Sender<(u32, Journal)>,
    written: WriteStatus,
}

impl JournalWorker {
    /// Starts the thread that writes into `store`.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub(crate) fn open(store: Store, inputs: Sender<Input>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let written = WriteStatus::default();
        let noted = written.clone();
        spawn::spawn("journal", Rights::NONE, move || work(store, &queue, &inputs, &noted))?;
        Ok(Self { jobs, written })
    }

    /// Writes `journal`, and then tells [`Input::Recorded`] with `number`.
    pub(crate) fn write(&self, number: u32, journal: Journal) {
        // The thread lives as long as this does.
        let _ = self.jobs.send((number, journal));
    }

    /// Why the newest entry is not on the disk, if it is not.
    pub(crate) fn failure(&self) -> Option<String> {
        self.written.failure()
    }
}

fn work(
    mut store: Store,
    queue: &mpsc::Receiver<(u32, Journal)>,
    inputs: &Sender<Input>,
    written: &WriteStatus,
) {
    let mut pause = AGAIN;
    loop {
        let owes = store.failure().is_some();
        match queue.recv_timeout(if owes { pause } else { IDLE }) {
            Ok((number, journal)) => {
                store.write(&journal);
                pause = AGAIN;
                // The loop has ended only when the box leaves, and then nobody listens.
                let _ = inputs.send_blocking(Input::Recorded(number));
            }
            Err(RecvTimeoutError::Timeout) => {
                store.try_again();
                // Each try may cost lines of the kernel's log.
                pause = if owes { (pause * 2).min(AGAIN_MAX) } else { AGAIN };
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        written.note(store.failure().map(str::to_owned));
    }
}

/// Actions in the order of the node, of which some wait for a record.
#[derive(Default)]
pub(crate) struct ActionQueue {
    actions: VecDeque<Action>,
    /// The record that is being written.
    writing: Option<u32>,
    records: u32,
    /// The last record came too late.
    late: bool,
}

impl ActionQueue {
    /// Adds what the node has ordered.
    pub(crate) fn add(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// The next action that may be done now. What is told to people waits for nothing.
    pub(crate) fn next(&mut self) -> Option<Action> {
        if self.writing.is_none() {
            return self.actions.pop_front();
        }
        let told = |action: &Action| matches!(action, Action::Tell(_) | Action::Reply(_));
        let place = self.actions.iter().position(told)?;
        self.actions.remove(place)
    }

    /// A record is being written: names it.
    pub(crate) const fn begin(&mut self) -> u32 {
        self.records = self.records.wrapping_add(1);
        self.writing = Some(self.records);
        self.records
    }

    /// The record `number` is on the disk.
    pub(crate) fn recorded(&mut self, number: u32) {
        if self.end(number) {
            self.late = false;
        }
    }

    /// The record `number` has had its time: nothing waits for it any more. Tells whether it is the first that is late.
    pub(crate) fn overdue(&mut self, number: u32) -> bool {
        self.end(number) && !std::mem::replace(&mut self.late, true)
    }

    fn end(&mut self, number: u32) -> bool {
        self.writing.take_if(|writing| *writing == number).is_some()
    }

    /// Takes the shot `tag` out, and tells whether it had not begun.
    pub(crate) fn call_off(&mut self, tag: Tag) -> bool {
        self.actions.retain(|action| *action != Action::Cut(tag));
        let others = self.actions.len();
        self.actions.retain(|action| *action != Action::Fence(tag));
        self.actions.len() < others
    }
}

/// The first pause before what could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest one: a disk that comes back is used within a minute.
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// So soon it is seen that somebody has removed the journal.
const IDLE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use firmware_agnostic::order::Refusal;

    use super::*;

    #[test]
    fn what_rests_on_a_record_waits_for_it_and_a_reply_does_not() {
        let mut queue = ActionQueue::default();
        let reply = Action::Reply(Err(Refusal::Busy));
        let number = queue.begin();
        for action in [Action::Fence(7), reply, Action::Cut(7), Action::Announce] {
            queue.add(action);
        }
        assert_eq!(queue.next(), Some(reply));
        assert_eq!(queue.next(), None);
        queue.recorded(number + 1);
        assert_eq!(queue.next(), None);
        queue.recorded(number);
        assert_eq!(queue.next(), Some(Action::Fence(7)));
    }

    #[test]
    fn a_slow_disk_is_told_of_once_until_it_is_quick_again() {
        let mut queue = ActionQueue::default();
        let mut late = || {
            let number = queue.begin();
            queue.overdue(number) && !queue.overdue(number)
        };
        assert!(late() && !late());
        let number = queue.begin();
        queue.recorded(number);
        let number = queue.begin();
        assert!(queue.overdue(number));
    }

    #[test]
    fn a_shot_that_has_not_begun_is_called_off_at_once() {
        let mut queue = ActionQueue::default();
        queue.begin();
        for action in [Action::Fence(1), Action::Fence(2), Action::Cut(2)] {
            queue.add(action);
        }
        assert!(queue.call_off(2));
        assert!(!queue.call_off(2), "it has begun, or was never ordered");
        assert!(queue.call_off(1));
    }
}
