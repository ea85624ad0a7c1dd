//! Seals and opens the frames of letters.
//!
//! ```text
//! opening    kind  key id  pair id   content, readable              signature (HMAC-SHA256)
//! piece      kind  key id  pair id   number   content, encrypted    tag (AES-128-CCM)
//! ```
//!
//! Both boxes give each letter 64 random bits. Each direction of a letter has a key of its own, derived from these,
//! the sender and the key of the letters. Under that key the sender numbers its pieces, and the number is the nonce
//! of CCM (RFC 3610, with L = 2). So no nonce comes twice under one key, also when pieces are lost, repeated or
//! said again.

use aes::Aes128;
use ccm::aead::AeadInOut;
use ccm::aead::inout::InOutBuf;
use ccm::consts::{U13, U16};
use ccm::{Ccm, KeyInit};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Nonce, Opens, Welcome};
use crate::frame::{
    self, BODY_MAX, Derived, Frame, FrameError, HASH, Keys, PairId, TAG, Unchecked,
};
use crate::heartbeat::Incarnation;
use crate::identity::BoxId;

/// What the two boxes of a pair seal and open letters with.
#[derive(Clone)]
pub struct Seal {
    /// The keys of the pair.
    pub keys: Keys,
    /// The pair.
    pub pair: PairId,
    /// This box.
    pub me: BoxId,
    /// This life of it, by which its letters are known to be new.
    pub life: Incarnation,
}

/// What makes this letter another one than all before: a random number of each of the two boxes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Letter {
    pub(super) asker: Nonce,
    pub(super) answerer: Nonce,
}

/// What a frame of a letter is, by its first byte: the upper bits tell the kind, the lower ones the version of the
/// letters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Kind {
    Opens = 0x82,
    Question = 0xa2,
    Welcome = 0xc2,
    Answer = 0xe2,
}

impl Kind {
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let all = [Self::Opens, Self::Question, Self::Welcome, Self::Answer];
        all.into_iter().find(|kind| frame.first() == Some(&(*kind as u8)))
    }
}

impl Seal {
    pub(super) fn open(&self, opens: &Opens) -> Frame {
        self.sign(Kind::Opens, opens, &[])
    }

    pub(super) fn opened(&self, frame: &[u8]) -> Result<Opens, FrameError> {
        self.signed(Kind::Opens, frame, &[])
    }

    /// Answers what the asker has opened with its number `asker`.
    pub(super) fn welcome(&self, welcome: &Welcome, asker: Nonce) -> Frame {
        self.sign(Kind::Welcome, welcome, &asker.0)
    }

    pub(super) fn welcomed(&self, frame: &[u8], asker: Nonce) -> Result<Welcome, FrameError> {
        self.signed(Kind::Welcome, frame, &asker.0)
    }

    /// The piece `number` of this box in `letter`. No other piece of this box in it may have that number.
    pub(super) fn seal(
        &self,
        kind: Kind,
        letter: Letter,
        number: u32,
        says: &impl Serialize,
    ) -> Frame {
        let key = self.keys.signing();
        let mut frame = frame::begin(kind as u8, key, self.pair);
        frame::add(&mut frame, &number.to_le_bytes());
        let mut buffer = [0; SAYS_MAX];
        let body = postcard::to_slice(says, &mut buffer).expect("SAYS_MAX holds the largest piece");
        let cipher = cipher(key.letters(), self.me, letter);
        let tag = cipher
            .encrypt_inout_detached(&nonce(number), &frame, InOutBuf::from(&mut *body))
            .expect("a piece is shorter than CCM can encrypt");
        frame::add(&mut frame, body);
        frame::add(&mut frame, &tag);
        frame
    }

    /// The number and the content of a piece of the other box in `letter`.
    pub(super) fn unseal<T: DeserializeOwned>(
        &self,
        kind: Kind,
        letter: Letter,
        frame: &[u8],
    ) -> Result<(u32, T), FrameError> {
        let Unchecked { key, signed, body, tag, .. } = self.take_apart(kind, frame)?;
        let (number, sealed) = body.split_first_chunk().ok_or(FrameError::Truncated)?;
        let number = u32::from_le_bytes(*number);
        let mut buffer = [0; BODY_MAX];
        let body = buffer.get_mut(..sealed.len()).ok_or(FrameError::Oversized)?;
        body.copy_from_slice(sealed);
        let bound = signed.get(..signed.len() - sealed.len()).unwrap_or_default();
        cipher(key.letters(), self.me.other(), letter)
            .decrypt_inout_detached(
                &nonce(number),
                bound,
                InOutBuf::from(&mut *body),
                &(*tag).into(),
            )
            .map_err(|_| FrameError::WrongKey)?;
        let says = frame::whole(body).ok_or(FrameError::Malformed)?;
        Ok((number, says))
    }

    fn sign(&self, kind: Kind, says: &impl Serialize, bound: &[u8]) -> Frame {
        let key = self.keys.signing();
        let mut frame = frame::begin(kind as u8, key, self.pair);
        let mut buffer = [0; BODY_MAX];
        let body =
            postcard::to_slice(says, &mut buffer).expect("BODY_MAX holds what opens a letter");
        frame::add(&mut frame, body);
        let tag = key.letters().sign(&[&frame, &[self.me as u8], bound]);
        frame::add(&mut frame, &tag);
        frame
    }

    /// What the other box says. This box's own words may come back to it on some wires.
    fn signed<T: DeserializeOwned>(
        &self,
        kind: Kind,
        frame: &[u8],
        bound: &[u8],
    ) -> Result<T, FrameError> {
        let Unchecked { key, signed, body, tag, .. } = self.take_apart(kind, frame)?;
        key.letters().verify(&[signed, &[self.me.other() as u8], bound], tag)?;
        frame::whole(body).ok_or(FrameError::Malformed)
    }

    fn take_apart<'f>(
        &self,
        kind: Kind,
        frame: &'f [u8],
    ) -> Result<Unchecked<'f, '_, ()>, FrameError> {
        let known = |first| (first == kind as u8).then_some(());
        frame::take_apart(frame, &self.keys, self.pair, known)
    }
}

/// What `sender` encrypts its pieces of `letter` with.
fn cipher(key: &Derived, sender: BoxId, letter: Letter) -> Ccm<Aes128, U16, U13> {
    let key = key.derive(&[&[sender as u8], &letter.asker.0, &letter.answerer.0]);
    let (key, _) = key.split_first_chunk::<16>().expect("a derived key is longer");
    Ccm::new(key.into())
}

fn nonce(number: u32) -> ccm::Nonce<U13> {
    let mut nonce = ccm::Nonce::<U13>::default();
    let (bytes, _) = nonce.split_at_mut(4);
    bytes.copy_from_slice(&number.to_le_bytes());
    nonce
}

/// The number of a piece stands in the frame as it is.
const NUMBER: usize = 4;
/// What a piece says takes this at most.
pub(super) const SAYS_MAX: usize = BODY_MAX - NUMBER;

const _: () = assert!(TAG == 16 && HASH >= 16, "the tag of CCM takes the place of the signature");
