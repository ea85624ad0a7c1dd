//! One handshake of IPMI 2.0 on its way: which of its messages is waited for, and how often the one before was sent.

use std::time::Duration;

use firmware_agnostic::time::Instant;

use crate::fence::ipmi::error::Error;
use crate::fence::ipmi::packet::Packet;
use crate::fence::ipmi::rakp::{Handshake, Login};
use crate::fence::ipmi::suite::SessionKeys;

/// A handshake that has begun.
pub(super) struct Attempt {
    handshake: Handshake,
    awaits: Awaits,
    /// When the present message was sent first, and how often.
    said_at: Instant,
    copies: u32,
    /// How many answers it had. A BMC makes a new number for each copy of RAKP 1, and counts the last.
    answers: u32,
    /// What it was refused with; somebody else may have said so, and the BMC may contradict.
    pub(super) refused: Option<Error>,
}

/// What the BMC is to say next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Awaits {
    Opened,
    Challenge,
    Proof,
}

/// What the BMC has said.
pub(super) enum BmcReply {
    /// There is something to be said in turn.
    Next,
    /// It knows the password: RAKP 3 may follow.
    Challenge,
    /// It has let us in.
    Proof(SessionKeys),
}

impl Attempt {
    pub(super) const fn new(handshake: Handshake, now: Instant) -> Self {
        let awaits = Awaits::Opened;
        Self { handshake, awaits, said_at: now, copies: 1, answers: 0, refused: None }
    }

    /// The message that the BMC is to answer.
    pub(super) fn packet(&self, login: &Login) -> Vec<u8> {
        match self.awaits {
            Awaits::Opened => self.handshake.open(login),
            Awaits::Challenge => self.handshake.first(login),
            Awaits::Proof => self.handshake.third(login),
        }
    }

    /// Takes in a packet; nothing where it is none for this handshake.
    pub(super) fn heard(
        &mut self,
        packet: &Packet<'_>,
        login: &Login,
        now: Instant,
    ) -> Option<Result<BmcReply, Error>> {
        let heard = match self.awaits {
            Awaits::Opened => self.handshake.opened(packet)?.map(|()| {
                self.go_on(Awaits::Challenge, now);
                BmcReply::Next
            }),
            Awaits::Challenge => self.handshake.second(packet, login)?.map(|()| {
                self.answers += 1;
                BmcReply::Challenge
            }),
            Awaits::Proof => self.handshake.fourth(packet, login)?.map(BmcReply::Proof),
        };
        self.refused = heard.as_ref().err().copied();
        Some(heard)
    }

    /// Whether RAKP 2 is there, and answers the last RAKP 1 that was sent.
    pub(super) const fn is_challenged(&self) -> bool {
        self.answers > 0 && self.answers >= self.copies
    }

    /// Whether RAKP 2 is there, and there was another RAKP 1 that it may not answer.
    pub(super) const fn may_be_challenged(&self) -> bool {
        self.answers > 0
    }

    /// RAKP 3 is to be said from now on.
    pub(super) const fn prove(&mut self, now: Instant) {
        self.go_on(Awaits::Proof, now);
    }

    /// How long the BMC has taken for the present message; none where it is not known which copy it has answered.
    pub(super) fn took(&self, now: Instant) -> Option<Duration> {
        (self.copies == 1).then(|| self.waited(now))
    }

    /// How long ago the present message was said first.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        now - self.said_at
    }

    /// Says the same again, unless that was done often enough.
    pub(super) const fn repeat(&mut self) -> bool {
        let may = self.copies < COPIES_MAX;
        self.copies += may as u32;
        may
    }

    /// What it knows of the BMC: ids and GUID.
    pub(super) const fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// A message by which the BMC forgets it. There is none before RAKP 1: the server of pyghmi ends when it hears
    /// RAKP 3 then, and others keep the session.
    pub(super) fn give_up(&self) -> Option<Vec<u8>> {
        (self.awaits != Awaits::Opened).then(|| self.handshake.give_up())
    }

    const fn go_on(&mut self, awaits: Awaits, now: Instant) {
        (self.awaits, self.said_at, self.copies, self.answers) = (awaits, now, 1, 0);
    }
}

/// What got no answer so often is begun again: the BMC may have forgotten it.
const COPIES_MAX: u32 = 3;
