//! Holds every probability and every range of times, in one place.
//!
//! Times are microseconds, probabilities are parts of a million.

use std::ops::Range;

use super::World;

/// What can go wrong, and how long things take.
#[derive(Clone, Debug)]
pub struct FaultModel {
    /// The time between two troubles; none come if it is empty.
    pub troubles: Range<u64>,
    /// The time that a heartbeat takes.
    pub delay: Range<u64>,
    /// The time of one that takes out of all proportion.
    pub ancient_delay: Range<u64>,
    /// The time from power-on to the start of the supervisor.
    pub boot: Range<u64>,
    /// The time from the death of a supervisor to the start of its successor.
    pub respawn: Range<u64>,
    /// The time for which a box does not run.
    pub stall: Range<u64>,
    /// The time until somebody switches on a box that is off, or switches a hung one off and on.
    pub rescue: Range<u64>,
    /// The time until the device of a box that has lost its power is asked, though nobody needs it; never if it is
    /// empty.
    pub poll: Range<u64>,
    /// The time in which all resources start.
    pub start: Range<u64>,
    /// The time in which all resources stop.
    pub stop: Range<u64>,
    /// The time in which it is seen whether all resources run.
    pub adopt: Range<u64>,
    /// The time that a write of the journal takes.
    pub write: Range<u64>,
    /// The time after which a box that was shot is switched on again by its device, if at all.
    pub on_after: Option<u64>,
    /// The time from the order to the moment the power goes off.
    pub cut: Range<u64>,
    /// The time from there, or from any question, to the device's answer.
    pub reading: Range<u64>,
    /// How often in a million each mishap happens.
    pub chances: [u32; Mishap::ALL.len()],
}

/// What goes wrong by chance, each time that it can.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mishap {
    /// A heartbeat is lost.
    Loss,
    /// A heartbeat comes twice.
    Duplicate,
    /// A heartbeat comes back to the box that said it.
    Echo,
    /// A heartbeat comes after a time that is out of all proportion.
    Ancient,
    /// A heartbeat comes with other bytes than it had.
    Damage,
    /// The resources do not start.
    StartFails,
    /// The resources do not stop.
    StopFails,
    /// The resources are not all found after a restart of the supervisor.
    AdoptFails,
    /// A resource cannot be started again.
    RestartFails,
    /// The power goes in the middle of a write of the journal.
    TornWrite,
    /// A box that loses its power loses its journal as well.
    JournalLost,
    /// A box that resets itself hangs instead.
    ResetHangs,
    /// The fence device refuses the order.
    FenceFails,
    /// The fence device takes the order and does nothing.
    FenceLies,
    /// The power goes off, but so late that the order counts as failed by then.
    FenceLate,
    /// The power goes off, and the answer is lost.
    FenceMute,
    /// The fence device cannot be reached.
    Unreachable,
    /// The fence device says off once, and the power is on.
    Slip,
}

impl Mishap {
    /// Every one, in the order of its declaration.
    pub const ALL: [Self; 18] = [
        Self::Loss,
        Self::Duplicate,
        Self::Echo,
        Self::Ancient,
        Self::Damage,
        Self::StartFails,
        Self::StopFails,
        Self::AdoptFails,
        Self::RestartFails,
        Self::TornWrite,
        Self::JournalLost,
        Self::ResetHangs,
        Self::FenceFails,
        Self::FenceLies,
        Self::FenceLate,
        Self::FenceMute,
        Self::Unreachable,
        Self::Slip,
    ];

    /// What happens to a heartbeat on its way.
    pub const ON_THE_WAY: [Self; 5] =
        [Self::Loss, Self::Duplicate, Self::Echo, Self::Ancient, Self::Damage];

    /// The word under which it is counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Loss => "a heartbeat is lost",
            Self::Duplicate => "a heartbeat comes twice",
            Self::Echo => "a heartbeat comes back",
            Self::Ancient => "a heartbeat is ancient",
            Self::Damage => "a heartbeat is damaged",
            Self::StartFails => "resources do not start",
            Self::StopFails => "resources do not stop",
            Self::AdoptFails => "resources are not found again",
            Self::RestartFails => "a resource does not start again",
            Self::TornWrite => "a write is torn",
            Self::JournalLost => "a journal is lost with the power",
            Self::ResetHangs => "a reset hangs",
            Self::FenceFails => "a fence device refuses",
            Self::FenceLies => "a fence device does nothing",
            Self::FenceLate => "a fence device cuts late",
            Self::FenceMute => "a fence device cuts and is silent",
            Self::Unreachable => "a fence device is not reached",
            Self::Slip => "a fence device slips",
        }
    }
}

impl FaultModel {
    /// A world in which nothing goes wrong and everything takes one fixed time.
    pub const fn none() -> Self {
        Self {
            troubles: 0..0,
            delay: MILLI..MILLI,
            ancient_delay: 0..0,
            boot: 10 * SECOND..10 * SECOND,
            respawn: SECOND..SECOND,
            stall: 0..0,
            rescue: 0..0,
            poll: 0..0,
            start: 2 * SECOND..2 * SECOND,
            stop: SECOND..SECOND,
            adopt: 20 * MILLI..20 * MILLI,
            write: 0..0,
            on_after: None,
            cut: SECOND..SECOND,
            reading: SECOND / 2..SECOND / 2,
            chances: [0; Mishap::ALL.len()],
        }
    }

    /// A world in which nothing goes wrong, at uneven speed.
    pub const fn calm() -> Self {
        Self {
            delay: MILLI / 10..20 * MILLI,
            boot: 2 * SECOND..20 * SECOND,
            respawn: 10 * MILLI..3 * SECOND,
            rescue: SECOND..40 * SECOND,
            poll: MILLI..15 * SECOND,
            start: 10 * MILLI..4 * SECOND,
            stop: 10 * MILLI..3 * SECOND,
            cut: 10 * MILLI..2 * SECOND,
            reading: 10 * MILLI..SECOND,
            ..Self::none()
        }
    }

    /// A world in which heartbeats come, and all else goes wrong at times.
    pub fn rare() -> Self {
        Self {
            delay: MILLI..MILLI,
            rescue: 60 * SECOND..3_600 * SECOND,
            ..Self::all().without(&Mishap::ON_THE_WAY)
        }
    }

    /// A world in which everything goes wrong.
    pub fn all() -> Self {
        let world = Self {
            troubles: 100 * MILLI..20 * SECOND,
            delay: MILLI / 10..150 * MILLI,
            ancient_delay: SECOND..200 * SECOND,
            stall: 100 * MILLI..8 * SECOND,
            start: 10 * MILLI..10 * SECOND,
            stop: 10 * MILLI..6 * SECOND,
            adopt: MILLI..2 * SECOND,
            write: MILLI..40 * MILLI,
            cut: 10 * MILLI..4 * SECOND,
            ..Self::calm()
        };
        Mishap::ALL.into_iter().fold(world, |world, mishap| {
            world.with(
                mishap,
                match mishap {
                    Mishap::Loss => 30_000,
                    Mishap::Duplicate => 20_000,
                    Mishap::Damage => 10_000,
                    Mishap::Echo => 2_000,
                    Mishap::Ancient => 300,
                    Mishap::TornWrite => 5_000,
                    Mishap::RestartFails | Mishap::AdoptFails => 200_000,
                    Mishap::JournalLost | Mishap::ResetHangs | Mishap::FenceFails => 100_000,
                    _ => 50_000,
                },
            )
        })
    }

    /// This world, in which `mishap` happens so often in a million.
    #[must_use]
    pub const fn with(mut self, mishap: Mishap, chance: u32) -> Self {
        self.chances[mishap as usize] = chance;
        self
    }

    /// This world without some of its mishaps.
    #[must_use]
    pub fn without(self, mishaps: &[Mishap]) -> Self {
        mishaps.iter().fold(self, |world, mishap| world.with(*mishap, 0))
    }

    /// How often in a million `mishap` happens.
    pub const fn chance(&self, mishap: Mishap) -> u32 {
        self.chances[mishap as usize]
    }
}

impl World {
    /// Whether `mishap` happens now; if so, it is counted.
    pub(super) fn suffers(&mut self, mishap: Mishap) -> bool {
        let happens = self.random.happens(self.fault_model.chance(mishap));
        if happens {
            self.saw(mishap.label());
        }
        happens
    }
}

/// A thousandth of a second.
pub const MILLI: u64 = 1_000;
/// A second.
pub const SECOND: u64 = 1_000_000;
