//! How we are let in, by IPMI 2.0 or 1.5.

use std::time::Duration;

use firmware_agnostic::time::Instant;

use super::AuthMethod;
use super::handshakes::Handshakes;
use super::old::OldLogin;
use crate::fence::ipmi::error::Error;
use crate::fence::ipmi::packet::Packet;
use crate::fence::ipmi::rakp::Login;
use crate::fence::ipmi::session::Session;
use crate::fence::ipmi::suite::Suite;

/// A login on its way.
pub(super) enum LoginExchange {
    /// By IPMI 2.0.
    New(Handshakes),
    /// By IPMI 1.5.
    Old(OldLogin),
}

/// What the session before has shown of the BMC.
#[derive(Clone, Copy, Default)]
pub(super) struct Expects {
    /// The suite that it spoke: a weaker one is not spoken with it any more.
    pub(super) suite: Option<Suite>,
    /// By what it called itself.
    pub(super) guid: Option<[u8; 16]>,
}

/// What comes of something that happened to a login.
#[derive(Default)]
pub(super) struct Progress {
    /// Send these.
    pub(super) send: Vec<Vec<u8>>,
    /// It has ended.
    pub(super) end: Option<Result<Entered, Error>>,
}

/// A session that has just begun.
pub(super) struct Entered {
    pub(super) session: Session,
    /// By what the BMC calls itself, where that tells it from others.
    pub(super) guid: Option<[u8; 16]>,
    /// The longest time that it took to answer.
    pub(super) took: Duration,
}

impl LoginExchange {
    /// Begins one. Nothing is said twice before `pause` is over.
    pub(super) fn begin(
        way: AuthMethod,
        expects: Expects,
        login: &Login,
        random: fn(&mut [u8]),
        pause: Duration,
        now: Instant,
    ) -> (Self, Progress) {
        match way {
            AuthMethod::New(suites) => {
                let (new, progress) = Handshakes::begin(suites, expects, login, random, pause, now);
                (Self::New(new), progress)
            }
            AuthMethod::Old(kind) => {
                let (old, progress) = OldLogin::begin(kind, login, random, now);
                (Self::Old(old), progress)
            }
        }
    }

    pub(super) fn heard(&mut self, packet: &Packet<'_>, login: &Login, now: Instant) -> Progress {
        match self {
            Self::New(new) => new.heard(packet, login, now),
            Self::Old(old) => old.heard(packet, login, now),
        }
    }

    /// Notes that the time of [`wake`](Self::wake) has come.
    pub(super) fn late(&mut self, login: &Login, now: Instant) -> Progress {
        match self {
            Self::New(new) => new.late(login, now),
            Self::Old(old) => old.late(now),
        }
    }

    pub(super) const fn wake(&self) -> Instant {
        match self {
            Self::New(new) => new.wake(),
            Self::Old(old) => old.wake(),
        }
    }

    /// Whether the BMC has answered anything.
    pub(super) const fn is_answered(&self) -> bool {
        match self {
            Self::New(new) => new.answered,
            // Its first answer is what the password is said to.
            Self::Old(old) => old.is_said_once(),
        }
    }

    /// Whether the password was said in a way that must not be said again: see [`OldLogin`].
    pub(super) const fn is_said_once(&self) -> bool {
        match self {
            Self::New(_) => false,
            Self::Old(old) => old.is_said_once(),
        }
    }

    /// Gives it up.
    pub(super) fn give_up(self) -> Vec<Vec<u8>> {
        match self {
            Self::New(mut new) => new.give_up(0),
            Self::Old(_) => Vec::new(),
        }
    }
}

impl Progress {
    pub(super) fn say(packet: Vec<u8>) -> Self {
        Self { send: vec![packet], ..Self::default() }
    }

    pub(super) fn fail(error: Error) -> Self {
        Self { end: Some(Err(error)), ..Self::default() }
    }

    /// And then this.
    pub(super) fn then(mut self, next: Self) -> Self {
        self.send.extend(next.send);
        Self { end: next.end.or(self.end), ..self }
    }
}
