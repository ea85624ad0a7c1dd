//! Keys: what signs the heartbeats, and what the keys of the letters are derived from.
//!
//! ```text
//! secret ── HMAC-SHA256 ──▶ signatures of heartbeats
//!    └───── label "letters" ──▶ key of the letters ──▶ signatures of what opens a letter
//!                                     └── both random numbers, sender ──▶ key of one direction of one letter
//! ```
//!
//! The secret itself signs the heartbeats, so their bytes stay as they are. That is safe: HMAC-SHA256 is a
//! pseudorandom function, and no derivation has the input of a heartbeat. A derivation begins with [`DERIVES`],
//! which is no version of a frame. So a signature tells nothing of a derived key, and a derived key nothing of the
//! secret.

use heapless::Vec;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{FrameError, TAG};

/// A key with its name on the wire.
#[derive(Clone)]
pub struct Key {
    id: u8,
    heartbeats: Hmac<Sha256>,
    letters: Derived,
}

impl Key {
    /// The key called `id`, made of `secret`, which is not kept.
    pub fn new(id: u8, secret: &[u8]) -> Self {
        let heartbeats = state(secret);
        let letters = Derived(state(&*expand(&heartbeats, &[LETTERS])));
        Self { id, heartbeats, letters }
    }

    pub(super) const fn id(&self) -> u8 {
        self.id
    }

    /// The key that the letters have for this one.
    pub(crate) const fn letters(&self) -> &Derived {
        &self.letters
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; TAG] {
        sign(&self.heartbeats, &[bytes])
    }

    pub(super) fn verify(&self, bytes: &[u8], tag: &[u8; TAG]) -> Result<(), FrameError> {
        verify(&self.heartbeats, &[bytes], tag)
    }
}

/// Keys are the same if they have one name and sign alike.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.sign(&[]) == other.sign(&[])
    }
}

/// A key that was derived from another one, for one purpose.
#[derive(Clone)]
pub(crate) struct Derived(Hmac<Sha256>);

impl Derived {
    /// The beginning of the HMAC over `parts`, one after the other.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; TAG] {
        sign(&self.0, parts)
    }

    /// # Errors
    ///
    /// When `tag` is not what [`Derived::sign`] makes of `parts`.
    pub(crate) fn verify(&self, parts: &[&[u8]], tag: &[u8; TAG]) -> Result<(), FrameError> {
        verify(&self.0, parts, tag)
    }

    /// The key for what `parts` say, each of which has a fixed length.
    pub(crate) fn derive(&self, parts: &[&[u8]]) -> Zeroizing<[u8; HASH]> {
        expand(&self.0, parts)
    }
}

/// The keys that are valid now. The first one signs; any of them is understood.
#[derive(Clone, PartialEq)]
pub struct Keys(Vec<Key, KEYS_MAX>);

impl Keys {
    /// The ring of `keys`, or `None` when there is none, too many, or two with one name.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Option<Self> {
        let mut ring: Vec<Key, KEYS_MAX> = Vec::new();
        for key in keys {
            if ring.iter().any(|other| other.id == key.id) {
                return None;
            }
            ring.push(key).ok()?;
        }
        if ring.is_empty() { None } else { Some(Self(ring)) }
    }

    /// What the keys are called, that of the signing one first.
    pub fn ids(&self) -> impl Iterator<Item = u8> {
        self.0.iter().map(|key| key.id)
    }

    /// Whether a box that has `others` can read what is signed with these.
    pub fn are_read_with(&self, others: &Self) -> bool {
        others.get(self.signing().id) == Some(self.signing())
    }

    /// Whether the key called `id` is here what it is among `others`.
    pub(crate) fn has_like(&self, others: &Self, id: u8) -> bool {
        self.get(id) == others.get(id)
    }

    pub(crate) fn signing(&self) -> &Key {
        self.0.first().expect("a ring is never empty")
    }

    pub(super) fn get(&self, id: u8) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

/// The first block of HKDF-Expand (RFC 5869 section 2.3), with `key` as the pseudorandom key.
fn expand(key: &Hmac<Sha256>, parts: &[&[u8]]) -> Zeroizing<[u8; HASH]> {
    let mac = key.clone().chain_update([DERIVES]);
    let mac = parts.iter().fold(mac, Mac::chain_update).chain_update([1]);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn sign(key: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; TAG] {
    let hash = over(key, parts).finalize().into_bytes();
    *hash.first_chunk::<TAG>().expect("a SHA-256 is longer than a tag")
}

fn verify(key: &Hmac<Sha256>, parts: &[&[u8]], tag: &[u8; TAG]) -> Result<(), FrameError> {
    over(key, parts).verify_truncated_left(tag).map_err(|_| FrameError::WrongKey)
}

fn over(key: &Hmac<Sha256>, parts: &[&[u8]]) -> Hmac<Sha256> {
    parts.iter().fold(key.clone(), Mac::chain_update)
}

fn state(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// One key in use, one on its way in, one on its way out, and one spare.
pub const KEYS_MAX: usize = 4;
/// The length of a SHA-256, and so of a derived key.
pub(crate) const HASH: usize = 32;
/// What is derived begins with it, and no frame does: it is no version, and no kind of a piece.
const DERIVES: u8 = 0;
/// The purpose of the key of the letters.
const LETTERS: &[u8] = b"twobox letters";
