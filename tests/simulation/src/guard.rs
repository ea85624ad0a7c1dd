//! What the guard of a supervisor that died does: it says on what was said last, and stops everything if nobody comes.
//!
//! It watches whether another supervisor has started, hears nobody, and starts nothing.

use firmware_agnostic::heartbeat::Heartbeat;
use firmware_agnostic::identity::BoxId;

use super::appliance::{Power, Verb};
use super::wire::Mailbox;
use super::{What, World};

/// The guard of one supervisor that died.
#[derive(Debug)]
pub struct Guard {
    /// What its supervisor said last.
    word: Heartbeat,
    /// Its end of the cables.
    pub(super) mailbox: Mailbox,
    /// When it stops everything, in microseconds of the world.
    stops_at: u64,
}

impl World {
    /// The supervisor of `id` is about to die, and leaves its guard alone.
    pub(super) fn leave_to_guard(&mut self, id: BoxId) {
        let (appliance, now) = (&mut self.boxes[id.index()], self.now);
        let restart_time = appliance.settings.restart_time.as_micros() as u64;
        let Some(supervisor) = appliance.supervisor.take() else { return };
        let Some(word) = supervisor.mailbox.last() else { return };
        appliance.guard =
            Some(Guard { word, mailbox: supervisor.mailbox, stops_at: now + restart_time });
    }

    /// The guard of `id` waits for the next word to say.
    pub(super) fn guard_waits(&mut self, id: BoxId, life: u32) {
        let keepalive = self.boxes[id.index()].settings.timing.keepalive().as_micros() as u64;
        self.after(keepalive, What::GuardSpeaks(id, life));
    }

    /// A guard says its next word, unless another supervisor has started, or the box has not run since.
    pub(super) fn guard_speaks(&mut self, id: BoxId, life: u32) {
        let now = self.now;
        let appliance = &mut self.boxes[id.index()];
        let alone = appliance.life == life
            && appliance.supervisor.is_none()
            && appliance.power == Power::On;
        let Some(guard) = appliance.guard.as_mut().filter(|_| alone) else { return };
        let deadtime = appliance.settings.timing.deadtime().as_micros() as u64;
        let word = if now < guard.stops_at {
            guard.word.while_it_restarts()
        } else if appliance.refuses == Some(Verb::Stop) {
            return self.reset(id);
        } else if now < guard.stops_at + deadtime {
            Some(guard.word.farewell())
        } else {
            appliance.guard = None;
            return;
        };
        let clears = now >= guard.stops_at;
        if let Some(word) = word {
            let said = guard.mailbox.write_for_guard(word, now);
            if clears {
                appliance.let_go();
            }
            self.saw("a guard speaks for its supervisor");
            self.carry(id, said.as_slice());
        }
        self.guard_waits(id, life);
    }
}
