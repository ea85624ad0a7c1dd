//! Tells a box what it sees besides heartbeats: the lines of its cables, its witness, and what its BMC knows of its
//! last loss of power.

use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::node::Event;

use super::World;
use super::fault_model::Mishap;

impl World {
    /// The line or carrier of one cable comes or goes, as `id` sees it.
    pub fn line(&mut self, id: BoxId, link: LinkId, up: bool) {
        let state = if up { "up" } else { "down" };
        self.note(
            id,
            format_args!("* its line of {} is {state}", super::trace::link(link.index())),
        );
        self.sense(id, Event::Line(link, up));
    }

    /// The witness of a box answers, or does not.
    pub fn witness(&mut self, id: BoxId, answers: bool) {
        if self.boxes[id.index()].witness != answers {
            self.boxes[id.index()].witness = answers;
            let state = if answers { "answers" } else { "is silent" };
            self.note(id, format_args!("* its witness {state}"));
            self.sense(id, Event::Witness(answers));
        }
    }

    /// A device tells a box that the power of the other one is off, be it so or not.
    pub fn see_off(&mut self, id: BoxId) {
        self.note(id, format_args!("* its fence device says off"));
        let at = self.boxes[id.index()].local(self.now);
        self.sense(id, Event::SeenOff(at));
    }

    /// What a supervisor learns soon after its start.
    pub(super) fn look_around(&mut self, id: BoxId) {
        let appliance = &self.boxes[id.index()];
        let (witness, loss) = (appliance.witness, appliance.last_loss);
        if !witness {
            self.sense(id, Event::Witness(false));
        }
        // Where the BMC cannot be asked, it is not known.
        if !self.suffers(Mishap::Unreachable) {
            self.sense(id, Event::LastLoss(loss));
        }
    }

    fn sense(&mut self, id: BoxId, event: Event) {
        let life = self.boxes[id.index()].life;
        self.deliver(id, life, event);
    }
}
