//! What was seen of one life of a supervisor, from outside: what it was told, what it said that it is, and what it
//! knew.

use std::collections::BTreeMap;

use firmware_agnostic::frame::FrameError;
use firmware_agnostic::heartbeat::{Epoch, Heartbeat, Incarnation, PeerRequest, Role};
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::node::{Event, Node};
use firmware_agnostic::order::Order;
use firmware_agnostic::receiver::Heard;
use firmware_agnostic::time::Instant;

use super::stays::Stays;
use crate::wire::Said;

/// What one supervisor has heard and told.
#[derive(Debug, Default)]
pub struct Seen {
    /// The newest word of each boot of the peer, and when it was last said, in microseconds of the world.
    words: BTreeMap<[u8; 4], (Heartbeat, u64)>,
    /// When the first word of the guard of each boot of the peer came.
    guards: BTreeMap<[u8; 4], u64>,
    /// When this life began, in microseconds of the world.
    born_at: u64,
    /// When the newest word was said that came, by whomever.
    spoken_at: Option<u64>,
    /// When this box said the newest of what the peer has heard.
    proven_at: Option<u64>,
    /// When the peer's power was last read as off, twice; and whether that was true.
    read_off: Option<(u64, bool)>,
    /// What it was before the step that goes on.
    epoch: Option<Epoch>,
    event: Option<Event>,
    /// The roles that it has told.
    told: Vec<Role>,
    /// The stays of the resources at home.
    pub stays: Stays,
}

impl Seen {
    /// What is seen of a life that begins now.
    pub fn born(now: u64) -> Self {
        Self { born_at: now, ..Self::default() }
    }

    /// Notes what came by a cable. Only a word that names this life, `mine`, proves that the peer hears it.
    pub fn hears(&mut self, said: &Said, read: Result<Heard, FrameError>, mine: Incarnation) {
        let Ok(heard) = read else { return };
        if said.at < self.born_at {
            return;
        }
        self.spoken_at = self.spoken_at.max(Some(said.at));
        if heard.heartbeat.heard.is_some_and(|epoch| epoch.boot == mine) {
            self.proven_at = self.proven_at.max(said.proof().filter(|at| *at >= self.born_at));
        }
    }

    /// When this box said the newest of what the peer is known to have heard, or was born.
    pub fn proven_at(&self) -> u64 {
        self.proven_at.unwrap_or(self.born_at)
    }

    /// Notes that a device has said off twice, first at `first`.
    pub fn reads_off(&mut self, first: u64, true_: bool) {
        self.read_off = Some((first, true_));
    }

    /// Whether a device has said off after all that the peer has said so far.
    pub fn has_read_off(&self) -> bool {
        self.read_off.is_some_and(|(first, _)| self.spoken_at.is_none_or(|at| at <= first))
    }

    /// Whether what the device said last was true.
    pub fn was_true(&self) -> bool {
        self.read_off.is_some_and(|(_, true_)| true_)
    }

    /// Notes that it tells what it is.
    pub fn tells(&mut self, role: Role) {
        if !self.told.contains(&role) {
            self.told.push(role);
        }
    }

    /// Whether it has told that it is this.
    pub fn has_told(&self, role: Role) -> bool {
        self.told.contains(&role)
    }

    /// Notes what is about to happen to `node`, which runs on `id`.
    pub fn note(&mut self, id: BoxId, event: &Event, node: &Node, now: u64) {
        self.epoch = Some(node.epoch());
        self.event = Some(*event);
        if let Event::Heartbeat(_, heard) = event
            && heard.heartbeat.from != id
        {
            let word = &heard.heartbeat;
            if word.restarts {
                // What a guard says after this time counts no more.
                let first = *self.guards.entry(word.epoch.boot.0).or_insert(now);
                let counts = node.settings().restart_time * 99 / 100;
                if now - first > counts.as_micros() as u64 {
                    return;
                }
            }
            let newest = self.words.entry(word.epoch.boot.0).or_insert((*word, now));
            if word.epoch.change >= newest.0.epoch.change {
                *newest = (*word, now);
            }
        }
    }

    /// Notes that the box is set up differently from now on: no earlier word releases it.
    pub fn reload(&mut self) {
        (self.epoch, self.event) = (None, None);
        self.stays.forget();
    }

    /// Notes what `node` has become.
    pub fn review(&mut self, node: &Node, local: Instant, now: u64) {
        let hears = |word: &&Heartbeat| word.heard.is_some_and(|it| it.boot == node.epoch().boot);
        self.stays.observe(node.peer().heartbeat(local).filter(hears), now);
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
        matches!(self.event, Some(Event::Answer(..) | Event::SeenOff(_)))
    }

    /// Whether the peer was heard in this life, and no recording of it.
    pub const fn has_heard(&self) -> bool {
        self.spoken_at.is_some()
    }

    /// The newest word of `boot`, and when it came.
    pub fn word_of(&self, boot: Incarnation) -> Option<&(Heartbeat, u64)> {
        self.words.get(&boot.0)
    }

    /// Whether the peer has released the resources, as section 4.2 of the design has it, to the box that says `mine`.
    pub fn is_released(&self, mine: &Heartbeat) -> bool {
        self.words.values().any(|(word, _)| {
            let knows = |it: Epoch| it.boot == mine.epoch.boot;
            let free = matches!(word.role, Role::Standby | Role::Failed);
            let leaves = word.request == PeerRequest::Leave && word.heard.is_some_and(knows);
            let below = word.rank() < mine.rank() && word.request != PeerRequest::Claim;
            let yields = matches!(
                word.request,
                PeerRequest::HandOver | PeerRequest::Standby | PeerRequest::Leave
            );
            let failed = word.role == Role::Failed || !word.fit;
            let stays = !matches!(word.request, PeerRequest::Fence | PeerRequest::Maintenance);
            let echoes = word.heard.is_some() && word.heard == self.epoch;
            free && (leaves || stays && echoes && (below || yields || failed))
        })
    }
}
