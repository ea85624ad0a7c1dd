//! Checks the promises. Each has a name, and is judged by what really runs and by what was really seen.

use firmware_agnostic::heartbeat::{Epoch, Heartbeat, PeerRequest, Role};
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::node::{Action, Answer, Event, Node};
use firmware_agnostic::order::Order;
use firmware_agnostic::time::Timer;

use super::pair::{NOW, Pair};

impl Pair {
    /// Looks at what a box does about `event`; `before` is the epoch in which it met it.
    pub(crate) fn check(&mut self, id: BoxId, before: Epoch, event: Event, action: Action) {
        let Some(node) = self.node(id) else { return };
        let broken = match action {
            Action::Start(_) if self.at(id.other()).holds => Some("one holder"),
            Action::Start(_) if !is_evidence(event) && !released(node, before) => {
                Some("silence is not evidence")
            }
            Action::Fence(_) | Action::Cut(_) if !self.at(id).heard => Some("no death-match"),
            Action::Fence(_) | Action::Cut(_)
                if node.peer().heartbeat(NOW).is_some_and(is_harmless) =>
            {
                Some("no shot at a peer that talks")
            }
            Action::Fence(_) if node.timer(Timer::Relisten).is_some_and(|until| until > NOW) => {
                Some("a box that was late listens first")
            }
            Action::Leave if self.at(id).holds => Some("no false word"),
            _ => None,
        };
        self.broken = self.broken.or(broken);
    }

    /// Looks at a box that has done everything.
    pub(crate) fn check_box(&mut self, id: BoxId) {
        let Some(node) = self.node(id) else { return };
        let free = matches!(node.role(), Role::Standby | Role::Fencing | Role::Failed);
        let broken = if free && self.at(id).holds {
            Some("no false word")
        } else if node.next_deadline() <= NOW {
            Some("no hot loop")
        } else {
            None
        };
        self.broken = self.broken.or(broken);
    }
}

/// Power that was seen off, or a person's word.
const fn is_evidence(event: Event) -> bool {
    matches!(
        event,
        Event::Answer(_, Answer::PowerOff(_) | Answer::Fenced(_)) | Event::Order(Order::Confirm(_))
    )
}

/// Whether the peer has said that it holds nothing, and knew what this box is.
fn released(node: &Node, epoch: Epoch) -> bool {
    node.peer().last_heartbeat().is_some_and(|word| {
        let free = matches!(word.role, Role::Standby | Role::Failed);
        free && (word.echoes(epoch) || word.request == PeerRequest::Leave)
    })
}

fn is_harmless(word: &Heartbeat) -> bool {
    word.request != PeerRequest::Fence
}
