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
                effects.pace.begin(&node, &event, now);
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
            effects.pace.end(now);
        }
    }
}

async fn received(inputs: &Receiver<Input>) -> Input {
    inputs.recv().await.expect("the effects hold a sender for as long as the loop runs")
}

async fn rings(alarm: &mut Alarm, at: Instant) -> Input {
    alarm.rings(at).await.expect("a timer that was made can be set");
    Input::Event(Event::Timeout)
}
