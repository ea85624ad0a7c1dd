//! Measures the cost of one heartbeat in the core alone, and the speed of the simulator.

use std::hint::black_box;
use std::time::{Duration, Instant};

use firmware_agnostic::frame::{self, Message, Version};
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::node::{Actions, Event, Node};
use firmware_agnostic::receiver::Heard;

use super::row::{Row, Target};
use lab::observers::failure::{Failure, expect};
use simulation::World;
use simulation::allocations;
use simulation::conversation::Conversation;
use simulation::fault_model::{FaultModel, SECOND};
use simulation::fixtures;
use simulation::trace::Trace;

/// What the core costs.
///
/// # Errors
///
/// When the simulated pair breaks a promise.
pub fn run() -> Result<Vec<Row>, Failure> {
    let pair = Conversation::settled();
    let mut rows = Vec::new();
    for (id, what) in BoxId::BOTH.into_iter().zip(["active", "standby"]) {
        let step = Row::new(&format!("core: step on a heartbeat, {what}"), "us", steps(&pair, id)?);
        rows.push(step.at_most(Some(2.0)));
    }
    let (heartbeat, keys, name) = (pair.word(BoxId::First), pair.keys(), pair.pair());
    let word = Message { version: Version::NEWEST, number: 1, heartbeat, echo: None };
    let frame = frame::encode(&word, keys, name);
    let encode = timed(|| {
        black_box(frame::encode(black_box(&word), keys, name));
    });
    rows.push(Row::new("core: encode a frame", "us", encode));
    let decode = timed(|| {
        let _ = black_box(frame::decode(black_box(&frame), keys, name));
    });
    rows.push(Row::new("core: decode a frame", "us", decode));
    let allocations = Row::new("core: heap allocations a heartbeat", "", [allocations(pair)]);
    rows.push(allocations.at_most(Some(0.0)));
    for (what, size) in [("Node", size_of::<Node>()), ("Actions", size_of::<Actions>())] {
        rows.push(Row::new(&format!("core: size of {what}"), "B", [size as f64]));
    }
    let speeds = (0..SPEEDS).map(speed).collect::<Result<Vec<_>, _>>()?;
    let speed = Row::new("simulator: seconds a second", "s", speeds);
    rows.push(speed.target(Target::AtLeast(1_000.0)));
    Ok(rows)
}

/// Microseconds of one step of a box in a settled pair, with the look at its next deadline.
fn steps(pair: &Conversation, id: BoxId) -> Result<Vec<f64>, Failure> {
    let (mut node, mut now) = (pair.node(id).clone(), pair.now());
    let word = pair.word(id.other());
    let mut links = (0..fixtures::pair()[0].links).filter_map(LinkId::new).cycle();
    let measured = timed(|| {
        now = now + APART;
        let deadline = node.next_deadline();
        if deadline <= now {
            black_box(node.step(Event::Timeout, deadline));
        }
        if let Some(link) = links.next() {
            let heard = Heard { heartbeat: word, proof: Some(now) };
            black_box(node.step(black_box(Event::Heartbeat(link, heard)), now));
        }
    });
    expect(node.epoch() == pair.node(id).epoch(), "something happened while it was measured")?;
    Ok(measured)
}

fn allocations(mut pair: Conversation) -> f64 {
    let before = allocations::on_this_thread();
    let heard: u32 = (0..BATCH).map(|_| pair.one_interval()).sum();
    (allocations::on_this_thread() - before) as f64 / f64::from(heard)
}

/// How many seconds of a pair in which all is well pass in one.
fn speed(seed: u64) -> Result<f64, Failure> {
    let mut world = World::new(fixtures::pair(), FaultModel::calm(), seed, Trace::Off);
    for id in BoxId::BOTH {
        world.power_on(id);
    }
    let failure = |broken: &dyn std::fmt::Display| Failure(broken.to_string());
    world.run(SETTLED).map_err(|broken| failure(&broken))?;
    let start = Instant::now();
    world.run(AGE).map_err(|broken| failure(&broken))?;
    let passed = start.elapsed().as_secs_f64();
    if world.serving() == Some(BoxId::First) {
        Ok((AGE / SECOND) as f64 / passed)
    } else {
        Err(Failure("the simulated pair did not settle".to_owned()))
    }
}

/// Microseconds of one `work`, many times over: the mean of each of many batches.
fn timed(mut work: impl FnMut()) -> Vec<f64> {
    (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            (0..BATCH).for_each(|_| work());
            start.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
        })
        .collect()
}

/// Long enough to be timed, short enough that most batches are not interrupted.
const BATCH: u32 = 1_000;
const BATCHES: usize = 200;

/// Between two heartbeats: so close that deadlines hardly count.
const APART: Duration = Duration::from_millis(1);

const SPEEDS: u64 = 5;

/// What a pair needs to come to rest after its boot.
const SETTLED: u64 = 120 * SECOND;

/// For how long it is simulated then.
const AGE: u64 = 4 * 3_600 * SECOND;
