//! What a BMC said: does it answer what was asked, and what follows from it?

use zeroize::Zeroizing;

use super::{Activation, Exchange, LOGIN_MIN, Stage, Step, Way, next};
use crate::fence::ipmi::command;
use crate::fence::ipmi::error::Error;
use crate::fence::ipmi::message::Response;
use crate::fence::ipmi::packet::Packet;
use crate::fence::ipmi::rakp::Handshake;
use crate::fence::ipmi::session::{Kind, Old, Session};
use firmware_agnostic::time::Instant;

impl Exchange {
    /// What is heard in each stage, and what follows.
    pub(super) fn take(&mut self, packet: &Packet<'_>, now: Instant) -> Step {
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
                Some(Ok(())) if *self.guid.get_or_insert(handshake.guid()) != handshake.guid() => {
                    self.guid = None;
                    self.fail(Error::Another, false)
                }
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
        let took = now - self.said_at;
        let step =
            self.turn(Stage::Activating(Activation { guard, session, challenge, sequence }), now);
        if self.is_kept() {
            self.wake = now + (took * 2).max(LOGIN_MIN);
        }
        step
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
            // What is not signed any more could come from anybody.
            Ok(Some((auth, ..)))
                if auth == Kind::Nothing.number() && activation.guard.kind != Kind::Nothing =>
            {
                self.fail(Error::Unsigned, false)
            }
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

const CAPABILITIES: (u8, u8) = (command::APPLICATION, 0x38);
const CHALLENGE: (u8, u8) = (command::APPLICATION, 0x39);
const ACTIVATE: (u8, u8) = (command::APPLICATION, 0x3a);
const SET_PRIVILEGE: (u8, u8) = (command::APPLICATION, 0x3b);
/// Invalid data field in request (table 5-2).
const INVALID_DATA: u8 = 0xcc;
