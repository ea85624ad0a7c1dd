//! One conversation with a BMC: questions, and the session that they need, without a socket and without a clock.
//!
//! Bytes and time go in, bytes and an outcome come out ([`Step`]). The session is kept: the first question opens
//! it, the next ones are one packet there and one back. What gets no answer is sent again, in a packet of its own
//! each time.
//!
//! A BMC that is silent may have forgotten the session, and may be slow. So a session that is silent for long is
//! not dropped: another login begins beside it, and the first of them that answers goes on: the old session may
//! still do so when the new one is there, because a BMC may take seconds for one command and none for a login. A
//! login that is not done when the time is over goes on with the next question. What is of no use any more is
//! closed, because a BMC has few places.
//!
//! ```text
//! ask -> session --------------------------------> privilege -> question -> end
//!          | none yet, or silent for long             ^
//!          +--> entrance (handshakes, or OldLogin) ---+
//! ```

use std::mem;
use std::time::Duration;

use self::entrance::{Entered, Expects, LoginExchange, Progress};
use self::timer::{PAUSE_MAX, Paces, PacketTimer, UNKNOWN};
use super::command;
use super::error::Error;
use super::message::{IpmiRequest, IpmiResponse};
use super::packet::{self, Packet};
use super::rakp::Login;
use super::session::{Kind, Session};
use super::suite::Suite;
use firmware_agnostic::time::Instant;

mod attempt;
mod entrance;
mod handshakes;
mod old;
mod timer;

/// How one is let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuthMethod {
    /// By IPMI 2.0, with the first of these suites that the BMC speaks.
    New(&'static [Suite]),
    /// By IPMI 1.5.
    Old(Kind),
}

/// What is to be done now.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Step {
    /// Send these.
    pub send: Vec<Vec<u8>>,
    /// The question has ended, with the data of its answer.
    pub end: Option<Result<Vec<u8>, Error>>,
}

/// A conversation with one BMC.
pub struct Exchange {
    login: Login,
    way: AuthMethod,
    random: fn(&mut [u8]),
    expects: Expects,
    session: Option<Open>,
    /// The session before, in which the question was asked too.
    former: Option<Open>,
    entrance: Option<LoginExchange>,
    question: Option<BmcQuestion>,
    /// Of the question, in the session.
    timer: PacketTimer,
    paces: Paces,
    /// Anything at all was heard since the question was asked.
    alive: bool,
    /// The BMC has said, to a stranger, that it does not speak IPMI 2.0.
    old_only: bool,
}

/// A session that is open.
struct Open {
    session: Session,
    /// The privilege that is needed is there: a session begins with that of a user.
    raised: bool,
    /// The privilege is what is asked for now.
    raising: bool,
    /// The BMC wants more than that of a user for everything.
    wants_more: bool,
    /// The longest time that the BMC took to let us in.
    took: Duration,
    /// So many questions in a row were not answered in it.
    silences: u32,
    /// When each copy of what is asked now was sent.
    said: Vec<Instant>,
}

struct BmcQuestion {
    request: IpmiRequest,
    until: Instant,
    /// When a session that is silent gets a successor.
    lost_at: Option<Instant>,
    /// When a login that the BMC had no place for begins again.
    begin_at: Option<Instant>,
    /// When a BMC that has said nothing is asked whether it is there.
    probe_at: Option<Instant>,
    /// How often a login was begun again that the BMC had refused.
    again: u32,
    /// It was asked in one session after the other.
    wandered: bool,
    trouble: Option<Error>,
}

impl Exchange {
    /// A conversation in which nothing was said yet. `known` is the suite by which this BMC was asked before: a
    /// weaker one is not spoken with it. `random` fills bytes that nobody can guess.
    pub fn new(login: Login, way: AuthMethod, known: Option<Suite>, random: fn(&mut [u8])) -> Self {
        Self {
            login,
            way,
            random,
            expects: Expects { suite: known, guid: None },
            session: None,
            former: None,
            entrance: None,
            question: None,
            timer: PacketTimer::new(Instant::from_millis(0), UNKNOWN),
            paces: Paces::default(),
            alive: false,
            old_only: false,
        }
    }

    /// Begins a question that must be answered by `until`.
    pub fn ask(&mut self, request: IpmiRequest, now: Instant, until: Instant) -> Step {
        self.alive = false;
        self.question = Some(BmcQuestion {
            lost_at: None,
            begin_at: None,
            probe_at: Some(now + (until - now) / PART),
            again: 0,
            wandered: false,
            trouble: None,
            request,
            until,
        });
        let mut step = Step::default();
        step.send.extend(self.forget_former());
        if self.session.as_ref().is_some_and(Open::is_over) {
            step.send.extend(self.hang_up());
        }
        if self.session.is_some() {
            self.say(now, &mut step);
        } else if self.entrance.is_none() {
            self.begin(now, &mut step);
        }
        step
    }

    /// Takes in a datagram of the BMC.
    pub fn heard(&mut self, datagram: &[u8], now: Instant) -> Step {
        let mut step = Step::default();
        self.alive = true;
        let Some(packet) = Packet::read(datagram) else { return step };
        if self.question.is_none() {
            return step;
        }
        if !self.answered_anywhere(&packet, now, &mut step)
            && let Some(entrance) = &mut self.entrance
        {
            let progress = entrance.heard(&packet, &self.login, now);
            self.follow(progress, now, &mut step);
        }
        self.listen_to_strangers(&packet);
        step
    }

    /// Notes the time.
    pub fn late(&mut self, now: Instant) -> Step {
        let mut step = Step::default();
        let Some(question) = &mut self.question else { return step };
        if now >= question.until {
            return self.expire();
        }
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        let begins = due(&mut question.lost_at) | due(&mut question.begin_at);
        let known = self.session.is_some()
            || self.entrance.as_ref().is_some_and(LoginExchange::is_answered);
        if due(&mut question.probe_at) && !self.alive && !known {
            let able = command::capabilities(self.login.privilege, true).write(PROBE);
            step.send.extend([packet::ping(PROBE), packet::old(0, 0, 0, &[], &able)]);
        }
        if begins && self.entrance.is_none() {
            self.begin(now, &mut step);
        }
        if self.session.is_some() && now >= self.timer.wake() {
            self.timer.again(now);
            step.send.extend(self.packet(now));
        }
        if let Some(entrance) = &mut self.entrance
            && now >= entrance.wake()
        {
            let progress = entrance.late(&self.login, now);
            self.follow(progress, now, &mut step);
        }
        step
    }

    /// When [`late`](Self::late) wants to be called; never while nothing is asked.
    pub fn wake(&self) -> Option<Instant> {
        let question = self.question.as_ref()?;
        let session = self.session.as_ref().map(|_| self.timer.wake());
        let entrance = self.entrance.as_ref().map(LoginExchange::wake);
        let times = [question.lost_at, question.begin_at, question.probe_at, session, entrance];
        times.into_iter().flatten().chain([question.until]).min()
    }

    /// The session that is open, as the BMC calls it.
    pub fn session(&self) -> Option<u32> {
        self.session.as_ref().map(|open| open.session.id())
    }

    /// The suite of that session; none in IPMI 1.5.
    pub fn suite(&self) -> Option<Suite> {
        self.session.as_ref()?.session.suite()
    }

    /// Whether the next question goes on with what was begun: a session, or a login.
    pub const fn is_kept(&self) -> bool {
        self.session.is_some() || self.entrance.is_some()
    }

    /// The question is called off. What the next one goes on with stays.
    pub fn call_off(&mut self) {
        self.question = None;
        if let Some(open) = &mut self.session {
            open.silences += 1;
        }
    }

    /// Ends all that was begun: what is to be sent then, to which no answer is waited for.
    pub fn close(&mut self) -> Vec<Vec<u8>> {
        self.question = None;
        let mut step = Step::default();
        step.send.extend(self.forget_former());
        step.send.extend(self.hang_up());
        self.stop_entering(&mut step);
        step.send
    }

    /// Begins a login. A BMC that may take long for one of its steps is not hurried.
    fn begin(&mut self, now: Instant, step: &mut Step) {
        let left = self.question.as_ref().map_or(Duration::ZERO, |question| question.until - now);
        let pause = (left / 2).clamp(LOGIN_PAUSE, PAUSE_MAX);
        let (way, expects, random) = (self.way, self.expects, self.random);
        let (entrance, progress) =
            LoginExchange::begin(way, expects, &self.login, random, pause, now);
        self.entrance = Some(entrance);
        self.follow(progress, now, step);
    }

    /// Gives the login up that is under way, if there is one.
    fn stop_entering(&mut self, step: &mut Step) {
        if let Some(entrance) = self.entrance.take() {
            step.send.extend(entrance.give_up());
        }
    }

    /// Does what comes of something that happened to the login.
    fn follow(&mut self, progress: Progress, now: Instant, step: &mut Step) {
        step.send.extend(progress.send);
        match progress.end {
            None => {}
            Some(Ok(entered)) => {
                self.entrance = None;
                step.send.extend(self.forget_former());
                self.former = self.session.take();
                self.enter(entered, now, step);
            }
            Some(Err(error)) => {
                self.entrance = None;
                self.refused(error, now, step);
            }
        }
    }

    fn enter(&mut self, entered: Entered, now: Instant, step: &mut Step) {
        let Entered { session, guid, took } = entered;
        self.expects = Expects { suite: session.suite(), guid: guid.or(self.expects.guid) };
        self.session = Some(Open {
            session,
            raised: false,
            raising: false,
            wants_more: false,
            took,
            silences: 0,
            said: Vec::new(),
        });
        if let Some(question) = &mut self.question {
            question.trouble = None;
            question.wandered = self.former.is_some();
        }
        self.say(now, step);
    }

    /// Goes on after a login that was refused: begins it again where that helps.
    fn refused(&mut self, error: Error, now: Instant, step: &mut Step) {
        let Some(question) = &mut self.question else { return };
        match error {
            Error::Full => {
                question.begin_at = Some(now + PLACE_PAUSE);
                question.trouble = Some(error);
            }
            Error::Login(_) if question.again < AGAIN_MAX => {
                question.again += 1;
                self.begin(now, step);
            }
            Error::Another => {
                self.expects.guid = None;
                step.send.extend(self.hang_up());
                self.end(Err(error), step);
            }
            // The session before may answer yet.
            _ if self.session.is_some() => question.trouble = Some(error),
            _ => self.end(Err(error), step),
        }
    }

    /// Says in the session what is to be said now: the question, or before it that we want to be allowed to. Where
    /// the BMC takes so long that the time is too short for both, a question that every user may ask is asked
    /// first.
    fn say(&mut self, now: Instant, step: &mut Step) {
        let (Some(open), Some(question)) = (&mut self.session, &mut self.question) else { return };
        let short = question.until - now < open.took * ROUNDS;
        let user = short && !open.wants_more && command::is_for_users(&question.request);
        open.raising = !open.raised && !user;
        open.turn();
        let request = open.request(&question.request, &self.login);
        let part = (question.until - now) / PART;
        let mut pace = self.paces.of(&request, open.took);
        if command::is_order(&request) {
            // Some BMCs answer when it is done.
            pace = pace.max(part.min(PAUSE_MAX));
        }
        let mut silence = (pace * COPIES).max(LOST).min(part).max(UNKNOWN).max(open.took * 2);
        if question.wandered {
            // The BMC is there, and may be slow.
            silence = silence.max(part * 2);
        }
        self.timer = PacketTimer::new(now, pace);
        question.lost_at = (!command::is_optional(&request)).then(|| now + silence);
        step.send.extend(self.packet(now));
    }

    /// The packet of what is asked in the session, made anew.
    fn packet(&mut self, now: Instant) -> Option<Vec<u8>> {
        let first = self.bytes();
        let (open, question) = (self.session.as_mut()?, self.question.as_ref()?);
        let request = open.request(&question.request, &self.login);
        open.said.push(now);
        Some(open.session.question(&request, first))
    }

    /// Takes in an answer in the session, or in the one before, which is then the session again; false where it is
    /// none.
    fn answered_anywhere(&mut self, packet: &Packet<'_>, now: Instant, step: &mut Step) -> bool {
        if self.answered(packet, now, step) {
            return true;
        }
        let Some(former) = self.former.take() else { return false };
        let later = self.session.replace(former);
        let answered = self.answered(packet, now, step);
        if answered {
            step.send.extend(later.map(|open| self.farewell(open)));
        } else {
            self.former = mem::replace(&mut self.session, later);
        }
        answered
    }

    /// Takes in an answer in the session; false where it is none.
    fn answered(&mut self, packet: &Packet<'_>, now: Instant, step: &mut Step) -> bool {
        let (Some(open), Some(question)) = (&mut self.session, &mut self.question) else {
            return false;
        };
        let request = open.request(&question.request, &self.login);
        let Some((ago, answer)) = open.session.answer(packet, &request) else { return false };
        open.silences = 0;
        let said_at = open.said.iter().rev().nth(ago);
        self.paces.learn(&request, said_at.map_or(Duration::ZERO, |at| now - *at));
        (question.lost_at, question.trouble) = (None, None);
        let raising = open.raising;
        open.raised |= raising && answer.is_ok();
        let error = answer.as_ref().err().map(|code| Error::of_code(*code));
        open.wants_more |= error == Some(Error::Privilege);
        let more = !raising && !open.raised && open.wants_more;
        // The session stands, so that it needs no successor.
        self.stop_entering(step);
        if !raising {
            step.send.extend(self.forget_former());
        }
        match (answer, error) {
            (Ok(_), _) if raising => self.say(now, step),
            (Ok(data), _) => self.end(Ok(data), step),
            (Err(0x80..=0x82), _) if raising => {
                // Nobody can do in it what it is for.
                step.send.extend(self.hang_up());
                self.end(Err(Error::Privilege), step);
            }
            _ if more => self.say(now, step),
            (Err(_), Some(error)) if error.may_pass(&request) => self.ask_later(error, now),
            (Err(_), error) => self.end(Err(error.unwrap_or(Error::Nonsense)), step),
        }
        true
    }

    /// The same question is asked later, in another message, because this one has been answered.
    fn ask_later(&mut self, error: Error, now: Instant) {
        if let (Some(open), Some(question)) = (&mut self.session, &mut self.question) {
            question.trouble = Some(error);
            open.turn();
            let pace = self.paces.of(&open.request(&question.request, &self.login), open.took);
            self.timer = PacketTimer::new(now, pace);
        }
    }

    /// The time of the question is over.
    fn expire(&mut self) -> Step {
        let mut step = Step::default();
        let Some(question) = &self.question else { return step };
        let optional = command::is_optional(&question.request);
        let entering = self.entrance.as_ref().is_some_and(LoginExchange::is_answered);
        let inside = self.session.is_some() && !optional;
        let error = question.trouble.unwrap_or(match () {
            () if entering || self.alive && inside => Error::Slow,
            () if self.old_only => Error::OldOnly,
            () => Error::Silent(self.alive),
        });
        if let Some(open) = &mut self.session
            && question.trouble.is_none()
            && !optional
        {
            open.silences += 1;
        }
        let once = self.entrance.as_ref().is_some_and(LoginExchange::is_said_once);
        if !self.alive && !once {
            self.stop_entering(&mut step);
        }
        self.end(Err(error), &mut step);
        step
    }

    fn end(&mut self, outcome: Result<Vec<u8>, Error>, step: &mut Step) {
        self.question = None;
        step.send.extend(self.forget_former());
        step.end = Some(outcome);
    }

    /// Ends the session, if there is one.
    fn hang_up(&mut self) -> Option<Vec<u8>> {
        self.session.take().map(|open| self.farewell(open))
    }

    /// Ends the session before.
    fn forget_former(&mut self) -> Option<Vec<u8>> {
        self.former.take().map(|open| self.farewell(open))
    }

    /// The packet that ends a session.
    fn farewell(&self, Open { mut session, .. }: Open) -> Vec<u8> {
        session.turn();
        session.question(&command::close(session.id()), self.bytes())
    }

    /// What it says without a session is not signed, and helps to tell people why there is none.
    fn listen_to_strangers(&mut self, packet: &Packet<'_>) {
        if let Packet::Old { auth: 0, session: 0, message, .. } = *packet
            && let Some(response) = IpmiResponse::read(message, false)
            && response.number == PROBE
            && response.answers(&command::capabilities(self.login.privilege, true))
        {
            self.old_only = command::able(response.data).is_some_and(|able| !able.new);
        }
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.random)(&mut bytes);
        bytes
    }
}

impl Open {
    /// What is asked in it now.
    fn request(&self, question: &IpmiRequest, login: &Login) -> IpmiRequest {
        if self.raising { command::set_privilege(login.privilege) } else { question.clone() }
    }

    /// Goes on to another question.
    fn turn(&mut self) {
        self.session.turn();
        self.said.clear();
    }

    /// Whether the next question needs another session.
    const fn is_over(&self) -> bool {
        self.session.is_spent() || self.silences >= SILENCES_MAX
    }
}

/// Of the time that a question has, so much at the most is given to a session that may be gone, and to a BMC that
/// may be.
const PART: u32 = 3;
/// A session in which so many copies of a question would have got no answer, in such a time, may be gone.
const COPIES: u32 = 4;
const LOST: Duration = Duration::from_secs(2);
/// A BMC may look a user up in a directory, or hash a password slowly: that takes a second (openbmc-test-automation
/// issue 2111: 0.2 to more than 1 s), and is no loss yet.
const LOGIN_PAUSE: Duration = Duration::from_millis(1500);
/// A login that was refused because packets were lost or repeated is not spoiled thrice.
const AGAIN_MAX: u32 = 2;
/// A BMC that has no place left has one when somebody else has finished.
const PLACE_PAUSE: Duration = Duration::from_secs(1);
/// Two questions take so many times what one takes, with some to spare.
const ROUNDS: u32 = 3;
/// A session in which so many questions get no answer is not there.
const SILENCES_MAX: u32 = 3;
/// The tag of a ping, and the number of a message without a session.
const PROBE: u8 = 0x2b;
