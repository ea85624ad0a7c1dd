//! Puts the records of both boxes into one order: the order of each file, then what a box had heard, then the clocks.
//!
//! A record names the newest state of the other box that its box had heard (`peer_boot`, `peer_change`). It comes
//! after all that the other box had recorded up to that state. Older records have no such words; they have the
//! term, and nobody knows a term before the box that began it. Only what neither of them orders is ordered by the
//! clocks, which may be wrong.

use std::collections::BTreeMap;

use super::anchor::Anchor;
use crate::observe::record::Record;

/// Brings both files into one order. `T` is the time of a record, comparable between the files.
pub(super) fn merge<T: Ord>(mine: Vec<(T, Record)>, theirs: Vec<(T, Record)>) -> Vec<Record> {
    let earlier_theirs = HeardRecords::of(&theirs).before_each(&mine);
    let earlier_mine = HeardRecords::of(&mine).before_each(&theirs);
    let mut merged = Vec::with_capacity(mine.len() + theirs.len());
    let mut mine = mine.into_iter().zip(earlier_theirs).enumerate().peekable();
    let mut theirs = theirs.into_iter().zip(earlier_mine).enumerate().peekable();
    loop {
        let mine_first = match (mine.peek(), theirs.peek()) {
            (Some((here, ((time, _), after))), Some((there, ((other, _), other_after)))) => {
                match (after > there, other_after > here) {
                    (true, false) => false,
                    (false, true) => true,
                    // Two files that contradict each other are ordered by the clocks as well.
                    _ => time <= other,
                }
            }
            (one, _) => one.is_some(),
        };
        let next = if mine_first { mine.next() } else { theirs.next() };
        let Some((_, ((_, record), _))) = next else { return merged };
        merged.push(record);
    }
}

/// What the other box may have heard of the records of one file.
struct HeardRecords<'a> {
    /// For each life of the supervisor, in the order of the file: with which state how many records were written.
    stances: BTreeMap<&'a str, Vec<(u64, usize)>>,
    /// How many records were written when a term had begun; the terms only rise.
    terms: Vec<(u64, usize)>,
}

impl<'a> HeardRecords<'a> {
    fn of<T>(records: &'a [(T, Record)]) -> Self {
        let mut heard = Self { stances: BTreeMap::new(), terms: Vec::new() };
        for ((_, record), count) in records.iter().zip(1..) {
            if let (Some(boot), Some(change)) = (record.get("boot"), record.number("change")) {
                // A change of role is recorded before it is said; all else may come when the state was said long ago.
                let said_with = if is_change(record) { change } else { change.saturating_add(1) };
                heard.stances.entry(boot).or_default().push((said_with, count));
            }
            if let Some(term) = record.number("term").filter(|_| begins_a_term(record)) {
                let highest = heard.terms.last().map_or(term, |(highest, _)| term.max(*highest));
                heard.terms.push((highest, count));
            }
        }
        heard
    }

    /// For each of `records`, which are of the other box: how many of this file come before it.
    fn before_each<T>(&self, records: &[(T, Record)]) -> Vec<usize> {
        records.iter().map(|(_, record)| self.before(record)).collect()
    }

    fn before(&self, record: &Record) -> usize {
        let stances = record.get("peer_boot").and_then(|boot| self.stances.get(boot));
        let heard = stances.zip(record.number("peer_change"));
        let heard = heard.map_or(0, |(stances, change)| up_to(stances, change));
        let term = record.number("term").unwrap_or(0);
        let known = term.checked_sub(u64::from(begins_a_term(record)));
        heard.max(known.map_or(0, |term| up_to(&self.terms, term)))
    }
}

/// The count beside the last number that is not above `most`.
fn up_to(counts: &[(u64, usize)], most: u64) -> usize {
    let end = counts.partition_point(|(number, _)| *number <= most);
    end.checked_sub(1).and_then(|last| counts.get(last)).map_or(0, |(_, count)| *count)
}

fn is_change(record: &Record) -> bool {
    record.get("what") == Some("role")
}

fn begins_a_term(record: &Record) -> bool {
    is_change(record) && record.get("to") == Some("starting")
}

/// When each of the records of one file was written, in thousandths of a second since 1970, by the clock of its box
/// as it is at `now`; never earlier than the record before.
///
/// Within one boot the time since boot tells how far the records are apart, and the last one how the clock was: a
/// clock that was set in between is right at last. A time that lies after `now` is no time.
pub(super) fn times(records: &[Record], now: Option<&Anchor>) -> Vec<i64> {
    let (mut times, mut before) = (Vec::with_capacity(records.len()), i64::MIN);
    let mut boots = records.chunk_by(same_boot).peekable();
    while let Some(boot) = boots.next() {
        let last = boot.last();
        let of_now = boots.peek().is_none().then_some(now).flatten();
        let zero = of_now.zip(last).and_then(|(now, last)| now.zero_of(last));
        let zero = zero.or_else(|| last.and_then(|it| Some(it.wall()? - it.up()?)));
        for record in boot {
            let exact = zero.zip(record.up()).map(|(zero, up)| zero + up);
            let time = exact.or_else(|| record.wall());
            let time = time.filter(|time| now.is_none_or(|now| now.is_past(*time)));
            before = before.max(time.unwrap_or(before));
            times.push(before);
        }
    }
    times
}

/// Whether the machine was not started anew between two records that follow each other.
pub(super) fn same_boot(one: &Record, next: &Record) -> bool {
    match (one.get("kernel_boot"), next.get("kernel_boot")) {
        (Some(one), Some(next)) => one == next,
        _ => one.up() <= next.up(),
    }
}

#[cfg(test)]
mod tests {
    use board::time::clock::Wall;

    use super::*;

    #[test]
    fn what_was_heard_goes_before_the_clocks() {
        // The clock of the other box is a day ahead.
        let mine = [
            (10, role("a", "standby", 1, "b", 7)),
            (20, role("a", "starting", 2, "b", 8)),
            (30, role("a", "active", 3, "b", 8)),
        ];
        let theirs = [
            (90_010, role("b", "active", 7, "a", 0)),
            (90_020, role("b", "standby", 8, "a", 1)),
            (90_030, role("b", "standby", 9, "a", 3)),
        ];
        let merged = merge(mine.to_vec(), theirs.to_vec());
        let told: Vec<_> = merged.iter().map(|it| (it.get("boot"), it.number("change"))).collect();
        let stance = |boot, change| (Some(boot), Some(change));
        assert_eq!(
            told,
            [
                stance("b", 7),
                stance("a", 1),
                stance("b", 8),
                stance("a", 2),
                stance("a", 3),
                stance("b", 9)
            ]
        );
        // The same for both.
        assert_eq!(merge(theirs.to_vec(), mine.to_vec()), merged);
    }

    #[test]
    fn a_shot_that_comes_after_its_stance_was_said_binds_nobody() {
        let shot = Record::default().with("boot", "a").with("change", 4).with("what", "fence");
        let heard = role("b", "standby", 1, "a", 4);
        let merged = merge(vec![(20, shot.clone())], vec![(10, heard.clone())]);
        assert_eq!(merged, [heard, shot]);
    }

    #[test]
    fn files_that_contradict_each_other_are_ordered_by_the_clocks() {
        let one = role("a", "standby", 1, "b", 1);
        let other = role("b", "standby", 1, "a", 1);
        assert_eq!(merge(vec![(2, one.clone())], vec![(1, other.clone())]), [other, one]);
    }

    #[test]
    fn a_clock_that_is_set_later_counts_from_the_boot_on() {
        let at = |wall: u64, up: &str, kernel: &str| {
            Record::default().with("time", Wall(wall)).with("up", up).with("kernel_boot", kernel)
        };
        // It boots in 1970, and is set while it runs; the next boot has a clock far in the future, and then all is
        // well.
        let records = [
            at(5, "5.000", "k1"),
            at(10_010, "10.000", "k1"),
            at(900_000_000, "7.000", "k2"),
            at(20_006, "6.000", "k3"),
        ];
        let now = Anchor { wall: 20_020_000, up: 20_000, kernel: Some("k3".to_owned()) };
        assert_eq!(times(&records, Some(&now)), [10_005_000, 10_010_000, 10_010_000, 20_006_000]);
        // The clock was put back by an hour since: what was written in this boot moves with it.
        let now = Anchor { wall: 16_420_000, ..now };
        assert_eq!(times(&records, Some(&now)).last(), Some(&16_406_000));
    }

    fn role(boot: &str, to: &str, change: u32, peer: &str, heard: u32) -> Record {
        Record::default()
            .with("boot", boot)
            .with("change", change)
            .with("what", "role")
            .with("to", to)
            .with("peer_boot", peer)
            .with("peer_change", heard)
    }
}
