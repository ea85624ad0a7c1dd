//! Lists what can go wrong, or be typed. One thing each, with all that is to be known to do it again.

use std::time::Duration;

use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::identity::{BoxId, ResourceId};
use firmware_agnostic::journal::FILE_LEN;
use firmware_agnostic::order::{FenceMode, Order, OrderDuration};

use super::World;
use super::appliance::{Power, Verb};
use super::cable::Shape;
use super::device::Device;
use super::fault_model::FaultModel;
use super::random::Random;
use super::wire::Release;

/// Something that happens to the pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The cables are cut and mended until they have this shape.
    Partition(Shape),
    /// So many heartbeats in a million of one box get lost on a cable.
    Noise(usize, BoxId, u32),
    /// A box loses its power.
    PowerLoss(BoxId),
    /// A box hangs.
    Hang(BoxId),
    /// A supervisor is killed.
    Kill(BoxId),
    /// A box resets.
    Reset(BoxId),
    /// A box does not run for so many microseconds.
    Stall(BoxId, u64),
    /// A resource dies, if it should run.
    Death(BoxId, ResourceId),
    /// All resources refuse to start or to stop, or refuse nothing.
    Refusal(BoxId, Option<Verb>),
    /// A gate is closed, or opened.
    Gate(BoxId, bool),
    /// A witness answers, or does not.
    Witness(BoxId, bool),
    /// A disk forgets.
    Amnesia(BoxId),
    /// A bit of a journal turns over.
    Rot(BoxId, usize),
    /// A journal cannot be written, or can be.
    Locked(BoxId, bool),
    /// A box gets another release of the supervisor.
    Release(BoxId, Release),
    /// The fence device of a box changes.
    Device(BoxId, Device),
    /// A box gets another configuration, by lot, or that of the beginning again.
    Reload(BoxId, Option<u64>),
    /// An operator orders something.
    Order(BoxId, Order),
    /// An operator orders something when either box changes its role next.
    Ambush(BoxId, Order),
    /// An operator confirms what he has seen, if it is so: the other box is off.
    Confirm(BoxId),
}

impl Fault {
    /// One of all.
    pub fn any(random: &mut Random, links: usize, fault_model: &FaultModel) -> Self {
        let id = random.one_of(&BoxId::BOTH);
        let link = random.within(&(0..links as u64)) as usize;
        match random.within(&(0..44)) {
            0..7 => Self::Partition(Shape::any(random, links)),
            7..11 => Self::Partition(Shape::WHOLE),
            11 => Self::Noise(link, id, random.one_of(&[0, 300_000, 900_000])),
            12 => Self::PowerLoss(id),
            13 => Self::Hang(id),
            14 => Self::Kill(id),
            15 => Self::Reset(id),
            16..18 => Self::Stall(id, random.within(&fault_model.stall)),
            18..20 => Self::Death(id, any_resource(random)),
            20 => Self::Gate(id, random.happens(500_000)),
            21 => Self::Amnesia(id),
            22 => {
                Self::Device(id, random.one_of(&[Device::Works, Device::Works, Device::WrongBox]))
            }
            23..30 => Self::Order(id, any_order(id, random)),
            30 => Self::Rot(id, random.within(&(0..FILE_LEN as u64 * 8)) as usize),
            31 => Self::Locked(id, true),
            32..34 => Self::Release(id, random.one_of(&[Release::Before, Release::Foreign])),
            34..38 => Self::Ambush(id, any_order(id, random)),
            38..40 => Self::Witness(id, random.happens(300_000)),
            40..42 => Self::Reload(id, Some(random.bits())),
            _ => Self::Confirm(id),
        }
    }

    /// One of those that come about in years of service, and do not come twice a minute.
    pub fn rare(random: &mut Random, links: usize, fault_model: &FaultModel) -> Self {
        let id = random.one_of(&BoxId::BOTH);
        match random.within(&(0..8)) {
            0 => Self::Refusal(id, random.one_of(&[Some(Verb::Start), Some(Verb::Stop)])),
            1 => Self::Device(id, random.one_of(&[Device::Broken, Device::Unreachable])),
            _ => match Self::any(random, links, fault_model) {
                // Where releases differ bytes travel, and nothing can be left out.
                Self::Release(id, _) => Self::Kill(id),
                fault => fault,
            },
        }
    }

    /// The word under which it is counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Partition(Shape::WHOLE) => "cables are mended",
            Self::Partition(_) => "cables are cut",
            Self::Noise(..) => "a cable is noisy",
            Self::PowerLoss(_) => "a box loses its power",
            Self::Hang(_) => "a box hangs",
            Self::Kill(_) => "a supervisor is killed",
            Self::Reset(_) => "a box resets",
            Self::Stall(..) => "a box does not run",
            Self::Death(..) => "a resource dies",
            Self::Refusal(..) => "resources refuse",
            Self::Gate(..) => "a gate moves",
            Self::Witness(..) => "a witness comes or goes",
            Self::Amnesia(_) => "a journal is lost",
            Self::Rot(..) => "a journal rots",
            Self::Locked(..) => "a journal is locked",
            Self::Release(..) => "a box gets another release",
            Self::Device(..) => "a fence device changes",
            Self::Reload(..) => "a box is reloaded",
            Self::Order(..) => "an operator orders",
            Self::Ambush(..) => "an operator lies in wait",
            Self::Confirm(_) => "an operator confirms",
        }
    }

    /// What ends it, unless it ends by itself.
    pub const fn undo(self) -> Option<Self> {
        match self {
            Self::Partition(_) => Some(Self::Partition(Shape::WHOLE)),
            Self::Locked(id, _) => Some(Self::Locked(id, false)),
            Self::Release(id, _) => Some(Self::Release(id, Release::Present)),
            Self::Noise(link, id, _) => Some(Self::Noise(link, id, 0)),
            Self::Refusal(id, _) => Some(Self::Refusal(id, None)),
            Self::Gate(id, _) => Some(Self::Gate(id, false)),
            Self::Witness(id, _) => Some(Self::Witness(id, true)),
            Self::Device(id, _) => Some(Self::Device(id, Device::Works)),
            Self::Reload(id, _) => Some(Self::Reload(id, None)),
            Self::Order(id, _) | Self::Ambush(id, _) => Some(Self::Order(id, Order::Resume)),
            Self::Death(id, _) => Some(Self::Order(id, Order::Clear)),
            _ => None,
        }
    }
}

impl World {
    pub(super) fn bring_about(&mut self, fault: Fault) {
        self.saw(fault.label());
        match fault {
            Fault::Partition(shape) => self.partition(shape),
            Fault::Noise(link, id, noise) => self.cables[link].noise[id.index()] = noise,
            Fault::PowerLoss(id) => self.power_off(id, "loses its power"),
            Fault::Hang(id) => self.hang(id),
            Fault::Kill(id) => self.kill(id),
            Fault::Reset(id) => self.reset(id),
            Fault::Stall(id, time) => self.stall(id, time),
            Fault::Death(id, resource) => {
                let serves = matches!(self.role(id), Some(Role::Starting | Role::Active));
                if serves || resource.index() == EVERYWHERE {
                    self.fail(id, resource);
                }
            }
            Fault::Refusal(id, verb) => self.refuse(id, verb),
            Fault::Gate(id, closed) => self.gate(id, closed),
            Fault::Witness(id, answers) => self.witness(id, answers),
            Fault::Amnesia(id) => self.lose_journal(id),
            Fault::Rot(id, bit) => self.rot(id, bit),
            Fault::Locked(id, locked) => self.lock_journal(id, locked),
            Fault::Release(id, release) => self.install(id, release),
            Fault::Ambush(id, order) => self.ambush(id, order),
            Fault::Device(id, device) => self.device(id, device),
            Fault::Reload(id, lot) => self.reload(id, lot),
            Fault::Order(id, order) => {
                self.order(id, order);
            }
            Fault::Confirm(id) => {
                if self.boxes[id.other().index()].power == Power::Off {
                    self.order(id, Order::Confirm(id.other()));
                }
            }
        }
    }
}

fn any_order(id: BoxId, random: &mut Random) -> Order {
    let time = OrderDuration::Time(Duration::from_millis(random.within(&(100..100_000))));
    let until = random.one_of(&[OrderDuration::Reboot, time, OrderDuration::Resume]);
    let mode = random.one_of(&[FenceMode::Plain, FenceMode::Forced, FenceMode::Drill]);
    random.one_of(&[
        Order::Standby(until),
        Order::Standby(until),
        Order::Takeover(until),
        Order::Takeover(until),
        Order::Maintenance(until),
        Order::Failback,
        Order::Resume,
        Order::Fence { id: id.other(), mode },
        Order::Clear,
        Order::Leave,
        Order::Upgrade,
    ])
}

fn any_resource(random: &mut Random) -> ResourceId {
    let place = random.within(&(0..EVERYWHERE as u64 + 1)) as usize;
    ResourceId::new(place).expect("three is fewer than RESOURCES_MAX")
}

/// The place of the resource that runs on both boxes at all times.
const EVERYWHERE: usize = 2;
