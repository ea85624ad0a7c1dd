//! Several devices that can each cut the power of the same box: the next is asked when one fails.

use std::io;
use std::mem;
use std::time::Duration;

use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::node::fencing::LastLoss;
use firmware_agnostic::time::Instant;

use super::{
    Config, Expected, Fence, Fenced, Guid, Power, PowerSeen, Whose, fence_when_told, is_silent,
    look,
};
use crate::thread::deadline::Deadline;

/// The devices of one box, in the order in which they are asked.
///
/// Each must be able to cut the box on its own. Two outlets that feed two supplies of one box are not two rungs: they
/// are one device, [`together`](super::together).
pub struct Topology {
    rungs: Vec<Level>,
}

/// A device, and what it is held to.
pub(super) struct Level {
    name: String,
    timeout: Duration,
    on_after: Option<Duration>,
    /// What the configuration says of its GUID.
    expected: Option<Expected>,
    /// The box that it must hold, as far as that is known.
    whose: Option<Whose>,
    device: Box<dyn Fence>,
    /// What was last said of how it is asked.
    caution: Option<String>,
    /// It has shot the box, and nobody has written that down.
    shot: bool,
}

impl Topology {
    /// The devices behind `configs`.
    pub fn open(configs: &[Config]) -> Self {
        Self { rungs: configs.iter().map(Level::open).collect() }
    }

    /// Devices that come from elsewhere than a configuration, with its defaults.
    pub fn of(devices: Vec<Box<dyn Fence>>) -> Self {
        let rungs = devices.into_iter().map(|device| Level {
            name: "device".to_owned(),
            timeout: super::TIMEOUT,
            on_after: None,
            expected: None,
            whose: None,
            device,
            caution: None,
            shot: false,
        });
        Self { rungs: rungs.collect() }
    }

    /// Whether there is no device at all.
    pub fn is_empty(&self) -> bool {
        self.rungs.is_empty()
    }

    /// The worst time that all devices together take.
    pub fn timeout(&self) -> Duration {
        self.rungs.iter().map(|rung| rung.timeout).sum()
    }

    /// How long the devices may be left alone.
    pub fn rest(&self) -> Duration {
        self.rungs.iter().map(|rung| rung.device.rest()).min().unwrap_or(Duration::MAX)
    }

    /// Notes what the box has told of its GUID: a device that says another one is not used. What the configuration
    /// says of a device stands before that.
    pub fn expect(&mut self, told: Option<Fingerprint>) {
        for rung in &mut self.rungs {
            if rung.expected.is_none() {
                rung.whose = told.map(Whose::Told);
            }
        }
    }

    /// How the power of the box was last lost. What one device has cut is enough; anything else takes all of them,
    /// because to a BMC whose feed was cut by another one that looks like any loss of power.
    pub fn last_loss(&mut self, patience: &Deadline) -> Option<LastLoss> {
        let loss = |device: &mut dyn Fence, left: &Deadline| device.last_loss(left);
        let told = self.rungs.iter_mut().map(|rung| rung.ask(patience, loss).ok().flatten());
        let told: Vec<_> = told.collect();
        if told.contains(&Some(LastLoss::Ordered)) {
            return Some(LastLoss::Ordered);
        }
        let kept = !told.is_empty() && told.iter().all(|loss| *loss == Some(LastLoss::None));
        let unclear = told.contains(&Some(LastLoss::Unclear)).then_some(LastLoss::Unclear);
        if kept { Some(LastLoss::None) } else { unclear }
    }

    /// Cuts the power by the first device that shows it off. Tells when it was first read as off, and after what
    /// time it is to be put on again, if at all.
    ///
    /// # Errors
    ///
    /// When none of them has, with the reasons of all: the box must then be taken for alive.
    pub fn fence(&mut self, patience: &Deadline) -> io::Result<(Instant, Option<Duration>)> {
        self.fence_when_told(patience, &mut |_| Ok(()))
    }

    /// Does the same, but asks `told` before each device sends its order.
    ///
    /// # Errors
    ///
    /// As for [`Topology::fence`], and when it was called off.
    pub fn fence_when_told(
        &mut self,
        patience: &Deadline,
        told: &mut dyn FnMut(&Deadline) -> io::Result<()>,
    ) -> io::Result<(Instant, Option<Duration>)> {
        self.first(patience, |rung, patience| {
            let cut = |device: &mut dyn Fence, left: &Deadline| fence_when_told(device, left, told);
            match rung.ask(patience, cut)? {
                (Fenced::Already, at) => Ok((at, None)),
                (Fenced::Shot, at) => {
                    rung.shot = true;
                    Ok((at, rung.on_after))
                }
            }
        })
    }

    /// Has every device that can write down that the box was shot, if it was, in a moment each. For people only: what
    /// fails is lost.
    pub fn note_shot(&mut self, patience: &Deadline) {
        let shots =
            self.rungs.iter_mut().filter_map(|rung| mem::take(&mut rung.shot).then_some(()));
        if shots.count() > 0 {
            for rung in &mut self.rungs {
                let patience = patience.at_most(NOTE_TIME);
                if let Err(error) = rung.ask(&patience, |device, left| device.note_shot(left)) {
                    log::debug!("fence: the shot is not written down: {}: {error}", rung.name);
                }
            }
        }
    }

    /// The power as the first device that answers sees it. It is off only if that device has said so twice.
    ///
    /// # Errors
    ///
    /// When none of them answers, with the reasons of all.
    pub fn power(&mut self, patience: &Deadline) -> io::Result<PowerSeen> {
        self.first(patience, |rung, patience| rung.ask(patience, look))
    }

    /// Orders the power on at every device, because any of them may have cut it.
    ///
    /// # Errors
    ///
    /// When none of them takes the order, with the reasons of all. Those of a few are logged: a BMC whose feed was cut
    /// takes no order before it has booted, and its box comes up by itself.
    pub fn on(&mut self, patience: &Deadline) -> io::Result<()> {
        let mut reasons = Reasons::default();
        let mut taken = false;
        for rung in &mut self.rungs {
            match rung.ask(patience, |device, left| device.set_power(Power::On, left)) {
                Ok(()) => taken = true,
                Err(error) => reasons.add(&rung.name, &error),
            }
        }
        if !taken {
            return Err(reasons.into_error());
        }
        for reason in reasons.texts {
            log::warn!("power on: {reason}");
        }
        Ok(())
    }

    /// The first success, each device having its own time, or all errors.
    fn first<T>(
        &mut self,
        patience: &Deadline,
        mut verb: impl FnMut(&mut Level, &Deadline) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut reasons = Reasons::default();
        for rung in &mut self.rungs {
            match verb(rung, patience) {
                Ok(answer) => return Ok(answer),
                Err(error) => reasons.add(&rung.name, &error),
            }
            if reasons.called_off() {
                break;
            }
        }
        Err(reasons.into_error())
    }
}

impl Level {
    /// The device behind `config`.
    pub(super) fn open(config: &Config) -> Self {
        let whose = match config.guid {
            Some(Expected::Guid(guid)) => Some(Whose::Of(guid)),
            Some(Expected::Any) | None => None,
        };
        Self {
            name: config.name.clone(),
            timeout: config.timeout,
            on_after: config.on_after,
            expected: config.guid,
            whose,
            device: config.open(),
            caution: None,
            shot: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn rest(&self) -> Duration {
        self.device.rest()
    }

    /// Asks the device, in its own time, if it is the right one.
    pub(super) fn ask<T>(
        &mut self,
        patience: &Deadline,
        verb: impl FnOnce(&mut dyn Fence, &Deadline) -> io::Result<T>,
    ) -> io::Result<T> {
        let patience = patience.at_most(self.timeout);
        self.check(&patience)?;
        let answer = verb(&mut *self.device, &patience);
        self.warn();
        answer
    }

    /// The box that the device says it holds, where it is to be asked and can tell.
    pub(super) fn guid(&mut self, patience: &Deadline) -> io::Result<Option<Guid>> {
        match self.expected {
            Some(Expected::Any) => Ok(None),
            _ => self.ask(patience, |device, patience| device.guid(patience)),
        }
    }

    /// Tells once what a person should know of how the device is asked.
    fn warn(&mut self) {
        let caution = self.device.caution();
        if let Some(caution) = &caution
            && self.caution.as_ref() != Some(caution)
        {
            log::warn!("fence: {}: {caution}", self.name);
        }
        self.caution = caution;
    }

    /// Looks whether the device holds the box that it should, where that is known.
    fn check(&mut self, patience: &Deadline) -> io::Result<()> {
        let Some(wanted) = self.whose else { return Ok(()) };
        // What cannot tell is taken at the integrator's word, as are all devices without a GUID.
        let Some(found) = self.device.guid(patience)? else { return Ok(()) };
        if wanted.is(found) {
            return Ok(());
        }
        let own = Guid::of_this_box().is_ok_and(|own| own.is_same_box(found));
        let whose = if own { "this box itself" } else { "another box" };
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "the device is not used: it holds the power of {whose}, GUID {found}, and not of {wanted}, and would \
                 have shot the wrong one; correct its address, or write its guid if it is right"
            ),
        ))
    }
}

/// A BMC writes a line at once.
const NOTE_TIME: Duration = Duration::from_secs(2);

/// Why each device failed.
#[derive(Default)]
pub(super) struct Reasons {
    texts: Vec<String>,
    /// Of the last of them, but silence only if all were silent.
    kind: Option<io::ErrorKind>,
}

impl Reasons {
    pub(super) fn add(&mut self, name: &str, error: &io::Error) {
        self.texts.push(format!("{name}: {error}"));
        if self.kind.is_none() || !is_silent(error) {
            self.kind = Some(error.kind());
        }
    }

    fn called_off(&self) -> bool {
        self.kind == Some(io::ErrorKind::Interrupted)
    }

    pub(super) fn into_error(self) -> io::Error {
        match self.kind {
            None => io::Error::new(io::ErrorKind::Unsupported, "the box has no fence device"),
            Some(kind) => io::Error::new(kind, self.texts.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_was_not_shot_only_if_every_device_says_so() {
        use LastLoss::{None as Kept, Ordered, Unclear};
        for (devices, told) in [
            (vec![Some(Kept)], Some(Kept)),
            (vec![Some(Kept), Some(Kept)], Some(Kept)),
            // The switch in front of the BMC cannot tell, and may have cut both.
            (vec![Some(Kept), None], None),
            (vec![Some(Kept), Some(Unclear)], Some(Unclear)),
            (vec![None, Some(Ordered)], Some(Ordered)),
            (vec![Some(Unclear), Some(Ordered)], Some(Ordered)),
            (vec![], None),
        ] {
            let past = |loss: &Option<LastLoss>| Box::new(Past(*loss)) as Box<dyn Fence>;
            let mut ladder = Topology::of(devices.iter().map(past).collect());
            let patience = Deadline::new(Duration::from_secs(60));
            assert_eq!(ladder.last_loss(&patience), told, "{devices:?}");
        }
    }

    #[test]
    fn devices_are_silent_only_if_all_are() {
        let kinds = |kinds: &[io::ErrorKind]| {
            let mut reasons = Reasons::default();
            for kind in kinds {
                reasons.add("device", &(*kind).into());
            }
            is_silent(&reasons.into_error())
        };
        let (silent, refuses) = (io::ErrorKind::TimedOut, io::ErrorKind::PermissionDenied);
        assert!(kinds(&[silent]) && kinds(&[silent, io::ErrorKind::HostUnreachable]));
        assert!(!kinds(&[silent, refuses]) && !kinds(&[refuses, silent]));
        assert!(!kinds(&[]), "there is none that could be silent");
    }

    /// A device that knows how the last life of its box ended.
    struct Past(Option<LastLoss>);

    impl Fence for Past {
        fn set_power(&mut self, _: Power, _: &Deadline) -> io::Result<()> {
            Ok(())
        }

        fn power(&mut self, _: &Deadline) -> io::Result<Power> {
            Ok(Power::On)
        }

        fn last_loss(&mut self, _: &Deadline) -> io::Result<Option<LastLoss>> {
            Ok(self.0)
        }
    }
}
