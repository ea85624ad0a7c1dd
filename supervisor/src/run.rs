//! The one loop: an event comes in, the node decides, the board acts.
//!
//! It is the only writer of the [`Node`]. Each part that has something to tell it (a link, the resources, the fence
//! devices, an operator) puts an [`Input`] into one bounded channel; the loop never waits for anybody.

use std::ops::ControlFlow;

use board::time::alarm::Alarm;
use board::time::clock::Clock;
use firmware_agnostic::node::reload::Reloaded;
use firmware_agnostic::node::{Actions, Event, Node};
use firmware_agnostic::time::Instant;
use smol::channel::{Receiver, Sender};
use smol::future::or;

use crate::effects::Effects;
use crate::reload::Candidate;
use crate::request::{Request, Wish};

/// Something that the loop takes in.
pub(crate) enum Input {
    /// Something happened.
    Event(Event),
    /// The resource that is called so should run, and does not.
    ResourceFailed(String),
    /// The resource that is called so could not be started here now, or could again.
    Startable(String, bool),
    /// The record of this number is on the disk, or cannot be.
    Recorded(u32),
    /// That takes longer than it may.
    RecordOverdue(u32),
    /// A witness has another answer than before.
    Witness,
    /// A gate has.
    Gate,
    /// The configuration was read again, and is right.
    Reload(Box<Candidate>, Wish, Sender<String>),
    /// Somebody asks about the configuration that is on trial, and waits for the answer.
    Trial(Trying, Sender<String>),
    /// The trial may be over.
    TrialOver,
    /// Somebody asks through the control socket, and waits for the answer.
    Request(Request, Sender<String>),
}

/// What is asked or told about a trial.
pub(crate) enum Trying {
    /// Could one begin?
    Begin,
    /// Which configuration is it?
    Which,
    /// The other box keeps it: so does this one.
    Keep,
    /// The other box asks this one to keep the one of this mark.
    KeepToo(String),
    /// The other box has refused what both were to try, for this reason.
    Refused(String),
}

/// What the node is to know of an input.
pub(crate) enum Happened {
    /// This.
    Event(Event),
    /// It has another configuration.
    Reloaded(Box<Reloaded>),
}

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
        let happened = effects.take_in(input, &node, now);
        let heard = happened.is_some();
        let actions = match happened {
            None => Actions::new(),
            Some(Happened::Event(event)) => {
                log::trace!("{} {event:?}", now.as_micros());
                effects.pace.begin(&node, &event, now);
                let actions = node.step(event, now);
                effects.note(&node, Some(&event), now);
                actions
            }
            Some(Happened::Reloaded(reloaded)) => {
                let actions = node.reload(*reloaded, now);
                effects.note(&node, None, now);
                actions
            }
        };
        actions.into_iter().for_each(|action| effects.order(action));
        if effects.work() == ControlFlow::Break(()) {
            effects.chronicle.end();
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
