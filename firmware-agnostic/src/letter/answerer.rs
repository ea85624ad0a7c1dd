//! The end that answers: each piece with one piece, and a repeated one as before. It has no clock.

use core::time::Duration;

use super::{Answer, LETTER_MAX, Letter, Nonce, Question, Seal, piece};
use crate::frame::{Frame, Keys};

/// The letter that was last begun, without its bytes.
pub struct Answerer {
    seal: Seal,
    /// Opened, and not known to be new: only a peer that knows this box's nonce begins it.
    opened: Option<Taken>,
    begun: Option<Taken>,
}

#[derive(Clone, Copy)]
struct Taken {
    letter: Letter,
    length: u32,
    got: u32,
}

/// What a piece brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heard<'f> {
    /// Nothing new.
    Nothing,
    /// The first bytes of another question: the one before is abandoned, and its answer with it.
    Begun(&'f [u8]),
    /// The next bytes of the question.
    More(&'f [u8]),
}

impl Answerer {
    /// An end that nobody has asked.
    pub const fn new(seal: Seal) -> Self {
        Self { seal, opened: None, begun: None }
    }

    /// Goes on with other keys.
    pub fn reload(&mut self, keys: Keys) {
        self.seal.keys = keys;
    }

    /// Whether all of the question has come.
    pub fn whole(&self) -> bool {
        self.begun.is_some_and(|taken| taken.got == taken.length)
    }

    /// Takes in a piece at the time of day `clock`, and gives the one that answers it. `answer` is that to the question that
    /// has come, where there is one. `fresh` gives a nonce that was never used, if it can.
    ///
    /// `None` when it is no piece of a letter to this box.
    pub fn hear<'f>(
        &mut self,
        frame: &'f [u8],
        fresh: impl FnOnce() -> Option<Nonce>,
        clock: Duration,
        answer: Option<&[u8]>,
    ) -> Option<(Frame, Heard<'f>)> {
        if let Some(opens) = self.seal.question(frame, Letter::default()) {
            return Some((self.welcome(&opens, fresh, clock)?, Heard::Nothing));
        }
        if let Some(opened) = self.opened
            && let Some(Question::Put { at: 0, .. }) = self.seal.question(frame, opened.letter)
        {
            // Nobody repeats what this box has said just now for the first time.
            (self.begun, self.opened) = (Some(opened), None);
        }
        let mut taken = self.begun?;
        let (said, heard) = match self.seal.question(frame, taken.letter)? {
            Question::Open { .. } => return None,
            Question::Put { at, bytes } => {
                let heard = taken.put(at, bytes);
                (Answer::Next { at: taken.got }, heard)
            }
            Question::Get { at } => match answer {
                Some(text) => {
                    let of = u32::try_from(text.len()).ok().filter(|of| at <= *of)?;
                    (Answer::Piece { at, of, bytes: piece(text, at) }, Heard::Nothing)
                }
                None => (Answer::Next { at: taken.got }, Heard::Nothing),
            },
        };
        self.begun = Some(taken);
        Some((self.seal.answer(&said, taken.letter), heard))
    }

    fn welcome(
        &mut self,
        opens: &Question<'_>,
        fresh: impl FnOnce() -> Option<Nonce>,
        clock: Duration,
    ) -> Option<Frame> {
        let Question::Open { nonce, length } = *opens else { return None };
        if length == 0 || length as usize > LETTER_MAX {
            return None;
        }
        let mut letter = Letter { asker: nonce, answerer: Nonce::default() };
        let again = self.opened.filter(|opened| opened.letter.asker == nonce);
        let answerer = match again {
            Some(opened) => opened.letter.answerer,
            None => fresh()?,
        };
        let welcome = self.seal.answer(&Answer::Welcome { nonce: answerer, clock }, letter);
        letter.answerer = answerer;
        self.opened = Some(Taken { letter, length, got: 0 });
        Some(welcome)
    }
}

impl Taken {
    /// Takes in the bytes that begin at `at`, if it has come to there.
    fn put<'f>(&mut self, at: u32, bytes: &'f [u8]) -> Heard<'f> {
        let end = at as usize + bytes.len();
        if at != self.got || bytes.is_empty() || end > self.length as usize {
            return Heard::Nothing;
        }
        self.got = end as u32;
        if at == 0 { Heard::Begun(bytes) } else { Heard::More(bytes) }
    }
}
