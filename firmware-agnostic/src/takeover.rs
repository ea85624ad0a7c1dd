//! When does this box take over?
//!
//! From a peer that talks: when its word releases this box (the echo rule). From one that is silent: when there is
//! evidence of the required level, which [`shot`](crate::shot) goes for.

use crate::evidence::Evidence;
use crate::heartbeat::{Asks, Heartbeat, Role, Term};
use crate::identity::LinkId;
use crate::news::{Cause, News};
use crate::node::{Action, Actions, Node, act};
use crate::peer::Health;
use crate::time::{Instant, Timer};

impl Node {
    pub(crate) fn decide_init(&mut self, now: Instant, actions: &mut Actions) {
        if self.adopts {
            self.ask_to_adopt(actions);
        } else if !self.clean {
            self.stop_again(now, actions);
        } else if self.peer.word(now).is_some() {
            self.enter(Role::Standby, Cause::Heard, now, actions);
        } else if self.timers.expired(Timer::Initdead, now) {
            let cause = Cause::NotHeard(self.settings.timing.initdead());
            if self.eligible() {
                self.doubt(cause, now, actions);
            } else {
                self.enter(Role::Standby, cause, now, actions);
            }
        }
    }

    pub(crate) fn decide_standby(&mut self, now: Instant, actions: &mut Actions) {
        let word = self.peer.word(now).copied();
        if let Some(word) = word
            && word.asks == Asks::Claim
            && will_serve(&word)
            && (self.asks == Asks::Nothing
                || self.asks == Asks::Claim && word.rank() > self.settings.rank())
        {
            self.ask(Asks::HandOver);
        }
        if self.asks == Asks::HandOver && !word.is_some_and(|word| will_serve(&word)) {
            self.ask(Asks::Nothing);
        }
        if !self.eligible() || self.peer.in_maintenance() {
            let stays = self.asks != Asks::Leave;
            if stays && word.is_none() && self.peer.health(now) == Health::Dead {
                self.tell_once(News::NobodyServes, actions);
            }
            return;
        }
        match word {
            Some(word) if self.wants_to_be_shot(&word, now) => {
                self.doubt(Cause::AskedToFence, now, actions);
            }
            Some(word) if self.released_by(&word) => self.start(Evidence::Released, now, actions),
            None if self.peer.left() => self.start(Evidence::Released, now, actions),
            None => {
                let cause = self.silent(now);
                self.doubt(cause, now, actions);
            }
            Some(_) => {}
        }
    }

    /// The echo rule: whether the peer's word proves that it holds nothing and will not start.
    ///
    /// Every word but a farewell must echo the present epoch, so that it was said in the knowledge of what this
    /// box is now. A peer that leaves holds nothing for as long as this boot of it lives, whatever it knew.
    fn released_by(&self, word: &Heartbeat) -> bool {
        let holds_nothing = match word.role {
            Role::Standby => match word.asks {
                Asks::Claim => !word.fit,
                asks => asks.yields() || !word.fit || word.rank() < self.settings.rank(),
            },
            Role::Failed => true,
            _ => false,
        };
        self.peer.left() || holds_nothing && word.echoes(self.epoch())
    }

    /// Whether this box may take over at all.
    pub(crate) fn eligible(&self) -> bool {
        self.fit && matches!(self.asks, Asks::Nothing | Asks::Claim)
    }

    fn silent(&self, now: Instant) -> Cause {
        let mut links = self.peer.hears(now);
        for link in (0..self.settings.links).filter_map(LinkId::new) {
            links = links.with(link, !links.contains(link));
        }
        Cause::Silent(links, self.peer.silence(now))
    }

    pub(crate) fn start(&mut self, evidence: Evidence, now: Instant, actions: &mut Actions) {
        debug_assert!(self.eligible(), "one holder: only a box that may take over starts");
        debug_assert!(!self.role.holds_resources(), "one holder: what is held is not taken");
        debug_assert!(
            evidence.suffices(self.settings.require),
            "silence is not evidence: {evidence:?} does not suffice"
        );
        let word = self.peer.last_word();
        let failed = word.is_none_or(|word| {
            // Home that hands over, and was not asked to, gives up; and may have no words for why.
            let gives_up = word.asks == Asks::HandOver && self.asks != Asks::Claim;
            evidence != Evidence::Released || word.role == Role::Failed || !word.fit || gives_up
        });
        let heard = word.map(|word| word.term).unwrap_or_default();
        self.failback.took_over(failed, self.settings.failback_hold, now);
        self.term = Term(self.term.max(heard).0.saturating_add(1));
        self.enter(Role::Starting, Cause::Evidence(evidence), now, actions);
        self.asked = Some(self.change);
        act(actions, Action::Start(self.change));
    }
}

/// Whether a box that speaks like this starts when it is asked to.
pub(crate) fn will_serve(word: &Heartbeat) -> bool {
    matches!(word.role, Role::Standby | Role::Starting)
        && word.fit
        && matches!(word.asks, Asks::Nothing | Asks::Claim)
}
