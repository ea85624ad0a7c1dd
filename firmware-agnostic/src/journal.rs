//! What survives a power cut: a few bytes, written on every change of role, before its effects.
//!
//! A journal has two places of [`SLOT_LEN`] bytes that are written in turn, each with the number of its entry and a
//! checksum. A cut in the middle of a write leaves the other place, which is the entry before; so nothing has to be
//! renamed, and a full disk is no obstacle.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::heartbeat::{Fingerprint, Incarnation, PeerRequest, Role, Term};
use crate::time::Instant;

/// What a box wants to know after a power cut, or after the death of its supervisor.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
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
    pub order: Option<StandingOrder>,
    /// The life that has written this.
    pub life: Incarnation,
    /// The newest life of the peer that was echoed; nothing but zeros if none was.
    pub peer_life: Incarnation,
    /// That life had heard the one that has written this, and was not about to shoot it as far as that one knew.
    pub armed: bool,
    /// How often in a row the peer has failed the resources that were given to it.
    pub failed_stays: u8,
    /// When the peer is to get its power back.
    pub power_on: Option<Instant>,
    /// The kernel runs on that ran when this was written. Not stored: reading finds it out.
    #[serde(skip)]
    pub this_boot: bool,
}

/// An order that stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct StandingOrder {
    /// What this box asks of the other because of it.
    pub request: PeerRequest,
    /// How long it stands, unless `resume` ends it.
    pub until: Expiry,
}

/// How long an order stands, on the clock of the box that was told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Expiry {
    /// For good.
    Resume,
    /// Until this box boots anew.
    Reboot,
    /// Until then, or until this box boots anew.
    At(Instant),
}

impl StandingOrder {
    /// When it ends, where that is a time.
    pub(crate) const fn ends_at(&mut self) -> Option<&mut Instant> {
        match &mut self.until {
            Expiry::At(at) => Some(at),
            Expiry::Resume | Expiry::Reboot => None,
        }
    }

    /// A box that was to keep the resources, and had to boot, earns them anew.
    fn outlives_a_boot(&self) -> bool {
        self.request != PeerRequest::Claim
    }
}

impl Journal {
    /// What is left of it after a boot of the kernel.
    #[must_use]
    pub fn after_a_boot(self) -> Self {
        let order =
            self.order.filter(|order| order.until == Expiry::Resume && order.outlives_a_boot());
        // The clock began anew: what was to come at a time is due.
        let power_on = self.power_on.map(|_| Instant::default());
        Self { order, power_on, this_boot: false, ..self }
    }

    /// All that it knows the time of.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let order = self.order.iter_mut().filter_map(StandingOrder::ends_at);
        order.chain(&mut self.power_on)
    }

    /// The bytes of entry `number`, and the place in the file that they belong to. `kernel` names the boot of the
    /// kernel.
    pub fn encode(&self, number: u32, kernel: Fingerprint) -> (usize, [u8; SLOT_LEN]) {
        let mut bytes = [0; SLOT_LEN];
        let (head, checksum) = bytes.split_at_mut(SLOT_LEN - CHECKSUM);
        let entry = Entry { magic: MAGIC, number, kernel, journal: *self };
        postcard::to_slice(&entry, head).expect("SLOT_LEN holds the largest entry");
        checksum.copy_from_slice(&sum(head));
        (place(number) * SLOT_LEN, bytes)
    }

    /// The newest entry in `file`, with its number; `None` where no entry is whole. `kernel` names the boot of the
    /// kernel, and is nothing but zeros where that is not known: what does not outlive a boot stands in the entries
    /// of the same one only.
    pub fn decode(file: &[u8], kernel: Fingerprint) -> Option<(u32, Self)> {
        let entries = file.as_chunks::<SLOT_LEN>().0.iter().take(PLACES).filter_map(|bytes| {
            let (head, checksum) = bytes.split_at(SLOT_LEN - CHECKSUM);
            if sum(head) != *checksum {
                return None;
            }
            Entry::read(head)
        });
        // The numbers of the two places follow each other, also where they begin anew.
        let newest =
            entries.reduce(
                |one, other| if one.number.wrapping_sub(other.number) == 1 { one } else { other },
            )?;
        let runs_on = newest.kernel == kernel && kernel != Fingerprint::default();
        let journal = Self { this_boot: true, ..newest.journal };
        Some((newest.number, if runs_on { journal } else { journal.after_a_boot() }))
    }
}

#[derive(Deserialize, Serialize)]
struct Entry {
    magic: [u8; 4],
    number: u32,
    kernel: Fingerprint,
    journal: Journal,
}

impl Entry {
    fn read(bytes: &[u8]) -> Option<Self> {
        match *bytes.first_chunk()? {
            MAGIC => Some(postcard::take_from_bytes::<Self>(bytes).ok()?.0),
            v2::MAGIC => Some(postcard::take_from_bytes::<v2::Entry>(bytes).ok()?.0.into()),
            _ => None,
        }
    }
}

/// The format of the release before, which is read and not written.
mod v2 {
    use super::{Deserialize, Fingerprint, Journal, Role, StandingOrder, Term};

    #[derive(Deserialize)]
    pub(super) struct Entry {
        _magic: [u8; 4],
        number: u32,
        kernel: Fingerprint,
        term: Term,
        role: Role,
        clean: bool,
        peer: Option<Role>,
        fenced: bool,
        order: Option<StandingOrder>,
    }

    impl From<Entry> for super::Entry {
        fn from(old: Entry) -> Self {
            let Entry { number, kernel, term, role, clean, peer, fenced, order, .. } = old;
            let journal = Journal { term, role, clean, peer, fenced, order, ..Journal::default() };
            Self { magic: super::MAGIC, number, kernel, journal }
        }
    }

    pub(super) const MAGIC: [u8; 4] = *b"2bj2";
}

const fn place(number: u32) -> usize {
    number as usize % PLACES
}

fn sum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(bytes));
    [a, b, c, d]
}

/// The length of one place.
pub const SLOT_LEN: usize = 64;
/// The length of the file.
pub const FILE_LEN: usize = PLACES * SLOT_LEN;
const PLACES: usize = 2;
const CHECKSUM: usize = 4;
/// Names the format with its version.
const MAGIC: [u8; 4] = *b"2bj3";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_entry_is_read() {
        let mut file = [0; FILE_LEN];
        assert_eq!(Journal::decode(&file, KERNEL), None);
        for number in [u32::MAX - 1, u32::MAX, 0, 1, 2] {
            write(&mut file, number);
            assert_eq!(Journal::decode(&file, KERNEL), Some((number, journal(number))));
        }
    }

    #[test]
    fn a_torn_entry_leaves_the_one_before() {
        let mut file = [0; FILE_LEN];
        write(&mut file, 7);
        write(&mut file, 8);
        for torn in 0..SLOT_LEN {
            let mut file = file;
            let (at, bytes) = journal(9).encode(9, KERNEL);
            file[at..at + torn].copy_from_slice(&bytes[..torn]);
            assert_eq!(Journal::decode(&file, KERNEL), Some((8, journal(8))), "torn after {torn}");
        }
        assert_eq!(Journal::decode(&file[..SLOT_LEN], KERNEL), Some((8, journal(8))), "cut short");
    }

    #[test]
    fn no_bit_may_flip() {
        let mut file = [0; FILE_LEN];
        write(&mut file, 1);
        for bit in 0..SLOT_LEN * 8 {
            let mut file = file;
            file[SLOT_LEN + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Journal::decode(&file, KERNEL), None);
        }
    }

    #[test]
    fn another_format_is_not_read() {
        let mut file = [0; FILE_LEN];
        write(&mut file, 2);
        file[..4].copy_from_slice(b"2bj1");
        let (head, checksum) = file[..SLOT_LEN].split_at_mut(SLOT_LEN - CHECKSUM);
        checksum.copy_from_slice(&sum(head));
        assert_eq!(Journal::decode(&file, KERNEL), None);
    }

    /// The bytes are those that the release before has written.
    #[test]
    fn the_format_of_the_release_before_is_read() {
        let mut file = [0; FILE_LEN];
        let entry = [
            &b"2bj2\x07"[..],
            &KERNEL.0,
            // Term 9, active, not clean, the peer standby, not fenced, told to stand by for good.
            &[9, 4, 0, 1, 1, 0, 1, 2, 0],
        ];
        let entry = entry.concat();
        file[SLOT_LEN..SLOT_LEN + entry.len()].copy_from_slice(&entry);
        let (head, checksum) = file[SLOT_LEN..].split_at_mut(SLOT_LEN - CHECKSUM);
        checksum.copy_from_slice(&sum(head));
        let (number, journal) = Journal::decode(&file, KERNEL).expect("it is whole");
        assert_eq!((number, journal.term, journal.role), (7, Term(9), Role::Active));
        let order = StandingOrder { request: PeerRequest::Standby, until: Expiry::Resume };
        assert_eq!((journal.order, journal.this_boot, journal.armed), (Some(order), true, false));
    }

    #[test]
    fn an_order_to_serve_does_not_outlive_a_boot() {
        let order = Some(StandingOrder { request: PeerRequest::Claim, until: Expiry::Resume });
        assert_eq!(Journal { order, ..journal(1) }.after_a_boot().order, None);
    }

    #[test]
    fn an_order_stands_as_long_as_it_was_to() {
        let ends = [Expiry::Resume, Expiry::Reboot, Expiry::At(Instant::from_millis(1))];
        let unknown = Fingerprint::default();
        for (written, read) in
            [(KERNEL, KERNEL), (KERNEL, Fingerprint([9; 4])), (KERNEL, unknown), (unknown, unknown)]
        {
            for until in ends {
                let order = Some(StandingOrder { request: PeerRequest::Standby, until });
                let (mut file, journal) = ([0; FILE_LEN], Journal { order, ..journal(7) });
                let (at, bytes) = journal.encode(7, written);
                file[at..at + SLOT_LEN].copy_from_slice(&bytes);
                let runs_on = (written, read) == (KERNEL, KERNEL);
                let expected = Journal {
                    order: order.filter(|_| until == Expiry::Resume || runs_on),
                    power_on: if runs_on { journal.power_on } else { Some(Instant::default()) },
                    this_boot: runs_on,
                    ..journal
                };
                assert_eq!(Journal::decode(&file, read), Some((7, expected)), "{until:?}");
            }
        }
    }

    fn write(file: &mut [u8; FILE_LEN], number: u32) {
        let (at, bytes) = journal(number).encode(number, KERNEL);
        file[at..at + SLOT_LEN].copy_from_slice(&bytes);
    }

    fn journal(number: u32) -> Journal {
        Journal {
            term: Term(number),
            role: Role::Active,
            clean: false,
            peer: Some(Role::Standby),
            fenced: true,
            order: Some(StandingOrder {
                request: PeerRequest::Maintenance,
                until: Expiry::At(Instant::from_micros(u64::MAX)),
            }),
            life: Incarnation([7; 4]),
            peer_life: Incarnation([8; 4]),
            armed: true,
            failed_stays: 5,
            power_on: Some(Instant::from_micros(u64::MAX)),
            this_boot: true,
        }
    }

    const KERNEL: Fingerprint = Fingerprint([1, 2, 3, 4]);
}
