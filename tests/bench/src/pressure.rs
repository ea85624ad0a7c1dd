//! Measures whether the supervisor keeps its time under load.

use std::time::Duration;

use firmware_agnostic::identity::BoxId;

use super::machine;
use super::row::{Row, Target};
use lab::Lab;
use lab::observers::failure::Failure;
use lab::observers::figures::Figures;

/// Shouts at one box of a pair that serves, and then at the other.
///
/// # Errors
///
/// When one of them does not answer.
pub fn run(lab: &Lab) -> Result<Vec<Row>, Failure> {
    let (mut before, mut after, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for id in BoxId::BOTH {
        before.push(Figures::of(lab, id)?);
        bare.push(machine::beside(|| Ok(lab.flood(id, RATE, LONG)?))?.1.late);
        after.push(Figures::of(lab, id)?);
    }
    let more = |figure: fn(&Figures) -> u64| {
        let both = before.iter().zip(&after);
        both.map(|(before, after)| figure(after) as f64 - figure(before) as f64).collect::<Vec<_>>()
    };
    let worst = |time: fn(&Figures) -> Duration| {
        after.iter().map(|figures| time(figures).as_secs_f64() * 1e3).collect::<Vec<_>>()
    };
    let most = Target::AtMost(10.0);
    Ok(vec![
        Row::new("10,000 forged frames/s a link: refused", "", more(|it| it.refused)),
        Row::new("  the loop late, at the worst", "ms", worst(|it| it.late)).target(most),
        Row::new("  beside it, a thread that does nothing, late", "ms", bare),
        Row::new("  over one event, at the worst", "ms", worst(|it| it.step)).target(most),
        // The null modem carries nothing but noise.
        Row::new("  heartbeats heard, of 100", "", more(|it| it.received)),
        Row::new("  more memory (VmRSS)", "KiB", more(|it| it.resident)),
    ])
}

/// Frames a second, by each link.
const RATE: u32 = 10_000;
const LONG: Duration = Duration::from_secs(10);
