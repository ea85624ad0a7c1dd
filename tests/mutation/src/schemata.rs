//! Writes all mutants into one source, each behind a question that is asked at run time.

use std::ops::Range;

use crate::places::{Edit, Found};

/// A source with its mutants.
pub struct Schemata {
    pub source: String,
    /// Where in `source` each mutant stands, by its number.
    mutants: Vec<(Range<usize>, u32)>,
    /// Where each place stands with all of its mutants.
    places: Vec<(Range<usize>, Vec<u32>)>,
}

impl Schemata {
    /// Puts those mutants of `found` into `source` that have a number.
    pub fn write(
        source: &str,
        found: &Found,
        number: &dyn Fn(usize, usize) -> Option<u32>,
    ) -> Self {
        let mut edits = Vec::new();
        for (range, _) in &found.consts {
            edits.push(Insertion {
                at: range.start,
                order: 0,
                text: "/*".into(),
                mark: Mark::None,
            });
            edits.push(Insertion { at: range.end, order: 0, text: "*/".into(), mark: Mark::None });
        }
        for (at, place) in found.places.iter().enumerate() {
            let mutants: Vec<(u32, &str)> = (0..place.mutants.len())
                .filter_map(|mutant| Some((number(at, mutant)?, place.mutants[mutant].1.as_str())))
                .collect();
            if !mutants.is_empty() {
                insert(&place.edit, &mutants, &mut edits);
            }
        }
        edits.sort_by_key(|edit| (edit.at, edit.order));
        Self::apply(source, edits)
    }

    fn apply(source: &str, edits: Vec<Insertion>) -> Self {
        let mut schemata = Self { source: String::new(), mutants: Vec::new(), places: Vec::new() };
        let (mut read, mut open) = (0, Vec::new());
        for edit in edits {
            schemata.source.push_str(&source[read..edit.at]);
            read = edit.at;
            let start = schemata.source.len();
            schemata.source.push_str(&edit.text);
            match edit.mark {
                Mark::None => {}
                Mark::Mutant(number) => {
                    schemata.mutants.push((start..schemata.source.len(), number))
                }
                Mark::Opens(number) => open.push((start, number)),
                Mark::Closes => {
                    let (start, numbers) = open.pop().expect("what closes was opened");
                    schemata.places.push((start..schemata.source.len(), numbers));
                }
            }
        }
        schemata.source.push_str(&source[read..]);
        schemata
    }

    /// The mutant that has the bytes `at`.
    pub fn mutant_at(&self, at: &Range<usize>) -> Option<u32> {
        self.mutants.iter().find(|(range, _)| holds(range, at)).map(|(_, number)| *number)
    }

    /// The mutants of the smallest place around the bytes `at`.
    pub fn mutants_around(&self, at: &Range<usize>) -> Option<&[u32]> {
        let around = self.places.iter().filter(|(range, _)| holds(range, at));
        around.min_by_key(|(range, _)| range.len()).map(|(_, numbers)| numbers.as_slice())
    }
}

fn holds(range: &Range<usize>, at: &Range<usize>) -> bool {
    range.start <= at.start && at.end <= range.end
}

/// A text that goes into the source.
struct Insertion {
    at: usize,
    /// At one byte the inner ends come first, then what stands there, then the outer beginnings.
    order: i64,
    text: String,
    mark: Mark,
}

enum Mark {
    None,
    Mutant(u32),
    /// A place with these mutants begins.
    Opens(Vec<u32>),
    Closes,
}

fn insert(edit: &Edit, mutants: &[(u32, &str)], edits: &mut Vec<Insertion>) {
    let numbers = || mutants.iter().map(|(number, _)| *number).collect();
    match edit {
        Edit::Instead(range) => {
            let (before, after) = (outside(range, false), outside(range, true));
            let mut push =
                |at, order, text: String, mark| edits.push(Insertion { at, order, text, mark });
            push(range.start, before, "(".into(), Mark::Opens(numbers()));
            for (number, source) in mutants {
                push(
                    range.start,
                    before,
                    format!("if crate::mutant::is({number}) {{ "),
                    Mark::None,
                );
                push(range.start, before, (*source).to_owned(), Mark::Mutant(*number));
                push(range.start, before, " } else ".into(), Mark::None);
            }
            push(range.start, before, "{ ".into(), Mark::None);
            push(range.end, after, " })".into(), Mark::Closes);
        }
        Edit::Guard(at) => {
            let (number, _) = mutants[0];
            let text = format!(" if !crate::mutant::is({number})");
            edits.push(Insertion { at: *at, order: 0, text, mark: Mark::Mutant(number) });
        }
        Edit::Return(at) => {
            for (number, source) in mutants {
                let mut push = |text, mark| edits.push(Insertion { at: *at, order: 0, text, mark });
                push(format!(" if crate::mutant::is({number}) {{ return "), Mark::None);
                push((*source).to_owned(), Mark::Mutant(*number));
                push("; }".into(), Mark::None);
            }
        }
        Edit::Empty(range) => {
            let (number, before) = (mutants[0].0, outside(range, false));
            let start = "{ core::iter::Iterator::filter(".to_owned();
            edits.push(Insertion {
                at: range.start,
                order: before,
                text: start,
                mark: Mark::Opens(numbers()),
            });
            let end = format!(", |_| !crate::mutant::is({number})) }}");
            let after = outside(range, true);
            edits.push(Insertion { at: range.end, order: after, text: end, mark: Mark::Closes });
        }
    }
}

/// The order of the beginnings or the ends that meet at one byte.
fn outside(range: &Range<usize>, ends: bool) -> i64 {
    let length = i64::try_from(range.len()).unwrap_or(i64::MAX / 2);
    if ends { length - i64::MAX / 2 } else { i64::MAX / 2 - length }
}
