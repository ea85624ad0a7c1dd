//! What can people and fate do? Cut, hang, kill, stall, reset, rescue; and give orders.

use firmware_agnostic::heartbeat::{Boot, Role};
use firmware_agnostic::identity::{BoxId, ResourceId};
use firmware_agnostic::node::{Event, Node};
use firmware_agnostic::order::{Order, Until};

use super::appliance::{Power, Supervisor, Verb};
use super::misery::{MILLI, Misery, SECOND};
use super::random::Random;
use super::{What, World};

impl World {
    /// Switches a box on: its supervisor starts when it has booted.
    pub fn power_on(&mut self, id: BoxId) {
        if self.boxes[id.place()].power != Power::Off {
            return;
        }
        self.note(id, format_args!("* is switched on"));
        self.boxes[id.place()].power = Power::On;
        self.boot(id);
    }

    /// Takes the power of a box away.
    pub fn power_off(&mut self, id: BoxId, why: &str) {
        let appliance = &mut self.boxes[id.place()];
        if appliance.power == Power::Off {
            return;
        }
        appliance.power = Power::Off;
        appliance.holds = false;
        self.die(id);
        self.note(id, format_args!("* {why}"));
        self.await_rescue(id);
    }

    /// Nothing runs on the box any more, and it keeps what it holds.
    pub fn hang(&mut self, id: BoxId) {
        if self.boxes[id.place()].power == Power::Off {
            return;
        }
        self.boxes[id.place()].power = Power::Hangs;
        self.die(id);
        self.note(id, format_args!("* hangs"));
        self.await_rescue(id);
    }

    /// The box starts over: what it held is gone.
    pub fn reset(&mut self, id: BoxId) {
        if self.random.happens(self.misery.reset_hangs) {
            self.hang(id);
        } else if self.boxes[id.place()].power != Power::Off {
            self.note(id, format_args!("* resets"));
            self.boxes[id.place()].holds = false;
            self.boxes[id.place()].power = Power::On;
            self.boot(id);
        }
    }

    /// The supervisor dies; what it started runs on. It is started again.
    pub fn kill(&mut self, id: BoxId) {
        if self.boxes[id.place()].supervisor.is_some() {
            self.note(id, format_args!("* its supervisor is killed"));
            self.respawn(id);
        }
    }

    /// The box does not run for `time`, and goes on as if nothing had been.
    pub fn stall(&mut self, id: BoxId, time: u64) {
        let life = self.boxes[id.place()].life;
        let Some(supervisor) = &mut self.boxes[id.place()].supervisor else { return };
        if !supervisor.stalled {
            supervisor.stalled = true;
            self.note(id, format_args!("* does not run for {} ms", time / MILLI));
            self.after(time, What::StallEnds(id, life));
        }
    }

    /// A resource fails that should run.
    pub fn fail(&mut self, id: BoxId, resource: ResourceId) {
        let life = self.boxes[id.place()].life;
        self.note(id, format_args!("* a resource dies"));
        self.deliver(id, life, Event::ResourceFailed(resource));
    }

    /// The resources of the box do not start, or do not stop, from now on; or do both again.
    pub fn refuse(&mut self, id: BoxId, verb: Option<Verb>) {
        self.boxes[id.place()].refuses = verb;
    }

    /// Ends all misery: mends every cable and device, and has every box that does not run switched on.
    pub fn calm_down(&mut self) {
        self.note_world(format_args!("calm"));
        self.misery = Misery { rescue: self.misery.rescue.clone(), ..Misery::calm() };
        for cable in &mut self.cables {
            *cable = super::Cable::default();
        }
        self.devices = [super::Device::Works; 2];
        for id in BoxId::BOTH {
            self.await_rescue(id);
        }
    }

    /// Has a box off, and leaves it so.
    pub fn switch_off(&mut self, id: BoxId) {
        self.abandoned = Some(id);
        // Whoever was about to switch it on comes too late.
        self.power_on(id);
        self.power_off(id, "is switched off");
    }

    /// Begins new misery.
    pub fn stir_up(&mut self, misery: Misery) {
        self.note_world(format_args!("misery"));
        self.misery = misery;
        self.abandoned = None;
        let first = self.random.within(&self.misery.troubles);
        self.after(first, What::Trouble);
    }

    /// Gives both clocks a rate of their own, at most a thousandth off.
    pub fn set_clocks(&mut self) {
        for appliance in &mut self.boxes {
            appliance.skew = self.random.within(&(0..2_001)).cast_signed() - 1_000;
        }
    }

    pub(super) fn trouble(&mut self) {
        if self.misery.troubles.is_empty() {
            return;
        }
        let next = self.random.within(&self.misery.troubles);
        self.after(next, What::Trouble);
        let id = self.random.one_of(&BoxId::BOTH);
        let link = self.random.within(&(0..self.cables.len() as u64)) as usize;
        match self.random.within(&(0..26)) {
            0..3 => self.plug(link, false),
            3..5 => self.plug_one_way(link, id, false),
            5 => (0..self.cables.len()).for_each(|link| self.plug(link, false)),
            6 => (0..self.cables.len()).for_each(|link| self.plug_one_way(link, id, false)),
            7..11 => (0..self.cables.len()).for_each(|link| self.plug(link, true)),
            11 => self.cables[link].noise[id.place()] = self.random.one_of(&[0, 300_000, 900_000]),
            12 => self.power_off(id, "loses its power"),
            13 => self.hang(id),
            14 => self.kill(id),
            15 => self.reset(id),
            16..18 => {
                let time = self.random.within(&self.misery.stall);
                self.stall(id, time);
            }
            18..20 => self.fail_something(id),
            20..25 => self.order_something(id),
            _ => self.confirm_truly(id),
        }
    }

    /// Brings one fault about, and tells whether it is a cut of all cables.
    pub(super) fn one_fault(&mut self, random: &mut Random) -> bool {
        let id = random.one_of(&BoxId::BOTH);
        match random.within(&(0..8)) {
            0 => self.power_off(id, "loses its power"),
            1 => self.hang(id),
            2 => self.kill(id),
            3 => self.reset(id),
            4..6 => self.stall(id, random.within(&(100 * MILLI..30 * SECOND))),
            way => {
                for link in 0..self.cables.len() {
                    // A cable that is torn carries the last word through one way only.
                    self.plug_one_way(link, id, false);
                    self.cables[link].cut[id.other().place()] = way == 6;
                }
                return true;
            }
        }
        false
    }

    fn fail_something(&mut self, id: BoxId) {
        let resource = self.any_resource(id);
        let everywhere = resource.place() == EVERYWHERE;
        if everywhere || matches!(self.role(id), Some(Role::Starting | Role::Active)) {
            self.fail(id, resource);
        }
    }

    fn order_something(&mut self, id: BoxId) {
        let orders = [
            Order::Standby(Until::Reboot),
            Order::Takeover(Until::Reboot),
            Order::Resume,
            Order::Clear,
            Order::Resume,
            Order::Leave,
        ];
        let order = self.random.one_of(&orders);
        self.order(id, order);
    }

    /// An operator confirms what he has seen: the other box is off.
    fn confirm_truly(&mut self, id: BoxId) {
        if self.boxes[id.other().place()].power == Power::Off {
            self.order(id, Order::Confirm(id.other()));
        }
    }

    pub(super) fn leave(&mut self, id: BoxId) {
        self.note(id, format_args!("* its supervisor ends"));
        if self.boxes[id.place()].holds {
            self.broken("no false word", "a box leaves, and holds".to_owned());
        }
        if self.stays_away {
            self.die(id);
        } else {
            self.respawn(id);
        }
    }

    pub(super) fn start_supervisor(&mut self, id: BoxId, life: u32) {
        let boot = Boot((self.random.bits() as u32).to_be_bytes());
        let now = self.now;
        let appliance = &mut self.boxes[id.place()];
        if appliance.life != life {
            return;
        }
        let node =
            Node::new(appliance.settings.clone(), boot, appliance.journal, appliance.local(now));
        appliance.supervisor = Some(Supervisor::new(node));
        self.note(id, format_args!("* its supervisor starts"));
        self.step(id, Event::Timeout);
    }

    pub(super) fn stall_ends(&mut self, id: BoxId, life: u32) {
        let timeout_first = self.random.happens(500_000);
        let Some(supervisor) = self.boxes[id.place()].alive(life) else { return };
        supervisor.stalled = false;
        let inbox = std::mem::take(&mut supervisor.inbox);
        if timeout_first {
            self.step(id, Event::Timeout);
        }
        for event in inbox {
            self.deliver(id, life, event);
        }
        if let Some(supervisor) = self.boxes[id.place()].alive(life) {
            supervisor.wakes_at = u64::MAX;
            self.schedule_wake(id);
        }
    }

    pub(super) fn rescue(&mut self, id: BoxId, life: u32) {
        if self.boxes[id.place()].life == life {
            self.power_off(id, "is switched off");
            self.power_on(id);
        }
    }

    fn await_rescue(&mut self, id: BoxId) {
        let appliance = &self.boxes[id.place()];
        let helpless = appliance.power != Power::On && self.abandoned != Some(id);
        let life = appliance.life;
        if helpless && !self.misery.rescue.is_empty() {
            let time = self.random.within(&self.misery.rescue);
            self.after(time, What::Rescued(id, life));
        }
    }

    fn boot(&mut self, id: BoxId) {
        self.die(id);
        let time = self.random.within(&self.misery.boot);
        let (now, life) = (self.now, self.boxes[id.place()].life);
        self.boxes[id.place()].set_clock(0, now);
        self.after(time, What::Starts(id, life));
    }

    fn respawn(&mut self, id: BoxId) {
        self.die(id);
        let time = self.random.within(&self.misery.respawn);
        let life = self.boxes[id.place()].life;
        self.after(time, What::Starts(id, life));
    }

    fn die(&mut self, id: BoxId) {
        let appliance = &mut self.boxes[id.place()];
        appliance.supervisor = None;
        appliance.life += 1;
    }
}

/// The place of the resource that runs on both boxes at all times.
const EVERYWHERE: usize = 2;
