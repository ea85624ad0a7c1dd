//! The end that answers: each piece with one piece, and a repeated one as before. It has no clock.

use core::time::Duration;

use super::{Answer, Bytes, Kind, LETTER_MAX, Letter, Nonce, Opens, Question, Seal, Side, Welcome};
use super::{end_of, piece};
use crate::frame::{Frame, FrameError, Keys};
use crate::heartbeat::Incarnation;

/// The letter that was last begun, without its bytes.
pub struct Answerer {
    seal: Seal,
    /// The life and the number of the newest opening.
    newest: Option<(Incarnation, u32)>,
    /// That opening, until its question begins.
    opened: Option<Accepted>,
    begun: Option<Accepted>,
}

#[derive(Clone, Copy)]
struct Accepted {
    letter: Letter,
    length: u32,
    got: u32,
    /// The lowest number that the next piece may have.
    next: u32,
}

/// What a piece brought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PieceOutcome {
    /// Nothing new.
    Nothing,
    /// The first bytes of another question: the one before is abandoned, and its answer with it.
    Begun(Bytes),
    /// The next bytes of the question.
    More(Bytes),
}

impl Answerer {
    /// An end that nobody has asked.
    pub const fn new(seal: Seal) -> Self {
        Self { seal, newest: None, opened: None, begun: None }
    }

    /// Goes on with other keys.
    pub fn reload(&mut self, keys: Keys) {
        self.seal.keys = keys;
    }

    /// Whether all of the question has come.
    pub fn whole(&self) -> bool {
        self.begun.is_some_and(|taken| taken.got == taken.length)
    }

    /// Takes in a frame at the time of day `clock`, and gives the one that answers it. `life` is that of the peer,
    /// as far as its heartbeats have proven it. `answer` is that to the question that has come, where there is one.
    /// `fresh` gives a nonce that was never used, if it can: without one a letter stays unopened.
    ///
    /// # Errors
    ///
    /// The cause for which the frame is dropped.
    pub fn hear(
        &mut self,
        frame: &[u8],
        life: Option<Incarnation>,
        fresh: impl FnOnce() -> Option<Nonce>,
        clock: Duration,
        answer: Option<&[u8]>,
    ) -> Result<Option<(Frame, PieceOutcome)>, FrameError> {
        match Kind::of(frame) {
            Some(Kind::Opens) => {
                let opens = self.seal.opened(frame)?;
                let welcome = self.welcome(&opens, life, fresh, clock)?;
                Ok(welcome.map(|welcome| (welcome, PieceOutcome::Nothing)))
            }
            _ if end_of(frame) == Some(Side::Answerer) => self.answer(frame, answer).map(Some),
            _ => Err(FrameError::Version),
        }
    }

    fn welcome(
        &mut self,
        opens: &Opens,
        life: Option<Incarnation>,
        fresh: impl FnOnce() -> Option<Nonce>,
        clock: Duration,
    ) -> Result<Option<Frame>, FrameError> {
        let Opens { life: of, number, nonce, length } = *opens;
        if length == 0 || length as usize > LETTER_MAX {
            return Err(FrameError::Malformed);
        }
        let newest = self.newest.filter(|(life, _)| *life == of).map(|(_, number)| number);
        let again = self.opened.filter(|it| newest == Some(number) && it.letter.asker == nonce);
        if life != Some(of) || again.is_none() && newest.is_some_and(|newest| newest >= number) {
            return Err(FrameError::Replayed);
        }
        let taken = if let Some(taken) = again {
            taken
        } else {
            let Some(answerer) = fresh() else { return Ok(None) };
            let letter = Letter { asker: nonce, answerer };
            Accepted { letter, length, got: 0, next: 0 }
        };
        (self.newest, self.opened) = (Some((of, number)), Some(taken));
        let welcome = Welcome { nonce: taken.letter.answerer, clock };
        Ok(Some(self.seal.welcome(&welcome, nonce)))
    }

    fn answer(
        &mut self,
        frame: &[u8],
        answer: Option<&[u8]>,
    ) -> Result<(Frame, PieceOutcome), FrameError> {
        let read = |taken: Accepted| {
            let read = self.seal.unseal(Kind::Question, taken.letter, frame);
            read.map(|(number, question)| (taken, number, question))
        };
        // What can be read with the nonce that this box has just given away is new: the letter before is over.
        let begins = self.opened.and_then(|opened| read(opened).ok());
        let (mut taken, number, question) = match begins {
            Some(read @ (_, _, Question::Put { at: 0, .. })) => {
                self.opened = None;
                read
            }
            _ => read(self.begun.ok_or(FrameError::Replayed)?)?,
        };
        if number < taken.next {
            return Err(FrameError::Replayed);
        }
        taken.next = number.checked_add(1).ok_or(FrameError::Replayed)?;
        let (said, heard) = match question {
            Question::Put { at, bytes } => {
                let heard = taken.put(at, bytes);
                (Answer::Next { at: taken.got }, heard)
            }
            Question::Get { at } => {
                let said = match answer {
                    Some(text) => {
                        let of = u32::try_from(text.len()).ok().filter(|of| at <= *of);
                        let of = of.ok_or(FrameError::Malformed)?;
                        Answer::Piece { at, of, bytes: piece(text, at) }
                    }
                    None => Answer::Next { at: taken.got },
                };
                (said, PieceOutcome::Nothing)
            }
        };
        self.begun = Some(taken);
        Ok((self.seal.seal(Kind::Answer, taken.letter, number, &said), heard))
    }
}

impl Accepted {
    /// Takes in the bytes that begin at `at`, if it has come to there.
    fn put(&mut self, at: u32, bytes: Bytes) -> PieceOutcome {
        let end = at as usize + bytes.len();
        if at != self.got || bytes.is_empty() || end > self.length as usize {
            return PieceOutcome::Nothing;
        }
        self.got = end as u32;
        if at == 0 { PieceOutcome::Begun(bytes) } else { PieceOutcome::More(bytes) }
    }
}
