//! Draws by lot what is going to happen in a run, before it begins; only the chance of the moment is left.

use std::fmt;
use std::ops::Range;

use firmware_agnostic::identity::BoxId;
use firmware_agnostic::order::Order;
use firmware_agnostic::settings::Settings;

use super::device::Device;
use super::fault::Fault;
use super::fault_model::{FaultModel, MILLI, Mishap, SECOND};
use super::fixtures;
use super::random::Random;

/// A run that can be had again, whole or with less in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How the boxes are set up.
    pub pair: [Settings; 2],
    /// The rates of their clocks, in millionths.
    pub clocks: [i64; 2],
    /// Whether the bytes of the heartbeats travel, rather than what they say.
    pub bytes_travel: bool,
    /// The boxes that are on from the beginning.
    pub on: [bool; 2],
    /// The chance of the moment.
    pub seed: u64,
    /// Misery and calm.
    pub turns: Vec<Turn>,
}

/// Misery, and the calm after it.
#[derive(Clone, Debug)]
pub struct Turn {
    /// How bad it is.
    pub fault_model: FaultModel,
    /// For how long.
    pub length: u64,
    /// What happens, and how long after its beginning.
    pub faults: Vec<(u64, Fault)>,
    /// What is well afterwards.
    pub calm: Calm,
}

/// What is well when all is well enough that somebody must serve.
#[derive(Clone, Copy, Debug)]
pub enum Calm {
    /// Everything.
    All,
    /// But this box is off, and stays so.
    OneBox(BoxId),
    /// But only one cable carries.
    OneCable,
    /// But no power can be cut.
    NoFence(Device),
}

impl Plan {
    /// Bad quarters of an hour.
    pub fn random(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let pair = fixtures::any_pair(&mut random);
        let links = pair[0].links;
        let clocks = [0; 2].map(|_: i64| random.within(&(0..2_001)).cast_signed() - 1_000);
        let on = [0; 2].map(|_: u8| random.happens(800_000));
        let bytes_travel = random.happens(250_000);
        let seed = random.bits();
        let turns = (0..TURNS).map(|_| Turn::random(&mut random, links)).collect();
        Self { pair, clocks, bytes_travel, on, seed, turns }
    }

    /// A long life in which something goes wrong now and then: `days` of one pair.
    pub fn long_life(seed: u64, days: u64) -> Self {
        let mut random = Random::new(seed);
        let pair = fixtures::any_pair(&mut random);
        let links = pair[0].links;
        let fault_model = FaultModel::rare();
        let (length, mut at, mut faults) = (days * DAY, 0, Vec::new());
        loop {
            at += random.within(&(HOUR..8 * DAY));
            let lasts = random.within(&(10 * SECOND..6 * HOUR));
            if at + lasts + HOUR > length {
                break;
            }
            let fault = Fault::rare(&mut random, links, &fault_model);
            faults.push((at, fault));
            faults.extend(fault.undo().map(|undo| (at + lasts, undo)));
            // Sooner or later somebody looks after the pair.
            for id in BoxId::BOTH {
                let orders = [Fault::Confirm(id), Fault::Order(id, Order::Resume)];
                faults.extend(orders.map(|order| (at + lasts + 10 * MILLI, order)));
            }
            at += lasts;
        }
        let turn = Turn { fault_model, length, faults, calm: Calm::All };
        let (clocks, on) = ([0; 2], [true; 2]);
        Self { pair, clocks, bytes_travel: false, on, seed: random.bits(), turns: vec![turn] }
    }

    /// How many faults there are.
    pub fn faults(&self) -> usize {
        self.turns.iter().map(|turn| turn.faults.len()).sum()
    }
}

impl Turn {
    fn random(random: &mut Random, links: usize) -> Self {
        let (fault_model, length) = (some_misery(random), random.within(&MISERY));
        let (mut faults, mut at) = (Vec::new(), random.within(&fault_model.troubles));
        while at < length {
            let fault = Fault::any(random, links, &fault_model);
            faults.push((at, fault));
            // What people do on purpose they take back.
            let undone = matches!(fault, Fault::Release(..) | Fault::Locked(..));
            let undo = fault.undo().filter(|_| undone);
            faults.extend(undo.map(|undo| (at + random.within(&(SECOND..100 * SECOND)), undo)));
            at += random.within(&fault_model.troubles);
        }
        let calm = random.one_of(&[
            Calm::All,
            Calm::OneBox(random.clone().one_of(&BoxId::BOTH)),
            Calm::OneCable,
            Calm::NoFence(random.clone().one_of(&[Device::Broken, Device::Unreachable])),
        ]);
        Self { fault_model, length, faults, calm }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for turn in &self.turns {
            writeln!(f, "{:.3} s of fault_model, then {:?}", turn.length as f64 / 1e6, turn.calm)?;
            for (at, fault) in &turn.faults {
                writeln!(f, "{:>9.3} {fault:?}", *at as f64 / 1e6)?;
            }
        }
        Ok(())
    }
}

fn some_misery(random: &mut Random) -> FaultModel {
    let all = FaultModel::all();
    let slow = 5 * SECOND..100 * SECOND;
    let troubles = random.one_of(&[0, 1]);
    // Some devices, or those who look after them, give a box that was shot its power back.
    let on_after = random.clone().one_of(&[None, None, Some(3 * SECOND), Some(40 * SECOND)]);
    let troubles = if troubles == 0 { all.troubles.clone() } else { slow };
    let all = FaultModel { troubles, on_after, ..all };
    match random.within(&(0..4)) {
        0 => all.without(&Mishap::ON_THE_WAY),
        1 => all.without(&[Mishap::StartFails, Mishap::StopFails]),
        2 => all.without(&[
            Mishap::FenceFails,
            Mishap::FenceLies,
            Mishap::FenceLate,
            Mishap::FenceMute,
        ]),
        _ => all,
    }
}

/// Turns of misery and calm in one run.
const TURNS: usize = 8;
/// How long one misery lasts.
const MISERY: Range<u64> = 60 * SECOND..1_200 * SECOND;
const HOUR: u64 = 3_600 * SECOND;
/// A day, in microseconds.
pub const DAY: u64 = 24 * HOUR;
