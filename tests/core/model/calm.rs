//! Checks that somebody serves when the faults are over: from a moment of the model on, nothing more goes wrong.

use firmware_agnostic::heartbeat::{LinkSet, Role};
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::order::Order;
use firmware_agnostic::settings::Settings;

use super::pair::{Budget, NOW, Pair, Stage};
use super::steps::Step;

impl Pair {
    /// What the pair is after [`ROUNDS`] without a fault, all orders taken back.
    pub(crate) fn calmed(&self, settings: &[Settings; 2]) -> Self {
        let mut pair = self.clone();
        pair.left = Budget::PLENTY;
        pair.cut = [LinkSet::default(); 2];
        for round in 0..ROUNDS {
            if round < LANDING {
                for id in BoxId::BOTH {
                    pair.take(Step::Order(id, Order::Resume), settings);
                    pair.take(Step::Order(id, Order::Clear), settings);
                }
            }
            pair.settle(settings);
            pair.left = Budget::PLENTY;
            pair.take(Step::Round(None), settings);
        }
        pair.settle(settings);
        pair
    }

    /// Whether one box serves, and the other does not.
    pub(crate) fn one_serves(&self) -> bool {
        self.serves(BoxId::First) != self.serves(BoxId::Second)
    }

    pub(crate) fn serves(&self, id: BoxId) -> bool {
        self.at(id).holds && self.node(id).is_some_and(|node| node.role() == Role::Active)
    }

    /// Lets everything happen that comes of what there is, before time passes.
    fn settle(&mut self, settings: &[Settings; 2]) {
        for _ in 0..TURNS_MAX {
            let before = self.clone();
            for id in BoxId::BOTH {
                if self.at(id).cut_comes {
                    self.take(Step::Cut(id), settings);
                }
                if !self.at(id).jobs.is_empty() {
                    self.take(Step::Done(id, true), settings);
                }
                if let Some(question) = self.at(id).questions.first().copied() {
                    let off = !self.at(id.other()).powered;
                    let off = question.seen_off.or(off.then_some(NOW));
                    if question.shot && question.stage == Stage::Asked && off.is_none() {
                        self.take(Step::Ready(id, question), settings);
                    } else if off.is_some() || !question.shot || question.stage != Stage::Ready {
                        self.answer(id, question, off);
                    }
                }
                if self.node(id).is_none() {
                    self.take(Step::Birth(id, true), settings);
                }
                for link in (0..settings[0].links).filter_map(LinkId::new) {
                    self.take(Step::Hear(id, link), settings);
                }
            }
            if *self == before {
                return;
            }
        }
        self.broken = self.broken.or(Some("no hot loop"));
    }
}

/// Boot, silence, the turn of the other box, its shot, the longest pause before it that the bounds leave room for; and
/// home is held off and comes back.
const ROUNDS: u32 = 80;
/// Rounds in which the operators take everything back.
const LANDING: u32 = 12;
/// More than what comes of one round.
const TURNS_MAX: u32 = 40;
