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

use firmware_agnostic::time::Instant;
use zeroize::Zeroizing;

use super::command::{self, Capabilities};
use super::error::Error;
use super::message::{Request, Response};
use super::packet::{self, Packet};
use super::rakp::{Handshake, Login};
use super::session::{Kind, Old, Session};
use super::suite::Suite;

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
        }
    }

    /// Begins a question that must be answered by `until`.
    pub fn ask(&mut self, request: Request, now: Instant, until: Instant) -> Step {
        let open = self.is_open();
        let lost_at = open.then(|| now + (until - now) / LOST);
        self.question = Some(Question { request, until, lost_at, again: 0, trouble: None });
        if open { self.say(now) } else { self.begin(now) }
    }

    /// Takes in a datagram of the BMC.
    pub fn heard(&mut self, datagram: &[u8], now: Instant) -> Step {
        match Packet::read(datagram) {
            Some(Packet::Pong(able)) => self.pong |= able,
            Some(packet) if self.question.is_some() => return self.take(&packet, now),
            _ => {}
        }
        Step::default()
    }

    /// Notes the time.
    pub fn late(&mut self, now: Instant) -> Step {
        let Some(question) = &self.question else { return Step::default() };
        let activating = matches!(self.stage, Stage::Activating(_));
        if activating && self.tries >= HANDSHAKE_TRIES && now >= self.wake.min(question.until) {
            // Section 6.12.9: what is signed wrongly is dropped without a word.
            return self.fail(Error::Password, false);
        }
        if now >= question.until {
            let error = question.trouble.unwrap_or(Error::Silent(self.pong));
            // A session in which the BMC said something is not lost.
            let keep = question.trouble.is_some();
            return self.fail(error, keep);
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

    /// The question is called off. A session that is open stays open.
    pub fn call_off(&mut self) {
        self.question = None;
        if !self.is_open() {
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

    fn take(&mut self, packet: &Packet<'_>, now: Instant) -> Step {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Capabilities(new) => match self.bare(packet, CAPABILITIES) {
                Some(answer) => self.on_capabilities(new, answer, now),
                None => self.stay(Stage::Capabilities(new)),
            },
            Stage::Opening(mut handshake) => match handshake.opened(packet) {
                Some(Ok(())) => self.turn(Stage::Proving(handshake), now),
                Some(Err(error)) => self.on_refusal(error, now),
                None => self.stay(Stage::Opening(handshake)),
            },
            Stage::Proving(mut handshake) => match handshake.second(packet, &self.login) {
                Some(Ok(())) => self.turn(Stage::Proven(handshake), now),
                Some(Err(Error::Password)) => {
                    Step { send: Some(handshake.give_up()), ..self.fail(Error::Password, false) }
                }
                Some(Err(error)) => self.fail(error, false),
                None => self.stay(Stage::Proving(handshake)),
            },
            Stage::Proven(handshake) => match handshake.fourth(packet, &self.login) {
                Some(Ok(keys)) => {
                    let (theirs, ours) = handshake.ids();
                    self.turn(Stage::Raising(Session::new(theirs, ours, keys)), now)
                }
                // The BMC may have answered a first message that was sent twice with two numbers of its own.
                Some(Err(Error::Password | Error::Login(_))) => self.again(Error::Password, now),
                Some(Err(error)) => self.fail(error, false),
                None => self.stay(Stage::Proven(handshake)),
            },
            Stage::Challenge(kind) => match self.bare(packet, CHALLENGE) {
                Some(answer) => self.on_challenge(kind, answer, now),
                None => self.stay(Stage::Challenge(kind)),
            },
            Stage::Activating(activation) => self.on_activation(activation, packet, now),
            Stage::Raising(mut session) => match session.open(packet) {
                Some(message) => self.on_raised(session, &message, now),
                None => self.stay(Stage::Raising(session)),
            },
            Stage::Open(mut session) => {
                let message = session.open(packet);
                self.stage = Stage::Open(session);
                message.map_or_else(Step::default, |message| self.on_answer(&message, now))
            }
            Stage::Closed => Step::default(),
        }
    }

    /// What was heard is no answer to what was said.
    fn stay(&mut self, stage: Stage) -> Step {
        self.stage = stage;
        Step::default()
    }

    fn on_capabilities(&mut self, new: bool, answer: Result<&[u8], u8>, now: Instant) -> Step {
        let able = match answer {
            Ok(data) => command::able(data).ok_or(Error::Nonsense),
            // A BMC that does not know IPMI 2.0 may not know the question either.
            Err(INVALID_DATA) if new => return self.turn(Stage::Capabilities(false), now),
            Err(code) => Err(Error::of_code(code)),
        };
        let able = match able {
            Ok(able) => able,
            Err(error) => return self.fail(error, false),
        };
        self.capabilities = Some(able);
        match self.way {
            Way::New(_) if able.new => self.open(now),
            Way::New(_) => self.fail(Error::OldOnly, false),
            Way::Old(kind) if able.old & 1 << kind.number() != 0 => {
                self.turn(Stage::Challenge(kind), now)
            }
            Way::Old(_) => self.fail(Error::Kind, false),
        }
    }

    /// Begins the handshake by the next suite.
    fn open(&mut self, now: Instant) -> Step {
        let suite = match self.way {
            Way::New(suites) => suites.get(self.refused).copied(),
            Way::Old(_) => None,
        };
        let Some(suite) = suite else { return self.fail(Error::Nonsense, false) };
        let ours = u32::from_le_bytes(self.bytes()).max(1);
        let handshake = Handshake::new(suite, ours, self.bytes());
        self.turn(Stage::Opening(handshake), now)
    }

    fn on_refusal(&mut self, error: Error, now: Instant) -> Step {
        match (error, self.way) {
            (Error::Suite(_), Way::New(suites)) if self.refused + 1 < suites.len() => {
                self.refused += 1;
                self.open(now)
            }
            _ => {
                // It may learn another one.
                self.refused = 0;
                self.fail(error, false)
            }
        }
    }

    fn on_challenge(&mut self, kind: Kind, answer: Result<&[u8], u8>, now: Instant) -> Step {
        let challenged = match answer {
            Ok(data) => command::challenged(data).ok_or(Error::Nonsense),
            Err(0x81 | 0x82) => Err(Error::User),
            Err(code) => Err(Error::of_code(code)),
        };
        let (session, challenge) = match challenged {
            Ok(challenged) => challenged,
            Err(error) => return self.fail(error, false),
        };
        let mut password = Zeroizing::new([0; 16]);
        password.iter_mut().zip(&*self.login.password).for_each(|(to, from)| *to = *from);
        let sequence = u32::from_le_bytes(self.bytes()).max(1);
        let guard = Old { kind, password };
        self.turn(Stage::Activating(Activation { guard, session, challenge, sequence }), now)
    }

    fn on_activation(&mut self, activation: Activation, packet: &Packet<'_>, now: Instant) -> Step {
        // A refusal may come without a signature.
        if let Some(Err(code)) = self.bare(packet, ACTIVATE) {
            return self.fail(activation_error(code), false);
        }
        let message = activation.guard.open(packet, activation.session);
        let Some(answer) = message.and_then(|(_, message)| self.answer(message, ACTIVATE)) else {
            return self.stay(Stage::Activating(activation));
        };
        match answer.map(command::activated) {
            Ok(Some((auth, session, next))) => match Kind::of(auth) {
                Some(kind) => {
                    let guard = Old { kind, ..activation.guard };
                    self.turn(Stage::Raising(Session::old(session, next, guard)), now)
                }
                None => self.fail(Error::Kind, false),
            },
            Ok(None) => self.fail(Error::Nonsense, false),
            Err(code) => self.fail(activation_error(code), false),
        }
    }

    fn on_raised(&mut self, session: Session, message: &[u8], now: Instant) -> Step {
        match self.answer(message, SET_PRIVILEGE) {
            Some(Ok(_)) => self.turn(Stage::Open(session), now),
            Some(Err(0x80..=0x82)) => self.fail(Error::Privilege, false),
            Some(Err(code)) => self.fail(Error::of_code(code), false),
            None => self.stay(Stage::Raising(session)),
        }
    }

    fn on_answer(&mut self, message: &[u8], now: Instant) -> Step {
        let Some(question) = &self.question else { return Step::default() };
        let asked = (question.request.function, question.request.command);
        let Some(answer) = self.answer(message, asked) else { return Step::default() };
        match answer.map_err(Error::of_code) {
            Ok(data) => {
                let data = data.to_vec();
                self.keep_pace(now);
                self.question = None;
                Step { send: None, end: Some(Ok(data)) }
            }
            // It has answered, so the session stands; another message must be another question to it.
            Err(Error::Busy) => {
                if let Some(question) = &mut self.question {
                    (question.trouble, question.lost_at) = (Some(Error::Busy), None);
                }
                self.number = next(self.number);
                self.wake = now + self.pause;
                Step::default()
            }
            Err(error) => self.fail(error, true),
        }
    }

    /// The answer outside of any session to the message that was sent.
    fn bare<'a>(&self, packet: &Packet<'a>, asked: (u8, u8)) -> Option<Result<&'a [u8], u8>> {
        let Packet::Old { auth: 0, session: 0, message, .. } = *packet else { return None };
        self.answer(message, asked)
    }

    /// The data of the answer, or its completion code; nothing where it answers something else.
    fn answer<'a>(&self, message: &'a [u8], asked: (u8, u8)) -> Option<Result<&'a [u8], u8>> {
        let response = Response::read(message)?;
        if (response.function, response.command) != asked || response.number != self.number {
            return None;
        }
        Some(if response.code == 0 { Ok(response.data) } else { Err(response.code) })
    }

    fn fail(&mut self, error: Error, keep: bool) -> Step {
        let keep = keep && self.is_open();
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

/// Completion codes of Activate Session (table 22-21).
const fn activation_error(code: u8) -> Error {
    match code {
        0x81..=0x83 => Error::Full,
        0x85 => Error::Password,
        0x86 => Error::Privilege,
        other => Error::of_code(other),
    }
}

/// A number has six bits.
const fn next(number: u8) -> u8 {
    (number + 1) & 0x3f
}

const CAPABILITIES: (u8, u8) = (command::APPLICATION, 0x38);
const CHALLENGE: (u8, u8) = (command::APPLICATION, 0x39);
const ACTIVATE: (u8, u8) = (command::APPLICATION, 0x3a);
const SET_PRIVILEGE: (u8, u8) = (command::APPLICATION, 0x3b);
/// Invalid data field in request (table 5-2).
const INVALID_DATA: u8 = 0xcc;

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
/// Silence after so many packets is no loss any more.
const HANDSHAKE_TRIES: u32 = 3;
const PING_TAG: u8 = 0x2b;
