//! Plays the heartbeats of two machines while nothing happens.
//!
//! Two nodes with no world around them, brought to where a pair spends its life: one active, one standing by. What
//! a heartbeat costs is measured here.

use std::collections::VecDeque;
use std::time::Duration;

use firmware_agnostic::frame::{self, Key, Keys, Message, PairId, Version};
use firmware_agnostic::heartbeat::{Heartbeat, Incarnation, Role};
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::node::{Action, Answer, Event, Node};
use firmware_agnostic::receiver::{Heard, Reception};
use firmware_agnostic::time::Instant;

use crate::fixtures;

/// Two boxes in a settled pair.
#[derive(Clone)]
pub struct Conversation {
    nodes: [Node; 2],
    links: usize,
    now: Instant,
    keys: Keys,
    pair: PairId,
    receptions: [Reception; 2],
    numbers: [u32; 2],
}

impl Conversation {
    /// A pair whose first box is active, and whose second stands by.
    pub fn settled() -> Self {
        let settings = fixtures::pair();
        let links = settings[0].links;
        let now = Instant::from_millis(1_000);
        let mut boot = 0;
        let nodes = settings.map(|settings| {
            boot += 1;
            Node::new(settings, Incarnation([boot; 4]), None, now)
        });
        let keys = Keys::new([Key::new(1, b"everybody may know this one")]).expect("one is enough");
        let pair = PairId::of("conversation");
        let receptions = [(); 2].map(|()| Reception::new(keys.clone(), pair));
        let mut conversation = Self { nodes, links, now, keys, pair, receptions, numbers: [0; 2] };
        while conversation.roles() != [Role::Active, Role::Standby] {
            conversation.pass_time();
        }
        conversation
    }

    /// What both boxes are.
    pub fn roles(&self) -> [Role; 2] {
        BoxId::BOTH.map(|id| self.node(id).role())
    }

    /// The machine of a box.
    pub fn node(&self, id: BoxId) -> &Node {
        &self.nodes[id.index()]
    }

    /// What a box says now.
    pub fn word(&self, id: BoxId) -> Heartbeat {
        self.node(id).heartbeat(self.now)
    }

    /// What the time is.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The keys of the pair.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Names the pair on the wire.
    pub const fn pair(&self) -> PairId {
        self.pair
    }

    /// Goes through one interval as the product does: both machines are woken at their deadline, what they say is
    /// signed and encoded once, and read, checked and heard on every link. Tells how many heartbeats were heard.
    pub fn one_interval(&mut self) -> u32 {
        let mut heard = 0;
        self.now = self.next_deadline();
        for id in BoxId::BOTH {
            for action in self.nodes[id.index()].step(Event::Timeout, self.now) {
                let Action::Send(heartbeat) = action else { continue };
                self.numbers[id.index()] += 1;
                let number = self.numbers[id.index()];
                let life = heartbeat.heard.map(|epoch| epoch.boot);
                let echo = self.receptions[id.index()].send(number, life, self.now);
                let word = Message { version: Version::NEWEST, number, heartbeat, echo };
                let frame = frame::encode(&word, &self.keys, self.pair);
                let other = id.other().index();
                for link in (0..self.links).filter_map(LinkId::new) {
                    let received = self.receptions[other].receive(link, &frame, self.now);
                    let read = received.expect("it was signed for this pair, and is new");
                    // A settled pair has nothing to answer.
                    let _ = self.nodes[other].step(Event::Heartbeat(link, read), self.now);
                    heard += 1;
                }
            }
        }
        heard
    }

    /// Lets the time pass to the next deadline, and everything happen that comes of it.
    fn pass_time(&mut self) {
        self.now = self.next_deadline();
        let mut events: VecDeque<_> = BoxId::BOTH.map(|id| (id, Event::Timeout)).into();
        while let Some((id, event)) = events.pop_front() {
            for action in self.nodes[id.index()].step(event, self.now) {
                match action {
                    Action::Send(heartbeat) => {
                        let heard = Heard { heartbeat, proof: Some(self.now) };
                        let links = (0..self.links).filter_map(LinkId::new);
                        let heard = links.map(|link| (id.other(), Event::Heartbeat(link, heard)));
                        events.extend(heard);
                    }
                    Action::Start(tag) => {
                        events.push_back((id, Event::Answer(tag, Answer::Started)));
                    }
                    Action::Stop(tag) => {
                        events.push_back((id, Event::Answer(tag, Answer::Stopped)));
                    }
                    _ => {}
                }
            }
        }
    }

    fn next_deadline(&self) -> Instant {
        let [first, second] = &self.nodes;
        let soonest = first.next_deadline().min(second.next_deadline());
        // The time never stands still.
        soonest.max(self.now + Duration::from_micros(1))
    }
}
