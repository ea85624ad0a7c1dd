//! When may the resources go home?
//!
//! Never at once: home has to be in order for the whole of the *hold* first, counted from its last failure. A home that
//! fails again soon after it got the resources back has made a *failed stay*; each one doubles the hold, and after
//! [`STAYS_MAX`] of them the resources stay where they are until an operator says `resume`. A stay that lasts is forgotten
//! with all that went before it.
//!
//! ```text
//! home   active ─ fails ─ failed ─────── well ─────────────────── active ─ ...
//!                   └──────────── hold * 2^failed stays ────────────┘
//! ```
//!
//! Going home is always a hand-over, and never a fence. A resource can keep the *gate* closed, while its data is not in
//! step for instance; then home waits.

use core::time::Duration;

use crate::heartbeat::{Asks, Heartbeat, Role};
use crate::news::{Cause, News};
use crate::node::{Actions, Node, tell};
use crate::order::Refusal;
use crate::takeover::will_serve;
use crate::time::{Instant, Timer};

/// What happens when home is well again (`auto_failback`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AutoFailback {
    /// The resources go home by themselves.
    On,
    /// They stay where they are.
    Off,
    /// They stay, and an operator is told that home is ready.
    Manual,
}

/// What the box that is not home knows of home.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Failback {
    /// When home was last seen to fail; it may not have failed at all.
    trouble_at: Option<Instant>,
    failing: bool,
    gave_back_at: Option<Instant>,
    failed_stays: u8,
    gate_closed: bool,
}

/// How home looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Home {
    /// In order, whether or not it may serve now.
    Well,
    /// It says that something has failed there.
    Failing,
    /// Not there: silent, fenced, just born, or deaf.
    Gone,
}

impl Failback {
    /// When the hold is over: at once, if home never failed.
    fn due(&self, hold: Duration, now: Instant) -> Instant {
        self.trouble_at.map_or(now, |at| at + self.hold(hold))
    }

    /// How long home must be well now.
    pub fn hold(&self, hold: Duration) -> Duration {
        hold.saturating_mul(1 << self.failed_stays.min(STAYS_MAX))
    }

    /// Whether home has failed so often that only an operator sends the resources there.
    pub const fn locked_out(&self) -> bool {
        self.failed_stays >= STAYS_MAX
    }

    /// Whether a resource keeps the resources here.
    pub const fn gate_closed(&self) -> bool {
        self.gate_closed
    }

    fn observe(&mut self, home: Home, now: Instant) {
        // A failure has one moment, an absence lasts until it is over.
        if home == Home::Gone || home == Home::Failing && !self.failing {
            self.trouble_at = Some(now);
        }
        self.failing = home == Home::Failing;
    }

    /// It moves with every step while home is gone.
    pub(crate) const fn trouble_at(&mut self) -> Option<&mut Instant> {
        self.trouble_at.as_mut()
    }

    /// All that it remembers the time of.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.trouble_at.iter_mut().chain(&mut self.gave_back_at)
    }

    const fn gave_back(&mut self, now: Instant) {
        self.gave_back_at = Some(now);
    }

    /// Notes that this box serves again; `failed` tells whether home had failed, or gave up on purpose.
    pub(crate) fn took_over(&mut self, failed: bool, hold: Duration, now: Instant) {
        let Some(at) = self.gave_back_at.take() else { return };
        let long = self.hold(hold).saturating_mul(STAY);
        if now - at >= long {
            self.failed_stays = 0;
        } else if failed {
            self.trouble_at = Some(now);
            self.failed_stays = self.failed_stays.saturating_add(1).min(STAYS_MAX);
        }
    }

    pub(crate) const fn forgive(&mut self) {
        self.failed_stays = 0;
    }

    pub(crate) const fn set_gate(&mut self, closed: bool) {
        self.gate_closed = closed;
    }
}

impl Node {
    /// Keeps an eye on home, whatever this box is.
    pub(crate) fn watch_home(&mut self, now: Instant) {
        let home = match self.peer.word(now) {
            None => Home::Gone,
            Some(word) if matches!(word.role, Role::Init | Role::Fencing) => Home::Gone,
            Some(word) if !self.hears_me(word) => Home::Gone,
            Some(word) if word.role == Role::Failed || !word.fit => Home::Failing,
            Some(word) if !word.witness && self.witness => Home::Failing,
            Some(_) => Home::Well,
        };
        self.failback.observe(home, now);
    }

    /// Gives the resources back when it is time.
    pub(crate) fn decide_failback(&mut self, now: Instant, actions: &mut Actions) {
        let hold = self.settings.failback_hold;
        let at = self.failback.due(hold, now);
        let ready = self.asks == Asks::Nothing && self.home_can_serve(now);
        match self.settings.auto_failback {
            _ if !ready => self.timers.stop(Timer::Failback),
            AutoFailback::Off => self.timers.stop(Timer::Failback),
            _ if at > now => self.timers.set(Timer::Failback, at),
            AutoFailback::On if self.failback.gate_closed() => self.timers.stop(Timer::Failback),
            AutoFailback::On if self.failback.locked_out() => {
                self.remind(News::LockedOut, now, actions);
            }
            AutoFailback::On => {
                self.give_back(Cause::FailbackDue(self.failback.hold(hold)), now, actions);
            }
            AutoFailback::Manual => self.remind(News::HomeReady, now, actions),
        }
    }

    /// Gives the resources back now, because an operator says so.
    pub(crate) fn order_failback(
        &mut self,
        now: Instant,
        actions: &mut Actions,
    ) -> Result<(), Refusal> {
        if self.role != Role::Active {
            return Err(Refusal::NotServing);
        }
        let word = self.peer.word(now).ok_or(Refusal::PeerSilent)?;
        if word.rank() < self.settings.rank() {
            return Err(Refusal::IsHome);
        }
        if !self.home_can_serve(now) {
            return Err(Refusal::PeerNotReady);
        }
        if self.failback.gate_closed() {
            return Err(Refusal::GateClosed);
        }
        self.failback.forgive();
        self.give_back(Cause::Ordered(crate::order::Order::Failback), now, actions);
        Ok(())
    }

    fn give_back(&mut self, cause: Cause, now: Instant, actions: &mut Actions) {
        self.failback.gave_back(now);
        self.ask(Asks::HandOver);
        self.stop(cause, now, actions);
    }

    /// Whether the peer is home, and would start if this box stopped.
    fn home_can_serve(&self, now: Instant) -> bool {
        let ranks_higher = |word: &&Heartbeat| word.rank() > self.settings.rank();
        self.peer.word(now).filter(ranks_higher).is_some_and(|home| {
            let connected = home.witness || !self.witness;
            connected && will_serve(home) && home.echoes(self.epoch())
        })
    }

    fn remind(&mut self, news: News, now: Instant, actions: &mut Actions) {
        if self.timers.get(Timer::Failback).is_none_or(|at| at <= now) {
            tell(actions, news);
            self.timers.set(Timer::Failback, now + REMINDER);
        }
    }
}

/// A home that has failed this often in a row has a fault that waiting does not mend.
pub const STAYS_MAX: u8 = 5;
/// A stay of this many holds is no failed one: what ends it has another cause.
const STAY: u32 = 10;
/// How often an operator is told what waits for a word.
const REMINDER: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(90);

    #[test]
    fn the_hold_counts_from_the_last_failure() {
        let mut failback = Failback::default();
        assert_eq!(failback.due(HOLD, at(5)), at(5), "home never failed");
        failback.observe(Home::Failing, at(10));
        failback.observe(Home::Failing, at(60));
        assert_eq!(failback.due(HOLD, at(60)), at(100));
        failback.observe(Home::Gone, at(70));
        failback.observe(Home::Gone, at(80));
        failback.observe(Home::Well, at(81));
        assert_eq!(failback.due(HOLD, at(81)), at(170));
    }

    #[test]
    fn failed_stays_double_the_hold_and_lock_home_out() {
        let mut failback = Failback::default();
        for stay in 1..=STAYS_MAX {
            assert!(!failback.locked_out());
            failback.gave_back(at(1_000));
            failback.took_over(true, HOLD, at(1_001));
            assert_eq!(failback.hold(HOLD), HOLD * (1 << stay));
        }
        assert!(failback.locked_out());
        failback.forgive();
        assert_eq!(failback.hold(HOLD), HOLD);
    }

    #[test]
    fn a_stay_that_lasts_is_forgotten_and_one_that_ends_on_purpose_is_no_failure() {
        let mut failback = Failback::default();
        failback.gave_back(at(0));
        failback.took_over(true, HOLD, at(10));
        failback.gave_back(at(200));
        failback.took_over(false, HOLD, at(300));
        assert_eq!(failback.hold(HOLD), HOLD * 2);
        failback.gave_back(at(400));
        failback.took_over(true, HOLD, at(400 + 2 * 90 * 10));
        assert_eq!(failback.hold(HOLD), HOLD);
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }
}
