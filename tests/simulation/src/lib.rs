//! Simulates a pair: two boxes, their cables and power, one clock and one seed.
//!
//! The world runs the machine of the product, [`Node::step`](firmware_agnostic::node::Node::step), and is all
//! that surrounds it. All that happens stands in one queue, ordered by time; all that is left to chance comes
//! from one seed. So a run that went wrong can be had again, line by line.
//!
//! | module | question |
//! |---|---|
//! | [`appliance`] | what is one box: power, clock, supervisor, resources? |
//! | [`cable`] | what becomes of a heartbeat? |
//! | [`wire`] | what stands on the cable? |
//! | [`disk`] | what does a box remember? |
//! | [`device`] | what becomes of an order to cut the power? |
//! | [`effects`] | what is done about an action? |
//! | [`guard`] | what does a supervisor leave that dies? |
//! | [`faults`] | what can people and fate do? |
//! | [`senses`] | what does a box see besides? |
//! | [`fault`] | what of it happens, and what ends it? |
//! | [`plan`] | what is going to happen? |
//! | [`fast_forward`] | what may be left out? |
//! | [`shrink`] | what was needed? |
//! | [`fault_model`] | how often, and for how long? |
//! | [`checks`] | was a promise broken? |
//! | [`single_node`] | what does one box do about the very words that a test wants? |
//! | [`story`] | what is told when something happens? |
//! | [`trace`] | what is written down? |

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::identity::{BoxId, LinkId, ResourceId};
use firmware_agnostic::node::{Actions, Answer, Event, Node, Tag};
use firmware_agnostic::order::{Order, Refusal};
use firmware_agnostic::settings::Settings;
use firmware_agnostic::time::Instant;

use appliance::{Appliance, Lost};
use cable::Cable;
use checks::{Broken, Checks};
use device::Device;
use fault::Fault;
use fault_model::FaultModel;
use random::Random;
use trace::Trace;
use wire::Said;

pub mod allocations;
pub mod appliance;
pub mod cable;
pub mod checks;
pub mod conversation;
pub mod device;
pub mod disk;
pub mod effects;
pub mod fast_forward;
pub mod fault;
pub mod fault_model;
pub mod faults;
pub mod fixtures;
pub mod guard;
pub mod life;
pub mod plan;
pub mod random;
pub mod senses;
pub mod shrink;
pub mod single_node;
pub mod story;
pub mod trace;
pub mod wire;

/// The simulated pair and all that surrounds it.
pub struct World {
    now: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    entries: u64,
    random: Random,
    /// How bad it is.
    pub fault_model: FaultModel,
    boxes: [Appliance; 2],
    /// How they were set up at the beginning.
    first: [Settings; 2],
    cables: Vec<Cable>,
    devices: [Device; 2],
    /// What the thread of each box is asked about the power of the other one.
    questions: [Option<device::Question>; 2],
    checks: Checks,
    trace: Trace,
    /// What an operator orders on each box when either changes its role next.
    ambushes: [Option<Order>; 2],
    /// Whether the bytes of the heartbeats travel, rather than what they say.
    pub bytes_travel: bool,
    /// The box that nobody switches on.
    abandoned: Option<BoxId>,
    /// A supervisor that was told to leave is not started again.
    pub stays_away: bool,
    /// Whether rounds in which nothing happens are left out.
    pub leaps: bool,
    /// The time that was left out.
    pub(crate) left_out: u64,
}

impl World {
    /// Two boxes without power.
    pub fn new(settings: [Settings; 2], fault_model: FaultModel, seed: u64, trace: Trace) -> Self {
        let links = settings[0].links;
        Self {
            now: 0,
            queue: BinaryHeap::new(),
            entries: 0,
            random: Random::new(seed),
            fault_model,
            first: settings.clone(),
            boxes: settings.map(Appliance::new),
            cables: vec![Cable::default(); links],
            devices: [Device::default(); 2],
            questions: [None; 2],
            checks: Checks::default(),
            trace,
            ambushes: [None; 2],
            bytes_travel: false,
            abandoned: None,
            stays_away: false,
            leaps: false,
            left_out: 0,
        }
    }

    /// Lets `micros` microseconds pass.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn run(&mut self, micros: u64) -> Result<(), Broken> {
        let end = self.now + micros;
        while self.now < end {
            if self.leaps {
                self.pass(end.min(self.now + fast_forward::SLICE))?;
                self.leap(end)?;
            } else {
                self.pass(end)?;
            }
        }
        Ok(())
    }

    fn pass(&mut self, end: u64) -> Result<(), Broken> {
        while let Some(Reverse(entry)) = self.queue.peek()
            && entry.at <= end
        {
            let Some(Reverse(entry)) = self.queue.pop() else { break };
            self.now = entry.at;
            self.happen(&entry.what);
            if let Some(broken) = self.checks.broken.take() {
                return Err(broken);
            }
        }
        self.now = end;
        Ok(())
    }

    /// Microseconds since the beginning of the world.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// The machine that runs on `id`, if one does.
    pub fn node(&self, id: BoxId) -> Option<&Node> {
        self.boxes[id.index()].supervisor.as_ref().map(|supervisor| &supervisor.node)
    }

    /// What `id` is, if a machine runs there.
    pub fn role(&self, id: BoxId) -> Option<Role> {
        self.node(id).map(Node::role)
    }

    /// Whether something may really run on `id` that must run on one box only.
    pub const fn holds(&self, id: BoxId) -> bool {
        self.boxes[id.index()].holds
    }

    /// The box that serves, if exactly one does.
    pub fn serving(&self) -> Option<BoxId> {
        let serves = |id: &BoxId| self.role(*id) == Some(Role::Active) && self.holds(*id);
        match (serves(&BoxId::First), serves(&BoxId::Second)) {
            (true, false) => Some(BoxId::First),
            (false, true) => Some(BoxId::Second),
            _ => None,
        }
    }

    /// What was written down.
    pub fn lines(&self) -> &[String] {
        self.trace.lines()
    }

    /// Forgets what was written down so far.
    pub fn forget_lines(&mut self) {
        self.trace = Trace::Kept(Vec::new());
    }

    /// Gives an operator's order to `id`. Nobody answers on a box that does not run.
    pub fn order(&mut self, id: BoxId, order: Order) -> Option<Result<(), Refusal>> {
        let ready = self.boxes[id.index()].supervisor.as_ref().is_some_and(|it| !it.stalled);
        if !ready {
            return None;
        }
        self.note(id, format_args!("is told: {order:?}"));
        self.step(id, Event::Order(order));
        self.checks.reply.take()
    }

    fn happen(&mut self, what: &What) {
        match *what {
            What::Arrives(id, link, ref said) => self.arrive(id, link, said),
            What::Wakes(id, life) => self.wake(id, life),
            What::Answers(id, life, tag, answer) => {
                self.deliver(id, life, Event::Answer(tag, answer));
            }
            What::GroupDone(id, life) => self.group_done(id, life),
            What::Restarted(id, life, resource) => self.restarted(id, life, resource),
            What::DeviceWorks(question) => self.device_works(question),
            What::PowerIsPolled(asker, life) => self.poll(asker, life),
            What::PowerGoesOff(id, by) => self.cut_power(id, by),
            What::Written(id, life) => self.written(id, life),
            What::GuardSpeaks(id, life) => self.guard_speaks(id, life),
            What::Starts(id, life) => self.start_supervisor(id, life),
            What::StallEnds(id, life) => self.stall_ends(id, life),
            What::Rescued(id, life) => self.rescue(id, life),
            What::Fault(fault) => self.bring_about(fault),
        }
    }

    /// Hands `event` to the supervisor that has `life`, now or when its stall is over.
    fn deliver(&mut self, id: BoxId, life: u32, event: Event) {
        let Some(supervisor) = self.boxes[id.index()].alive(life) else { return };
        if supervisor.stalled {
            supervisor.inbox.push_back(event);
        } else {
            self.step(id, event);
        }
    }

    fn wake(&mut self, id: BoxId, life: u32) {
        let now = self.now;
        let local = self.boxes[id.index()].local(now);
        let Some(supervisor) = self.boxes[id.index()].alive(life) else { return };
        if supervisor.stalled || supervisor.wakes_at != now {
            return;
        }
        supervisor.wakes_at = u64::MAX;
        if supervisor.node.next_deadline() <= local {
            self.step(id, Event::Timeout);
        } else {
            self.schedule_wake(id);
        }
    }

    fn step(&mut self, id: BoxId, event: Event) {
        let appliance = &mut self.boxes[id.index()];
        let Some(supervisor) = appliance.supervisor.as_mut() else { return };
        supervisor.seen.note(id, &event, &supervisor.node, self.now);
        if appliance.lost == Lost::Shot && supervisor.seen.has_heard() {
            appliance.lost = Lost::ShotBefore;
        }
        self.follow(id, |node, local| node.step(event, local));
    }

    /// Does what the machine of `id` wants done about what happened.
    fn follow(&mut self, id: BoxId, what: impl FnOnce(&mut Node, Instant) -> Actions) {
        let local = self.boxes[id.index()].local(self.now);
        let appliance = &mut self.boxes[id.index()];
        let Some(supervisor) = appliance.supervisor.as_mut() else { return };
        let actions = what(&mut supervisor.node, local);
        let life = self.boxes[id.index()].life;
        for action in actions {
            self.do_or_hold(id, life, action);
        }
        if let Some(supervisor) = self.boxes[id.index()].alive(life) {
            supervisor.seen.review(&supervisor.node, local, self.now);
        }
        self.check_dual();
        self.check_step(id, local);
        self.schedule_wake(id);
    }

    fn schedule_wake(&mut self, id: BoxId) {
        let appliance = &mut self.boxes[id.index()];
        let (life, now) = (appliance.life, self.now);
        let Some(supervisor) = &appliance.supervisor else { return };
        let at = appliance.world_time(supervisor.node.next_deadline()).max(now + 1);
        let Some(supervisor) = &mut appliance.supervisor else { return };
        if at < supervisor.wakes_at {
            supervisor.wakes_at = at;
            self.at(at, What::Wakes(id, life));
        }
    }

    fn after(&mut self, micros: u64, what: What) {
        self.at(self.now + micros, what);
    }

    fn at(&mut self, at: u64, what: What) {
        self.entries += 1;
        self.queue.push(Reverse(Entry { at, number: self.entries, what }));
    }
}

/// Something that will happen.
#[derive(Clone, Debug, PartialEq)]
enum What {
    /// Boxed, because the queue moves its entries about and this is the largest by far.
    Arrives(BoxId, LinkId, Box<Said>),
    Wakes(BoxId, u32),
    Answers(BoxId, u32, Tag, Answer),
    GroupDone(BoxId, u32),
    Restarted(BoxId, u32, ResourceId),
    DeviceWorks(device::Question),
    PowerIsPolled(BoxId, u32),
    /// Ordered by the other box, in its time; or by an order that does not count.
    PowerGoesOff(BoxId, Option<BoxId>),
    Written(BoxId, u32),
    Starts(BoxId, u32),
    GuardSpeaks(BoxId, u32),
    StallEnds(BoxId, u32),
    Rescued(BoxId, u32),
    Fault(Fault),
}

#[derive(Debug)]
struct Entry {
    at: u64,
    number: u64,
    what: What,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}
