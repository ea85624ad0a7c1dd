//! Reduces a run that goes wrong to its shortest form.

use std::panic;

use super::fault_model::Mishap;
use super::life;
use super::plan::Plan;
use super::trace::Trace;

/// The shortest run found that breaks the same promise as `plan`, as a person reads it: its lines, and what was needed.
pub fn explain(plan: &Plan, promise: &str, leaps: bool) -> String {
    let breaks = |plan: &Plan| {
        let end = panic::catch_unwind(|| life::live(plan, Trace::Off, leaps));
        end.is_ok_and(|end| end.is_err_and(|broken| broken.promise == promise))
    };
    let shortest = shrink(plan, breaks);
    let (lines, _) = life::tell(&shortest, leaps);
    format!("{}\n{} of {} faults: {shortest}", lines.join("\n"), shortest.faults(), plan.faults())
}

/// The shortest plan found of which `breaks` still says so: none of its faults can be left out alone.
///
/// Delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002) over the turns, then
/// over the faults; then every kind of misery that is not needed is taken away.
pub fn shrink(plan: &Plan, breaks: impl Fn(&Plan) -> bool) -> Plan {
    let mut best = plan.clone();
    best.turns =
        fewer(best.turns.clone(), |turns| breaks(&Plan { turns: turns.to_vec(), ..best.clone() }));
    loop {
        let before = best.faults();
        for turn in 0..best.turns.len() {
            let faults = fewer(best.turns[turn].faults.clone(), |faults| {
                let mut plan = best.clone();
                plan.turns[turn].faults = faults.to_vec();
                breaks(&plan)
            });
            best.turns[turn].faults = faults;
        }
        milden(&mut best, &breaks);
        // Less misery may need fewer faults.
        if best.faults() == before {
            return best;
        }
    }
}

/// The part of `list` that `breaks` needs: no item of it can be left out alone.
fn fewer<T: Clone>(mut list: Vec<T>, breaks: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut size = list.len();
    while size > 0 {
        let mut at = 0;
        let mut smaller = false;
        while at < list.len() {
            let mut rest = list.clone();
            rest.drain(at..(at + size).min(rest.len()));
            if breaks(&rest) {
                list = rest;
                smaller = true;
            } else {
                at += size;
            }
        }
        if !(smaller && size == 1) {
            size /= 2;
        }
    }
    list
}

fn milden(best: &mut Plan, breaks: &impl Fn(&Plan) -> bool) {
    for turn in 0..best.turns.len() {
        for mishap in Mishap::ALL {
            let mut plan = best.clone();
            let fault_model = &mut plan.turns[turn].fault_model;
            *fault_model = fault_model.clone().with(mishap, 0);
            if breaks(&plan) {
                *best = plan;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_left() {
        let needs = |list: &[u32]| list.contains(&3) && list.contains(&77) && list.contains(&78);
        assert_eq!(fewer((0..100).collect(), needs), [3, 77, 78]);
        assert!(fewer((0..100).collect(), |_: &[u32]| true).is_empty());
    }
}
