//! What survives a power cut: a few bytes, written on every change of role, before its effects.
//!
//! A journal has two places of [`PLACE`] bytes that are written in turn, each with the number of its entry and a
//! checksum. A cut in the middle of a write leaves the other place, which is the entry before; so nothing has to be
//! renamed, and a full disk is no obstacle.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::heartbeat::{Asks, Fingerprint, Role, Term};
use crate::time::Instant;

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
    /// An operator's order that is to outlive the supervisor.
    pub order: Option<Standing>,
}

/// An order that stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Standing {
    /// What this box asks of the other because of it.
    pub asks: Asks,
    /// How long it stands, unless `resume` ends it.
    pub until: End,
}

/// How long an order stands, on the clock of the box that was told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum End {
    /// For good.
    Resume,
    /// Until this box boots anew.
    Reboot,
    /// Until then, or until this box boots anew.
    At(Instant),
}

impl Journal {
    /// What is left of it after a boot of the kernel.
    #[must_use]
    pub fn after_a_boot(self) -> Self {
        Self { order: self.order.filter(|order| order.until == End::Resume), ..self }
    }

    /// The bytes of entry `number`, and the place in the file that they belong to. `kernel` names the boot of the kernel.
    pub fn encode(&self, number: u32, kernel: Fingerprint) -> (usize, [u8; PLACE]) {
        let mut bytes = [0; PLACE];
        let (head, checksum) = bytes.split_at_mut(PLACE - CHECKSUM);
        let entry = Entry { magic: MAGIC, number, kernel, journal: *self };
        postcard::to_slice(&entry, head).expect("PLACE holds the largest entry");
        checksum.copy_from_slice(&sum(head));
        (place(number) * PLACE, bytes)
    }

    /// The newest entry in `file`, with its number; `None` where no entry is whole. `kernel` names the boot of the kernel, and is
    /// nothing but zeros where that is not known: what does not outlive a boot stands in the entries of the same one only.
    pub fn decode(file: &[u8], kernel: Fingerprint) -> Option<(u32, Self)> {
        let entries = file.as_chunks::<PLACE>().0.iter().take(PLACES).filter_map(|bytes| {
            let (head, checksum) = bytes.split_at(PLACE - CHECKSUM);
            let whole = sum(head) == *checksum;
            let (entry, _) = postcard::take_from_bytes::<Entry>(head).ok()?;
            (whole && entry.magic == MAGIC).then_some(entry)
        });
        // The numbers of the two places follow each other, also where they begin anew.
        let newest =
            entries.reduce(
                |one, other| if one.number.wrapping_sub(other.number) == 1 { one } else { other },
            )?;
        let runs_on = newest.kernel == kernel && kernel != Fingerprint::default();
        let journal = if runs_on { newest.journal } else { newest.journal.after_a_boot() };
        Some((newest.number, journal))
    }
}

#[derive(Deserialize, Serialize)]
struct Entry {
    magic: [u8; 4],
    number: u32,
    kernel: Fingerprint,
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
pub const PLACE: usize = 64;
/// The length of the file.
pub const FILE: usize = PLACES * PLACE;
const PLACES: usize = 2;
const CHECKSUM: usize = 4;
/// Names the format with its version.
const MAGIC: [u8; 4] = *b"2bj2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_entry_is_read() {
        let mut file = [0; FILE];
        assert_eq!(Journal::decode(&file, KERNEL), None);
        for number in [u32::MAX - 1, u32::MAX, 0, 1, 2] {
            write(&mut file, number);
            assert_eq!(Journal::decode(&file, KERNEL), Some((number, journal(number))));
        }
    }

    #[test]
    fn a_torn_entry_leaves_the_one_before() {
        let mut file = [0; FILE];
        write(&mut file, 7);
        write(&mut file, 8);
        for torn in 0..PLACE {
            let mut file = file;
            let (at, bytes) = journal(9).encode(9, KERNEL);
            file[at..at + torn].copy_from_slice(&bytes[..torn]);
            assert_eq!(Journal::decode(&file, KERNEL), Some((8, journal(8))), "torn after {torn}");
        }
        assert_eq!(Journal::decode(&file[..PLACE], KERNEL), Some((8, journal(8))), "cut short");
    }

    #[test]
    fn no_bit_may_flip() {
        let mut file = [0; FILE];
        write(&mut file, 1);
        for bit in 0..PLACE * 8 {
            let mut file = file;
            file[PLACE + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Journal::decode(&file, KERNEL), None);
        }
    }

    #[test]
    fn another_format_is_not_read() {
        let mut file = [0; FILE];
        write(&mut file, 2);
        file[..4].copy_from_slice(b"2bj1");
        let (head, checksum) = file[..PLACE].split_at_mut(PLACE - CHECKSUM);
        checksum.copy_from_slice(&sum(head));
        assert_eq!(Journal::decode(&file, KERNEL), None);
    }

    #[test]
    fn an_order_stands_as_long_as_it_was_to() {
        let ends = [End::Resume, End::Reboot, End::At(Instant::from_millis(1))];
        let unknown = Fingerprint::default();
        for (written, read) in
            [(KERNEL, KERNEL), (KERNEL, Fingerprint([9; 4])), (KERNEL, unknown), (unknown, unknown)]
        {
            for until in ends {
                let order = Some(Standing { asks: Asks::Standby, until });
                let (mut file, journal) = ([0; FILE], Journal { order, ..journal(7) });
                let (at, bytes) = journal.encode(7, written);
                file[at..at + PLACE].copy_from_slice(&bytes);
                let stands = until == End::Resume || (written, read) == (KERNEL, KERNEL);
                let expected = Journal { order: order.filter(|_| stands), ..journal };
                assert_eq!(Journal::decode(&file, read), Some((7, expected)), "{until:?}");
            }
        }
    }

    fn write(file: &mut [u8; FILE], number: u32) {
        let (at, bytes) = journal(number).encode(number, KERNEL);
        file[at..at + PLACE].copy_from_slice(&bytes);
    }

    fn journal(number: u32) -> Journal {
        Journal {
            term: Term(number),
            role: Role::Active,
            clean: false,
            peer: Some(Role::Standby),
            fenced: true,
            order: Some(Standing {
                asks: Asks::Maintenance,
                until: End::At(Instant::from_micros(u64::MAX)),
            }),
        }
    }

    const KERNEL: Fingerprint = Fingerprint([1, 2, 3, 4]);
}
