//! Decides what is done when a resource fails.
//!
//! It is started again where it is: at once the first time, then after a pause that doubles. When it has failed
//! `threshold` times, and no pause between two failures was as long as `forget_after`, the box is no longer *fit*,
//! and what happens then is the resource's [`OnFailure`]. A box that is left in peace for `forget_after`, or
//! cleared by an operator, is fit again.

use core::time::Duration;

use heapless::Vec;

use crate::identity::{RESOURCES_MAX, ResourceId};
use crate::time::Instant;

/// What a resource's failure leads to, once it has failed `threshold` times (`on_failure`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OnFailure {
    /// Nothing: it is told, and left as it is.
    Ignore,
    /// It is started again, for ever.
    Restart,
    /// The resources move to the peer.
    Failover,
    /// The resources move to the peer, and stay there until an operator says `resume`.
    Standby,
    /// The box asks to be fenced, and resets itself.
    Fence,
}

/// What to do about the failures of one resource.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Policy {
    /// What the last failure that is borne leads to.
    pub on_failure: OnFailure,
    /// The number of failures that are too many; at least 1.
    pub threshold: u8,
    /// The time without a failure after which the earlier ones are forgotten; never, if absent.
    pub forget_after: Option<Duration>,
}

/// What a failure leads to now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remedy {
    /// It is left as it is.
    Ignored,
    /// It is started again, at the time that [`Recovery::due`] tells.
    Restarted,
    /// It has failed too often: the box is not fit.
    TooOften(OnFailure),
}

/// The failures of all resources of this box.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Recovery {
    resources: Vec<Failures, RESOURCES_MAX>,
    /// What starts, stops and watches them hangs.
    hangs: bool,
}

impl Recovery {
    /// Resources that have not failed.
    pub fn new(policies: &[Policy]) -> Self {
        let resources = policies.iter().take(RESOURCES_MAX).map(Failures::new).collect();
        Self { resources, hangs: false }
    }

    /// Goes on with other policies; `resources` has for each one the place of its failures so far.
    pub(crate) fn reload(&mut self, policies: &[Policy], resources: &[Option<ResourceId>]) {
        let failed = |resource: Option<ResourceId>| self.resources.get(resource?.index()).cloned();
        let places = resources.iter().copied().chain(core::iter::repeat(None));
        let known = policies.iter().zip(places).map(|(policy, place)| match failed(place) {
            Some(failures) => Failures { policy: *policy, ..failures },
            None => Failures::new(policy),
        });
        self.resources = known.collect();
    }

    /// Notes that `resource` failed while it was wanted.
    pub fn failed(&mut self, resource: ResourceId, now: Instant) -> Remedy {
        let Some(failures) = self.resources.get_mut(resource.index()) else {
            return Remedy::Ignored;
        };
        failures.forget(now);
        failures.count = failures.count.saturating_add(1);
        failures.last = Some(now);
        failures.pardoned = false;
        match failures.policy.on_failure {
            OnFailure::Ignore => Remedy::Ignored,
            on_failure if failures.too_many() => Remedy::TooOften(on_failure),
            _ => {
                failures.restart = Some(now + failures.pause());
                Remedy::Restarted
            }
        }
    }

    /// Starts `resource` again although it has failed too often: there is nobody who could serve instead.
    pub fn force_restart(&mut self, resource: ResourceId, now: Instant) {
        if let Some(failures) = self.resources.get_mut(resource.index()) {
            failures.restart = Some(now + failures.pause());
        }
    }

    /// Notes that `resource` failed while nothing is to be done about it.
    pub fn defer(&mut self, resource: ResourceId) {
        if let Some(failures) = self.resources.get_mut(resource.index()) {
            failures.deferred = true;
        }
    }

    /// One of those that failed so, once.
    pub fn take_deferred(&mut self) -> Option<ResourceId> {
        let place = self.resources.iter().position(|failures| failures.deferred)?;
        self.resources.get_mut(place)?.deferred = false;
        ResourceId::new(place)
    }

    /// Notes whether `resource` could be started here, and tells whether that is new.
    pub fn set_startable(&mut self, resource: ResourceId, can: bool) -> bool {
        let Some(failures) = self.resources.get_mut(resource.index()) else { return false };
        let new = failures.blocked == can;
        failures.blocked = !can;
        failures.pardoned &= can;
        new
    }

    /// Notes whether what starts, stops and watches the resources hangs, and tells whether that is new.
    pub const fn set_hanging(&mut self, hangs: bool) -> bool {
        core::mem::replace(&mut self.hangs, hangs) != hangs
    }

    /// Whether what starts, stops and watches the resources hangs, as far as that is not pardoned.
    pub const fn hangs(&self) -> bool {
        self.hangs
    }

    /// Notes that the group could not be started because of `resource`: one failure too many, under any policy.
    pub fn start_failed(&mut self, resource: ResourceId, now: Instant) {
        if let Some(failures) = self.resources.get_mut(resource.index()) {
            failures.count = failures.count.saturating_add(1);
            failures.last = Some(now);
            failures.start_failed = true;
            failures.pardoned = false;
        }
    }

    /// How long a box that is not fit waits before it is given another try.
    pub fn pause(&self) -> Duration {
        let unfit = self.resources.iter().filter(|failures| failures.makes_unfit());
        unfit.map(Failures::pause).max().unwrap_or_default().max(PARDON_MIN)
    }

    /// Lets the box be fit until the next failure, which finds the count as it is.
    pub fn grant_retry(&mut self) {
        self.hangs = false;
        for failures in &mut self.resources {
            failures.pardoned = true;
        }
    }

    /// Forgets the failures whose time is over.
    pub fn forget(&mut self, now: Instant) {
        for failures in &mut self.resources {
            failures.forget(now);
        }
    }

    /// Forgets every failure: an operator has mended the cause.
    pub fn clear(&mut self) {
        for failures in &mut self.resources {
            let Failures { deferred, blocked, .. } = *failures;
            *failures = Failures { deferred, blocked, ..Failures::new(&failures.policy) };
        }
    }

    /// Whether no resource has failed too often, and all are looked after.
    pub fn fit(&self) -> bool {
        !self.hangs && !self.resources.iter().any(Failures::makes_unfit)
    }

    /// Calls off the restarts: the resources are being stopped.
    pub fn call_off(&mut self) {
        for failures in &mut self.resources {
            failures.restart = None;
            failures.deferred = false;
        }
    }

    /// The next resource whose restart is due, once.
    pub fn due(&mut self, now: Instant) -> Option<ResourceId> {
        let due = |failures: &Failures| failures.restart.is_some_and(|at| at <= now);
        let place = self.resources.iter().position(due)?;
        self.resources.get_mut(place)?.restart = None;
        ResourceId::new(place)
    }

    /// When something here will change by itself.
    pub fn deadline(&self) -> Option<Instant> {
        let forgotten = |failures: &Failures| Some(failures.last? + failures.policy.forget_after?);
        self.resources
            .iter()
            .flat_map(|failures| [failures.restart, forgotten(failures)])
            .flatten()
            .min()
    }

    /// All that it knows the time of.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.resources.iter_mut().flat_map(|it| it.last.iter_mut().chain(&mut it.restart))
    }

    /// How often `resource` has failed, as far as that is not forgotten.
    pub fn count(&self, resource: ResourceId) -> u8 {
        self.resources.get(resource.index()).map_or(0, |failures| failures.count)
    }
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Failures {
    policy: Policy,
    count: u8,
    /// It kept the whole group from starting.
    start_failed: bool,
    /// It has another try, because nobody else could serve.
    pardoned: bool,
    /// It failed in maintenance, and nothing was done about it yet.
    deferred: bool,
    /// It could not be started here now.
    blocked: bool,
    last: Option<Instant>,
    restart: Option<Instant>,
}

impl Failures {
    const fn new(policy: &Policy) -> Self {
        Self {
            policy: *policy,
            count: 0,
            start_failed: false,
            pardoned: false,
            deferred: false,
            blocked: false,
            last: None,
            restart: None,
        }
    }

    const fn too_many(&self) -> bool {
        !matches!(self.policy.on_failure, OnFailure::Restart) && self.count >= self.policy.threshold
    }

    fn makes_unfit(&self) -> bool {
        let failed = self.too_many() && self.policy.on_failure != OnFailure::Ignore;
        let unfit = self.start_failed || self.blocked || failed;
        unfit && !self.pardoned
    }

    fn forget(&mut self, now: Instant) {
        if let (Some(last), Some(forget_after)) = (self.last, self.policy.forget_after)
            && last + forget_after <= now
        {
            self.count = 0;
            self.start_failed = false;
            self.last = None;
        }
    }

    fn pause(&self) -> Duration {
        match self.count {
            0 | 1 => Duration::ZERO,
            more => (PAUSE * (1 << more.min(8))).min(PAUSE_MAX),
        }
    }
}

/// The second restart follows four of these after the failure, each further one after twice the time.
const PAUSE: Duration = Duration::from_millis(50);
/// A second try at once would meet the same cause.
const PARDON_MIN: Duration = Duration::from_secs(1);
/// Longer than a transient cause lasts, and short enough for a person who waits.
const PAUSE_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const SLAPD: ResourceId = ResourceId::new(0).unwrap();

    #[test]
    fn a_failure_is_mended_in_place_until_it_comes_too_often() {
        let mut recovery = Recovery::new(&[policy(OnFailure::Failover)]);
        assert_eq!(recovery.failed(SLAPD, at(10)), Remedy::Restarted);
        assert_eq!(recovery.due(at(10)), Some(SLAPD));
        assert_eq!(recovery.due(at(10)), None);
        assert!(recovery.fit());
        assert_eq!(recovery.failed(SLAPD, at(50)), Remedy::TooOften(OnFailure::Failover));
        assert!(!recovery.fit());
    }

    #[test]
    fn failures_are_forgotten() {
        let mut recovery = Recovery::new(&[policy(OnFailure::Failover)]);
        recovery.start_failed(SLAPD, at(10));
        assert!(!recovery.fit());
        assert_eq!(recovery.deadline(), Some(at(100)));
        recovery.forget(at(100));
        assert!(recovery.fit());
        assert_eq!(recovery.failed(SLAPD, at(101)), Remedy::Restarted);
        recovery.clear();
        assert_eq!(recovery.count(SLAPD), 0);
    }

    #[test]
    fn what_could_not_be_started_makes_a_box_unfit_for_as_long() {
        let mut recovery = Recovery::new(&[policy(OnFailure::Failover)]);
        assert!(recovery.set_startable(SLAPD, false) && !recovery.set_startable(SLAPD, false));
        recovery.clear();
        recovery.forget(at(1_000));
        assert!(!recovery.fit());
        recovery.grant_retry();
        assert!(recovery.fit(), "nobody else is there: it is tried");
        assert!(recovery.set_startable(SLAPD, true) && recovery.fit());
    }

    #[test]
    fn what_is_only_restarted_never_makes_a_box_unfit() {
        let mut recovery = Recovery::new(&[policy(OnFailure::Restart)]);
        for failure in 1..100 {
            assert_eq!(recovery.failed(SLAPD, at(failure)), Remedy::Restarted);
        }
        assert!(recovery.fit());
        assert_eq!(recovery.due(at(99 + 9)), None);
        assert_eq!(recovery.due(at(99 + 10)), Some(SLAPD));
    }

    #[test]
    fn what_is_ignored_never_makes_a_box_unfit() {
        let mut recovery = Recovery::new(&[policy(OnFailure::Ignore)]);
        for failure in 1..5 {
            assert_eq!(recovery.failed(SLAPD, at(failure)), Remedy::Ignored);
        }
        assert!(recovery.fit());
    }

    #[test]
    fn a_pardon_lasts_until_the_next_failure() {
        let mut recovery = Recovery::new(&[policy(OnFailure::Failover)]);
        recovery.start_failed(SLAPD, at(10));
        recovery.failed(SLAPD, at(11));
        recovery.grant_retry();
        assert!(recovery.fit());
        recovery.failed(SLAPD, at(12));
        assert!(!recovery.fit());
    }

    fn policy(on_failure: OnFailure) -> Policy {
        Policy { on_failure, threshold: 2, forget_after: Some(Duration::from_secs(90)) }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }
}
