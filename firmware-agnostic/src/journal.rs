//! What survives a power cut: a few bytes, written on every change of role, before its effects.
//!
//! A journal has two places of [`PLACE`] bytes that are written in turn, each with the number of its entry and a
//! checksum. A cut in the middle of a write leaves the other place, which is the entry before; so nothing has to be
//! renamed, and a full disk is no obstacle.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::heartbeat::{Asks, Role, Term};

/// What a box wants to know after a power cut.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Journal {
    /// The last takeover that this box made or heard of.
    pub term: Term,
    /// What this box was.
    pub role: Role,
    /// It was told to leave, and had released everything.
    pub clean: bool,
    /// What the peer was when it was last heard.
    pub peer: Option<Role>,
    /// The peer's power was seen off, and it was not heard since.
    pub fenced: bool,
    /// An operator's order that is to outlive a reboot.
    pub order: Option<Asks>,
}

impl Journal {
    /// The bytes of entry `number`, and the place in the file that they belong to.
    pub fn encode(&self, number: u32) -> (usize, [u8; PLACE]) {
        let mut bytes = [0; PLACE];
        let (head, checksum) = bytes.split_at_mut(PLACE - CHECKSUM);
        let entry = Entry { magic: MAGIC, number, journal: *self };
        postcard::to_slice(&entry, head).expect("PLACE holds the largest entry");
        checksum.copy_from_slice(&sum(head));
        (place(number) * PLACE, bytes)
    }

    /// The newest entry in `file`, with its number; `None` where no entry is whole.
    pub fn decode(file: &[u8]) -> Option<(u32, Self)> {
        let entries = file.as_chunks::<PLACE>().0.iter().take(PLACES).filter_map(|bytes| {
            let (head, checksum) = bytes.split_at(PLACE - CHECKSUM);
            let whole = sum(head) == *checksum;
            let (entry, _) = postcard::take_from_bytes::<Entry>(head).ok()?;
            (whole && entry.magic == MAGIC).then_some((entry.number, entry.journal))
        });
        // The numbers of the two places follow each other, also where they begin anew.
        entries.reduce(|one, other| if one.0.wrapping_sub(other.0) == 1 { one } else { other })
    }
}

#[derive(Deserialize, Serialize)]
struct Entry {
    magic: [u8; 4],
    number: u32,
    journal: Journal,
}

const fn place(number: u32) -> usize {
    number as usize % PLACES
}

fn sum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(bytes));
    [a, b, c, d]
}

/// The length of one place.
pub const PLACE: usize = 32;
/// The length of the file.
pub const FILE: usize = PLACES * PLACE;
const PLACES: usize = 2;
const CHECKSUM: usize = 4;
/// Names the format with its version.
const MAGIC: [u8; 4] = *b"2bj1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_entry_is_read() {
        let mut file = [0; FILE];
        assert_eq!(Journal::decode(&file), None);
        for number in [u32::MAX - 1, u32::MAX, 0, 1, 2] {
            write(&mut file, number);
            assert_eq!(Journal::decode(&file), Some((number, journal(number))));
        }
    }

    #[test]
    fn a_torn_entry_leaves_the_one_before() {
        let mut file = [0; FILE];
        write(&mut file, 7);
        write(&mut file, 8);
        for torn in 0..PLACE {
            let mut file = file;
            let (at, bytes) = journal(9).encode(9);
            file[at..at + torn].copy_from_slice(&bytes[..torn]);
            assert_eq!(Journal::decode(&file), Some((8, journal(8))), "torn after {torn}");
        }
        assert_eq!(Journal::decode(&file[..PLACE]), Some((8, journal(8))), "cut short");
    }

    #[test]
    fn no_bit_may_flip() {
        let mut file = [0; FILE];
        write(&mut file, 1);
        for bit in 0..PLACE * 8 {
            let mut file = file;
            file[PLACE + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Journal::decode(&file), None);
        }
    }

    #[test]
    fn another_format_is_not_read() {
        let mut file = [0; FILE];
        write(&mut file, 2);
        file[..4].copy_from_slice(b"2bj0");
        let (head, checksum) = file[..PLACE].split_at_mut(PLACE - CHECKSUM);
        checksum.copy_from_slice(&sum(head));
        assert_eq!(Journal::decode(&file), None);
    }

    fn write(file: &mut [u8; FILE], number: u32) {
        let (at, bytes) = journal(number).encode(number);
        file[at..at + PLACE].copy_from_slice(&bytes);
    }

    fn journal(number: u32) -> Journal {
        Journal {
            term: Term(number),
            role: Role::Active,
            clean: false,
            peer: Some(Role::Standby),
            fenced: true,
            order: Some(Asks::Claim),
        }
    }
}
