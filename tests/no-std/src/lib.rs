//! Links the core where there is neither std nor an allocator.
//!
//! Building this is the test: std anywhere below would bring a second panic handler, `alloc` would ask for an
//! allocator, and both are errors of the compiler.
#![no_std]
#![forbid(unsafe_code)]

use core::panic::PanicInfo;

use firmware_agnostic::heartbeat::{Incarnation, Heartbeat};
use firmware_agnostic::identity::LinkId;
use firmware_agnostic::node::{Action, Event, Node};
use firmware_agnostic::receiver::Reception;
use firmware_agnostic::settings::Settings;
use firmware_agnostic::time::Instant;

/// All that a board would need: bytes in, a decision, a sentence out.
pub fn hear(settings: Settings, reception: &mut Reception, link: LinkId, bytes: &[u8]) -> Option<Heartbeat> {
    let now = Instant::from_millis(1);
    let heard = reception.receive(link, bytes, now).ok()?;
    let mut node = Node::new(settings, Incarnation(*b"bare"), None, now);
    let actions = node.step(Event::Heartbeat(link, heard), now);
    actions.iter().find_map(|action| match action {
        Action::Send(heartbeat) => Some(*heartbeat),
        _ => None,
    })
}

#[panic_handler]
fn halt(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
