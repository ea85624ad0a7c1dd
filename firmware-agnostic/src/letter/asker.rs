//! The end that asks: it has the clock, and says a piece again until that is answered.

use core::time::Duration;

use super::{
    Answer, Bytes, Kind, LETTER_MAX, Letter, Nonce, Opens, Question, Seal, Welcome, piece,
};
use crate::frame::{Frame, FrameError, Keys};
use crate::time::Instant;

/// One letter under way, without its bytes.
#[derive(Clone)]
pub struct Asker {
    seal: Seal,
    opens: Opens,
    letter: Letter,
    stage: AskStage,
    /// The number of the next piece, and the lowest that its answer may have.
    number: u32,
    next: u32,
    reading: Option<Reading>,
    /// When the piece that is to be answered was said first, and how often it was said since.
    said: Instant,
    times: u32,
    begun: Instant,
    /// When all of the question had been taken in.
    given: Instant,
    /// When something came that brought it on.
    moved: Instant,
    due: Instant,
}

#[derive(Clone, Copy)]
enum AskStage {
    Opening,
    Giving { at: u32 },
    Getting { at: u32, of: Option<u32> },
    Whole,
}

/// How fast pieces may follow each other on the way that they take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SendPace {
    /// Between two pieces.
    pub gap: Duration,
    /// After which a piece is said again.
    pub retry: Duration,
    /// After which a silent peer is given up.
    pub patience: Duration,
}

/// What the answerer's clock showed at some moment between two of this box's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reading {
    /// Its time of day, since 1970.
    pub clock: Duration,
    /// When it was first asked.
    pub asked: Instant,
    /// When the answer came.
    pub heard: Instant,
}

/// Why a letter was given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Silence {
    /// Nothing was ever answered.
    NoAnswer,
    /// It went well, and then no more came.
    Broken,
    /// It has the question, and there is no answer yet.
    Unmade,
    /// It took longer than any letter may.
    Long,
}

impl Asker {
    /// Begins the `number`th letter of this life, of `length` bytes, between one and [`LETTER_MAX`]. `nonce` must
    /// never have been used.
    pub fn new(seal: Seal, number: u32, nonce: Nonce, length: u32, now: Instant) -> Self {
        let opens = Opens { life: seal.life, number, nonce, length };
        Self {
            seal,
            opens,
            letter: Letter { asker: nonce, answerer: Nonce::default() },
            stage: AskStage::Opening,
            number: 0,
            next: 0,
            reading: None,
            said: now,
            times: 0,
            begun: now,
            given: now,
            moved: now,
            due: now,
        }
    }

    /// When the next piece is due.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Whether the piece that is due was said before, and not answered.
    pub const fn again(&self) -> bool {
        self.times > 0
    }

    /// Whether all of the answer has come.
    pub const fn whole(&self) -> bool {
        matches!(self.stage, AskStage::Whole)
    }

    /// What the answerer's clock showed.
    pub const fn reading(&self) -> Option<Reading> {
        self.reading
    }

    /// Why this has to be given up at `now`, if it has.
    pub fn silence(&self, pace: &SendPace, now: Instant) -> Option<Silence> {
        if now - self.begun > TIME_MAX {
            return Some(Silence::Long);
        }
        let waits = matches!(self.stage, AskStage::Getting { of: None, .. });
        if waits && now - self.given > ANSWER_MAX {
            return Some(Silence::Unmade);
        }
        let silent = now - self.moved > pace.patience;
        silent.then_some(match self.stage {
            AskStage::Opening => Silence::NoAnswer,
            _ => Silence::Broken,
        })
    }

    /// Goes on with other keys.
    pub fn reload(&mut self, keys: Keys) {
        self.seal.keys = keys;
    }

    /// The frame that is due, of the letter that says `text`.
    pub fn say(&mut self, text: &[u8], pace: &SendPace, now: Instant) -> Frame {
        if self.times == 0 {
            self.said = now;
        }
        // A box that knows no letters is asked less and less often.
        let slower = match self.stage {
            AskStage::Opening => 1 << self.times.min(2),
            _ => 1,
        };
        self.times = self.times.saturating_add(1);
        self.due = now + pace.retry * slower;
        let question = match self.stage {
            AskStage::Opening => return self.seal.open(&self.opens),
            AskStage::Giving { at } => Question::Put { at, bytes: piece(text, at) },
            AskStage::Getting { at, .. } => Question::Get { at },
            AskStage::Whole => Question::Get { at: 0 },
        };
        let number = self.number;
        self.number =
            number.checked_add(1).expect("a letter takes minutes, and a piece milliseconds");
        self.seal.seal(Kind::Question, self.letter, number, &question)
    }

    /// Takes in what has come, and gives the bytes by which the answer is longer now. What says nothing new gives none.
    ///
    /// # Errors
    ///
    /// The cause for which the frame is dropped.
    pub fn hear(
        &mut self,
        frame: &[u8],
        pace: &SendPace,
        now: Instant,
    ) -> Result<Option<Bytes>, FrameError> {
        if let AskStage::Opening = self.stage {
            let Welcome { nonce, clock } = self.seal.welcomed(frame, self.letter.asker)?;
            self.letter.answerer = nonce;
            self.reading = Some(Reading { clock, asked: self.said, heard: now });
            self.moves(AskStage::Giving { at: 0 }, pace.gap, now);
            return Ok(None);
        }
        if Kind::of(frame) == Some(Kind::Welcome) {
            // A frame that was repeated on its way is welcomed twice.
            return self.seal.welcomed(frame, self.letter.asker).map(|_| None);
        }
        let (number, answer) = self.seal.unseal(Kind::Answer, self.letter, frame)?;
        if number < self.next {
            return Err(FrameError::Replayed);
        }
        self.next = number.saturating_add(1);
        let (mut new, mut wait) = (None, pace.gap);
        let stage = match (self.stage, answer) {
            (AskStage::Giving { at }, Answer::Next { at: next }) if next > at => {
                if next < self.opens.length {
                    AskStage::Giving { at: next }
                } else {
                    self.given = now;
                    AskStage::Getting { at: 0, of: None }
                }
            }
            (stage @ AskStage::Getting { of: None, .. }, Answer::Next { .. }) => {
                wait = POLL;
                stage
            }
            (AskStage::Getting { at, of: before }, Answer::Piece { at: from, of, bytes })
                if at == from && before.is_none_or(|before| before == of) =>
            {
                let end = at as usize + bytes.len();
                let stuck = bytes.is_empty() && of > 0;
                if stuck || end > of as usize || of as usize > LETTER_MAX {
                    return Err(FrameError::Malformed);
                }
                new = Some(bytes);
                let whole = end == of as usize;
                if whole {
                    AskStage::Whole
                } else {
                    AskStage::Getting { at: end as u32, of: Some(of) }
                }
            }
            _ => return Ok(None),
        };
        self.moves(stage, wait, now);
        Ok(new)
    }

    /// What was said is answered: the next piece is due `wait` after it.
    fn moves(&mut self, stage: AskStage, wait: Duration, now: Instant) {
        self.stage = stage;
        self.times = 0;
        self.moved = now;
        self.due = now.max(self.said + wait);
    }
}

/// Far more than a whole letter takes over a network; over a slow cable it is some thirty thousand bytes.
const TIME_MAX: Duration = Duration::from_secs(300);

/// What is looked up for an answer is there within seconds; what takes longer hangs.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How often an answer is asked for that is still being made.
const POLL: Duration = Duration::from_millis(100);
