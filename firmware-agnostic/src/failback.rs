//! Decides when the resources may move to the other box while this one could keep them.
//!
//! Every reason to move goes through `Node::move_away`, and meets the same limits:
//!
//! - **Gate.** A resource can close it, while its data is not in step for instance. Then nothing moves.
//! - **Hold.** Home must have been well for the whole hold before the resources go home. It counts from the moment
//!   in which home was last absent or not fit.
//! - **Stays.** A stay begins when the peer is heard active. A stay that fails soon doubles the hold, and from then
//!   on the hold limits every other reason too. A start that fails is a failed stay.
//! - **Lock-out.** After [`STAYS_MAX`] failed stays in a row the resources stay here until an operator says otherwise.
//!
//! ```text
//! home   active ─ fails ─ failed ─────── well ─────────────────── active ─ ...
//!                                 └── hold * 2^failed stays ──┘
//! ```
//!
//! A move is always a hand-over, and never a fence.

use core::time::Duration;

use crate::identity::ResourceId;
use crate::order::Order;
use crate::time::Instant;

/// Why the resources should move to the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    /// The peer is home.
    Home,
    /// An operator wants them there.
    Claim,
    /// The network is in doubt here, and not there.
    Witness,
    /// Nothing looks after the resources here.
    Hang,
    /// A resource fails here.
    Failure(ResourceId),
    /// An operator does not want them here, now or as a standing order.
    Order(Order),
}

/// What keeps them here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stays {
    /// The peer would not start, or does not know what this box is.
    NotReady,
    /// The gate is closed.
    Gate,
    /// The peer has failed too often.
    LockedOut,
    /// The hold lasts until then.
    Until(Instant),
}

/// What the peer is worth as a place for the resources.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Failback {
    /// When the peer was last absent or not fit.
    bad_at: Option<Instant>,
    stay: Stay,
    failed_stays: u8,
    gate_closed: bool,
}

/// The resources at the peer, where this box has given them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
enum Stay {
    #[default]
    None,
    /// Given, by an operator's order or not, and not yet heard to run.
    Given { ordered: bool },
    /// Heard to run since then.
    Since(Instant),
}

impl Failback {
    /// Notes that the resources are given to the peer, by an operator's order or not.
    pub(crate) const fn give(&mut self, ordered: bool) {
        self.stay = Stay::Given { ordered };
    }

    /// What is known of the peer after a restart of the supervisor.
    pub(crate) fn resumed(failed_stays: u8, now: Instant) -> Self {
        let bad_at = (failed_stays > 0).then_some(now);
        Self { bad_at, failed_stays: failed_stays.min(STAYS_MAX), ..Self::default() }
    }

    /// How long the peer must be well now, where `hold` is configured.
    pub fn hold(&self, hold: Duration) -> Duration {
        let least = if self.failed_stays > 0 { HOLD_MIN } else { Duration::ZERO };
        hold.max(least).saturating_mul(1 << self.failed_stays)
    }

    /// How often in a row the peer has failed the resources.
    pub const fn failed_stays(&self) -> u8 {
        self.failed_stays
    }

    /// Whether the peer has failed so often that only an operator sends the resources there.
    pub const fn locked_out(&self) -> bool {
        self.failed_stays >= STAYS_MAX
    }

    /// Whether a resource keeps the resources here.
    pub const fn gate_closed(&self) -> bool {
        self.gate_closed
    }

    /// Whether the resources were given away by order and were not yet heard to run there.
    pub(crate) fn is_given_by_order(&self) -> bool {
        self.stay == Stay::Given { ordered: true }
    }

    /// When the hold is over for `reason`: at once, if the peer was never bad.
    pub(crate) fn due(&self, reason: Reason, hold: Duration, now: Instant) -> Instant {
        let waits = reason == Reason::Home || self.failed_stays > 0;
        self.bad_at.filter(|_| waits).map_or(now, |at| at + self.hold(hold))
    }

    pub(crate) fn observe(&mut self, well: bool, serves: bool, now: Instant) {
        if !well {
            self.bad_at = Some(now);
        }
        if serves && matches!(self.stay, Stay::Given { .. }) {
            self.stay = Stay::Since(now);
        }
    }

    /// Notes that this box serves again; `failed` tells that the peer gave up, and not on purpose.
    pub(crate) fn took_over(&mut self, failed: bool, hold: Duration, now: Instant) {
        let long = self.hold(hold).max(HOLD_MIN).saturating_mul(STAY);
        match core::mem::take(&mut self.stay) {
            Stay::Since(at) if now - at >= long => self.failed_stays = 0,
            Stay::Given { .. } | Stay::Since(_) if failed => {
                self.bad_at = Some(now);
                self.failed_stays = self.failed_stays.saturating_add(1).min(STAYS_MAX);
            }
            Stay::None | Stay::Given { .. } | Stay::Since(_) => {}
        }
    }

    /// An operator trusts the peer, or wants the resources there.
    pub(crate) const fn forgive(&mut self) {
        self.failed_stays = 0;
    }

    pub(crate) const fn set_gate(&mut self, closed: bool) {
        self.gate_closed = closed;
    }

    /// It moves with every step while the peer is absent.
    pub(crate) const fn bad_at(&mut self) -> Option<&mut Instant> {
        self.bad_at.as_mut()
    }

    /// All that it remembers the time of.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let since = match &mut self.stay {
            Stay::Since(at) => Some(at),
            Stay::None | Stay::Given { .. } => None,
        };
        self.bad_at.iter_mut().chain(since)
    }
}

/// A peer that has failed this often in a row has a fault that waiting does not mend.
pub const STAYS_MAX: u8 = 5;
/// A stay of this many holds is no failed one: what ends it has another cause.
const STAY: u32 = 10;
/// The hold after a failed stay, where the configured one is shorter: doubled five times it is more than five minutes.
const HOLD_MIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(90);
    const GIVEN: Stay = Stay::Given { ordered: false };

    #[test]
    fn home_must_be_well_for_the_whole_hold() {
        let mut failback = Failback::default();
        assert_eq!(failback.due(Reason::Home, HOLD, at(5)), at(5), "home never failed");
        failback.observe(false, false, at(10));
        failback.observe(false, false, at(60));
        failback.observe(true, false, at(61));
        assert_eq!(failback.due(Reason::Home, HOLD, at(61)), at(150));
        assert_eq!(failback.due(Reason::Claim, HOLD, at(61)), at(61), "it failed nobody");
    }

    #[test]
    fn failed_stays_double_the_hold_of_every_reason_and_lock_the_peer_out() {
        for hold in [HOLD, Duration::ZERO] {
            let mut failback = Failback::default();
            for stay in 1..=STAYS_MAX {
                assert!(!failback.locked_out());
                failback.stay = GIVEN;
                failback.took_over(true, hold, at(1_000));
                assert_eq!(failback.hold(hold), hold.max(HOLD_MIN) * (1 << stay));
                let due = at(1_000) + failback.hold(hold);
                assert_eq!(failback.due(Reason::Witness, hold, at(1_000)), due);
            }
            assert!(failback.locked_out());
            failback.forgive();
            assert_eq!(failback.hold(hold), hold);
        }
    }

    #[test]
    fn a_stay_that_lasts_is_forgotten_and_one_that_ends_on_purpose_is_no_failure() {
        let mut failback = Failback { stay: GIVEN, ..Failback::default() };
        failback.took_over(true, HOLD, at(10));
        failback.stay = GIVEN;
        failback.took_over(false, HOLD, at(300));
        assert_eq!(failback.failed_stays(), 1);
        failback.stay = GIVEN;
        failback.observe(true, true, at(400));
        failback.took_over(true, HOLD, at(400 + 2 * 90 * 10));
        assert_eq!(failback.failed_stays(), 0);
    }

    #[test]
    fn failed_stays_outlive_the_supervisor() {
        let resumed = Failback::resumed(2, at(10));
        assert_eq!(resumed.due(Reason::Home, HOLD, at(10)), at(10 + 4 * 90));
        assert!(Failback::resumed(u8::MAX, at(10)).locked_out());
        let first = Failback::resumed(0, at(10));
        assert_eq!(first.due(Reason::Home, HOLD, at(10)), at(10), "home never failed");
    }

    #[test]
    fn a_start_that_hangs_for_long_is_no_stay() {
        let mut failback = Failback { stay: GIVEN, ..Failback::default() };
        failback.took_over(true, HOLD, at(1_000_000));
        assert_eq!(failback.failed_stays(), 1);
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }
}
