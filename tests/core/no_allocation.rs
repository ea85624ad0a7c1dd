//! Checks that a heartbeat never asks for memory. A box that is out of it must go on speaking.

use std::hint::black_box;
use std::time::Duration;

use simulation::allocations::{Counting, on_this_thread};
use simulation::conversation::Conversation;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_core_asks_for_no_memory_in_a_day() {
    let mut pair = Conversation::settled();
    let (before, end) = (on_this_thread(), pair.now() + Duration::from_secs(24 * 60 * 60));
    let mut heard = 0;
    while pair.now() < end {
        heard += pair.one_interval();
    }
    assert_eq!(on_this_thread() - before, 0, "requests in {heard} heartbeats");
    assert!(heard >= 100_000, "only {heard} heartbeats were heard");
}

#[test]
fn a_request_is_seen() {
    let before = on_this_thread();
    black_box(Box::new(black_box(1)));
    assert_eq!(on_this_thread() - before, 1);
}
