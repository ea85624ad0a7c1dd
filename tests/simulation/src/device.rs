//! Plays the fence devices: an order to cut the power has steps, and each may fail.
//!
//! As in the product, one thread per box works for its devices. It tries again what is not answered until its time is
//! over, reads off twice, asks the node before it cuts, and stops when it is called off.

use firmware_agnostic::identity::BoxId;
use firmware_agnostic::node::{Answer, Event, Tag};

use super::appliance::Power;
use super::fault_model::{MILLI, Mishap, SECOND};
use super::{What, World, trace};

/// The fence device of one box.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Device {
    /// It does what it is told, as far as [`FaultModel`](super::fault_model::FaultModel) lets it.
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
    /// It is wired to a machine outside the pair, which has power or has not.
    Stranger {
        /// That machine has power.
        on: bool,
    },
}

/// A question about the power of the other box, or an order to cut it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// The box that asks, and its life.
    pub asker: BoxId,
    /// Its life.
    pub life: u32,
    /// The name of the question.
    pub tag: Tag,
    /// What comes next.
    step: Step,
    /// When the thread gives up.
    deadline: u64,
    /// When the power was first read as off, of two readings.
    first: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// Read the power, and answer.
    Look,
    /// Read the power, and be ready to cut it.
    Prepare,
    /// Wait for the node.
    Ready,
    /// Send the order.
    Cut,
    /// The order was taken: read the power until it is off.
    Verify,
    /// The same, and the order is to be forgotten.
    CalledOff,
}

impl World {
    pub(super) fn look(&mut self, asker: BoxId, tag: Tag) {
        self.ask(asker, tag, Step::Look);
    }

    /// Makes ready to cut the power of the other box.
    pub(super) fn shoot(&mut self, asker: BoxId, tag: Tag) {
        self.ask(asker, tag, Step::Prepare);
    }

    fn ask(&mut self, asker: BoxId, tag: Tag, step: Step) {
        let life = self.boxes[asker.index()].life;
        let patience = self.boxes[asker.index()].settings.timing.fence_time().as_micros() as u64;
        let deadline = self.now + patience;
        let question = Question { asker, life, tag, step, deadline, first: None };
        // The thread works on one thing after the other; a new question calls the one before off.
        self.questions[asker.index()] = Some(question);
        let time = self.random.within(&self.fault_model.reading);
        self.after(time, What::DeviceWorks(question));
    }

    pub(super) fn cut(&mut self, asker: BoxId, tag: Tag) {
        self.check_cut(asker);
        if let Some(question) = self.current(asker, tag).filter(|it| it.step == Step::Ready) {
            self.go_on(Question { step: Step::Cut, ..question }, 0);
        }
    }

    pub(super) fn call_off(&mut self, asker: BoxId, tag: Tag) {
        self.saw("a shot is called off");
        let Some(question) = self.current(asker, tag) else { return };
        if question.step == Step::Verify {
            self.saw("a shot is called off after it was sent");
            let question = Question { step: Step::CalledOff, ..question };
            self.questions[asker.index()] = Some(question);
        } else {
            self.questions[asker.index()] = None;
            self.after(1, What::Answers(asker, question.life, tag, Answer::FenceFailed));
        }
    }

    fn current(&self, asker: BoxId, tag: Tag) -> Option<Question> {
        let life = self.boxes[asker.index()].life;
        self.questions[asker.index()].filter(|it| it.tag == tag && it.life == life)
    }

    fn go_on(&mut self, question: Question, after: u64) {
        self.questions[question.asker.index()] = Some(question);
        self.after(after, What::DeviceWorks(question));
    }

    fn answer(&mut self, question: Question, answer: Answer) {
        self.questions[question.asker.index()] = None;
        self.deliver(question.asker, question.life, Event::Answer(question.tag, answer));
    }

    /// The thread of a box does the next step, unless it was told something else meanwhile.
    pub(super) fn device_works(&mut self, question: Question) {
        let now_asked = self.questions[question.asker.index()];
        let called_off = Question { step: Step::CalledOff, ..question };
        let question = match now_asked {
            Some(asked) if asked == question => question,
            Some(asked) if question.step == Step::Verify && asked == called_off => called_off,
            _ => return,
        };
        let of = question.asker.other();
        let device = self.devices[of.index()];
        let looks = question.step == Step::Look;
        if self.now >= question.deadline {
            let silent = self.is_silent(of);
            let answer = match (looks, silent) {
                (true, true) => Answer::PowerSilent,
                (true, false) => Answer::PowerUnknown,
                (false, _) => Answer::FenceFailed,
            };
            return self.answer(question, answer);
        }
        if self.cannot_be_reached(of) {
            return self.go_on(question, self.again(question));
        }
        if device == Device::Refuses {
            let answer = if looks { Answer::PowerUnknown } else { Answer::FenceFailed };
            return self.answer(question, answer);
        }
        match question.step {
            Step::Look | Step::Prepare | Step::Verify | Step::CalledOff => self.read(question),
            Step::Ready => {}
            Step::Cut => self.send_order(question),
        }
    }

    fn read(&mut self, question: Question) {
        let (asker, of) = (question.asker, question.asker.other());
        let slips = question.first.is_none()
            && matches!(question.step, Step::Look | Step::Prepare)
            && self.suffers(Mishap::Slip);
        let off = self.shows_off(of) || slips;
        match (question.step, off, question.first) {
            (_, true, None) => {
                let question = Question { first: Some(self.now), ..question };
                self.go_on(question, BETWEEN_READINGS);
            }
            (step, true, Some(first)) => {
                self.note_reading(asker, of, first);
                let at = self.boxes[asker.index()].local(first);
                let looks = step == Step::Look;
                let answer = if looks { Answer::PowerOff(at) } else { Answer::Fenced(at) };
                self.answer(question, answer);
            }
            (Step::Look, false, _) => self.answer(question, Answer::PowerOn),
            (Step::Prepare, false, _) => {
                self.questions[asker.index()] = Some(Question { step: Step::Ready, ..question });
                let ready = Question { step: Step::Ready, ..question };
                self.after(self.again(ready), What::DeviceWorks(ready));
                self.deliver(asker, question.life, Event::Ready(question.tag));
            }
            (_, false, _) => {
                let time = self.random.within(&self.fault_model.reading).min(self.again(question));
                self.go_on(Question { first: None, ..question }, time.max(1));
            }
        }
    }

    fn send_order(&mut self, question: Question) {
        let of = question.asker.other();
        let cut = self.random.within(&self.fault_model.cut);
        let left = question.deadline.saturating_sub(self.now);
        let verify = Question { step: Step::Verify, first: None, ..question };
        if self.devices[of.index()] == Device::Broken || self.suffers(Mishap::FenceFails) {
            return self.answer(question, Answer::FenceFailed);
        }
        let mut after = self.random.within(&self.fault_model.reading).max(1);
        if self.suffers(Mishap::FenceLate) {
            self.order_comes(question.asker, left + cut, true);
        } else if self.suffers(Mishap::FenceMute) {
            self.order_comes(question.asker, cut, cut > left);
            after = left;
        } else if !self.suffers(Mishap::FenceLies) {
            self.order_comes(question.asker, cut, cut > left);
        }
        self.go_on(verify, after.min(left));
    }

    /// The order to cut takes effect after a time; it is late where that is longer than the device is given.
    fn order_comes(&mut self, asker: BoxId, after: u64, late: bool) {
        let of = asker.other();
        match self.devices[of.index()] {
            Device::Stranger { .. } => {
                self.devices[of.index()] = Device::Stranger { on: false };
                self.saw("a fence device cuts a machine outside the pair");
            }
            Device::WrongBox => {
                self.saw("a fence device cuts the wrong box");
                self.after(after, What::PowerGoesOff(asker, None));
            }
            _ => self.after(after, What::PowerGoesOff(of, (!late).then_some(asker))),
        }
    }

    /// How long until the thread tries again, which it does until its time is over.
    fn again(&self, question: Question) -> u64 {
        let pause = if question.step == Step::Ready { u64::MAX } else { TRY_AGAIN };
        pause.min(question.deadline - self.now).max(1)
    }

    /// The device of the other box is asked for its power though nobody needs it.
    pub(super) fn poll(&mut self, asker: BoxId, life: u32) {
        let of = asker.other();
        if self.boxes[asker.index()].alive(life).is_none() {
            return;
        }
        let refuses = self.devices[of.index()] == Device::Refuses;
        if self.questions[asker.index()].is_some() || refuses || self.cannot_be_reached(of) {
            return self.begin_polling(asker);
        }
        if self.shows_off(of) {
            self.saw("a power is polled, and off");
            self.note_reading(asker, of, self.now);
            let at = self.boxes[asker.index()].local(self.now);
            self.deliver(asker, life, Event::SeenOff(at));
            self.begin_polling(asker);
        } else {
            self.deliver(asker, life, Event::SeenOn);
        }
    }

    /// Polls as long as there is something to be seen: off, or on after it.
    pub(super) fn begin_polling(&mut self, asker: BoxId) {
        if !self.fault_model.poll.is_empty() {
            let (life, time) =
                (self.boxes[asker.index()].life, self.random.within(&self.fault_model.poll));
            self.after(time, What::PowerIsPolled(asker, life));
        }
    }

    fn shows_off(&self, of: BoxId) -> bool {
        match self.devices[of.index()] {
            Device::Stranger { on } => !on,
            Device::WrongBox => self.boxes[of.other().index()].power == Power::Off,
            _ => self.boxes[of.index()].power == Power::Off,
        }
    }

    /// A device has shown off twice, first at `first`: what is true of it.
    fn note_reading(&mut self, asker: BoxId, of: BoxId, first: u64) {
        let is_off = self.boxes[of.index()].power == Power::Off;
        let wired = !matches!(self.devices[of.index()], Device::Stranger { .. } | Device::WrongBox);
        if let Some(supervisor) = &mut self.boxes[asker.index()].supervisor {
            supervisor.seen.reads_off(first, is_off && wired);
        }
        if !is_off {
            self.saw("a fence device says off, and it is on");
        }
    }

    /// Changes what the fence device of a box does from now on.
    pub fn device(&mut self, id: BoxId, device: Device) {
        self.devices[id.index()] = device;
        let of = trace::name(id);
        self.note_world(format_args!("fence device of {of}: {device:?}"));
        self.begin_polling(id.other());
    }

    fn is_silent(&self, of: BoxId) -> bool {
        self.devices[of.index()] == Device::Unreachable
    }

    fn cannot_be_reached(&mut self, of: BoxId) -> bool {
        self.is_silent(of) || self.suffers(Mishap::Unreachable)
    }

    /// A box is switched on by its device.
    pub(super) fn order_power_on(&mut self, asker: BoxId, tag: Tag) {
        let (of, life) = (asker.other(), self.boxes[asker.index()].life);
        let works = self.devices[of.index()] == Device::Works && !self.cannot_be_reached(of);
        let time = self.random.within(&self.fault_model.reading);
        if works && self.abandoned != Some(of) {
            self.saw("a box is switched on by its device");
            self.power_on(of);
        }
        let answer = if works { Answer::PoweredOn } else { Answer::PowerOnFailed };
        self.after(time, What::Answers(asker, life, tag, answer));
    }
}

/// Between two readings that must agree on off.
const BETWEEN_READINGS: u64 = 25 * MILLI;
/// A device that does not answer is asked again so soon.
const TRY_AGAIN: u64 = SECOND / 4;
