//! The end that asks: it has the clock, and says a piece again until that is answered.

use core::time::Duration;

use super::{Answer, LETTER_MAX, Letter, Nonce, Question, Seal, piece};
use crate::frame::Frame;
use crate::time::Instant;

/// One letter under way, without its bytes.
pub struct Asker {
    seal: Seal,
    letter: Letter,
    length: u32,
    stage: Stage,
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
enum Stage {
    Opening,
    Giving { at: u32 },
    Getting { at: u32, of: Option<u32> },
    Whole,
}

/// How fast pieces may follow each other on the way that they take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
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
    /// Begins a letter of `length` bytes, between one and [`LETTER_MAX`]. `nonce` must never have been used.
    pub fn new(seal: Seal, nonce: Nonce, length: u32, now: Instant) -> Self {
        Self {
            seal,
            letter: Letter { asker: nonce, answerer: Nonce::default() },
            length,
            stage: Stage::Opening,
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
        matches!(self.stage, Stage::Whole)
    }

    /// What the answerer's clock showed.
    pub const fn reading(&self) -> Option<Reading> {
        self.reading
    }

    /// Why this has to be given up at `now`, if it has.
    pub fn silence(&self, pace: &Pace, now: Instant) -> Option<Silence> {
        if now - self.begun > TIME_MAX {
            return Some(Silence::Long);
        }
        let waits = matches!(self.stage, Stage::Getting { of: None, .. });
        if waits && now - self.given > ANSWER_MAX {
            return Some(Silence::Unmade);
        }
        let silent = now - self.moved > pace.patience;
        silent.then_some(match self.stage {
            Stage::Opening => Silence::NoAnswer,
            _ => Silence::Broken,
        })
    }

    /// The piece of `text` that is due.
    pub fn say(&mut self, text: &[u8], pace: &Pace, now: Instant) -> Frame {
        let question = match self.stage {
            Stage::Opening => Question::Open { nonce: self.letter.asker, length: self.length },
            Stage::Giving { at } => Question::Put { at, bytes: piece(text, at) },
            Stage::Getting { at, .. } => Question::Get { at },
            Stage::Whole => Question::Get { at: 0 },
        };
        if self.times == 0 {
            self.said = now;
        }
        // A box that knows no letters is asked less and less often.
        let slower = match self.stage {
            Stage::Opening => 1 << self.times.min(2),
            _ => 1,
        };
        self.times = self.times.saturating_add(1);
        self.due = now + pace.retry * slower;
        // What opens a letter is read by somebody who does not know it yet.
        let opens = matches!(self.stage, Stage::Opening);
        self.seal.ask(&question, if opens { Letter::default() } else { self.letter })
    }

    /// Takes in what has come, and gives the bytes by which the answer is longer now.
    pub fn hear<'f>(&mut self, frame: &'f [u8], pace: &Pace, now: Instant) -> Option<&'f [u8]> {
        let answer = self.seal.answered(frame, self.letter)?;
        let mut new = None;
        let mut wait = pace.gap;
        self.stage = match (self.stage, answer) {
            (Stage::Opening, Answer::Welcome { nonce, clock }) => {
                self.letter.answerer = nonce;
                self.reading = Some(Reading { clock, asked: self.said, heard: now });
                Stage::Giving { at: 0 }
            }
            (Stage::Giving { at }, Answer::Next { at: next }) if next > at => {
                if next < self.length {
                    Stage::Giving { at: next }
                } else {
                    self.given = now;
                    Stage::Getting { at: 0, of: None }
                }
            }
            (stage @ Stage::Getting { of: None, .. }, Answer::Next { .. }) => {
                wait = POLL;
                stage
            }
            (Stage::Getting { at, of: before }, Answer::Piece { at: from, of, bytes })
                if at == from && before.is_none_or(|before| before == of) =>
            {
                let end = at as usize + bytes.len();
                let stuck = bytes.is_empty() && of > 0;
                if stuck || end > of as usize || of as usize > LETTER_MAX {
                    return None;
                }
                new = Some(bytes);
                let whole = end == of as usize;
                if whole { Stage::Whole } else { Stage::Getting { at: end as u32, of: Some(of) } }
            }
            _ => return None,
        };
        self.times = 0;
        self.moved = now;
        self.due = now.max(self.said + wait);
        new
    }
}

/// Far more than a whole letter takes over a network; over a slow cable it is some thirty thousand bytes.
const TIME_MAX: Duration = Duration::from_secs(300);

/// What is looked up for an answer is there within seconds; what takes longer hangs.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How often an answer is asked for that is still being made.
const POLL: Duration = Duration::from_millis(100);
