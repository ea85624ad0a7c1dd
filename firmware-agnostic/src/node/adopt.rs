//! Lets the services of the last life run on.
//!
//! When a supervisor dies, its services do not. The next life finds in the journal that this box was active, and
//! asks whether everything that belongs there is still there and well ([`Action::Adopt`]). If so it is active at
//! once, with the term of before, and nobody outside has noticed anything.
//!
//! That is safe because nothing was ever released. A peer that has taken over meanwhile has either seen the power
//! of this box off, and then nothing is left to be adopted; or it was told so by a person who was wrong. Then its
//! term is higher, and this box lets go as soon as it hears that.
//!
//! What is not there as a whole is stopped, as after any other birth.

use crate::heartbeat::{PeerRequest, Role};
use crate::journal::{Journal, StandingOrder};
use crate::node::{Action, Actions, Answer, Node, act};
use crate::report::Cause;
use crate::time::Instant;

impl Journal {
    /// Whether the services may run on that this life has left.
    pub(super) fn left_services(&self) -> bool {
        let free = |order: StandingOrder| {
            matches!(order.request, PeerRequest::Maintenance | PeerRequest::Claim)
        };
        let free = self.order.is_none_or(free);
        matches!(self.role, Role::Active) && !self.clean && free
    }
}

impl Node {
    /// Asks whether the services of the last life run on.
    pub(super) fn ask_to_adopt(&mut self, actions: &mut Actions) {
        if self.asked.is_none() {
            self.asked = Some(self.change);
            act(actions, Action::Adopt(self.change));
        }
    }

    pub(super) fn on_adopted(&mut self, answer: Answer, now: Instant, actions: &mut Actions) {
        self.adopts = false;
        // Somebody may have told this box to leave before it knew what it has.
        let free = matches!(
            self.request(),
            PeerRequest::Nothing | PeerRequest::Maintenance | PeerRequest::Claim
        );
        if answer == Answer::Adopted && free {
            self.clean = true;
            self.enter(Role::Active, Cause::Adopted, now, actions);
            return;
        }
        // What answers late does not answer the next question.
        self.change += 1;
    }
}
