//! Frames of letters: as they came, and sealed, in a letter whose numbers the writer knows: what is read after
//! decryption.
//!
//! With any content, neither end takes in more than a letter may have, and what has been taken in is what was said.

use std::time::Duration;

use aes::Aes128;
use ccm::aead::AeadInOut;
use ccm::consts::{U13, U16};
use ccm::{Ccm, KeyInit as _};
use firmware_agnostic::frame::{FRAME_MAX, Key, Keys, PairId};
use firmware_agnostic::heartbeat::Incarnation;
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::letter::{Answerer, Asker, LETTER_MAX, Nonce, PieceOutcome, Seal, SendPace};
use firmware_agnostic::time::Instant;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The first byte says to whom what follows goes, and how it is sealed; the second how long it is.
pub fn letters(mut bytes: &[u8]) {
    let now = Instant::default();
    let mut answerer = Answerer::new(seal(BoxId::Second));
    let mut asker = Asker::new(seal(BoxId::First), 1, ASKER, QUESTION.len() as u32, now);
    let (mut question, mut answer, mut number) = (0, 0, 0);
    while let [how, length, rest @ ..] = bytes {
        let (body, rest) = rest.split_at(usize::from(length % BODY_MAX).min(rest.len()));
        bytes = rest;
        let to_answerer = how & 1 == 0;
        number += 1;
        let frame = match how >> 1 & 3 {
            0 => body.to_vec(),
            1 => signed(to_answerer, body),
            _ => sealed(to_answerer, number, body),
        };
        if to_answerer {
            let ready = answerer.whole().then_some(QUESTION);
            let heard = answerer.hear(&frame, Some(LIFE), || Some(ANSWERER), NOON, ready);
            if let Ok(Some((reply, heard))) = heard {
                assert!(reply.len() <= FRAME_MAX);
                match heard {
                    PieceOutcome::Nothing => {}
                    PieceOutcome::Begun(bytes) => question = bytes.len(),
                    PieceOutcome::More(bytes) => question += bytes.len(),
                }
                assert!(question <= LETTER_MAX, "{question} bytes");
                let _ = asker.hear(&reply, &PACE, now);
            }
        } else if let Ok(Some(bytes)) = asker.hear(&frame, &PACE, now) {
            answer += bytes.len();
            assert!(answer <= LETTER_MAX, "{answer} bytes");
        }
        assert!(asker.say(QUESTION, &PACE, now).len() <= FRAME_MAX);
    }
}

/// What opens a letter, or welcomes it.
fn signed(to_answerer: bool, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![if to_answerer { 0x82 } else { 0xc2 }, 7];
    frame.extend(PAIR_BYTES);
    frame.extend(body);
    let mut mac = hmac(&letters_key());
    mac.update(&frame);
    mac.update(&[u8::from(!to_answerer)]);
    if !to_answerer {
        mac.update(&ASKER.0);
    }
    frame.extend(&mac.finalize().into_bytes()[..16]);
    frame
}

fn sealed(to_answerer: bool, number: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![if to_answerer { 0xa2 } else { 0xe2 }, 7];
    frame.extend(PAIR_BYTES);
    frame.extend(number.to_le_bytes());
    let from = [u8::from(!to_answerer)];
    let key = derived(&letters_key(), &[&from, &ASKER.0, &ANSWERER.0]);
    let key = key.first_chunk::<16>().expect("it is longer");
    let cipher = Ccm::<Aes128, U16, U13>::new(key.into());
    let mut nonce = [0; 13];
    nonce[..4].copy_from_slice(&number.to_le_bytes());
    let mut body = body.to_vec();
    let tag = cipher.encrypt_inout_detached(&nonce.into(), &frame, body.as_mut_slice().into());
    frame.extend(body);
    frame.extend(tag.expect("a piece is short"));
    frame
}

fn letters_key() -> [u8; 32] {
    derived(SECRET, &[b"twobox letters"])
}

fn derived(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = hmac(key);
    mac.update(&[0]);
    parts.iter().for_each(|part| mac.update(part));
    mac.update(&[1]);
    mac.finalize().into_bytes().into()
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key may have any length")
}

fn seal(me: BoxId) -> Seal {
    let keys = Keys::new([Key::new(7, SECRET)]).expect("one key is a ring");
    Seal { keys, pair: PairId::of("ldap"), me, life: LIFE }
}

/// The beginning of the SHA-256 of `ldap`.
const PAIR_BYTES: [u8; 2] = [0xf7, 0x18];
const ASKER: Nonce = Nonce([1; 8]);
const ANSWERER: Nonce = Nonce([2; 8]);
const LIFE: Incarnation = Incarnation(*b"life");
const NOON: Duration = Duration::from_secs(1_767_268_800);
const QUESTION: &[u8] = b"check\nthat is longer than one piece, and so comes in two of them";
/// The secret of the golden frames.
const SECRET: &[u8] = b"known to everybody who reads this";
/// More than a frame holds.
const BODY_MAX: u8 = 48;
const PACE: SendPace = SendPace {
    gap: Duration::from_millis(3),
    retry: Duration::from_millis(250),
    patience: Duration::from_secs(6),
};
