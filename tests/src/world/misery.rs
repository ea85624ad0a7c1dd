//! How bad is the world? Every probability and every range of times, in one place.
//!
//! Times are microseconds, probabilities are parts of a million.

use std::ops::Range;

/// What can go wrong, and how long things take.
#[derive(Clone, Debug)]
pub struct Misery {
    /// The time between two troubles; none come if it is empty.
    pub troubles: Range<u64>,
    /// The time that a heartbeat takes.
    pub delay: Range<u64>,
    /// A heartbeat is lost.
    pub loss: u32,
    /// A heartbeat comes twice.
    pub duplicate: u32,
    /// A heartbeat comes back to the box that said it.
    pub echo: u32,
    /// A heartbeat comes after a time that is out of all proportion.
    pub ancient: u32,
    /// That time.
    pub ancient_delay: Range<u64>,
    /// The time from power-on to the start of the supervisor.
    pub boot: Range<u64>,
    /// The time from the death of a supervisor to the start of its successor.
    pub respawn: Range<u64>,
    /// The time for which a box does not run.
    pub stall: Range<u64>,
    /// The time until somebody switches on a box that is off, or switches a hung one off and on.
    pub rescue: Range<u64>,
    /// The time in which all resources start.
    pub start: Range<u64>,
    /// They do not.
    pub start_fails: u32,
    /// The time in which all resources stop.
    pub stop: Range<u64>,
    /// They do not.
    pub stop_fails: u32,
    /// A resource cannot be started again.
    pub restart_fails: u32,
    /// A box that loses its power loses its journal as well.
    pub journal_lost: u32,
    /// A box that resets itself hangs instead.
    pub reset_hangs: u32,
    /// The time from the order to the moment the power goes off.
    pub cut: Range<u64>,
    /// The time from there, or from any question, to the device's answer.
    pub reading: Range<u64>,
    /// The device refuses the order.
    pub fence_fails: u32,
    /// The device takes the order and does nothing.
    pub fence_lies: u32,
    /// The power goes off, but so late that the order counts as failed by then.
    pub fence_late: u32,
    /// The power goes off, and the answer is lost.
    pub fence_mute: u32,
    /// The device cannot be reached.
    pub unreachable: u32,
}

impl Misery {
    /// A world in which nothing goes wrong and everything takes one fixed time.
    pub const fn none() -> Self {
        Self {
            troubles: 0..0,
            delay: MILLI..MILLI,
            loss: 0,
            duplicate: 0,
            echo: 0,
            ancient: 0,
            ancient_delay: 0..0,
            boot: 10 * SECOND..10 * SECOND,
            respawn: SECOND..SECOND,
            stall: 0..0,
            rescue: 0..0,
            start: 2 * SECOND..2 * SECOND,
            start_fails: 0,
            stop: SECOND..SECOND,
            stop_fails: 0,
            restart_fails: 0,
            journal_lost: 0,
            reset_hangs: 0,
            cut: SECOND..SECOND,
            reading: SECOND / 2..SECOND / 2,
            fence_fails: 0,
            fence_lies: 0,
            fence_late: 0,
            fence_mute: 0,
            unreachable: 0,
        }
    }

    /// A world in which nothing goes wrong, at uneven speed.
    pub const fn calm() -> Self {
        Self {
            delay: MILLI / 10..20 * MILLI,
            boot: 2 * SECOND..20 * SECOND,
            respawn: 10 * MILLI..3 * SECOND,
            rescue: SECOND..40 * SECOND,
            start: 10 * MILLI..4 * SECOND,
            stop: 10 * MILLI..3 * SECOND,
            cut: 10 * MILLI..2 * SECOND,
            reading: 10 * MILLI..SECOND,
            ..Self::none()
        }
    }

    /// A world in which heartbeats come, and all else goes wrong at times.
    pub const fn rare() -> Self {
        Self {
            delay: MILLI..MILLI,
            loss: 0,
            duplicate: 0,
            echo: 0,
            ancient: 0,
            rescue: 60 * SECOND..3_600 * SECOND,
            ..Self::all()
        }
    }

    /// A world in which everything goes wrong.
    pub const fn all() -> Self {
        Self {
            troubles: 100 * MILLI..20 * SECOND,
            delay: MILLI / 10..150 * MILLI,
            loss: 30_000,
            duplicate: 20_000,
            echo: 2_000,
            ancient: 300,
            ancient_delay: SECOND..200 * SECOND,
            stall: 100 * MILLI..8 * SECOND,
            start: 10 * MILLI..10 * SECOND,
            start_fails: 50_000,
            stop: 10 * MILLI..6 * SECOND,
            stop_fails: 50_000,
            restart_fails: 200_000,
            journal_lost: 100_000,
            reset_hangs: 100_000,
            cut: 10 * MILLI..4 * SECOND,
            fence_fails: 100_000,
            fence_lies: 50_000,
            fence_late: 50_000,
            fence_mute: 50_000,
            unreachable: 50_000,
            ..Self::calm()
        }
    }
}

/// A thousandth of a second.
pub const MILLI: u64 = 1_000;
/// A second.
pub const SECOND: u64 = 1_000_000;
