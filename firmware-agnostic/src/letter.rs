//! Letters: a question and its answer that are longer than a heartbeat, in pieces that travel beside the heartbeats.
//!
//! ```text
//!   asker                               answerer
//!   Open { nonce, length }    ────▶
//!                             ◀────     Welcome { nonce, clock }
//!   Put { at, bytes }         ────▶
//!                             ◀────     Next { at }               and so on, to the end of the question
//!   Get { at }                ────▶
//!                             ◀────     Next { at: length }       there is no answer yet
//!                             ◀────     Piece { at, of, bytes }   and so on, to the end of the answer
//! ```
//!
//! The [`Asker`] alone has a clock: it says a piece again until that is answered. The [`Answerer`] answers each piece with
//! one, and a repeated one as it did before. So loss costs time, and repetition and disorder nothing; and the part that paces the asker
//! paces both directions.
//!
//! A piece is a frame ([`frame`]) whose first byte is no version of a heartbeat, so that a box which knows no letters drops it. Its
//! signature covers a fresh nonce of each of the two boxes: a piece that was recorded is good for no other letter. Nothing
//! here decides anything: what a letter says is not the core's business.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::frame::{self, BODY_MAX, Frame, Keys, PairId};
use crate::identity::BoxId;

mod answerer;
mod asker;

pub use answerer::{Answerer, Heard};
pub use asker::{Asker, Pace, Reading, Silence};

/// A number that is used once.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Nonce(pub [u8; 8]);

/// Whether a frame that has come is a piece of a letter, as far as its first byte tells.
pub fn is_piece(frame: &[u8]) -> bool {
    matches!(frame.first(), Some(&(QUESTION | ANSWER)))
}

/// What the two boxes of a pair sign and read pieces with.
#[derive(Clone)]
pub struct Seal {
    /// The keys of the pair.
    pub keys: Keys,
    /// The pair.
    pub pair: PairId,
    /// This box.
    pub me: BoxId,
}

impl Seal {
    fn ask(&self, question: &Question<'_>, letter: Letter) -> Frame {
        self.write(QUESTION, question, letter)
    }

    fn answer(&self, answer: &Answer<'_>, letter: Letter) -> Frame {
        self.write(ANSWER, answer, letter)
    }

    fn question<'f>(&self, frame: &'f [u8], letter: Letter) -> Option<Question<'f>> {
        self.read(QUESTION, frame, letter)
    }

    fn answered<'f>(&self, frame: &'f [u8], letter: Letter) -> Option<Answer<'f>> {
        self.read(ANSWER, frame, letter)
    }

    fn write(&self, kind: u8, says: &impl Serialize, letter: Letter) -> Frame {
        let mut buffer = [0; BODY_MAX];
        let body = postcard::to_slice(&(self.me, says), &mut buffer);
        let body = body.expect("BODY_MAX holds the largest piece");
        frame::seal(kind, body, &self.keys, self.pair, &letter.bytes())
    }

    /// What the peer says in a piece of `letter`. This box's own words may come back to it on some wires.
    fn read<'f, T: Deserialize<'f>>(&self, kind: u8, frame: &'f [u8], letter: Letter) -> Option<T> {
        let known = |first| (first == kind).then_some(());
        let ((), body) =
            frame::unseal(frame, &self.keys, self.pair, &letter.bytes(), known).ok()?;
        let (from, says) = frame::whole::<(BoxId, T)>(body)?;
        (from == self.me.other()).then_some(says)
    }
}

/// What makes this letter another one than all before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Letter {
    asker: Nonce,
    /// Zeros until it is known.
    answerer: Nonce,
}

impl Letter {
    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (asker, answerer) = bytes.split_at_mut(8);
        asker.copy_from_slice(&self.asker.0);
        answerer.copy_from_slice(&self.answerer.0);
        bytes
    }
}

#[derive(Debug, Deserialize, Serialize)]
enum Question<'f> {
    Open { nonce: Nonce, length: u32 },
    Put { at: u32, bytes: &'f [u8] },
    Get { at: u32 },
}

#[derive(Debug, Deserialize, Serialize)]
enum Answer<'f> {
    /// With the answerer's time of day, since 1970.
    Welcome {
        nonce: Nonce,
        clock: Duration,
    },
    /// So much of the question is here.
    Next {
        at: u32,
    },
    Piece {
        at: u32,
        of: u32,
        bytes: &'f [u8],
    },
}

/// The bytes of `text` that a piece carries which begins at `at`.
fn piece(text: &[u8], at: u32) -> &[u8] {
    let rest = text.get(at as usize..).unwrap_or_default();
    rest.get(..PIECE_MAX).unwrap_or(rest)
}

/// The longest question, and the longest answer.
pub const LETTER_MAX: usize = 256 * 1024;

/// Beside the box, the kind, two places of three bytes each and the length of the bytes.
const PIECE_MAX: usize = BODY_MAX - 9;

/// The first byte of a piece: the upper bits say of which kind, the lower ones the version of the letters.
const QUESTION: u8 = 0x81;
const ANSWER: u8 = 0xc1;

const _: () = assert!(LETTER_MAX < 1 << 21, "three bytes of seven bits each hold a place");

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::vec::Vec;
    use std::{format, vec};

    use super::*;
    use crate::frame::{FRAME_MAX, Key};
    use crate::time::Instant;

    #[test]
    fn a_letter_is_answered_over_a_sound_cable() {
        let mut pair = Pair::new(1);
        let (question, answer) = (text(1_000), text(LETTER_MAX));
        assert_eq!(pair.exchange(&question, &answer), Ok(answer));
        assert_eq!(pair.question, question);
        let pieces = pair.said.len();
        let least = (1_000_usize.div_ceil(PIECE_MAX) + LETTER_MAX.div_ceil(PIECE_MAX)) * 2;
        assert!(pieces <= least + 10, "{pieces} pieces, and {least} do");
        assert!(pair.said.iter().all(|frame| frame.len() <= FRAME_MAX && is_piece(frame)));
    }

    #[test]
    fn loss_repetition_and_disorder_cost_time_only() {
        for seed in 1..200 {
            let mut pair = Pair::new(seed);
            pair.cable.misery = true;
            let (question, answer) = (text(seed as usize * 7), text(seed as usize * 13 % 999));
            assert_eq!(pair.exchange(&question, &answer), Ok(answer), "seed {seed}");
            assert_eq!(pair.question, question, "seed {seed}");
            // And the next one over the same cable, in which the old one still is.
            assert_eq!(pair.exchange(b"again", b""), Ok(Vec::new()), "seed {seed}");
            assert_eq!(pair.question, b"again", "seed {seed}");
        }
    }

    #[test]
    fn what_was_recorded_is_good_for_nothing() {
        let mut pair = Pair::new(1);
        assert_eq!(pair.exchange(&text(200), &text(100)), Ok(text(100)));
        let recorded = core::mem::take(&mut pair.said);
        let (mut later, mut alone) = (pair.asker(b"new"), pair.asker(b"new"));
        for frame in &recorded {
            let heard = pair.answerer.hear(frame, || Some(Nonce([9; 8])), NOON, Some(b"old"));
            if let Some((answer, heard)) = heard {
                // The letter that has just been answered is answered again; nothing is taken in.
                assert_eq!(heard, Heard::Nothing);
                assert_eq!(later.hear(&answer, &PACE, at(1)), None);
            }
            for asker in [&mut later, &mut alone] {
                assert_eq!(asker.hear(frame, &PACE, at(1)), None);
            }
        }
        // One that has been rebooted, or has had another letter since, does not know it any more.
        pair.answerer = Answerer::new(seal(BoxId::Second));
        for frame in recorded.iter().chain(&recorded) {
            let heard = pair.answerer.hear(frame, || Some(Nonce([9; 8])), NOON, Some(b"old"));
            assert!(heard.is_none_or(|(_, heard)| heard == Heard::Nothing));
        }
        assert!(!pair.answerer.whole());
        assert_eq!(pair.exchange(b"new", b"newer"), Ok(b"newer".to_vec()));
    }

    #[test]
    fn own_words_strange_words_and_spoiled_words_are_not_heard() {
        let mut asker = Asker::new(seal(BoxId::First), Nonce([1; 8]), 5, at(0));
        let open = asker.say(b"hello", &PACE, at(0));
        let fresh = || Some(Nonce([2; 8]));
        let hears = |mut answerer: Answerer, frame: &[u8]| {
            answerer.hear(frame, fresh, NOON, None).is_some()
        };
        assert!(hears(Answerer::new(seal(BoxId::Second)), &open));
        assert!(!hears(Answerer::new(seal(BoxId::First)), &open));
        let pair = PairId::of("other");
        assert!(!hears(Answerer::new(Seal { pair, ..seal(BoxId::Second) }), &open));
        let keys = Keys::new([Key::new(1, b"other")]).unwrap();
        assert!(!hears(Answerer::new(Seal { keys, ..seal(BoxId::Second) }), &open));
        for place in 0..open.len() {
            let mut spoiled = open.clone();
            spoiled[place] ^= 1;
            assert!(!hears(Answerer::new(seal(BoxId::Second)), &spoiled), "{place}");
        }
        assert!(!hears(Answerer::new(seal(BoxId::Second)), &open[..open.len() - 1]));
    }

    #[test]
    fn who_is_not_answered_gives_up() {
        let mut asker = Asker::new(seal(BoxId::First), Nonce([1; 8]), 5, at(0));
        let mut said = 0;
        while asker.silence(&PACE, asker.due()).is_none() {
            let now = asker.due();
            asker.say(b"hello", &PACE, now);
            said += 1;
            assert!(said < 1_000, "it is never given up");
        }
        assert_eq!(asker.silence(&PACE, asker.due()), Some(Silence::NoAnswer));
        assert!((5..10).contains(&said), "{said} times: an older box logs each tenth");
        let mut pair = Pair::new(1);
        pair.cable.cut_after = Some(20);
        assert_eq!(pair.exchange(&text(500), b"never"), Err(Silence::Broken));
        pair.cable.cut_after = None;
        pair.answers = false;
        let (begun, answer) = (pair.now, pair.exchange(b"a", b"never"));
        assert_eq!(answer, Err(Silence::Unmade));
        assert!((MINUTE..MINUTE * 2).contains(&(pair.now - begun)));
        let asker = Asker::new(seal(BoxId::First), Nonce([1; 8]), 5, at(0));
        let slow = Pace { patience: MINUTE * 9, ..PACE };
        assert_eq!(asker.silence(&slow, at(300_000)), None);
        assert_eq!(asker.silence(&slow, at(300_001)), Some(Silence::Long));
    }

    #[test]
    fn no_more_is_taken_in_than_a_letter_may_have() {
        let (first, second) = (seal(BoxId::First), seal(BoxId::Second));
        let (asker, answerer) = (Nonce([1; 8]), Nonce([2; 8]));
        let letter = Letter { asker, answerer };
        let mut end = Answerer::new(second.clone());
        let mut hear = |frame: &[u8]| {
            let heard = end.hear(frame, || Some(answerer), NOON, None);
            heard.map(|(_, heard)| format!("{heard:?}"))
        };
        for length in [0, LETTER_MAX as u32 + 1] {
            let open = Question::Open { nonce: asker, length };
            assert_eq!(hear(&first.ask(&open, Letter::default())), None);
        }
        let open = Question::Open { nonce: asker, length: 3 };
        assert!(hear(&first.ask(&open, Letter::default())).is_some());
        let longer = Question::Put { at: 0, bytes: b"four" };
        assert_eq!(hear(&first.ask(&longer, letter)), Some("Nothing".into()));
        let right = Question::Put { at: 0, bytes: b"two" };
        assert!(hear(&first.ask(&right, letter)).is_some_and(|heard| heard.starts_with("Begun")));
        let mut end = Asker::new(first, asker, 1, at(0));
        end.say(b"a", &PACE, at(0));
        let welcome = Answer::Welcome { nonce: answerer, clock: NOON };
        end.hear(&second.answer(&welcome, Letter { asker, ..Letter::default() }), &PACE, at(1));
        // The next piece waits for its time, and no longer.
        assert_eq!(end.due(), at(2));
        end.hear(&second.answer(&Answer::Next { at: 1 }, letter), &PACE, at(3));
        for (of, bytes) in [(LETTER_MAX as u32 + 1, &b"a"[..]), (1, b"more"), (1, b"")] {
            let piece = second.answer(&Answer::Piece { at: 0, of, bytes }, letter);
            assert_eq!(end.hear(&piece, &PACE, at(4)), None, "{of}");
            assert!(!end.whole());
        }
    }

    #[test]
    fn the_answerers_clock_is_read() {
        let mut pair = Pair::new(1);
        let mut asker = pair.asker(b"time");
        let open = asker.say(b"time", &PACE, at(10));
        let (welcome, _) = pair.answerer.hear(&open, || Some(Nonce([2; 8])), NOON, None).unwrap();
        asker.hear(&welcome, &PACE, at(14));
        assert_eq!(asker.reading(), Some(Reading { clock: NOON, asked: at(10), heard: at(14) }));
    }

    /// Two boxes, and what is between them.
    struct Pair {
        answerer: Answerer,
        cable: Cable,
        now: Instant,
        nonce: u64,
        question: Vec<u8>,
        answers: bool,
        said: Vec<Frame>,
    }

    impl Pair {
        fn new(seed: u32) -> Self {
            Self {
                answerer: Answerer::new(seal(BoxId::Second)),
                cable: Cable { seed, misery: false, cut_after: None, under_way: VecDeque::new() },
                now: at(0),
                nonce: 0,
                question: Vec::new(),
                answers: true,
                said: Vec::new(),
            }
        }

        fn asker(&mut self, question: &[u8]) -> Asker {
            self.nonce += 1;
            let nonce = Nonce(self.nonce.to_be_bytes());
            Asker::new(seal(BoxId::First), nonce, question.len() as u32, self.now)
        }

        fn exchange(&mut self, question: &[u8], answer: &[u8]) -> Result<Vec<u8>, Silence> {
            // One in three is lost: eight tries are too few now and then.
            let patience = if self.cable.misery { MINUTE } else { PACE.patience };
            let pace = Pace { patience, ..PACE };
            let mut asker = self.asker(question);
            let mut got = Vec::new();
            while !asker.whole() {
                if let Some(silence) = asker.silence(&pace, self.now) {
                    return Err(silence);
                }
                if asker.due() <= self.now {
                    let frame = asker.say(question, &pace, self.now);
                    self.say(frame);
                }
                self.now = self.now + Duration::from_millis(1);
                assert!(self.now < at(600_000), "it is never given up");
                while let Some(frame) = self.cable.arrives() {
                    if let Some(bytes) = asker.hear(&frame, &pace, self.now) {
                        got.extend_from_slice(bytes);
                    }
                    self.answer(&frame, answer);
                }
            }
            Ok(got)
        }

        fn answer(&mut self, frame: &[u8], answer: &[u8]) {
            self.nonce += 1;
            let fresh = Nonce(self.nonce.to_be_bytes());
            let ready = (self.answers && self.answerer.whole()).then_some(answer);
            let Some((frame, heard)) = self.answerer.hear(frame, || Some(fresh), NOON, ready)
            else {
                return;
            };
            match heard {
                Heard::Nothing => {}
                Heard::Begun(bytes) => self.question = bytes.to_vec(),
                Heard::More(bytes) => self.question.extend_from_slice(bytes),
            }
            self.say(frame);
        }

        fn say(&mut self, frame: Frame) {
            self.said.push(frame.clone());
            self.cable.take(frame, self.said.len());
        }
    }

    struct Cable {
        seed: u32,
        misery: bool,
        cut_after: Option<usize>,
        under_way: VecDeque<Frame>,
    }

    impl Cable {
        fn take(&mut self, frame: Frame, number: usize) {
            if self.cut_after.is_some_and(|last| number > last) || self.misery && self.chance(3) {
                return;
            }
            if self.misery && self.chance(4) {
                self.under_way.push_back(frame.clone());
            }
            if self.misery && self.chance(4) {
                self.under_way.push_front(frame.clone());
            }
            self.under_way.push_back(frame);
        }

        /// In misery some are kept for later, and come back as old ones.
        fn arrives(&mut self) -> Option<Frame> {
            if self.misery && self.chance(2) {
                self.under_way.rotate_left(self.under_way.len().min(1));
                return None;
            }
            self.under_way.pop_front()
        }

        /// One in `of` (xorshift; Marsaglia, 2003).
        fn chance(&mut self, of: u32) -> bool {
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 17;
            self.seed ^= self.seed << 5;
            self.seed.is_multiple_of(of)
        }
    }

    fn seal(me: BoxId) -> Seal {
        let keys = Keys::new([Key::new(1, b"secret")]).expect("one key is a ring");
        Seal { keys, pair: PairId::of("ldap"), me }
    }

    fn text(length: usize) -> Vec<u8> {
        let line = format!("{length} ");
        let mut text = vec![0; length];
        for (byte, with) in text.iter_mut().zip(line.bytes().cycle()) {
            *byte = with;
        }
        text
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    const MINUTE: Duration = Duration::from_secs(60);
    const NOON: Duration = Duration::from_secs(1_767_268_800);
    const PACE: Pace = Pace {
        gap: Duration::from_millis(2),
        retry: Duration::from_millis(250),
        patience: Duration::from_secs(6),
    };
}
