//! Does a heartbeat ever ask for memory? A box that is out of it must go on speaking.

use std::hint::black_box;

use tests::allocations::{Counting, on_this_thread};
use tests::conversation::Conversation;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_core_asks_for_no_memory() {
    let mut pair = Conversation::settled();
    let before = on_this_thread();
    let heard: u32 = (0..1_000).map(|_| pair.one_interval()).sum();
    assert_eq!(on_this_thread() - before, 0, "requests in {heard} heartbeats");
    assert!(heard >= 1_000, "only {heard} heartbeats were heard");
}

#[test]
fn a_request_is_seen() {
    let before = on_this_thread();
    black_box(Box::new(black_box(1)));
    assert_eq!(on_this_thread() - before, 1);
}
