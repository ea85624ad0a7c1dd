//! Brings about what people and chance can do: cut, hang, kill, stall, reset, rescue; and give orders.

use std::time::Duration;

use firmware_agnostic::heartbeat::{Heartbeat, Incarnation};
use firmware_agnostic::identity::{BoxId, LinkId, ResourceId};
use firmware_agnostic::journal::Journal;
use firmware_agnostic::node::fencing::LastLoss;
use firmware_agnostic::node::{Event, Node};
use firmware_agnostic::order::Order;
use firmware_agnostic::receiver::Heard;
use firmware_agnostic::settings::Settings;

use super::appliance::{Lost, Power, Supervisor, Verb};
use super::fault::Fault;
use super::fault_model::{FaultModel, MILLI, Mishap, SECOND};
use super::random::Random;
use super::wire::{Mailbox, Release};
use super::{What, World, fixtures};

/// What one fault was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OneFault {
    CutOneWay,
    CutBothWays,
    Hang,
    Other,
}

impl World {
    /// Switches a box on: its supervisor starts when it has booted.
    pub fn power_on(&mut self, id: BoxId) {
        if self.boxes[id.index()].power != Power::Off {
            return;
        }
        self.note(id, format_args!("* is switched on"));
        self.boxes[id.index()].power = Power::On;
        self.boot(id);
    }

    /// Takes the power of a box away.
    pub fn power_off(&mut self, id: BoxId, why: &str) {
        let appliance = &mut self.boxes[id.index()];
        if appliance.power == Power::Off {
            return;
        }
        appliance.power = Power::Off;
        appliance.last_loss = LastLoss::Unclear;
        if appliance.lost != Lost::Shot {
            appliance.lost = Lost::ByItself;
        }
        appliance.let_go();
        self.die(id);
        self.note(id, format_args!("* {why}"));
        if self.suffers(Mishap::JournalLost) {
            self.lose_journal(id);
        }
        self.begin_polling(id.other());
        self.await_rescue(id);
    }

    /// Cuts the power of a box by an order.
    pub(super) fn cut_power(&mut self, id: BoxId, by: Option<BoxId>) {
        if self.boxes[id.index()].power != Power::Off {
            self.power_off(id, "its power is cut");
            self.boxes[id.index()].lost = Lost::Shot;
            self.boxes[id.index()].last_loss = LastLoss::Ordered;
            self.check_cut_box(id, by);
            if let (Some(by), Some(after)) = (by, self.fault_model.on_after) {
                let life = self.boxes[by.index()].life;
                self.deliver(by, life, Event::OwesPower(Duration::from_micros(after)));
            }
        }
    }

    /// Nothing runs on the box any more, and it keeps what it holds.
    pub fn hang(&mut self, id: BoxId) {
        if self.boxes[id.index()].power == Power::Off {
            return;
        }
        self.boxes[id.index()].power = Power::Hangs;
        self.die(id);
        self.note(id, format_args!("* hangs"));
        self.await_rescue(id);
    }

    /// The box starts over: what it held is gone.
    pub fn reset(&mut self, id: BoxId) {
        if self.suffers(Mishap::ResetHangs) {
            self.hang(id);
        } else if self.boxes[id.index()].power != Power::Off {
            self.note(id, format_args!("* resets"));
            self.boxes[id.index()].let_go();
            self.boxes[id.index()].power = Power::On;
            self.boot(id);
        }
    }

    /// The supervisor dies; what it started runs on. It is started again.
    pub fn kill(&mut self, id: BoxId) {
        if self.boxes[id.index()].supervisor.is_some() {
            self.note(id, format_args!("* its supervisor is killed"));
            self.leave_to_guard(id);
            self.respawn(id);
        }
    }

    /// The supervisor becomes another; what it started runs on.
    pub(super) fn upgrade(&mut self, id: BoxId) {
        self.saw("a supervisor is upgraded");
        self.note(id, format_args!("* its supervisor becomes another"));
        self.leave_to_guard(id);
        self.respawn(id);
    }

    /// The box does not run for `time`, and goes on as if nothing had been.
    pub fn stall(&mut self, id: BoxId, time: u64) {
        let life = self.boxes[id.index()].life;
        let Some(supervisor) = &mut self.boxes[id.index()].supervisor else { return };
        if !supervisor.stalled {
            supervisor.stalled = true;
            self.note(id, format_args!("* does not run for {} ms", time / MILLI));
            self.after(time, What::StallEnds(id, life));
        }
    }

    /// A resource fails that should run.
    pub fn fail(&mut self, id: BoxId, resource: ResourceId) {
        let life = self.boxes[id.index()].life;
        self.note(id, format_args!("* a resource dies"));
        self.boxes[id.index()].dead.insert(resource.index());
        self.deliver(id, life, Event::ResourceFailed(resource));
    }

    /// The resources of the box do not start, or do not stop, from now on; or do both again.
    pub fn refuse(&mut self, id: BoxId, verb: Option<Verb>) {
        self.boxes[id.index()].refuses = verb;
    }

    /// A resource closes the gate through which the resources go home, or opens it.
    pub fn gate(&mut self, id: BoxId, closed: bool) {
        let life = self.boxes[id.index()].life;
        self.note(id, format_args!("* its gate is {}", if closed { "closed" } else { "open" }));
        self.deliver(id, life, Event::Gate { closed });
    }

    /// The disk of a box forgets what was written down, or the box is replaced by a new one.
    pub fn lose_journal(&mut self, id: BoxId) {
        self.note(id, format_args!("* its journal is lost"));
        self.boxes[id.index()].disk.lose();
    }

    /// The disk of a box takes no more writes, because it is full or read-only; or takes them again.
    pub fn lock_journal(&mut self, id: BoxId, locked: bool) {
        let locks = if locked { "cannot" } else { "can" };
        self.note(id, format_args!("* its journal {locks} be written"));
        self.boxes[id.index()].disk.refuses = locked;
    }

    /// One bit of the journal of a box turns over.
    pub fn rot(&mut self, id: BoxId, bit: usize) {
        self.note(id, format_args!("* bit {bit} of its journal turns over"));
        self.boxes[id.index()].disk.rot(bit);
    }

    /// The box gets another release of the supervisor, whose predecessor is killed.
    pub fn install(&mut self, id: BoxId, release: Release) {
        if self.boxes[id.index()].release != release {
            self.note(id, format_args!("* gets another release: {release:?}"));
            self.boxes[id.index()].release = release;
            self.kill(id);
        }
    }

    /// An operator orders `order` on `id` when either box changes its role next.
    pub const fn ambush(&mut self, id: BoxId, order: Order) {
        self.ambushes[id.index()] = Some(order);
    }

    pub(super) fn spring_ambushes(&mut self) {
        for id in BoxId::BOTH {
            if let Some(order) = self.ambushes[id.index()].take() {
                self.saw("an order comes at a change of role");
                self.after(0, What::Fault(Fault::Order(id, order)));
            }
        }
    }

    /// The box is set up differently from its next boot on.
    pub fn configure(&mut self, id: BoxId, change: impl FnOnce(&mut Settings)) {
        change(&mut self.boxes[id.index()].settings);
    }

    /// The box gets another configuration, by lot or, without one, that of the beginning; and is told to go on with it.
    pub fn reload(&mut self, id: BoxId, lot: Option<u64>) {
        if self.boxes[id.index()].supervisor.as_ref().is_some_and(|it| it.stalled) {
            return self.after(MILLI, What::Fault(Fault::Reload(id, lot)));
        }
        let settings = match lot {
            None => self.first[id.index()].clone(),
            Some(lot) => {
                let other = &self.boxes[id.other().index()].settings;
                let mut settings = self.boxes[id.index()].settings.clone();
                fixtures::set_up_differently(&mut settings, other, &mut Random::new(lot));
                settings
            }
        };
        let appliance = &mut self.boxes[id.index()];
        if appliance.settings == settings {
            return;
        }
        appliance.settings = settings.clone();
        self.note(id, format_args!("* is configured differently"));
        // Who changes a rank moves the resources on purpose: no stay has failed thereby, at either box.
        if let Some(other) = &mut self.boxes[id.other().index()].supervisor {
            other.seen.stays.forget();
        }
        let Some(supervisor) = &mut self.boxes[id.index()].supervisor else { return };
        supervisor.seen.reload();
        self.follow(id, |node, local| node.reload(fixtures::in_place(settings), local));
    }

    /// The clock of a box runs faster by so many millionths, from its next boot on.
    pub const fn clock_rate(&mut self, id: BoxId, skew: i64) {
        self.boxes[id.index()].set_skew(skew);
    }

    /// A heartbeat of unknown origin comes by a cable.
    pub fn forge(&mut self, to: BoxId, link: LinkId, heartbeat: Heartbeat) {
        self.note(
            to,
            format_args!("* is told: I am {}, epoch {}", heartbeat.role, heartbeat.epoch.change),
        );
        let now = self.boxes[to.index()].local(self.now);
        self.hear(to, link, Heard { heartbeat, proof: heartbeat.heard.map(|_| now) });
    }

    /// Ends all misery: mends every cable and device, and has every box that does not run switched on.
    pub fn calm_down(&mut self) {
        self.note_world(format_args!("calm"));
        self.fault_model =
            FaultModel { rescue: self.fault_model.rescue.clone(), ..FaultModel::calm() };
        for cable in &mut self.cables {
            *cable = super::Cable::default();
        }
        self.devices = [super::Device::Works; 2];
        for id in BoxId::BOTH {
            self.refuse(id, None);
            self.gate(id, false);
            self.witness(id, true);
            // What was to outlive a reboot ends, also where nobody can be told so now.
            let disk = &mut self.boxes[id.index()].disk;
            disk.refuses = false;
            if let Some(journal) = disk.read().filter(|journal| journal.order.is_some()) {
                disk.write(&Journal { order: None, ..journal });
            }
            self.ambushes[id.index()] = None;
            self.reload(id, None);
            self.install(id, Release::Present);
            self.await_rescue(id);
        }
    }

    /// Has a box off, and leaves it so.
    pub fn switch_off(&mut self, id: BoxId) {
        self.abandoned = Some(id);
        // A person who was about to switch it on comes too late.
        self.power_on(id);
        self.power_off(id, "is switched off");
    }

    /// Begins new misery, in which `faults` happen, each so long after the beginning.
    pub fn stir_up(&mut self, fault_model: FaultModel, faults: &[(u64, Fault)]) {
        self.note_world(format_args!("fault_model"));
        self.fault_model = fault_model;
        self.abandoned = None;
        for (after, fault) in faults {
            self.after(*after, What::Fault(*fault));
        }
    }

    /// Brings one fault about.
    pub(super) fn one_fault(&mut self, random: &mut Random) -> OneFault {
        let id = random.one_of(&BoxId::BOTH);
        match random.within(&(0..8)) {
            0 => self.power_off(id, "loses its power"),
            1 => {
                self.hang(id);
                return OneFault::Hang;
            }
            2 => self.kill(id),
            3 => self.reset(id),
            4..6 => self.stall(id, random.within(&(100 * MILLI..30 * SECOND))),
            way => {
                for link in 0..self.cables.len() {
                    // A cable that is torn carries the last word through one way only.
                    self.plug_one_way(link, id, false);
                    self.cables[link].cut[id.other().index()] = way == 6;
                }
                return if way == 6 { OneFault::CutBothWays } else { OneFault::CutOneWay };
            }
        }
        OneFault::Other
    }

    pub(super) fn leave(&mut self, id: BoxId) {
        self.note(id, format_args!("* its supervisor ends"));
        if self.boxes[id.index()].holds {
            self.broken("no false word", "a box leaves, and holds".to_owned());
        }
        if self.stays_away {
            self.die(id);
        } else {
            self.respawn(id);
        }
    }

    pub(super) fn start_supervisor(&mut self, id: BoxId, life: u32) {
        let random = (self.random.bits() as u16).to_be_bytes();
        let now = self.now;
        let appliance = &mut self.boxes[id.index()];
        if appliance.life != life {
            return;
        }
        let journal = appliance.disk.read();
        let before = journal.map(|journal| journal.life).unwrap_or_default();
        let (boot, local) = (Incarnation::after(before, random), appliance.local(now));
        let node = Node::new(appliance.settings.clone(), boot, journal, local);
        let mailbox = Mailbox::new(appliance.release);
        appliance.guard = None;
        appliance.supervisor = Some(Supervisor::new(node, mailbox, now));
        self.note(id, format_args!("* its supervisor starts"));
        self.step(id, Event::Timeout);
        self.look_around(id);
        self.boxes[id.index()].last_loss = LastLoss::None;
        self.begin_polling(id);
    }

    pub(super) fn stall_ends(&mut self, id: BoxId, life: u32) {
        let timeout_first = self.random.happens(500_000);
        let Some(supervisor) = self.boxes[id.index()].alive(life) else { return };
        supervisor.stalled = false;
        let inbox = std::mem::take(&mut supervisor.inbox);
        if timeout_first {
            self.step(id, Event::Timeout);
        }
        for event in inbox {
            self.deliver(id, life, event);
        }
        if let Some(supervisor) = self.boxes[id.index()].alive(life) {
            supervisor.wakes_at = u64::MAX;
            self.schedule_wake(id);
        }
    }

    pub(super) fn rescue(&mut self, id: BoxId, life: u32) {
        if self.boxes[id.index()].life == life {
            self.power_off(id, "is switched off");
            self.power_on(id);
        }
    }

    fn await_rescue(&mut self, id: BoxId) {
        let appliance = &self.boxes[id.index()];
        let helpless = appliance.power != Power::On && self.abandoned != Some(id);
        let life = appliance.life;
        if helpless && !self.fault_model.rescue.is_empty() {
            let time = self.random.within(&self.fault_model.rescue);
            self.after(time, What::Rescued(id, life));
        }
    }

    fn boot(&mut self, id: BoxId) {
        self.die(id);
        let time = self.random.within(&self.fault_model.boot);
        let (now, life) = (self.now, self.boxes[id.index()].life);
        self.boxes[id.index()].set_clock(0, now);
        self.boxes[id.index()].disk.boot();
        self.after(time, What::Starts(id, life));
    }

    fn respawn(&mut self, id: BoxId) {
        self.die(id);
        let time = self.random.within(&self.fault_model.respawn);
        let life = self.boxes[id.index()].life;
        self.after(time, What::Starts(id, life));
        self.guard_waits(id, life);
    }

    fn die(&mut self, id: BoxId) {
        let appliance = &mut self.boxes[id.index()];
        appliance.supervisor = None;
        appliance.life += 1;
    }
}
