//! One conversation with a BMC: questions, and the session that they need, without a socket and without a clock.
//!
//! Bytes and time go in, bytes and an outcome come out ([`Step`]). The session is kept: the first question opens it,
//! the next ones are one packet there and one back. What gets no answer is sent again, in a packet of its own each
//! time; a kept session that stays silent for a third of the time is taken for lost, and opened anew.
//!
//! ```text
//! closed -> capabilities -> opening -> proving -> proven ---+-> raising -> open
//!                        -> challenge -> activating (1.5) --+
//! ```

use std::time::Duration;

use super::command::{self, Capabilities};
use super::error::Error;
use super::message::Request;
use super::packet::{self, Packet};
use super::rakp::{Handshake, Login};
use super::session::{Kind, Old, Session};
use super::suite::Suite;
use firmware_agnostic::time::Instant;

mod hearing;

/// How one is let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// By IPMI 2.0, with the first of these suites that the BMC speaks.
    New(&'static [Suite]),
    /// By IPMI 1.5.
    Old(Kind),
}

/// What is to be done now.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Step {
    /// Send this.
    pub send: Option<Vec<u8>>,
    /// The question has ended, with the data of its answer.
    pub end: Option<Result<Vec<u8>, Error>>,
}

/// A conversation with one BMC.
pub struct Exchange {
    login: Login,
    way: Way,
    random: fn(&mut [u8]),
    stage: Stage,
    question: Option<Question>,
    /// The number of the message that is to be answered.
    number: u8,
    /// When there is something to do, if nothing is heard before.
    wake: Instant,
    pause: Duration,
    /// When the message was sent first, and how long an answer took at most.
    said_at: Instant,
    pace: Duration,
    /// How often this message was sent.
    tries: u32,
    /// How many of the suites the BMC has refused.
    refused: usize,
    capabilities: Option<Capabilities>,
    pong: bool,
    /// The BMC of the session that was before, by what it told in its handshake.
    guid: Option<[u8; 16]>,
    /// Anything at all was heard since the question was asked.
    alive: bool,
}

struct Question {
    request: Request,
    until: Instant,
    /// When a session that was kept is taken for lost.
    lost_at: Option<Instant>,
    /// How often a handshake was begun again.
    again: u32,
    trouble: Option<Error>,
}

enum Stage {
    Closed,
    /// What can it? Of IPMI 2.0, or of 1.5 alone.
    Capabilities(bool),
    Opening(Handshake),
    Proving(Handshake),
    Proven(Handshake),
    Challenge(Kind),
    Activating(Activation),
    Raising(Session),
    Open(Session),
}

struct Activation {
    guard: Old,
    session: u32,
    challenge: [u8; 16],
    sequence: u32,
}

impl Exchange {
    /// A conversation in which nothing was said yet. `random` fills bytes that nobody can guess.
    pub fn new(login: Login, way: Way, random: fn(&mut [u8])) -> Self {
        Self {
            login,
            way,
            random,
            stage: Stage::Closed,
            question: None,
            number: 0,
            wake: Instant::from_millis(0),
            pause: FIRST_PAUSE,
            said_at: Instant::from_millis(0),
            pace: FIRST_PAUSE,
            tries: 0,
            refused: 0,
            capabilities: None,
            pong: false,
            guid: None,
            alive: false,
        }
    }

    /// Begins a question that must be answered by `until`.
    pub fn ask(&mut self, request: Request, now: Instant, until: Instant) -> Step {
        let lost_at = self.is_open().then(|| now + (until - now) / LOST);
        self.alive = false;
        self.question = Some(Question { request, until, lost_at, again: 0, trouble: None });
        match self.stage {
            Stage::Open(_) => self.say(now),
            _ if self.is_kept() => Step::default(),
            _ => self.begin(now),
        }
    }

    /// Takes in a datagram of the BMC.
    pub fn heard(&mut self, datagram: &[u8], now: Instant) -> Step {
        self.lives();
        match Packet::read(datagram) {
            Some(Packet::Pong(able)) => self.pong |= able,
            Some(packet) if self.question.is_some() => return self.take(&packet, now),
            _ => {}
        }
        Step::default()
    }

    /// Notes that somebody is at the address of the BMC.
    pub const fn lives(&mut self) {
        self.alive = true;
    }

    /// Notes the time.
    pub fn late(&mut self, now: Instant) -> Step {
        let Some(question) = &self.question else { return Step::default() };
        if matches!(self.stage, Stage::Activating(_)) && self.is_kept() && now >= self.wake {
            return self.fail(Error::NotLetIn, false);
        }
        if now >= question.until {
            let begun = !matches!(self.stage, Stage::Open(_)) && self.is_kept();
            let alive = self.pong || self.alive || begun;
            // A session in which the BMC said something is not lost.
            let keep = question.trouble.is_some() || begun;
            return self.fail(question.trouble.unwrap_or(Error::Silent(alive)), keep);
        }
        if question.lost_at.is_some_and(|lost_at| now >= lost_at) {
            return self.begin(now);
        }
        if now < self.wake {
            return Step::default();
        }
        let begun = !matches!(self.stage, Stage::Capabilities(_) | Stage::Open(_));
        if begun && self.tries >= HANDSHAKE_TRIES {
            // The BMC may have forgotten what was begun.
            return self.begin(now);
        }
        if matches!(self.stage, Stage::Capabilities(_)) && self.tries % 2 == 1 && !self.pong {
            self.tries += 1;
            self.wake = now + FIRST_PAUSE;
            return Step { send: Some(packet::ping(PING_TAG)), end: None };
        }
        self.say_again(now)
    }

    /// When [`late`](Self::late) wants to be called.
    pub fn wake(&self) -> Instant {
        let Some(question) = &self.question else { return self.wake };
        let wake = self.wake.min(question.until);
        question.lost_at.map_or(wake, |lost_at| wake.min(lost_at))
    }

    /// Whether a session is open.
    pub const fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// Whether the next question goes on with what was begun: a session that is open, or a login by a password of IPMI
    /// 1.5, which is said once only. What is signed wrongly is dropped without a word (section 6.12.9), and counted.
    pub fn is_kept(&self) -> bool {
        match &self.stage {
            Stage::Open(_) => true,
            Stage::Activating(it) => it.guard.kind != Kind::Nothing,
            _ => false,
        }
    }

    /// The question is called off. What the next one goes on with stays.
    pub fn call_off(&mut self) {
        self.question = None;
        if !self.is_kept() {
            self.stage = Stage::Closed;
        }
    }

    /// Ends the session, if there is one: what is to be sent then, to which no answer is waited for.
    pub fn close(&mut self) -> Option<Vec<u8>> {
        self.question = None;
        let Stage::Open(mut session) = std::mem::replace(&mut self.stage, Stage::Closed) else {
            return None;
        };
        self.number = next(self.number);
        let message = command::close(session.id()).write(self.number);
        Some(session.seal(&message, self.bytes()))
    }

    /// Begins a session.
    fn begin(&mut self, now: Instant) -> Step {
        if let Some(question) = &mut self.question {
            question.lost_at = None;
        }
        self.pong = false;
        self.pace = FIRST_PAUSE;
        self.stage = Stage::Capabilities(matches!(self.way, Way::New(_)));
        self.say(now)
    }

    /// Begins it once more, unless that was tried often enough.
    fn again(&mut self, error: Error, now: Instant) -> Step {
        match &mut self.question {
            Some(question) if question.again < AGAIN_MAX => {
                question.again += 1;
                self.begin(now)
            }
            _ => self.fail(error, false),
        }
    }

    /// Goes on to the next stage, and says what is said there.
    fn turn(&mut self, stage: Stage, now: Instant) -> Step {
        self.keep_pace(now);
        self.stage = stage;
        self.say(now)
    }

    /// A BMC that takes its time to answer is not asked again meanwhile. Which of several packets was answered cannot
    /// be known: then it may be one that lost some, and not one that is slow.
    fn keep_pace(&mut self, now: Instant) {
        let most = if self.tries == 1 { PAUSE_MAX } else { UNSURE_MAX };
        self.pace = ((now - self.said_at) * 2).clamp(FIRST_PAUSE, most);
    }

    fn say(&mut self, now: Instant) -> Step {
        self.number = next(self.number);
        (self.said_at, self.pause, self.tries) = (now, self.pace, 0);
        self.say_again(now)
    }

    fn say_again(&mut self, now: Instant) -> Step {
        self.wake = now + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.tries += 1;
        Step { send: self.packet(), end: None }
    }

    /// The packet of the present stage, made anew.
    fn packet(&mut self) -> Option<Vec<u8>> {
        let (number, privilege) = (self.number, self.login.privilege);
        let bare = |request: Request| packet::old(0, 0, 0, &[], &request.write(number));
        let first = self.bytes();
        Some(match &mut self.stage {
            Stage::Closed => return None,
            Stage::Capabilities(new) => bare(command::capabilities(privilege, *new)),
            Stage::Opening(handshake) => handshake.open(),
            Stage::Proving(handshake) => handshake.first(&self.login),
            Stage::Proven(handshake) => handshake.third(&self.login),
            Stage::Challenge(kind) => {
                let mut user = [0; 16];
                user.iter_mut().zip(&self.login.user).for_each(|(to, from)| *to = *from);
                bare(command::challenge(kind.number(), &user))
            }
            Stage::Activating(Activation { guard, session, challenge, sequence }) => {
                let auth = guard.kind.number();
                let request = command::activate(auth, privilege, challenge, *sequence);
                guard.seal(*session, 0, &request.write(number))
            }
            Stage::Raising(session) => {
                session.seal(&command::set_privilege(privilege).write(number), first)
            }
            Stage::Open(session) => {
                session.seal(&self.question.as_ref()?.request.write(number), first)
            }
        })
    }

    fn fail(&mut self, error: Error, keep: bool) -> Step {
        let keep = keep && self.is_kept();
        if !keep {
            self.stage = Stage::Closed;
        }
        self.question = None;
        // Whoever has a key of its own and is answered wrongly was asked without it.
        let keyed = self.capabilities.is_some_and(|able| able.key) && self.login.key.is_none();
        let error = if error == Error::Password && keyed { Error::Key } else { error };
        Step { send: None, end: Some(Err(error)) }
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.random)(&mut bytes);
        bytes
    }
}

/// A number has six bits.
const fn next(number: u8) -> u8 {
    (number + 1) & 0x3f
}

/// A BMC answers in a few milliseconds, or in half a second when its own work comes first.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// One that takes longer than this to answer is not helped by more questions.
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// After packets of which some were lost, the next is not waited for as long as those took together.
const UNSURE_MAX: Duration = Duration::from_millis(500);
/// Of the time that a question has, so much is given to a session that may be gone.
const LOST: u32 = 3;
/// A handshake that a doubled packet has spoiled is not spoiled thrice.
const AGAIN_MAX: u32 = 2;
/// An answer to a login that is later than this, or than twice the time of the answer before, does not come.
const LOGIN_MIN: Duration = Duration::from_secs(2);
/// Silence after so many packets is no loss any more.
const HANDSHAKE_TRIES: u32 = 3;
const PING_TAG: u8 = 0x2b;
