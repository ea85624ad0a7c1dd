//! Decides when this box takes over.
//!
//! From a peer that talks: when its word releases this box (the echo rule). From one that is silent: when there is
//! evidence of the required level, which [`fencing`](crate::node::fencing) collects.

use crate::evidence::Evidence;
use crate::heartbeat::{Heartbeat, PeerRequest, Role, Term};
use crate::identity::LinkId;
use crate::node::fencing::{serves, wants_to_be_shot};
use crate::node::{Action, Actions, Node, act, tell};
use crate::peer::{Contact, Health};
use crate::report::{Cause, Report};
use crate::time::{Instant, Timer};

impl Node {
    pub(super) fn decide_init(&mut self, now: Instant, actions: &mut Actions) {
        if self.adopts {
            self.ask_to_adopt(actions);
        } else if !self.clean {
            self.stop_again(now, actions);
        } else if self.peer.heartbeat(now).is_some() {
            self.enter(Role::Standby, Cause::Heard, now, actions);
        } else if self.timers.expired(Timer::Initdead, now) {
            let cause = Cause::NotHeard(now - self.since);
            if self.eligible(now) {
                self.begin_fencing(cause, now, actions);
            } else {
                self.enter(Role::Standby, cause, now, actions);
            }
        } else if self.eligible(now) && self.peer.health(now) == Health::Dead {
            // A peer whose power is off need not be waited for.
            self.pursue(now, actions);
        }
    }

    pub(super) fn decide_standby(&mut self, now: Instant, actions: &mut Actions) {
        self.yield_to_claim(now, actions);
        let heartbeat = self.peer.heartbeat(now).copied();
        if self.yields && !heartbeat.is_some_and(|heartbeat| will_serve(&heartbeat)) {
            self.change_request(|node| node.yields = false);
        }
        if !self.eligible(now) || self.peer.in_maintenance() {
            return;
        }
        match self.peer.contact(now) {
            Contact::Heard(heartbeat) if wants_to_be_shot(heartbeat) => {
                self.begin_fencing(Cause::AskedToFence, now, actions);
            }
            Contact::Heard(heartbeat) if self.released_by(heartbeat, now) => {
                self.start(Evidence::Released, now, actions);
            }
            Contact::Heard(_) => {}
            Contact::Deaf(heartbeat) if serves(heartbeat) => {}
            _ if self.peer.left() => self.start(Evidence::Released, now, actions),
            _ => {
                let cause = self.silent(now);
                self.begin_fencing(cause, now, actions);
            }
        }
    }

    /// Gives way to a peer whose operator wants it to serve. Of two such orders that of the box with the higher
    /// rank stands.
    fn yield_to_claim(&mut self, now: Instant, actions: &mut Actions) {
        let Some(heartbeat) = self.peer.heartbeat(now).copied() else { return };
        if heartbeat.request != PeerRequest::Claim || !will_serve(&heartbeat) || self.yields {
            return;
        }
        match self.request() {
            PeerRequest::Nothing => self.concede(actions),
            PeerRequest::Claim if heartbeat.rank() > self.settings.rank() => self.concede(actions),
            _ => {}
        }
    }

    /// Leaves the resources to the peer, and ends an order to serve here.
    pub(super) fn concede(&mut self, actions: &mut Actions) {
        if self.request() == PeerRequest::Claim {
            tell(actions, Report::OrderEnded);
            self.end_order();
        }
        self.change_request(|node| node.yields = true);
    }

    /// The echo rule: whether the peer's word proves that it holds nothing and will not start.
    ///
    /// Every word but a farewell must echo the present epoch, so that it was said in the knowledge of what this box
    /// is now. A peer that leaves holds nothing for as long as this life of it lasts, even if it knew nothing.
    /// Where two machines have one name, only the one that held can release.
    fn released_by(&self, heartbeat: &Heartbeat, now: Instant) -> bool {
        let holds_nothing = match heartbeat.role {
            Role::Standby => match heartbeat.request {
                PeerRequest::Claim => !heartbeat.fit,
                request => {
                    request.yields() || !heartbeat.fit || heartbeat.rank() < self.settings.rank()
                }
            },
            Role::Failed => true,
            _ => false,
        };
        let single = self.peer.is_of_the_holder(heartbeat) && !self.peer.is_doubled(now);
        single && (self.peer.left() || holds_nothing && heartbeat.echoes(self.epoch()))
    }

    /// Whether this box may take over at all.
    pub(super) fn eligible(&self, now: Instant) -> bool {
        let free = match self.request() {
            PeerRequest::Nothing | PeerRequest::Claim => true,
            // It gave up by order because the peer would serve, and that was not so.
            PeerRequest::Standby => {
                self.failback.is_given_by_order() && !self.peer_serves_or_will(now)
            }
            _ => false,
        };
        self.fit && free
    }

    /// Whether this box could start the resources now, with evidence.
    pub(super) fn is_ready_to_serve(&self, now: Instant) -> bool {
        self.eligible(now) && self.clean
    }

    /// Whether it is too early to believe anything of the peer: a peer that talks is heard within `deadtime`.
    pub(super) fn has_just_begun(&self, now: Instant) -> bool {
        let listened = self.peer.health(now) == Health::Dead;
        self.role == Role::Init && !(self.clean && listened)
    }

    /// Whether the other box serves, or will without this one. If not, this box is *alone*: nobody else will serve,
    /// for any reason, orders included.
    pub(super) fn peer_serves_or_will(&self, now: Instant) -> bool {
        match self.peer.contact(now) {
            Contact::Heard(heartbeat) => {
                matches!(heartbeat.role, Role::Starting | Role::Active) || will_serve(heartbeat)
            }
            Contact::Deaf(heartbeat) => serves(heartbeat),
            Contact::Silent => false,
        }
    }

    /// Tells once, as long as it lasts, that neither box serves or will.
    pub(super) fn watch_service(&mut self, now: Instant, actions: &mut Actions) {
        let undecided = match self.peer.contact(now) {
            Contact::Heard(heartbeat) | Contact::Deaf(heartbeat) => {
                matches!(heartbeat.role, Role::Init | Role::Fencing | Role::Stopping)
            }
            // Until it is dead its last word stands.
            Contact::Silent => self.peer.health(now) != Health::Dead && !self.peer.fenced(),
        };
        let waits = match self.role {
            Role::Standby => !self.eligible(now) || self.peer.in_maintenance(),
            Role::Failed => true,
            Role::Init | Role::Fencing | Role::Starting | Role::Active | Role::Stopping => false,
        };
        let unserved = waits
            && !undecided
            && !self.yields
            && self.request() != PeerRequest::Leave
            && !self.peer_serves_or_will(now);
        if unserved && !self.unserved {
            tell(actions, Report::NobodyServes);
        }
        self.unserved = unserved;
    }

    fn silent(&self, now: Instant) -> Cause {
        let mut links = self.peer.hears(now);
        for link in (0..self.settings.links).filter_map(LinkId::new) {
            links = links.with(link, !links.contains(link));
        }
        Cause::Silent(links, self.peer.silence(now))
    }

    pub(super) fn start(&mut self, evidence: Evidence, now: Instant, actions: &mut Actions) {
        debug_assert!(!self.role.holds_resources(), "one holder: what is held is not taken");
        debug_assert!(
            evidence.suffices(self.settings.require),
            "silence is not evidence: {evidence:?} does not suffice"
        );
        let heartbeat = self.peer.last_heartbeat();
        let failed = heartbeat.is_none_or(|heartbeat| {
            let lost = !heartbeat.witness && self.witness;
            evidence != Evidence::Released
                || heartbeat.role == Role::Failed
                || !heartbeat.fit
                || lost
        });
        let heard = heartbeat.map(|heartbeat| heartbeat.term).unwrap_or_default();
        if self.request() == PeerRequest::Standby {
            tell(actions, Report::TakenBack);
        }
        self.failback.took_over(failed, self.settings.failback_hold, now);
        self.term = Term(self.term.max(heard).0.saturating_add(1));
        self.enter(Role::Starting, Cause::Evidence(evidence), now, actions);
        self.asked = Some(self.change);
        act(actions, Action::Start(self.change));
    }
}

/// Whether a box that speaks like this starts when it is asked to.
pub(super) fn will_serve(heartbeat: &Heartbeat) -> bool {
    matches!(heartbeat.role, Role::Standby | Role::Starting)
        && heartbeat.fit
        && !heartbeat.restarts
        && matches!(heartbeat.request, PeerRequest::Nothing | PeerRequest::Claim)
}
