//! How we are let in by IPMI 1.5: a challenge, which the password signs.
//!
//! What is signed wrongly is dropped by the BMC without a word (section 6.12.9), and counted. So the password is said
//! once, and silence is a refusal. What the BMC says before that is not signed.

use std::time::Duration;

use firmware_agnostic::time::Instant;
use zeroize::Zeroizing;

use super::entrance::{Entered, Progress};
use super::timer::{PacketTimer, UNKNOWN};
use crate::fence::ipmi::command;
use crate::fence::ipmi::error::Error;
use crate::fence::ipmi::message::{IpmiRequest, IpmiResponse};
use crate::fence::ipmi::packet::{self, Packet};
use crate::fence::ipmi::rakp::Login;
use crate::fence::ipmi::session::{Kind, Old, Session};

/// A login by IPMI 1.5.
pub(super) struct OldLogin {
    kind: Kind,
    random: fn(&mut [u8]),
    /// What the BMC is to answer.
    request: IpmiRequest,
    stage: LoginStage,
    timer: PacketTimer,
}

enum LoginStage {
    Challenge,
    Activating { guard: Old, session: u32 },
}

impl OldLogin {
    pub(super) fn begin(
        kind: Kind,
        login: &Login,
        random: fn(&mut [u8]),
        now: Instant,
    ) -> (Self, Progress) {
        let mut user = [0; 16];
        user.iter_mut().zip(&login.user).for_each(|(to, from)| *to = *from);
        let request = command::challenge(kind.number(), &user);
        let timer = PacketTimer::new(now, UNKNOWN);
        let this = Self { kind, random, request, stage: LoginStage::Challenge, timer };
        let progress = Progress::say(this.packet());
        (this, progress)
    }

    pub(super) fn heard(&mut self, packet: &Packet<'_>, login: &Login, now: Instant) -> Progress {
        match &self.stage {
            LoginStage::Challenge => match self.bare(packet) {
                Some(Ok(data)) => self.challenged(&data, login, now),
                Some(Err(0x81 | 0x82)) => Progress::fail(Error::User),
                Some(Err(0xc1 | 0xcc)) => Progress::fail(Error::Kind),
                Some(Err(code)) => Progress::fail(Error::of_code(code)),
                None => Progress::default(),
            },
            LoginStage::Activating { guard, session } => {
                // A refusal may come without a signature.
                if let Some(Err(code)) = self.bare(packet) {
                    return Progress::fail(activation_error(code));
                }
                let Some((_, message)) = guard.open(packet, *session) else {
                    return Progress::default();
                };
                let signed = guard.kind != Kind::Nothing;
                match IpmiResponse::read(message, signed) {
                    Some(it) if it.number == NUMBER && it.answers(&self.request) => {
                        activated(guard, &it, now - self.timer.first())
                    }
                    _ => Progress::default(),
                }
            }
        }
    }

    /// Asks for another challenge; but the password is said once.
    pub(super) fn late(&mut self, now: Instant) -> Progress {
        self.timer.again(now);
        if self.is_said_once() {
            return Progress::fail(Error::NotLetIn);
        }
        Progress::say(self.packet())
    }

    pub(super) const fn wake(&self) -> Instant {
        self.timer.wake()
    }

    /// Whether the password was said.
    pub(super) const fn is_said_once(&self) -> bool {
        matches!(&self.stage, LoginStage::Activating { guard, .. } if !matches!(guard.kind, Kind::Nothing))
    }

    fn challenged(&mut self, data: &[u8], login: &Login, now: Instant) -> Progress {
        let Some((session, challenge)) = command::challenged(data) else {
            return Progress::fail(Error::Nonsense);
        };
        let mut password = Zeroizing::new([0; 16]);
        password.iter_mut().zip(&*login.password).for_each(|(to, from)| *to = *from);
        let mut first = [0; 4];
        (self.random)(&mut first);
        let first = u32::from_le_bytes(first).max(1);
        let number = self.kind.number();
        self.request = command::activate(number, login.privilege, &challenge, first);
        self.stage = LoginStage::Activating { guard: Old { kind: self.kind, password }, session };
        let took = now - self.timer.first();
        self.timer = PacketTimer::new(now, (took * 2).max(LOGIN_MIN));
        Progress::say(self.packet())
    }

    fn packet(&self) -> Vec<u8> {
        let message = self.request.write(NUMBER);
        match &self.stage {
            LoginStage::Challenge => packet::old(0, 0, 0, &[], &message),
            LoginStage::Activating { guard, session } => guard.seal(*session, 0, &message),
        }
    }

    /// The answer outside of any session to what was asked.
    fn bare(&self, packet: &Packet<'_>) -> Option<Result<Vec<u8>, u8>> {
        let Packet::Old { auth: 0, session: 0, message, .. } = *packet else { return None };
        let response = IpmiResponse::read(message, false)?;
        let answers = response.number == NUMBER && response.answers(&self.request);
        answers.then(|| response.result())
    }
}

fn activated(guard: &Old, response: &IpmiResponse<'_>, took: Duration) -> Progress {
    let data = match response.result() {
        Ok(data) => data,
        Err(code) => return Progress::fail(activation_error(code)),
    };
    let Some((auth, session, next)) = command::activated(&data) else {
        return Progress::fail(Error::Nonsense);
    };
    match Kind::of(auth) {
        // What is not signed any more could come from anybody.
        Some(Kind::Nothing) if guard.kind != Kind::Nothing => Progress::fail(Error::Unsigned),
        Some(kind) if kind == guard.kind => {
            let session = Session::old(session, next, guard.clone());
            let entered = Entered { session, guid: None, took };
            Progress { end: Some(Ok(entered)), ..Progress::default() }
        }
        _ => Progress::fail(Error::Kind),
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

/// Each of the two commands is one message.
const NUMBER: u8 = 1;
/// An answer to a login that is later than this, or than twice the time of the answer before, does not come.
const LOGIN_MIN: Duration = Duration::from_secs(2);
