//! Letters: a question and its answer that are longer than a heartbeat, in pieces that travel beside the heartbeats.
//!
//! ```text
//!   asker                               answerer
//!   Opens { life, number,     ────▶
//!           nonce, length }
//!                             ◀────     Welcome { nonce, clock }
//!   Put { at, bytes }         ────▶
//!                             ◀────     Next { at }               and so on, to the end of the question
//!   Get { at }                ────▶
//!                             ◀────     Next { at: length }       there is no answer yet
//!                             ◀────     Piece { at, of, bytes }   and so on, to the end of the answer
//! ```
//!
//! The [`Asker`] alone has a clock: it says a piece again until that is answered. The [`Answerer`] answers each
//! piece with one, and a repeated one as it did before. So loss costs time, and repetition and disorder nothing;
//! and the pace of the asker is the pace of both directions.
//!
//! **Strangers.** All but the opening is encrypted ([`Seal`]); the opening says two random numbers, a length and a
//! time of day. An opening is new only if it is of the life of the peer that the heartbeats have proven, and of a
//! higher number than any before in that life. So a recorded one changes nothing, however often it comes, and the
//! letter that is under way goes on. A piece is good for one letter and one place in it: it is encrypted for that
//! letter, and its number must be higher than any before. Each frame that is dropped has a cause
//! ([`FrameError`](crate::frame::FrameError)).
//!
//! The first byte of a frame of a letter is no version of a heartbeat, so that a box which knows no letters drops
//! it. This is version 2 of the letters; version 1 was readable by everybody on the wire, and is no longer
//! understood. Nothing here decides anything: what a letter says is not the core's business.

use core::time::Duration;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::heartbeat::Incarnation;

mod answerer;
mod asker;
mod seal;

pub use answerer::{Answerer, PieceOutcome};
pub use asker::{Asker, Reading, SendPace, Silence};
pub use seal::Seal;
use seal::{Kind, Letter, SAYS_MAX};

/// A number that is used once.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Nonce(pub [u8; 8]);

/// The end of a letter to which a frame goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// To the [`Answerer`].
    Answerer,
    /// To the [`Asker`].
    Asker,
}

/// The end to which `frame` goes if it is of a letter, as far as its first byte tells.
pub fn end_of(frame: &[u8]) -> Option<Side> {
    Some(match Kind::of(frame)? {
        Kind::Opens | Kind::Question => Side::Answerer,
        Kind::Welcome | Kind::Answer => Side::Asker,
    })
}

/// A part of a question or answer, as a piece carries it.
pub type Bytes = Vec<u8, PIECE_MAX>;

/// The first frame of a letter.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Opens {
    /// The life of the asker.
    life: Incarnation,
    /// It is the `number`th letter of this life.
    number: u32,
    nonce: Nonce,
    /// Of the question, in bytes.
    length: u32,
}

/// The answer to the first frame.
#[derive(Debug, Deserialize, Serialize)]
struct Welcome {
    nonce: Nonce,
    /// The answerer's time of day, since 1970.
    clock: Duration,
}

#[derive(Debug, Deserialize, Serialize)]
enum Question {
    Put { at: u32, bytes: Bytes },
    Get { at: u32 },
}

#[derive(Debug, Deserialize, Serialize)]
enum Answer {
    /// So much of the question is here.
    Next {
        at: u32,
    },
    Piece {
        at: u32,
        of: u32,
        bytes: Bytes,
    },
}

/// The bytes of `text` that a piece carries which begins at `at`.
fn piece(text: &[u8], at: u32) -> Bytes {
    let rest = text.get(at as usize..).unwrap_or_default();
    rest.iter().copied().take(PIECE_MAX).collect()
}

/// The longest question, and the longest answer.
pub const LETTER_MAX: usize = 256 * 1024;

/// The most bytes in one piece: beside them are which piece it is, two places of three bytes each, and the length
/// of the bytes.
pub const PIECE_MAX: usize = SAYS_MAX - 8;

const _: () = assert!(LETTER_MAX < 1 << 21, "three bytes of seven bits each hold a place");

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::vec::Vec;
    use std::{format, vec};

    use super::*;
    use crate::frame::{FRAME_MAX, Frame, FrameError, Key, Keys, PairId};
    use crate::identity::BoxId;
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
        assert!(pair.said.iter().all(|frame| frame.len() <= FRAME_MAX && end_of(frame).is_some()));
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
        let mut hear = |answerer: &mut Answerer, frame: &Frame| {
            for asker in [&mut later, &mut alone] {
                assert!(asker.hear(frame, &PACE, at(1)).is_err());
            }
            let fresh = || Some(Nonce([9; 8]));
            answerer.hear(frame, Some(LIFE), fresh, NOON, Some(b"old")).err()
        };
        // The letter that has just been answered is answered no more.
        for frame in recorded.iter().filter(|frame| end_of(frame) == Some(Side::Answerer)) {
            assert_eq!(hear(&mut pair.answerer, frame), Some(FrameError::Replayed));
        }
        // A box that has been rebooted takes the opening for new, and none of the pieces.
        pair.answerer = Answerer::new(seal(BoxId::Second));
        let opened = recorded.iter().chain(&recorded).filter(|frame| {
            let cause = hear(&mut pair.answerer, frame);
            assert!(cause.is_none() || !pair.answerer.whole(), "{cause:?}");
            cause.is_none()
        });
        assert!(opened.count() > 0, "the test replays nothing that is read");
        assert!(!pair.answerer.whole());
        assert_eq!(pair.exchange(b"new", b"newer"), Ok(b"newer".to_vec()));
    }

    /// One opening of each age comes between any two frames of the letter that is under way.
    #[test]
    fn recorded_openings_keep_no_letter_from_being_answered() {
        let other = Seal { life: Incarnation(*b"then"), ..seal(BoxId::First) };
        let mut recorded = [other, seal(BoxId::First)]
            .map(|seal| Asker::new(seal, 0, Nonce([7; 8]), 5, at(0)).say(b"hello", &PACE, at(0)));
        for answerer_was_rebooted in [false, true] {
            let mut pair = Pair::new(1);
            if !answerer_was_rebooted {
                assert_eq!(pair.exchange(b"first", b"answer"), Ok(b"answer".to_vec()));
            }
            pair.between = recorded.to_vec();
            assert_eq!(pair.exchange(&text(500), &text(300)), Ok(text(300)));
            assert_eq!(pair.question, text(500));
            recorded.reverse();
        }
        // An opening of a life that the heartbeats have not proven opens nothing.
        let [past, present] = &recorded;
        for (opening, life) in
            [(present, None), (past, Some(LIFE)), (present, Some(Incarnation(*b"then")))]
        {
            let mut answerer = Answerer::new(seal(BoxId::Second));
            let heard = answerer.hear(opening, life, || Some(Nonce([2; 8])), NOON, None);
            assert_eq!(heard, Err(FrameError::Replayed));
        }
    }

    #[test]
    fn own_words_strange_words_and_spoiled_words_are_not_heard() {
        let mut pair = Pair::new(1);
        assert_eq!(pair.exchange(b"hello", b"world"), Ok(b"world".to_vec()));
        let [open, welcome, put, ..] = pair.said.as_slice() else { panic!("{:?}", pair.said) };
        let asker = Asker::new(seal(BoxId::First), 1, Nonce(1_u64.to_be_bytes()), 5, at(0));
        let fresh = || Some(Nonce([2; 8]));
        let hears = |seal: Seal, frame: &[u8]| {
            Answerer::new(seal).hear(frame, Some(LIFE), fresh, NOON, None).map(|_| ())
        };
        assert_eq!(hears(seal(BoxId::Second), open), Ok(()));
        assert_eq!(hears(seal(BoxId::First), open), Err(FrameError::WrongKey));
        let stranger = Seal { pair: PairId::of("other"), ..seal(BoxId::Second) };
        assert_eq!(hears(stranger, open), Err(FrameError::Foreign));
        let keys = Keys::new([Key::new(1, b"other")]).unwrap();
        let stranger = Seal { keys, ..seal(BoxId::Second) };
        assert_eq!(hears(stranger, open), Err(FrameError::WrongKey));
        for frame in [open, welcome, put] {
            for place in 0..frame.len() {
                let mut spoiled = frame.clone();
                spoiled[place] ^= 1;
                assert!(hears(seal(BoxId::Second), &spoiled).is_err(), "{place}");
                let mut asker = asker.clone();
                assert!(asker.hear(&spoiled, &PACE, at(1)).is_err(), "{place}");
            }
            assert!(hears(seal(BoxId::Second), &frame[..frame.len() - 1]).is_err());
        }
        assert_eq!(asker.clone().hear(welcome, &PACE, at(1)), Ok(None));
    }

    #[test]
    fn nothing_that_is_said_can_be_read() {
        let mut pair = Pair::new(1);
        let secret = b"secret ".repeat(40);
        assert_eq!(pair.exchange(&secret, &secret), Ok(secret));
        let readable = |frame: &Frame| frame.windows(5).any(|it| it == b"secre" || it == b"cret ");
        assert_eq!(pair.said.iter().find(|frame| readable(frame)), None);
    }

    /// The same content is never encrypted alike: not under another number, by the other box, or in another letter.
    #[test]
    fn no_key_and_nonce_come_twice() {
        let [first, second] = BoxId::BOTH.map(seal);
        let letter = Letter { asker: Nonce([1; 8]), answerer: Nonce([2; 8]) };
        let [other, another] = [
            Letter { asker: Nonce([3; 8]), ..letter },
            Letter { answerer: Nonce([3; 8]), ..letter },
        ];
        let mut sealed: Vec<_> = [
            (&first, letter, 0),
            (&first, letter, 1),
            (&second, letter, 0),
            (&first, other, 0),
            (&first, another, 0),
        ]
        .into_iter()
        .map(|(seal, letter, number)| {
            let says = Question::Put { at: 0, bytes: piece(&[0; PIECE_MAX], 0) };
            let frame = seal.seal(Kind::Question, letter, number, &says);
            frame[8..frame.len() - 16].to_vec()
        })
        .collect();
        sealed.sort();
        sealed.dedup();
        assert_eq!(sealed.len(), 5);
    }

    #[test]
    fn who_is_not_answered_gives_up() {
        let mut asker = Asker::new(seal(BoxId::First), 1, Nonce([1; 8]), 5, at(0));
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
        let asker = Asker::new(seal(BoxId::First), 1, Nonce([1; 8]), 5, at(0));
        let slow = SendPace { patience: MINUTE * 9, ..PACE };
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
            let heard = end.hear(frame, Some(LIFE), || Some(answerer), NOON, None)?;
            Ok(heard.map(|(_, heard)| format!("{heard:?}")))
        };
        let opens = |length| first.open(&Opens { life: LIFE, number: 1, nonce: asker, length });
        for length in [0, LETTER_MAX as u32 + 1] {
            assert_eq!(hear(&opens(length)), Err(FrameError::Malformed));
        }
        assert!(hear(&opens(3)).is_ok());
        let put = |bytes: &[u8]| Question::Put { at: 0, bytes: Bytes::from_slice(bytes).unwrap() };
        let piece = |number, says: Question| first.seal(Kind::Question, letter, number, &says);
        assert_eq!(hear(&piece(0, put(b"four"))), Ok(Some("Nothing".into())));
        assert!(hear(&piece(1, put(b"two"))).unwrap().unwrap().starts_with("Begun"));
        assert_eq!(hear(&piece(1, put(b"two"))), Err(FrameError::Replayed));
        assert_eq!(hear(&piece(u32::MAX, put(b"two"))), Err(FrameError::Replayed));
        let mut end = Asker::new(first.clone(), 1, asker, 1, at(0));
        end.say(b"a", &PACE, at(0));
        let welcome = Welcome { nonce: answerer, clock: NOON };
        assert_eq!(end.hear(&second.welcome(&welcome, asker), &PACE, at(1)), Ok(None));
        // The next piece waits for its time, and no longer.
        assert_eq!(end.due(), at(2));
        let answer = |number, says: Answer| second.seal(Kind::Answer, letter, number, &says);
        let next = answer(0, Answer::Next { at: 1 });
        assert_eq!(end.hear(&next, &PACE, at(3)), Ok(None));
        assert_eq!(end.hear(&next, &PACE, at(3)), Err(FrameError::Replayed));
        for (number, of, bytes) in
            [(1, LETTER_MAX as u32 + 1, &b"a"[..]), (2, 1, b"more"), (3, 1, b"")]
        {
            let bytes = Bytes::from_slice(bytes).unwrap();
            let piece = answer(number, Answer::Piece { at: 0, of, bytes });
            assert_eq!(end.hear(&piece, &PACE, at(4)), Err(FrameError::Malformed), "{of}");
            assert!(!end.whole());
        }
    }

    #[test]
    fn the_longest_letter_is_welcome_and_one_number_opens_one_letter() {
        let first = seal(BoxId::First);
        let mut end = Answerer::new(seal(BoxId::Second));
        let mut hear = |frame: &[u8]| {
            let heard = end.hear(frame, Some(LIFE), || Some(Nonce([2; 8])), NOON, None)?;
            Ok(heard.is_some())
        };
        let opens = |number, nonce| {
            let length = LETTER_MAX as u32;
            first.open(&Opens { life: LIFE, number, nonce: Nonce([nonce; 8]), length })
        };
        assert_eq!(hear(&opens(1, 1)), Ok(true));
        assert_eq!(hear(&opens(1, 1)), Ok(true), "the welcome was lost");
        assert_eq!(hear(&opens(1, 3)), Err(FrameError::Replayed));
        assert_eq!(hear(&opens(2, 1)), Ok(true), "the next one");
        let of_the_other = seal(BoxId::Second)
            .welcome(&Welcome { nonce: Nonce([2; 8]), clock: NOON }, Nonce([1; 8]));
        assert_eq!(hear(&of_the_other), Err(FrameError::Version), "it is for who asks");
    }

    #[test]
    fn other_keys_are_used_at_once_by_both_ends() {
        let keys = Keys::new([Key::new(2, b"another secret")]).expect("one key is a ring");
        let mut asker = Asker::new(seal(BoxId::First), 1, Nonce([1; 8]), 1, at(0));
        let mut answerer = Answerer::new(seal(BoxId::Second));
        let answers = |answerer: &mut Answerer, frame: &[u8]| {
            answerer.hear(frame, Some(LIFE), || Some(Nonce([2; 8])), NOON, None)
        };
        asker.reload(keys.clone());
        let opens = asker.say(b"a", &PACE, at(0));
        assert_eq!(answers(&mut answerer, &opens), Err(FrameError::WrongKey));
        answerer.reload(keys);
        let (welcome, _) = answers(&mut answerer, &opens).unwrap().expect("there is a nonce");
        assert_eq!(asker.hear(&welcome, &PACE, at(1)), Ok(None));
        assert!(asker.reading().is_some());
    }

    #[test]
    fn only_the_next_bytes_bring_a_letter_on() {
        let (first, second) = (seal(BoxId::First), seal(BoxId::Second));
        let (asker, answerer) = (Nonce([1; 8]), Nonce([2; 8]));
        let letter = Letter { asker, answerer };
        let mut end = Asker::new(first, 1, asker, 40, at(0));
        let text = text(40);
        assert!(!end.again());
        end.say(&text, &PACE, at(0));
        assert!(end.again(), "it is not answered yet");
        let welcome = Welcome { nonce: answerer, clock: NOON };
        end.hear(&second.welcome(&welcome, asker), &PACE, at(1)).unwrap();
        assert!(!end.again());
        let hear = |end: &mut Asker, number, says: Answer, now| {
            end.say(&text, &PACE, at(now));
            let frame = second.seal(Kind::Answer, letter, number, &says);
            let bytes = end.hear(&frame, &PACE, at(now)).unwrap();
            (bytes.map(|bytes| bytes.len()), end.again())
        };
        let piece = |at, of| Answer::Piece { at, of, bytes: Bytes::from_slice(b"ab").unwrap() };
        assert_eq!(hear(&mut end, 0, Answer::Next { at: 0 }, 10), (None, true), "nothing new");
        assert_eq!(hear(&mut end, 1, Answer::Next { at: 38 }, 20), (None, false));
        assert_eq!(hear(&mut end, 2, Answer::Next { at: 30 }, 30), (None, true), "an older one");
        assert_eq!(hear(&mut end, 3, Answer::Next { at: 40 }, 40), (None, false));
        assert_eq!(hear(&mut end, 4, piece(1, 4), 50), (None, true), "that is not the first");
        assert_eq!(hear(&mut end, 5, piece(0, 4), 60), (Some(2), false));
        assert_eq!(hear(&mut end, 6, piece(0, 4), 70), (None, true), "that is known");
        assert_eq!(hear(&mut end, 7, piece(2, 5), 80), (None, true), "another answer");
        assert_eq!(hear(&mut end, 8, piece(2, 4), 90), (Some(2), false));
        assert!(end.whole());
    }

    #[test]
    fn an_answer_is_waited_for_as_long_as_it_may_take() {
        let (first, second) = (seal(BoxId::First), seal(BoxId::Second));
        let (asker, answerer) = (Nonce([1; 8]), Nonce([2; 8]));
        let letter = Letter { asker, answerer };
        let mut end = Asker::new(first, 1, asker, 1, at(0));
        assert_eq!(end.silence(&PACE, at(6_000)), None);
        assert_eq!(end.silence(&PACE, at(6_001)), Some(Silence::NoAnswer));
        end.say(b"a", &PACE, at(0));
        let welcome = Welcome { nonce: answerer, clock: NOON };
        end.hear(&second.welcome(&welcome, asker), &PACE, at(0)).unwrap();
        for number in 0..=60 {
            let now = at(u64::from(number) * 1_000);
            end.say(b"a", &PACE, now);
            let says = Answer::Next { at: 1 };
            let frame = second.seal(Kind::Answer, letter, number, &says);
            end.hear(&frame, &PACE, now).unwrap();
        }
        assert_eq!(end.silence(&PACE, at(60_000)), None);
        assert_eq!(end.silence(&PACE, at(60_001)), Some(Silence::Unmade));
        assert_eq!(end.silence(&PACE, at(65_000)), Some(Silence::Unmade));
    }

    #[test]
    fn the_answerers_clock_is_read() {
        let mut pair = Pair::new(1);
        let mut asker = pair.asker(b"time");
        let open = asker.say(b"time", &PACE, at(10));
        let fresh = || Some(Nonce([2; 8]));
        let heard = pair.answerer.hear(&open, Some(LIFE), fresh, NOON, None);
        let (welcome, _) = heard.unwrap().unwrap();
        asker.hear(&welcome, &PACE, at(14)).unwrap();
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
        /// Comes after each frame of the asker.
        between: Vec<Frame>,
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
                between: Vec::new(),
            }
        }

        fn asker(&mut self, question: &[u8]) -> Asker {
            self.nonce += 1;
            let nonce = Nonce(self.nonce.to_be_bytes());
            let number = self.nonce as u32;
            Asker::new(seal(BoxId::First), number, nonce, question.len() as u32, self.now)
        }

        fn exchange(&mut self, question: &[u8], answer: &[u8]) -> Result<Vec<u8>, Silence> {
            // One in three is lost: eight tries are too few now and then.
            let patience = if self.cable.misery { MINUTE } else { PACE.patience };
            let pace = SendPace { patience, ..PACE };
            let mut asker = self.asker(question);
            let mut got = Vec::new();
            while !asker.whole() {
                if let Some(silence) = asker.silence(&pace, self.now) {
                    return Err(silence);
                }
                if asker.due() <= self.now {
                    let frame = asker.say(question, &pace, self.now);
                    self.say(frame);
                    for recorded in self.between.clone() {
                        self.say(recorded);
                    }
                }
                self.now = self.now + Duration::from_millis(1);
                assert!(self.now < at(600_000), "it is never given up");
                while let Some(frame) = self.cable.arrives() {
                    if let Ok(Some(bytes)) = asker.hear(&frame, &pace, self.now) {
                        got.extend_from_slice(&bytes);
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
            let heard = self.answerer.hear(frame, Some(LIFE), || Some(fresh), NOON, ready);
            let Ok(Some((frame, heard))) = heard else { return };
            match heard {
                PieceOutcome::Nothing => {}
                PieceOutcome::Begun(bytes) => self.question = bytes.to_vec(),
                PieceOutcome::More(bytes) => self.question.extend_from_slice(&bytes),
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
        Seal { keys, pair: PairId::of("ldap"), me, life: LIFE }
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

    const LIFE: Incarnation = Incarnation(*b"life");
    const MINUTE: Duration = Duration::from_secs(60);
    const NOON: Duration = Duration::from_secs(1_767_268_800);
    const PACE: SendPace = SendPace {
        gap: Duration::from_millis(2),
        retry: Duration::from_millis(250),
        patience: Duration::from_secs(6),
    };
}
