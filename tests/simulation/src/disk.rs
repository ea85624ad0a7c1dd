//! Keeps the bytes of a simulated journal, as the product writes them, on a disk that may fail.

use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::journal::{FILE_LEN, Journal};

/// The file of the journal.
#[derive(Clone, Debug)]
pub struct Disk {
    file: [u8; FILE_LEN],
    /// How often the box has booted.
    boots: u32,
    /// The number of the newest entry.
    number: u32,
    /// Nothing more can be written: the disk is full, or read-only.
    pub refuses: bool,
}

impl Disk {
    /// A disk on which nothing was ever written.
    pub const fn new() -> Self {
        Self { file: [0; FILE_LEN], boots: 1, number: 0, refuses: false }
    }

    /// What a supervisor reads when it starts.
    pub fn read(&mut self) -> Option<Journal> {
        let entry = Journal::decode(&self.file, self.kernel());
        self.number = entry.map_or(0, |(number, _)| number);
        entry.map(|(_, journal)| journal)
    }

    /// Writes `journal` down, and tells whether it can be read again.
    pub fn write(&mut self, journal: &Journal) -> bool {
        if self.refuses {
            return false;
        }
        self.number = self.number.wrapping_add(1);
        let (at, bytes) = journal.encode(self.number, self.kernel());
        self.file[at..at + bytes.len()].copy_from_slice(&bytes);
        let written = Journal { this_boot: true, ..*journal };
        Journal::decode(&self.file, self.kernel()) == Some((self.number, written))
    }

    /// Writes the first `length` bytes of what was to be written, when the power goes.
    pub fn tear(&mut self, journal: &Journal, length: usize) {
        let (at, bytes) = journal.encode(self.number.wrapping_add(1), self.kernel());
        self.file[at..].iter_mut().zip(bytes).take(length).for_each(|(old, new)| *old = new);
    }

    /// The box boots.
    pub const fn boot(&mut self) {
        self.boots += 1;
    }

    const fn kernel(&self) -> Fingerprint {
        Fingerprint(self.boots.to_be_bytes())
    }

    /// Turns one bit over.
    pub const fn rot(&mut self, bit: usize) {
        let bit = bit % (FILE_LEN * 8);
        self.file[bit / 8] ^= 1 << (bit % 8);
    }

    /// Forgets everything, or is replaced by a new one.
    pub const fn lose(&mut self) {
        self.file = [0; FILE_LEN];
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}
