//! Tells which mutant is wanted. This module is in a mutated copy of the core, and nowhere else.

extern crate std;

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::boxed::Box;
use std::io::Write;

/// Whether this mutant is wanted: `TWOBOX_MUTANT` is its number.
#[inline(always)]
pub(crate) fn is(number: u32) -> bool {
    let wanted = WANTED.load(Relaxed);
    wanted == number || wanted >= NOTES && !SEEN[number as usize].load(Relaxed) && asks(number)
}

/// A value that lives for ever.
pub(crate) fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

#[cold]
#[inline(never)]
fn asks(number: u32) -> bool {
    if WANTED.load(Relaxed) == UNREAD {
        let wanted = std::env::var("TWOBOX_MUTANT").ok().and_then(|it| it.parse().ok());
        let notes = std::env::var_os("TWOBOX_MUTANTS_SEEN").map(|_| NOTES);
        WANTED.store(wanted.or(notes).unwrap_or(0), Relaxed);
        return is(number);
    }
    let new = !SEEN[number as usize].swap(true, Relaxed);
    if let (true, Some(path)) = (new, std::env::var_os("TWOBOX_MUTANTS_SEEN")) {
        let file = std::fs::File::options().append(true).create(true).open(path);
        let line = std::format!("{number}\n");
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the folder can be written");
    }
    false
}

static WANTED: AtomicU32 = AtomicU32::new(UNREAD);
/// Which mutants were asked about.
static SEEN: [AtomicBool; 10_000] = [const { AtomicBool::new(false) }; 10_000];
/// No mutant is wanted, and each that is asked about is noted in the file `TWOBOX_MUTANTS_SEEN`.
const NOTES: u32 = u32::MAX - 1;
const UNREAD: u32 = u32::MAX;
