//! What becomes of an order to cut the power? The cut and its answer are two things, and either may fail.

use firmware_agnostic::identity::BoxId;
use firmware_agnostic::node::{Answer, Event, Tag};

use super::appliance::Power;
use super::misery::Mishap;
use super::{What, World, trace};

/// The fence device of one box.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Device {
    /// It does what it is told, as far as [`Misery`](super::misery::Misery) lets it.
    #[default]
    Works,
    /// It answers, and does nothing.
    Broken,
    /// It does not answer.
    Unreachable,
    /// It answers that it will not: the password is another one.
    Refuses,
    /// It is wired to the box that asks, and shows and cuts the power of that one.
    WrongBox,
}

/// A look at the power of a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Whose power.
    pub of: BoxId,
    /// The box that asked, in which life, and by which question.
    pub asker: (BoxId, u32, Tag),
    /// Whether the power should have been cut before.
    pub fences: bool,
}

impl World {
    pub(super) fn look(&mut self, asker: BoxId, tag: Tag) {
        let life = self.boxes[asker.place()].life;
        let of = asker.other();
        if self.cannot_be_reached(of) {
            let patience = self.patience(asker);
            self.after(patience, What::Answers(asker, life, tag, Answer::PowerSilent));
        } else if self.devices[of.place()] == Device::Refuses {
            let time = self.random.within(&self.misery.reading);
            self.after(time, What::Answers(asker, life, tag, Answer::PowerUnknown));
        } else {
            let time = self.random.within(&self.misery.reading);
            let of = self.wired_to(of);
            let reading = Reading { of, asker: (asker, life, tag), fences: false };
            self.after(time, What::PowerIsRead(reading));
        }
    }

    pub(super) fn shoot(&mut self, asker: BoxId, tag: Tag) {
        self.check_shot(asker);
        let life = self.boxes[asker.place()].life;
        let of = asker.other();
        let patience = self.patience(asker);
        let failed = What::Answers(asker, life, tag, Answer::FenceFailed);
        let cut = self.random.within(&self.misery.cut);
        let wired_to = self.wired_to(of);
        let reading = self.random.within(&self.misery.reading);
        if self.cannot_be_reached(of) || self.suffers(Mishap::FenceLies) {
            self.after(patience, failed);
        } else if matches!(self.devices[of.place()], Device::Broken | Device::Refuses)
            || self.suffers(Mishap::FenceFails)
        {
            self.after(reading, failed);
        } else if self.suffers(Mishap::FenceLate) {
            self.after(patience, failed);
            self.after(patience + cut, What::PowerGoesOff(wired_to));
        } else if self.suffers(Mishap::FenceMute) {
            self.after(cut, What::PowerGoesOff(wired_to));
            self.after(patience, failed);
        } else {
            if wired_to == asker {
                self.saw("a fence device cuts the wrong box");
            }
            self.after(cut, What::PowerGoesOff(wired_to));
            let reading_at = (cut + reading).min(patience);
            let reading = Reading { of: wired_to, asker: (asker, life, tag), fences: true };
            self.after(reading_at, What::PowerIsRead(reading));
        }
    }

    pub(super) fn power_is_read(&mut self, reading: Reading) {
        let (asker, life, tag) = reading.asker;
        let off = self.boxes[reading.of.place()].power == Power::Off;
        let answer = match (reading.fences, off) {
            (true, true) => Answer::Fenced,
            (true, false) => Answer::FenceFailed,
            (false, true) => Answer::PowerOff,
            (false, false) => Answer::PowerOn,
        };
        if let Some(supervisor) = self.boxes[asker.place()].alive(life) {
            supervisor.seen.read_off |= off && reading.of != asker;
        }
        self.deliver(asker, life, Event::Answer(tag, answer));
    }

    /// The device of a box is asked for its power though nobody needs it.
    pub(super) fn poll(&mut self, of: BoxId) {
        let asker = of.other();
        let off = self.boxes[self.wired_to(of).place()].power == Power::Off;
        if !off || self.cannot_be_reached(of) {
            return;
        }
        let life = self.boxes[asker.place()].life;
        let true_ = self.wired_to(of) != asker;
        if let Some(supervisor) = self.boxes[asker.place()].alive(life) {
            supervisor.seen.read_off |= true_;
            self.saw("a power is polled, and off");
        }
        self.deliver(asker, life, Event::SeenOff);
    }

    /// Changes what the fence device of a box does from now on.
    pub fn device(&mut self, of: BoxId, device: Device) {
        self.devices[of.place()] = device;
        let of = trace::name(of);
        self.note_world(format_args!("fence device of {of}: {device:?}"));
    }

    /// The box whose power the device of `of` switches.
    fn wired_to(&self, of: BoxId) -> BoxId {
        if self.devices[of.place()] == Device::WrongBox { of.other() } else { of }
    }

    fn cannot_be_reached(&mut self, of: BoxId) -> bool {
        self.devices[of.place()] == Device::Unreachable || self.suffers(Mishap::Unreachable)
    }

    fn patience(&self, asker: BoxId) -> u64 {
        self.boxes[asker.place()].settings.timing.fence_time().as_micros() as u64
    }
}
