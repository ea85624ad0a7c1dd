//! Brings faults about between the boxes.

use std::fmt;

use firmware_agnostic::identity::BoxId;

use crate::stage::ethernet::{Segment, Station};
use crate::stage::null_modem::Wire;
use crate::stage::power_switch::Switch;
use crate::{Lab, name};

/// A cable that a person can pull out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cable {
    /// From a box to the service network.
    Lan(BoxId),
    /// Ethernet from box to box.
    Direct,
    /// The null modem.
    Serial,
}

impl fmt::Display for Cable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lan(id) => write!(formatter, "eth0, {} to the network", name(*id)),
            Self::Direct => formatter.write_str("eth1, box to box"),
            Self::Serial => formatter.write_str("ttyS1, box to box"),
        }
    }
}

/// A way from box to box.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// Over the service network.
    Lan,
    /// Over the Ethernet cable.
    Direct,
    /// Over the null modem.
    Serial,
}

impl Lab {
    /// Pulls a cable out.
    pub fn cut(&self, cable: Cable) {
        self.pull(cable, true);
    }

    /// Puts a cable back in.
    pub fn mend(&self, cable: Cable) {
        self.pull(cable, false);
    }

    /// Lets what `from` says to its peer vanish on one way; nothing else shows it.
    pub fn lose(&self, way: Way, from: BoxId) {
        let (speaker, listener) = (Station::Box(from), Station::Box(from.other()));
        match way {
            Way::Lan => self.ethernet.lose(Segment::Lan, speaker, listener, true),
            Way::Direct => self.ethernet.lose(Segment::Direct, speaker, listener, true),
            Way::Serial => self.null_modem.set(from, Wire::Cut),
        }
    }

    /// Lets the boxes hear each other on no way, while everybody else hears both.
    pub fn part(&self) {
        for id in BoxId::BOTH {
            for way in [Way::Lan, Way::Direct, Way::Serial] {
                self.lose(way, id);
            }
        }
    }

    /// Makes the serial cable carry rubbish in one direction.
    pub fn garble(&self, from: BoxId) {
        self.null_modem.set(from, Wire::Noisy);
    }

    /// Repairs every cable and every way.
    pub fn mend_all(&self) {
        self.ethernet.mend();
        self.null_modem.mend();
    }

    /// Makes the power switch of a box behave like that from now on.
    pub fn set_switch(&self, id: BoxId, switch: Switch) {
        self.switches.set(id, switch);
    }

    fn pull(&self, cable: Cable, out: bool) {
        match cable {
            Cable::Lan(id) => self.ethernet.pull(Segment::Lan, Station::Box(id), out),
            Cable::Direct => {
                self.ethernet.pull(Segment::Direct, Station::Box(BoxId::First), out);
            }
            Cable::Serial => {
                let wire = if out { Wire::Cut } else { Wire::Sound };
                for id in BoxId::BOTH {
                    self.null_modem.set(id, wire);
                }
            }
        }
    }
}
