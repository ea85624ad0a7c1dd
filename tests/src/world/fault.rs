//! What can go wrong, or be typed? One thing each, with all that is to be known to do it again.

use std::time::Duration;

use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::identity::{BoxId, ResourceId};
use firmware_agnostic::order::{Order, Until};

use super::World;
use super::appliance::{Power, Verb};
use super::device::Device;
use super::misery::Misery;
use super::random::Random;

/// Something that happens to the pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// One cable is mended, or cut.
    Cable(usize, bool),
    /// The same, for what one box says by it.
    OneWay(usize, BoxId, bool),
    /// All cables are mended, or cut.
    Cables(bool),
    /// The same, for what one box says.
    AllOneWay(BoxId, bool),
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
    /// The fence device of a box changes.
    Device(BoxId, Device),
    /// An operator orders something.
    Order(BoxId, Order),
    /// An operator confirms what he has seen, if it is so: the other box is off.
    Confirm(BoxId),
}

impl Fault {
    /// One of all.
    pub fn any(random: &mut Random, links: usize, misery: &Misery) -> Self {
        let id = random.one_of(&BoxId::BOTH);
        let link = random.within(&(0..links as u64)) as usize;
        match random.within(&(0..34)) {
            0..3 => Self::Cable(link, false),
            3..5 => Self::OneWay(link, id, false),
            5 => Self::Cables(false),
            6 => Self::AllOneWay(id, false),
            7..11 => Self::Cables(true),
            11 => Self::Noise(link, id, random.one_of(&[0, 300_000, 900_000])),
            12 => Self::PowerLoss(id),
            13 => Self::Hang(id),
            14 => Self::Kill(id),
            15 => Self::Reset(id),
            16..18 => Self::Stall(id, random.within(&misery.stall)),
            18..20 => Self::Death(id, any_resource(random)),
            20 => Self::Gate(id, random.happens(500_000)),
            21 => Self::Amnesia(id),
            22 => {
                Self::Device(id, random.one_of(&[Device::Works, Device::Works, Device::WrongBox]))
            }
            30..32 => Self::Witness(id, random.happens(300_000)),
            23..30 => Self::Order(id, any_order(random)),
            _ => Self::Confirm(id),
        }
    }

    /// One of those that come about in years of service, and do not come twice a minute.
    pub fn rare(random: &mut Random, links: usize, misery: &Misery) -> Self {
        let id = random.one_of(&BoxId::BOTH);
        match random.within(&(0..8)) {
            0 => Self::Refusal(id, random.one_of(&[Some(Verb::Start), Some(Verb::Stop)])),
            1 => Self::Device(id, random.one_of(&[Device::Broken, Device::Unreachable])),
            _ => Self::any(random, links, misery),
        }
    }

    /// What ends it, unless it ends by itself.
    pub const fn undo(self) -> Option<Self> {
        match self {
            Self::Cable(..) | Self::OneWay(..) | Self::Cables(_) | Self::AllOneWay(..) => {
                Some(Self::Cables(true))
            }
            Self::Noise(link, id, _) => Some(Self::Noise(link, id, 0)),
            Self::Refusal(id, _) => Some(Self::Refusal(id, None)),
            Self::Gate(id, _) => Some(Self::Gate(id, false)),
            Self::Witness(id, _) => Some(Self::Witness(id, true)),
            Self::Device(id, _) => Some(Self::Device(id, Device::Works)),
            Self::Order(id, _) => Some(Self::Order(id, Order::Resume)),
            Self::Death(id, _) => Some(Self::Order(id, Order::Clear)),
            _ => None,
        }
    }
}

impl World {
    pub(super) fn bring_about(&mut self, fault: Fault) {
        let links = self.cables.len();
        match fault {
            Fault::Cable(link, works) => self.plug(link, works),
            Fault::OneWay(link, id, works) => self.plug_one_way(link, id, works),
            Fault::Cables(works) => (0..links).for_each(|link| self.plug(link, works)),
            Fault::AllOneWay(id, works) => {
                (0..links).for_each(|link| self.plug_one_way(link, id, works));
            }
            Fault::Noise(link, id, noise) => self.cables[link].noise[id.place()] = noise,
            Fault::PowerLoss(id) => self.power_off(id, "loses its power"),
            Fault::Hang(id) => self.hang(id),
            Fault::Kill(id) => self.kill(id),
            Fault::Reset(id) => self.reset(id),
            Fault::Stall(id, time) => self.stall(id, time),
            Fault::Death(id, resource) => {
                let serves = matches!(self.role(id), Some(Role::Starting | Role::Active));
                if serves || resource.place() == EVERYWHERE {
                    self.fail(id, resource);
                }
            }
            Fault::Refusal(id, verb) => self.refuse(id, verb),
            Fault::Gate(id, closed) => self.gate(id, closed),
            Fault::Witness(id, answers) => self.witness(id, answers),
            Fault::Amnesia(id) => self.lose_journal(id),
            Fault::Device(id, device) => self.device(id, device),
            Fault::Order(id, order) => {
                self.order(id, order);
            }
            Fault::Confirm(id) => {
                if self.boxes[id.other().place()].power == Power::Off {
                    self.order(id, Order::Confirm(id.other()));
                }
            }
        }
    }
}

fn any_order(random: &mut Random) -> Order {
    let time = Until::Time(Duration::from_millis(random.within(&(100..100_000))));
    let until = random.one_of(&[Until::Reboot, time, Until::Resume]);
    random.one_of(&[
        Order::Standby(until),
        Order::Standby(until),
        Order::Takeover(until),
        Order::Takeover(until),
        Order::Maintenance(until),
        Order::Failback,
        Order::Resume,
        Order::Resume,
        Order::Clear,
        Order::Leave,
    ])
}

fn any_resource(random: &mut Random) -> ResourceId {
    let place = random.within(&(0..EVERYWHERE as u64 + 1)) as usize;
    ResourceId::new(place).expect("three is fewer than RESOURCES_MAX")
}

/// The place of the resource that runs on both boxes at all times.
const EVERYWHERE: usize = 2;
