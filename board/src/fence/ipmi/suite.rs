//! Signs and encrypts the messages of an IPMI 2.0 session by its cipher suite.
//!
//! | suite | who are you (RAKP) | signature | secrecy |
//! |---|---|---|---|
//! | 17 | HMAC-SHA256 | HMAC-SHA256, the first 16 bytes | AES-CBC-128 |
//! | 3 | HMAC-SHA1 | HMAC-SHA1, the first 12 bytes | AES-CBC-128 |
//! | 0 | anybody | none | none |
//!
//! IPMI v2.0 sections 13.28, 13.29, 13.32 and 22.15.2. The other suites sign with less, or hide nothing, and no BMC
//! has them alone.

use aes::Aes128;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A cipher suite, by its number; the weakest is the least.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Suite {
    /// 0: everybody is let in, and nothing is signed.
    Nothing,
    /// 3
    Sha1,
    /// 17
    Sha256,
}

impl Suite {
    /// The suite of that number, if it is one that we speak.
    pub const fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Nothing,
            3 => Self::Sha1,
            17 => Self::Sha256,
            _ => return None,
        })
    }

    /// Its number (table 22-20).
    pub const fn number(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Sha1 => 3,
            Self::Sha256 => 17,
        }
    }

    /// The numbers of its algorithms: authentication, integrity, confidentiality (tables 13-17 to 13-19).
    pub const fn algorithms(self) -> [u8; 3] {
        match self {
            Self::Nothing => [0, 0, 0],
            Self::Sha1 => [1, 1, 1],
            Self::Sha256 => [3, 4, 1],
        }
    }

    /// Signs the parts, one after the other. Nothing at all in suite 0.
    pub fn sign(self, key: &[u8], parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Nothing => Zeroizing::default(),
            Self::Sha1 => mac::<Hmac<Sha1>>(key, parts),
            Self::Sha256 => mac::<Hmac<Sha256>>(key, parts),
        }
    }

    /// As many bytes of a signature stand below a packet, and in the last message of RAKP.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Sha1 => 12,
            Self::Sha256 => 16,
        }
    }

    /// The first bytes of a signature, as they stand below a packet.
    pub fn tag(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let whole = self.sign(key, parts);
        whole.get(..self.tag_len()).unwrap_or_default().to_vec()
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

/// MD5 over the parts, one after the other: the signature of IPMI 1.5 (section 22.17.1).
pub fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Whether both are the same, in a time that does not tell where they differ.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// The keys of a session, made of the one that both ends have worked out.
pub struct SessionKeys {
    suite: Suite,
    signs: Zeroizing<Vec<u8>>,
    hides: Zeroizing<[u8; BLOCK]>,
}

impl SessionKeys {
    /// K1 and K2 of the session integrity key (section 13.32).
    pub fn new(suite: Suite, session_key: &[u8]) -> Self {
        let signs = suite.sign(session_key, &[&[1; 20]]);
        let second = suite.sign(session_key, &[&[2; 20]]);
        let mut hides = Zeroizing::new([0; BLOCK]);
        // Suite 0 hides nothing.
        if let Some(first) = second.first_chunk() {
            *hides = *first;
        }
        Self { suite, signs, hides }
    }

    /// The suite that they belong to.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The signature of a packet.
    pub fn tag(&self, packet: &[u8]) -> Vec<u8> {
        self.suite.tag(&self.signs, &[packet])
    }

    /// Hides a message, with its padding behind it and the random block before it.
    pub fn hide(&self, message: &[u8], first: [u8; BLOCK]) -> Vec<u8> {
        let pads = BLOCK - 1 - message.len() % BLOCK;
        self.hide_padded(message, pads as u8, first)
    }

    /// The same with so many bytes of padding, which must make whole blocks of it.
    pub fn hide_padded(&self, message: &[u8], pads: u8, first: [u8; BLOCK]) -> Vec<u8> {
        let mut hidden = first.to_vec();
        hidden.extend(message);
        hidden.extend((1..=pads).chain([pads]));
        let mut cipher = cbc::Encryptor::<Aes128>::new(&(*self.hides).into(), &first.into());
        for block in hidden.get_mut(BLOCK..).unwrap_or_default().chunks_exact_mut(BLOCK) {
            if let Ok(block) = block.try_into() {
                cipher.encrypt_block(block);
            }
        }
        hidden
    }

    /// What was hidden, or nothing when its padding is longer than it can be. A whole block of padding is what
    /// `OpenBMC` adds where none is needed (`paddingLen` in its `crypt_algo.cpp`). What is padded with matters to
    /// nobody, because the packet around it is signed.
    pub fn show(&self, hidden: &[u8]) -> Option<Vec<u8>> {
        let (first, blocks) = hidden.split_first_chunk::<BLOCK>()?;
        let mut message = blocks.to_vec();
        let mut cipher = cbc::Decryptor::<Aes128>::new(&(*self.hides).into(), &(*first).into());
        for block in message.chunks_mut(BLOCK) {
            cipher.decrypt_block(block.try_into().ok()?);
        }
        let pads = usize::from(message.pop()?);
        let end = message.len().checked_sub(pads)?;
        message.truncate(end);
        (pads <= BLOCK).then_some(message)
    }
}

/// Of AES.
const BLOCK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_shown_and_nothing_else() {
        let keys = SessionKeys::new(Suite::Sha256, b"secret");
        for length in 0..40 {
            let message = vec![7; length];
            let hidden = keys.hide(&message, [9; 16]);
            assert_eq!(hidden.len() % 16, 0);
            assert_eq!(keys.show(&hidden), Some(message));
            assert_eq!(keys.show(&hidden[1..]), None);
            let other = SessionKeys::new(Suite::Sha256, b"another");
            assert_ne!(other.show(&hidden), keys.show(&hidden));
        }
    }

    #[test]
    fn a_whole_block_of_padding_is_taken_and_no_more() {
        let keys = SessionKeys::new(Suite::Sha1, b"secret");
        for (pads, taken) in [(15, true), (16, true), (17, false), (0x80, false)] {
            let message = vec![7; 160 - 1 - usize::from(pads)];
            let hidden = keys.hide_padded(&message, pads, [9; 16]);
            assert_eq!(keys.show(&hidden), taken.then_some(message), "{pads}");
        }
    }

    /// RFC 2202, RFC 4231, RFC 1321.
    #[test]
    fn signatures_are_those_of_the_standards() {
        let (key, text) = (b"Jefe".as_slice(), b"what do ya want for nothing?".as_slice());
        let sha1 = Suite::Sha1.sign(key, &[text]);
        assert_eq!(sha1[..4], [0xef, 0xfc, 0xdf, 0x6a]);
        let sha256 = Suite::Sha256.sign(key, &[text]);
        assert_eq!(sha256[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        assert_eq!(md5(&[b"ab", b"c"])[..4], [0x90, 0x01, 0x50, 0x98]);
    }
}
