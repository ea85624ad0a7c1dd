//! Pieces of letters: as they came, and signed, in a letter whose numbers the writer knows.
//!
//! For any bytes, neither end takes in more than a letter may have, and what has been taken in is what was said.

use std::time::Duration;

use firmware_agnostic::frame::{FRAME_MAX, Key, Keys, PairId};
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::letter::{Answerer, Asker, Heard, LETTER_MAX, Nonce, Pace, Seal};
use firmware_agnostic::time::Instant;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The first byte says to whom what follows goes, and how it is signed; the second how long it is.
pub fn letters(mut bytes: &[u8]) {
    let now = Instant::default();
    let mut answerer = Answerer::new(seal(BoxId::Second));
    let mut asker = Asker::new(seal(BoxId::First), ASKER, QUESTION.len() as u32, now);
    let (mut question, mut answer) = (0, 0);
    while let [how, length, rest @ ..] = bytes {
        let (body, rest) = rest.split_at(usize::from(length % BODY_MAX).min(rest.len()));
        bytes = rest;
        let to_answerer = how & 1 == 0;
        let frame = match how >> 1 & 3 {
            0 => body.to_vec(),
            1 => signed(to_answerer, body, [Nonce::default(), Nonce::default()]),
            2 => signed(to_answerer, body, [ASKER, Nonce::default()]),
            _ => signed(to_answerer, body, [ASKER, ANSWERER]),
        };
        if to_answerer {
            let ready = answerer.whole().then_some(QUESTION);
            if let Some((reply, heard)) = answerer.hear(&frame, || Some(ANSWERER), NOON, ready) {
                assert!(reply.len() <= FRAME_MAX);
                match heard {
                    Heard::Nothing => {}
                    Heard::Begun(bytes) => question = bytes.len(),
                    Heard::More(bytes) => question += bytes.len(),
                }
                assert!(question <= LETTER_MAX, "{question} bytes");
                asker.hear(&reply, &PACE, now);
            }
        } else if let Some(bytes) = asker.hear(&frame, &PACE, now) {
            answer += bytes.len();
            assert!(answer <= LETTER_MAX, "{answer} bytes");
        }
        assert!(asker.say(QUESTION, &PACE, now).len() <= FRAME_MAX);
    }
}

fn signed(to_answerer: bool, body: &[u8], letter: [Nonce; 2]) -> Vec<u8> {
    let mut frame = vec![if to_answerer { 0x81 } else { 0xc1 }, 7];
    frame.extend(PAIR_BYTES);
    // From the other one, as all that is read.
    frame.push(u8::from(!to_answerer));
    frame.extend(body);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("a key may have any length");
    mac.update(&frame);
    letter.iter().for_each(|nonce| mac.update(&nonce.0));
    frame.extend(&mac.finalize().into_bytes()[..16]);
    frame
}

fn seal(me: BoxId) -> Seal {
    let keys = Keys::new([Key::new(7, SECRET)]).expect("one key is a ring");
    Seal { keys, pair: PairId::of("ldap"), me }
}

/// The beginning of the SHA-256 of `ldap`.
const PAIR_BYTES: [u8; 2] = [0xf7, 0x18];
const ASKER: Nonce = Nonce([1; 8]);
const ANSWERER: Nonce = Nonce([2; 8]);
const NOON: Duration = Duration::from_secs(1_767_268_800);
const QUESTION: &[u8] = b"check\nthat is longer than one piece, and so comes in two of them";
/// The secret of the golden frames.
const SECRET: &[u8] = b"known to everybody who reads this";
/// More than a frame holds.
const BODY_MAX: u8 = 48;
const PACE: Pace = Pace {
    gap: Duration::from_millis(3),
    retry: Duration::from_millis(250),
    patience: Duration::from_secs(6),
};
