//! Performs what the node orders, and nothing else.
//!
//! Each action is handed to the part that does it: the links, the resources' thread, the fence devices' thread. Each
//! action that asks gets exactly one answer, tagged as the question was: if the thread does not answer in time, its
//! silence is the answer, and what it says later is dropped by the node.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use board::time::clock::Clock;
use firmware_agnostic::frame::{self, Keys, Message, PairId};
use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::identity::ResourceId;
use firmware_agnostic::journal::Journal;
use firmware_agnostic::node::{Action, Answer, Event, Tag};
use firmware_agnostic::order::Refusal;
use firmware_agnostic::receiver::Reception;
use smol::channel::Sender;
use smol::{LocalExecutor, Task, Timer};

use crate::config::Config;
use crate::guard::handle::Guarded;
use crate::input::Input;
use crate::observe::events::EventSink;
use crate::observe::latency::Latency;
use crate::observe::names::NameTable;
use crate::peer::letters::Letters;
use crate::peer::links::Links;
use crate::process::readiness::InitNotifier;
use crate::process::realtime::Realtime;
use crate::process::upgrade::OwnProgram;
use crate::reload::trial::Trial;
use crate::requests::order::PendingOrder;
use crate::workers::checks::CheckWorkers;
use crate::workers::fencing::FenceWorker;
use crate::workers::journal::{ActionQueue as Ordered, JournalWorker};
use crate::workers::metrics_file::Published;
use crate::workers::resources::ResourceWorker;
use crate::workers::watchdog::Feeder;

/// All parts of the supervisor: what the node orders is done by one of them.
pub(crate) struct Effects {
    pub(crate) executor: Rc<LocalExecutor<'static>>,
    pub(crate) inputs: Sender<Input>,
    pub(crate) config: Rc<Config>,
    pub(crate) names: Rc<NameTable>,
    pub(crate) keys: Keys,
    /// What the secrets of the fence devices were when these were opened.
    pub(crate) secrets: Fingerprint,
    pub(crate) pair: PairId,
    pub(crate) links: Links,
    pub(crate) reception: Rc<RefCell<Reception>>,
    pub(crate) letters: Rc<Letters>,
    pub(crate) resources: ResourceWorker,
    pub(crate) fencing: FenceWorker,
    pub(crate) journal: JournalWorker,
    pub(crate) guard: Guarded,
    pub(crate) witnesses: CheckWorkers,
    pub(crate) gates: CheckWorkers,
    pub(crate) metrics: Published,
    /// Where something watches this box.
    pub(crate) feeder: Option<Feeder>,
    pub(crate) ready: InitNotifier,
    pub(crate) events: EventSink,
    pub(crate) latency: Latency,
    pub(crate) realtime: Realtime,
    pub(crate) program: OwnProgram,
    /// The configuration that is tried out.
    pub(crate) trial: Option<Trial>,
    /// The number of the next frame.
    pub(crate) number: u32,
    /// The operator whose order the node is looking at.
    pub(crate) pending: Option<PendingOrder>,
    /// What makes an answer of their silence.
    pub(crate) overdue: Overdue,
    /// What the node has ordered and is not done.
    pub(crate) queue: Ordered,
}

/// The end of the patience with each thread. The next question to it calls the one before off, whose answer may come
/// under the same tag.
#[derive(Default)]
pub(crate) struct Overdue {
    resources: Option<Task<()>>,
    fencing: Option<Task<()>>,
    journal: Option<Task<()>>,
}

impl Effects {
    /// Takes over what the node has ordered. A shot is called off at once, before all that waits.
    pub(crate) fn order(&mut self, action: Action) {
        match action {
            Action::CallOff(tag) if self.queue.call_off(tag) => {
                self.soon(Input::Event(Event::Answer(tag, Answer::FenceFailed)));
            }
            Action::CallOff(tag) => self.fencing.call_off(tag),
            action => self.queue.add(action),
        }
    }

    /// Does what the node ordered, as far as it may be done now. Breaks when the supervisor is to end.
    pub(crate) fn work(&mut self) -> ControlFlow<()> {
        while let Some(action) = self.queue.next() {
            self.perform(action)?;
        }
        ControlFlow::Continue(())
    }

    fn perform(&mut self, action: Action) -> ControlFlow<()> {
        self.events.acts(&action);
        match action {
            Action::Send(heartbeat) => {
                let life = heartbeat.heard.map(|epoch| epoch.boot);
                let echo = self.reception.borrow_mut().send(self.number, life, Clock.now());
                let speaks = self.reception.borrow().speaks();
                for version in speaks.to_say(self.number) {
                    let word = Message { version, number: self.number, heartbeat, echo };
                    let frame = frame::encode(&word, &self.keys, self.pair);
                    for port in self.links.ports() {
                        port.send(&frame);
                    }
                    self.guard.keep(&frame);
                }
                self.letters.ride();
                self.number = self.number.wrapping_add(1);
                if let Some(feeder) = &mut self.feeder {
                    feeder.sent();
                }
                let rhythm = self.config.settings.timing.keepalive();
                if let Some(hangs) = self.resources.hangs(Clock.now(), rhythm) {
                    self.soon(Input::Event(Event::Hangs(hangs)));
                }
            }
            Action::Start(tag) => {
                self.resources.start(tag);
                self.overdue.resources =
                    Some(self.expect(tag, Answer::StartFailed(FIRST), self.resources.start_time()));
            }
            Action::Stop(tag) => {
                self.resources.stop(tag);
                self.overdue.resources =
                    Some(self.expect(tag, Answer::StopFailed(FIRST), self.resources.stop_time()));
            }
            Action::Adopt(tag) => {
                self.resources.adopt(tag);
                self.overdue.resources =
                    Some(self.expect(tag, Answer::NotAdopted, self.resources.stop_time()));
            }
            Action::Record(journal) => self.record(journal),
            Action::Announce => self.resources.announce(),
            Action::Restart(resource) => {
                self.resources.restart(self.names.lend().resource(resource));
            }
            Action::LookAtPower(tag) => {
                self.fencing.look(tag);
                self.overdue.fencing =
                    Some(self.expect(tag, Answer::PowerUnknown, self.fencing.time()));
            }
            Action::Fence(tag) => {
                self.fencing.fence(tag);
                self.overdue.fencing =
                    Some(self.expect(tag, Answer::FenceFailed, self.fencing.time()));
            }
            Action::Cut(tag) => self.fencing.cut(tag),
            Action::CallOff(tag) => self.fencing.call_off(tag),
            Action::PowerOn(tag) => self.fencing.power_on(tag),
            Action::Reset => {
                // First of all, because the reset may hang, as everything else may here.
                if let Some(feeder) = &self.feeder {
                    feeder.trip();
                }
                self.events.flush();
                crate::observe::logging::flush();
                let Err(error) = board::host::reset::reset();
                log::error!("{error}; the peer has been asked to fence it");
            }
            Action::Leave => {
                self.leave();
                return ControlFlow::Break(());
            }
            Action::Upgrade => self.upgrade(),
            Action::Reply(verdict) => self.reply(verdict),
            Action::Tell(report) => {
                self.events.tell(&report, self.resources.announced());
            }
        }
        ControlFlow::Continue(())
    }

    /// Writes the journal. What comes after it waits until it is on the disk, or for as long as no heartbeat is
    /// late by that.
    fn record(&mut self, journal: Journal) {
        let number = self.queue.begin();
        self.journal.write(number, journal);
        let (inputs, time) = (self.inputs.clone(), self.config.settings.timing.keepalive());
        self.overdue.journal = Some(self.executor.spawn(async move {
            Timer::after(time).await;
            let _ = inputs.send(Input::RecordOverdue(number)).await;
        }));
    }

    /// Stops everything, and ends the watch over this box if all of it has stopped.
    fn leave(&self) {
        if let Some(feeder) = &self.feeder {
            feeder.leave(self.resources.stop_time());
        }
        let clean = self.resources.end();
        if clean {
            self.guard.dismiss();
        }
        if let Some(feeder) = &self.feeder {
            feeder.end(clean);
        }
    }

    fn upgrade(&self) {
        log::info!("going on as the program that lies on the disk now");
        // The operator is told before, for nothing is afterwards that could.
        for _ in 0..TICKS_MAX {
            if !self.executor.try_tick() {
                break;
            }
        }
        // The successor knows nothing of the sessions that this one has.
        board::fence::hang_up();
        crate::observe::logging::flush();
        let Err(error) = self.program.succeed();
        log::error!("the program on the disk cannot be executed: {error}: going on as before");
    }

    fn reply(&mut self, verdict: Result<(), Refusal>) {
        if let Some(pending) = self.pending.take() {
            pending.answer(verdict);
        }
    }

    /// Makes `answer` of the silence of the part that was asked under `tag`.
    fn expect(&self, tag: Tag, answer: Answer, time: Duration) -> Task<()> {
        let inputs = self.inputs.clone();
        let overdue = async move {
            Timer::after(time + GRACE).await;
            let _ = inputs.send(Input::Event(Event::Answer(tag, answer))).await;
        };
        self.executor.spawn(overdue)
    }
}

/// Who is named when nobody knows which resource hangs.
const FIRST: ResourceId = ResourceId::new(0).expect("there is room for one resource");

/// Far more than tasks are ready at any moment; they may make each other ready for ever.
const TICKS_MAX: u32 = 100;

/// What every operation is told to need at the most, a thread may exceed by this before it counts as stuck.
const GRACE: Duration = Duration::from_millis(500);
