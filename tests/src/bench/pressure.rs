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
    let before = [Figures::of(lab, BoxId::First)?, Figures::of(lab, BoxId::Second)?];
    for id in BoxId::BOTH {
        lab.flood(id, RATE, LONG)?;
    }
    let after = [Figures::of(lab, BoxId::First)?, Figures::of(lab, BoxId::Second)?];
    let both = || before.iter().zip(&after);
    let rows = [
        Row::new(
            "10,000 forged frames/s a link: refused",
            "",
            both().map(|(b, a)| (a.refused - b.refused) as f64),
        ),
        Row::new("  the loop late, at the worst", "ms", after.iter().map(|it| millis(it.late)))
            .target(Target::AtMost(10.0)),
        Row::new("  over one event, at the worst", "ms", after.iter().map(|it| millis(it.step)))
            .target(Target::AtMost(10.0)),
        Row::new("  heartbeats lost on the way", "", both().map(|(b, a)| (a.lost - b.lost) as f64)),
        Row::new(
            "  more memory (VmRSS)",
            "KiB",
            both().map(|(b, a)| a.resident as f64 - b.resident as f64),
        ),
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
