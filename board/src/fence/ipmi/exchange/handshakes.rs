//! How we are let in by IPMI 2.0: one handshake, and a second one beside it when the BMC is silent for long.
//!
//! Silence is a slow BMC or a lost packet, and what helps against one does harm with the other. A BMC that takes
//! seconds for RAKP 1 (it asks PAM, or a directory) serves a copy of it as slowly, and makes a new number for it,
//! so that RAKP 3 fits the wrong one. So the first handshake says each thing once, and is waited for as long as
//! there is time. The second one repeats what got no answer. Each has ids of its own, so that every answer belongs
//! to one of them.
//!
//! What the BMC refuses is not signed, and could come from anybody. It is believed when the BMC has not
//! contradicted it in a moment.

use std::time::Duration;

use firmware_agnostic::time::Instant;

use super::attempt::{Attempt, BmcReply};
use super::entrance::{Entered, Expects, Progress};
use super::timer::PacketTimer;
use crate::fence::Guid;
use crate::fence::ipmi::error::Error;
use crate::fence::ipmi::packet::Packet;
use crate::fence::ipmi::rakp::{Handshake, Login};
use crate::fence::ipmi::session::Session;
use crate::fence::ipmi::suite::{SessionKeys, Suite};

/// The handshakes on their way, the oldest first.
pub(super) struct Handshakes {
    /// The suites that were not refused yet, the one that is tried now first.
    suites: &'static [Suite],
    expects: Expects,
    random: fn(&mut [u8]),
    attempts: Vec<Attempt>,
    /// Of the newest one.
    timer: PacketTimer,
    /// How long an answer is waited for, at the least.
    pause: Duration,
    /// The BMC has answered something.
    pub(super) answered: bool,
    /// The longest time that an answer took.
    took: Duration,
}

impl Handshakes {
    /// Begins the first handshake, by the first of `suites`. Nothing is said twice before `pause` is over.
    pub(super) fn begin(
        suites: &'static [Suite],
        expects: Expects,
        login: &Login,
        random: fn(&mut [u8]),
        pause: Duration,
        now: Instant,
    ) -> (Self, Progress) {
        let timer = PacketTimer::new(now, pause);
        let (attempts, took) = (Vec::new(), Duration::ZERO);
        let mut this =
            Self { suites, expects, random, attempts, timer, pause, answered: false, took };
        let progress = this.begin_another(login, now);
        (this, progress)
    }

    /// Takes in a packet.
    pub(super) fn heard(&mut self, packet: &Packet<'_>, login: &Login, now: Instant) -> Progress {
        let heard = |(place, attempt): (usize, &mut Attempt)| {
            let took = attempt.took(now);
            attempt.heard(packet, login, now).map(|heard| (place, took, heard))
        };
        let Some((place, took, heard)) = self.attempts.iter_mut().enumerate().find_map(heard)
        else {
            return Progress::default();
        };
        self.answered = true;
        self.took = self.took.max(took.unwrap_or_default());
        // A BMC that answers is slow, and loses nothing.
        self.timer = PacketTimer::new(now, self.pause());
        match heard {
            Ok(BmcReply::Next) => self.say(place, login),
            Ok(BmcReply::Challenge) => match self.attempts.get(place) {
                Some(attempt) if attempt.is_challenged() => self.prove(place, login, now),
                Some(attempt) => {
                    // The answers to its copies are on their way, and take as long.
                    let pause = self.pause().max(attempt.waited(now) * 5 / 4);
                    self.timer = PacketTimer::new(now, pause);
                    Progress::default()
                }
                None => Progress::default(),
            },
            Ok(BmcReply::Proof(keys)) => self.enter(place, keys),
            Err(_) => {
                self.timer.hurry(now, MOMENT);
                Progress::default()
            }
        }
    }

    /// Notes that the time of [`wake`](Self::wake) has come.
    pub(super) fn late(&mut self, login: &Login, now: Instant) -> Progress {
        if let Some(place) = self.attempts.iter().position(|attempt| attempt.refused.is_some()) {
            return self.refuse(place, login, now);
        }
        let last = self.attempts.len().saturating_sub(1);
        self.timer.again(now);
        if self.attempts.last().is_some_and(Attempt::may_be_challenged) {
            return self.prove(last, login, now);
        }
        // The first one says each thing once.
        if last > 0 && self.attempts.last_mut().is_some_and(Attempt::repeat) {
            return self.say(last, login);
        }
        let send = if last > 0 { self.give_up(last) } else { Vec::new() };
        Progress { send, ..Progress::default() }.then(self.begin_another(login, now))
    }

    pub(super) const fn wake(&self) -> Instant {
        self.timer.wake()
    }

    /// Gives up all but the first so many, and tells the BMC.
    pub(super) fn give_up(&mut self, kept: usize) -> Vec<Vec<u8>> {
        let kept = kept.min(self.attempts.len());
        self.attempts.drain(kept..).filter_map(|attempt| attempt.give_up()).collect()
    }

    fn say(&self, place: usize, login: &Login) -> Progress {
        let send = self.attempts.get(place).map(|attempt| attempt.packet(login));
        Progress { send: send.into_iter().collect(), ..Progress::default() }
    }

    fn begin_another(&mut self, login: &Login, now: Instant) -> Progress {
        let Some(suite) = self.suites.first() else { return Progress::default() };
        let (mut ours, mut number) = ([0; 4], [0; 16]);
        (self.random)(&mut ours);
        (self.random)(&mut number);
        let ours = u32::from_le_bytes(ours).max(1);
        let attempt = Attempt::new(Handshake::new(*suite, ours, number), now);
        let send = vec![attempt.packet(login)];
        self.attempts.push(attempt);
        Progress { send, ..Progress::default() }
    }

    /// Shows that we know the password, as the BMC has shown it. A handshake that began later is not needed any more.
    fn prove(&mut self, place: usize, login: &Login, now: Instant) -> Progress {
        let send = self.give_up(place + 1);
        let progress = Progress { send, ..Progress::default() };
        let Some(attempt) = self.attempts.last_mut() else { return progress };
        let told = Guid(attempt.handshake().guid());
        let another = self.expects.guid.is_some_and(|known| known != told.0 && !told.is_blank());
        if another {
            return progress.then(self.fail(Error::Another));
        }
        attempt.prove(now);
        self.timer = PacketTimer::new(now, self.pause());
        progress.then(self.say(place, login))
    }

    fn enter(&mut self, place: usize, keys: SessionKeys) -> Progress {
        let attempt = self.attempts.remove(place);
        let (theirs, ours) = attempt.handshake().ids();
        let guid = Guid(attempt.handshake().guid());
        let session = Session::new(theirs, ours, keys);
        let guid = (!guid.is_blank()).then_some(guid.0);
        let entered = Entered { session, guid, took: self.took };
        Progress { send: self.give_up(0), end: Some(Ok(entered)) }
    }

    /// Believes a refusal.
    fn refuse(&mut self, place: usize, login: &Login, now: Instant) -> Progress {
        let attempt = self.attempts.remove(place);
        let error = attempt.refused.unwrap_or(Error::Nonsense);
        let send = attempt.give_up().into_iter().collect();
        let progress = Progress { send, ..Progress::default() };
        match (error, self.suites) {
            (Error::Suite(_), [_, next, ..]) => {
                if let Some(known) = self.expects.suite.filter(|known| next < known) {
                    return progress.then(self.fail(Error::Weaker(known)));
                }
                self.suites = self.suites.get(1..).unwrap_or_default();
                let send = self.give_up(0);
                self.timer = PacketTimer::new(now, self.pause());
                progress.then(Progress { send, end: None }).then(self.begin_another(login, now))
            }
            // The other one stands.
            (Error::Login(_), _) if !self.attempts.is_empty() => {
                self.timer.again(now);
                progress
            }
            _ => progress.then(self.fail(error)),
        }
    }

    fn fail(&mut self, error: Error) -> Progress {
        Progress { send: self.give_up(0), end: Some(Err(error)) }
    }

    /// How long the next answer is waited for.
    fn pause(&self) -> Duration {
        (self.took * 2).max(self.pause)
    }
}

/// A BMC that is asked and a stranger who knows of it answer at the same time.
const MOMENT: Duration = Duration::from_millis(100);
