//! Checks the pair when a box has nothing left to give.
//!
//! Each test tells one story of `lab::scenarios::limits` in a world of its own, as those of `lab.rs` do.

use demo::stories;

mod demo;

stories! {
    forged_frames: "forged-frames",
    everybody_asks: "everybody-asks",
    strangers_ask: "strangers-ask",
    no_more_memory: "no-more-memory",
    disk_full_and_protected: "disk-full-and-protected",
    no_more_files: "no-more-files",
    no_more_processes: "no-more-processes",
    console_stuck: "console-stuck",
    console_lost: "console-lost",
    syslog_lost: "syslog-lost",
}

/// `cargo demo soak MINUTES` takes as many as one likes.
#[test]
fn no_supervisor_grows_old() {
    demo::run(&["soak", "0.4"]);
}
