//! The one loop: an event comes in, the node decides, the board acts.
//!
//! It is the only writer of the [`Node`]. Each part that has something to tell it (a link, the resources, the fence
//! devices, an operator) puts an [`Input`] into one bounded channel; the loop never waits for anybody.

use std::ops::ControlFlow;

use board::time::alarm::Alarm;
use board::time::clock::Clock;
use firmware_agnostic::node::{Actions, Event, Node};
use firmware_agnostic::time::Instant;
use smol::channel::Receiver;
use smol::future::or;

use crate::effects::Effects;
use crate::input::{Input, NodeInput};

/// Runs this box's side of the pair until it has left.
pub(crate) async fn run(
    mut node: Node,
    inputs: Receiver<Input>,
    mut alarm: Alarm,
    mut effects: Effects,
) {
    loop {
        let input = or(received(&inputs), rings(&mut alarm, node.next_deadline())).await;
        let now = Clock.now();
        let happened = effects.dispatch(input, &node, now);
        let heard = happened.is_some();
        let actions = match happened {
            None => Actions::new(),
            Some(NodeInput::Event(event)) => {
                log::trace!("{} {event:?}", now.as_micros());
                effects.latency.begin(&node, &event, now);
                let actions = node.step(event, now);
                effects.note(&node, Some(&event), now);
                actions
            }
            Some(NodeInput::Reloaded(reloaded)) => {
                let actions = node.reload(*reloaded, now);
                effects.note(&node, None, now);
                actions
            }
        };
        actions.into_iter().for_each(|action| effects.order(action));
        if effects.work() == ControlFlow::Break(()) {
            effects.events.end();
            return;
        }
        if heard {
            effects.latency.end(now);
        }
    }
}

impl Effects {
    /// Makes of an input what the node is to know of it, if anything.
    fn dispatch(&mut self, input: Input, node: &Node, now: Instant) -> Option<NodeInput> {
        let event = match input {
            Input::Event(event) => event,
            // One that is no resource any more cannot have failed.
            Input::ResourceFailed(name) => Event::ResourceFailed(self.names.resource(&name)?),
            Input::Startable(name, can) => Event::Startable(self.names.resource(&name)?, can),
            Input::Recorded(number) => {
                self.queue.recorded(number);
                return None;
            }
            Input::RecordOverdue(number) => {
                if self.queue.overdue(number) {
                    log::warn!("journal: the disk takes long: going on before it has written");
                }
                return None;
            }
            Input::Witness => Event::Witness(self.witnesses.any()),
            Input::Gate => Event::Gate { closed: !self.gates.all() },
            Input::Reload(candidate, wish, reply) => {
                let outcome = self.reload_or_try(*candidate, wish, node, now);
                return Self::tell_outcome(outcome, &reply).map(NodeInput::Reloaded);
            }
            Input::Trial(trying, reply) => {
                self.trying(&trying, &reply, now);
                return None;
            }
            Input::TrialOver => return self.end_trial(node, now).map(NodeInput::Reloaded),
            Input::Request(request, reply) => self.answer(request, reply, node, now)?,
        };
        Some(NodeInput::Event(event))
    }

    /// Tells init how this box is doing, and keeps what has happened.
    fn note(&mut self, node: &Node, event: Option<&Event>, now: Instant) {
        self.events.note(node, event, now);
        self.ready.note(node, now, &self.names);
        self.note_trial(node);
        if let Some(pending) = self.pending.take() {
            let surroundings = self.status(node, now).surroundings();
            self.pending = Some(pending.noted(node, surroundings));
        }
        self.fencing.expect(
            node.peer().last_heartbeat().map(|heartbeat| heartbeat.system).unwrap_or_default(),
        );
    }
}

async fn received(inputs: &Receiver<Input>) -> Input {
    inputs.recv().await.expect("the effects hold a sender for as long as the loop runs")
}

async fn rings(alarm: &mut Alarm, at: Instant) -> Input {
    alarm.rings(at).await.expect("a timer that was made can be set");
    Input::Event(Event::Timeout)
}
