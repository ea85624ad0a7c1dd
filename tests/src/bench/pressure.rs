//! Does the supervisor keep its time when somebody shouts at it, and does it answer at once when nobody does?

use std::time::Duration;

use firmware_agnostic::identity::BoxId;

use crate::lab::Lab;
use crate::lab::config::Choices;
use crate::lab::crowd::Manners;
use crate::lab::expectations::whole;
use crate::lab::failure::Failure;
use crate::lab::figures::Figures;

use super::product;
use super::row::{Row, Target};

/// Prints its rows. Needs a world of its own.
///
/// # Errors
///
/// When the pair does not settle.
pub fn run() -> Result<(), Failure> {
    // As many bytes a second as ten thousand short frames have.
    let choices = Choices { program: Some(product()?), baud: 921_600, ..Choices::default() };
    let lab = Lab::new(&choices)?;
    whole(&lab)
        .and_then(|()| answers(&lab))
        .and_then(|()| shouted_at(&lab))
        .map_err(|failure| failure.with_logs(&lab))
}

fn answers(lab: &Lab) -> Result<(), Failure> {
    let mut waits = Vec::new();
    for _ in 0..TURNS {
        waits.push(lab.crowd(BoxId::First, Manners::Good, 1, TURN)?.longest);
    }
    let waits = waits.into_iter().map(millis);
    Row::new("status: the longest wait of 20", "ms", waits).target(Target::AtMost(5.0)).print();
    Ok(())
}

fn shouted_at(lab: &Lab) -> Result<(), Failure> {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for id in BoxId::BOTH {
        before.push(Figures::of(lab, id)?);
        lab.flood(id, RATE, LONG)?;
        after.push(Figures::of(lab, id)?);
    }
    let more = |figure: fn(&Figures) -> u64| {
        let both = before.iter().zip(&after);
        both.map(|(before, after)| figure(after) as f64 - figure(before) as f64).collect::<Vec<_>>()
    };
    let refused = more(|it| it.refused);
    let rows = [
        Row::new("10,000 forged frames/s a link: refused", "", refused),
        Row::new("  the loop late, at the worst", "ms", after.iter().map(|it| millis(it.late)))
            .target(Target::AtMost(10.0)),
        Row::new("  over one event, at the worst", "ms", after.iter().map(|it| millis(it.step)))
            .target(Target::AtMost(10.0)),
        // The null modem carries none.
        Row::new("  heartbeats heard, of 100", "", more(|it| it.received)),
        Row::new("  more memory (VmRSS)", "KiB", more(|it| it.resident)),
    ];
    rows.iter().for_each(Row::print);
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

const TURNS: usize = 10;
/// Twenty questions.
const TURN: Duration = Duration::from_millis(200);

/// Frames a second, by each link.
const RATE: u32 = 10_000;
const LONG: Duration = Duration::from_secs(10);
