//! How long does a user of the service miss its answers, and did two boxes ever hold the address meanwhile?
//!
//! The client of the lab asks every 5 ms, so that even an undisturbed service has a gap of that length. The boxes run
//! the program that ships.

use std::thread::sleep;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::lab::config::Choices;
use crate::lab::expectations::{PATIENCE, is, order, served_by, whole};
use crate::lab::failure::{Failure, expect};
use crate::lab::{Lab, name};

use super::product;
use super::row::{Row, Target};

/// What can be measured here.
pub const NAMES: [&str; 7] =
    ["planned", "power", "power-fast", "hang", "service", "cables", "crash"];

/// Prints the rows of the section called `wanted`. Needs a world of its own.
///
/// # Errors
///
/// When the pair did something else than what was to be measured.
pub fn run(wanted: &str) -> Result<(), Failure> {
    let (choices, measure): (_, Measure) = match wanted {
        "planned" => (Choices::default(), planned),
        "power" => (Choices::default(), |lab| power(lab, "box loss by power, defaults", 1_200.0)),
        "power-fast" => (fast(), |lab| power(lab, "box loss by power, fast", 200.0)),
        "hang" => (Choices::default(), hang),
        "service" => (Choices::default(), service),
        "cables" => (Choices::default(), cables),
        "crash" => (Choices::default(), crash),
        _ => return Err(Failure(format!("there is no {wanted:?}"))),
    };
    let lab = Lab::new(&Choices { program: Some(product()?), ..choices })?;
    let measured = whole(&lab).and_then(|()| measure(&lab));
    measured.map_err(|failure| failure.with_logs(&lab))?.iter().for_each(Row::print);
    let doubles = lab.doubles().len() as f64;
    Row::new("  times that both had the address", "", [doubles])
        .target(Target::AtMost(0.0))
        .print();
    Ok(())
}

fn planned(lab: &Lab) -> Result<Vec<Row>, Failure> {
    let (mut away, mut home) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        away.push(gap(lab, Second, || order(lab, First, "standby"))?);
        is(lab, First, "standby")?;
        home.push(gap(lab, First, || order(lab, First, "resume"))?);
        is(lab, Second, "standby")?;
    }
    Ok(vec![
        Row::new("planned switch", "ms", away).target(Target::AtMost(30.0)),
        Row::new("failback", "ms", home),
    ])
}

fn power(lab: &Lab, what: &str, most: f64) -> Result<Vec<Row>, Failure> {
    let mut gaps = Vec::new();
    for turn in 0..10 {
        sleep(PHASE * turn);
        gaps.push(gap(lab, Second, || {
            lab.power_off(First);
            Ok(())
        })?);
        come_home(lab)?;
    }
    Ok(vec![Row::new(what, "ms", gaps).target(Target::AtMost(most))])
}

fn hang(lab: &Lab) -> Result<Vec<Row>, Failure> {
    let mut gaps = Vec::new();
    for turn in 0..10 {
        sleep(PHASE * turn);
        gaps.push(gap(lab, Second, || Ok(lab.hang(First)?))?);
        expect(!lab.is_on(First), "the box that hung was not shot")?;
        come_home(lab)?;
    }
    Ok(vec![Row::new("box hangs, its power on", "ms", gaps)])
}

fn service(lab: &Lab) -> Result<Vec<Row>, Failure> {
    let mut gaps = Vec::new();
    for turn in 1..=10 {
        gaps.push(gap(lab, First, || Ok(lab.kill(First, "serve")?))?);
        let deaths = lab.log(First).matches("service failed: starting it again").count();
        expect(deaths == turn, format!("{deaths} of {turn} deaths were noticed"))?;
        // Every time is the first time, which is forgiven.
        order(lab, First, "clear")?;
    }
    Ok(vec![Row::new("service killed", "ms", gaps).target(Target::AtMost(60.0))])
}

fn cables(lab: &Lab) -> Result<Vec<Row>, Failure> {
    let (mut gaps, mut shot, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        // What the lab itself needs to make a box vanish: nobody notices within this time.
        let start = Instant::now();
        lab.power_off(Second);
        sleep(SETTLED / 5);
        own.push(since(lab, start));
        lab.power_on(Second)?;
        is(lab, Second, "standby")?;
        gaps.push(gap(lab, First, || {
            lab.part();
            let one = |lab: &Lab| BoxId::BOTH.iter().any(|id| !lab.is_on(*id));
            expect(lab.wait_for(PATIENCE, one), "nobody was shot")?;
            sleep(SETTLED);
            Ok(())
        })?);
        shot.extend(BoxId::BOTH.into_iter().filter(|id| !lab.is_on(*id)));
        lab.mend_all();
        lab.power_on(Second)?;
        is(lab, Second, "standby")?;
    }
    let count = |id: BoxId| shot.iter().filter(|it| **it == id).count() as f64;
    let shots = BoxId::BOTH
        .map(|id| Row::new(&format!("  times that {} was shot", name(id)), "", [count(id)]));
    let [first, second] = shots;
    Ok(vec![
        Row::new("every cable cut", "ms", gaps),
        Row::new("  pause of the lab when a box vanishes", "ms", own),
        first.target(Target::AtMost(0.0)),
        second,
    ])
}

fn crash(lab: &Lab) -> Result<Vec<Row>, Failure> {
    let (mut gaps, mut lost) = (Vec::new(), 0);
    for _ in 0..10 {
        let start = Instant::now();
        lab.crash_supervisor(First)?;
        sleep(SETTLED);
        served_by(lab, First)?;
        is(lab, First, "active")?;
        is(lab, Second, "standby")?;
        gaps.push(since(lab, start));
        lost += lab.client().since(start).lost;
    }
    Ok(vec![
        Row::new("supervisor killed on the active box", "ms", gaps),
        Row::new("  requests without an answer", "", [lost as f64]).target(Target::AtMost(0.0)),
    ])
}

/// Does something to the pair again and again, and says what it cost.
type Measure = fn(&Lab) -> Result<Vec<Row>, Failure>;

/// The milliseconds that the client misses from before `happening` until `id` serves and has done so for a while.
fn gap(
    lab: &Lab,
    id: BoxId,
    happening: impl FnOnce() -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let start = Instant::now();
    happening()?;
    sleep(SETTLED / 10);
    served_by(lab, id)?;
    sleep(SETTLED / 5);
    served_by(lab, id)?;
    Ok(since(lab, start))
}

fn since(lab: &Lab, start: Instant) -> f64 {
    lab.client().since(start).silence.as_secs_f64() * 1e3
}

/// Gives home its power, and waits until it serves again.
fn come_home(lab: &Lab) -> Result<(), Failure> {
    lab.power_on(First)?;
    served_by(lab, First)?;
    is(lab, First, "active")?;
    is(lab, Second, "standby")
}

/// Ten times the speed of the defaults: what 115200 baud can carry.
fn fast() -> Choices {
    let timing =
        "keepalive = \"20ms\"\nwarntime = \"50ms\"\ndeadtime = \"100ms\"\ninitdead = \"4s\"\n";
    Choices { timing: timing.to_owned(), ..Choices::default() }
}

/// Each time at another moment between two heartbeats: ten of these are spread evenly over 200 ms, and over 20.
const PHASE: Duration = Duration::from_millis(61);

/// Time for everything that the pair could still do.
const SETTLED: Duration = Duration::from_millis(1_500);
