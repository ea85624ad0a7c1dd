//! What was seen of one life of a supervisor, from outside: what it was told, what it said that it is, and what it knew.

use std::collections::BTreeMap;

use firmware_agnostic::heartbeat::{Asks, Boot, Epoch, Heartbeat, Role};
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::node::{Event, Node};
use firmware_agnostic::order::Order;
use firmware_agnostic::time::Instant;

use super::stays::Stays;

/// What one supervisor has heard and told.
#[derive(Debug, Default)]
pub struct Seen {
    /// The newest word of each boot of the peer, and when it was last said, in microseconds of the world.
    words: BTreeMap<[u8; 4], (Heartbeat, u64)>,
    /// The peer's power was read by a device that looks at the peer, and was off.
    pub read_off: bool,
    /// What it was before the step that goes on.
    epoch: Option<Epoch>,
    event: Option<Event>,
    /// The role that it told last.
    pub told: Option<Role>,
    /// The stays of the resources at home.
    pub stays: Stays,
}

impl Seen {
    /// Notes what is about to happen to `node`, which runs on `id`.
    pub fn note(&mut self, id: BoxId, event: &Event, node: &Node, now: u64) {
        self.epoch = Some(node.epoch());
        self.event = Some(*event);
        if let Event::Heartbeat(_, word) = event
            && word.from != id
        {
            let newest = self.words.entry(word.epoch.boot.0).or_insert((*word, now));
            if word.epoch.change >= newest.0.epoch.change {
                *newest = (*word, now);
            }
        }
    }

    /// Notes that the box is set up differently from now on: whatever was said to it before releases nothing.
    pub fn reload(&mut self) {
        (self.epoch, self.event) = (None, None);
        self.stays.forget();
    }

    /// Notes what `node` has become.
    pub fn review(&mut self, node: &Node, local: Instant, now: u64) {
        let hears = |word: &&Heartbeat| word.heard.is_some_and(|it| it.boot == node.epoch().boot);
        self.stays.observe(node.peer().word(local).filter(hears), now);
    }

    /// Whether an operator confirms what he has seen.
    pub const fn is_confirmed(&self) -> bool {
        matches!(self.event, Some(Event::Order(Order::Confirm(_))))
    }

    /// Whether an operator orders the shot.
    pub const fn is_shot_by_order(&self) -> bool {
        matches!(self.event, Some(Event::Order(Order::Fence { .. })))
    }

    /// Whether this is the word of a fence device.
    pub const fn is_answered(&self) -> bool {
        matches!(self.event, Some(Event::Answer(..) | Event::SeenOff))
    }

    /// Whether the peer was heard in this life.
    pub fn has_heard(&self) -> bool {
        !self.words.is_empty()
    }

    /// The newest word of `boot`, and when it came.
    pub fn word_of(&self, boot: Boot) -> Option<&(Heartbeat, u64)> {
        self.words.get(&boot.0)
    }

    /// Whether the peer has released the resources, as section 4.2 of the design has it, to the box that says `mine`.
    pub fn is_released(&self, mine: &Heartbeat) -> bool {
        self.words.values().any(|(word, _)| {
            let knows = |it: Epoch| it.boot == mine.epoch.boot;
            let free = matches!(word.role, Role::Standby | Role::Failed);
            let leaves = word.asks == Asks::Leave && word.heard.is_some_and(knows);
            let below = word.rank() < mine.rank() && word.asks != Asks::Claim;
            let yields = matches!(word.asks, Asks::HandOver | Asks::Standby | Asks::Leave);
            let failed = word.role == Role::Failed || !word.fit;
            let stays = !matches!(word.asks, Asks::Fence | Asks::Maintenance);
            let echoes = word.heard.is_some() && word.heard == self.epoch;
            free && (leaves || stays && echoes && (below || yields || failed))
        })
    }
}
