//! Signs and numbers what a BMC says in a session of IPMI 2.0, by the specification or with a quirk.

use board::fence::ipmi::packet::{self, HIDDEN, MESSAGE, RMCP};
use board::fence::ipmi::suite::{SessionKeys, Suite};

use super::login::random;
use super::quirks::{Habit, Numbers, Quirks};

/// The side of a session that speaks.
pub(super) struct Voice {
    keys: SessionKeys,
    console: u32,
    packets: u32,
}

impl Voice {
    pub(super) const fn new(keys: SessionKeys, console: u32) -> Self {
        Self { keys, console, packets: 0 }
    }

    /// The packet of a message.
    pub(super) fn say(&mut self, message: &[u8], quirks: &Quirks) -> Vec<u8> {
        self.packets += 1;
        let number = match quirks.numbers {
            Numbers::Count => self.packets,
            Numbers::Skip => self.packets * 2 - 1,
            Numbers::Zero => 0,
            Numbers::Same => 1,
        };
        if self.keys.suite() == Suite::Nothing {
            return packet::new(MESSAGE, self.console, number, message);
        }
        let pads = match 15 - (message.len() % 16) as u8 {
            0 if quirks.has(Habit::WholeBlock) => 16,
            pads => pads,
        };
        let hidden = self.keys.hide_padded(message, pads, random());
        let mut packet = packet::to_be_signed(MESSAGE | HIDDEN, self.console, number, &hidden);
        packet.extend(self.keys.tag(&packet[RMCP..]));
        packet
    }
}
