//! Counts how often a piece of code asks for memory.
//!
//! A program that makes [`Counting`] its global allocator can ask [`on_this_thread`] before and after. The count is the
//! thread's own, because a test harness allocates on its other threads whenever it likes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The allocator of the system, with a count of the requests.
#[derive(Debug)]
pub struct Counting;

/// How often the calling thread has asked for memory so far. Nothing is counted unless [`Counting`] is the allocator.
pub fn on_this_thread() -> u64 {
    REQUESTS.get()
}

// SAFETY: every call goes to the system's allocator as it came. The count needs no memory of its own: it is made by a
// constant, and has nothing to drop.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `pointer` came from the system's allocator, which has served every request.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count() {
    REQUESTS.set(REQUESTS.get() + 1);
}

thread_local! {
    static REQUESTS: Cell<u64> = const { Cell::new(0) };
}
