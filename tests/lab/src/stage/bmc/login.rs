//! Lets users in: the BMC's half of the handshakes of IPMI 2.0 and 1.5, and the sessions that come of them.

use board::fence::ipmi::command::Privilege;
use board::fence::ipmi::message::{BMC, CONSOLE, sum};
use board::fence::ipmi::packet::{self, OPEN, OPENED, Packet, RAKP, number};
use board::fence::ipmi::session::{Kind, Old, Session};
use board::fence::ipmi::suite::{SessionKeys, Suite, is_same};
use rustix::rand::{GetRandomFlags, getrandom};

use super::quirks::{Habit, Quirks, Work};
use super::sealing::Voice;
use super::{Character, Inside, User};

/// The sessions, open and half open.
#[derive(Default)]
pub(super) struct Logins {
    entries: Vec<Entry>,
    wrong: u32,
    begun: u32,
    done: u32,
}

struct Entry {
    id: u32,
    state: State,
    /// What it may do now, and what it may raise itself to.
    privilege: u8,
    privilege_max: u8,
}

enum State {
    Opened {
        suite: Suite,
        console: u32,
        privilege: u8,
    },
    Proving(Box<Proof>),
    Challenged {
        old: Old,
        user: User,
        challenge: [u8; 16],
    },
    /// With a voice of its own in IPMI 2.0.
    Ready(Box<Session>, Option<Voice>),
}

struct Proof {
    suite: Suite,
    console: u32,
    /// That of the Open Session Request.
    privilege: u8,
    theirs: [u8; 16],
    ours: [u8; 16],
    /// Role, length of the name, name, as they stand in what is signed.
    who: Vec<u8>,
    user: User,
}

/// A question, as it came.
pub(super) struct Question<'a> {
    pub(super) function: u8,
    pub(super) command: u8,
    number: u8,
    pub(super) data: &'a [u8],
}

/// What is answered: completion code and data.
pub(super) type Answer = (u8, Vec<u8>);

impl Logins {
    pub(super) fn count(&self) -> usize {
        self.entries.iter().filter(|entry| entry.state.is_ready()).count()
    }

    pub(super) fn places(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn begun_and_done(&self) -> (u32, u32) {
        (self.begun, self.done)
    }

    pub(super) const fn wrong(&self) -> u32 {
        self.wrong
    }

    pub(super) fn forget(&mut self) {
        self.entries.clear();
    }

    fn close(&mut self, id: u32) {
        self.entries.retain(|entry| entry.id != id);
    }

    /// Sets what a session may do from now on, and tells it, or the completion code of a refusal.
    pub(super) fn raise(&mut self, id: u32, wanted: u8) -> Result<u8, u8> {
        let entry = self.entries.iter_mut().find(|entry| entry.id == id).ok_or(0x85)?;
        if wanted > entry.privilege_max {
            return Err(0x81);
        }
        if wanted != 0 {
            entry.privilege = wanted;
        }
        Ok(entry.privilege)
    }

    fn add(&mut self, state: State, privilege_max: u8) -> u32 {
        let id = u32::from_le_bytes(random()) | 1;
        // What was begun and never ended makes room.
        self.begun += 1;
        while self.entries.len() - self.count() >= BEGUN_MAX {
            let Some(place) = self.entries.iter().position(|entry| !entry.state.is_ready()) else {
                break;
            };
            self.entries.remove(place);
        }
        self.entries.push(Entry { id, state, privilege: Privilege::User as u8, privilege_max });
        id
    }

    fn find(&mut self, id: u32) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }
}

impl State {
    const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(..))
    }
}

impl Inside {
    /// The answer to a datagram, if there is one.
    pub(super) fn answer(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        if let [6, _, _, 6, 0, 0, 0x11, 0xbe, 0x80, tag, ..] = datagram {
            if self.character.quirks.has(Habit::NoPing) {
                return None;
            }
            let head = [6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x40, *tag, 0, 16, 0, 0, 0x11, 0xbe];
            return Some([head.as_slice(), &[0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0]].concat());
        }
        let packet = Packet::read(datagram)?;
        match packet {
            Packet::New { kind: OPEN, session: 0, payload, .. } => self.on_open(payload),
            Packet::New { kind, session: 0, payload, .. } if kind == RAKP[0] => {
                self.on_first(payload)
            }
            Packet::New { kind, session: 0, payload, .. } if kind == RAKP[2] => {
                self.on_third(payload)
            }
            Packet::Old { auth: 0, session: 0, message, .. } => {
                let answer = self.on_bare(&Question::read(message)?);
                Some(packet::old(0, 0, 0, &[], &answered(message, &answer, false)?))
            }
            Packet::New { session, .. } | Packet::Old { session, .. } => {
                self.on_session(session, &packet)
            }
            Packet::Pong(_) => None,
        }
    }

    fn on_open(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let [tag, privilege, _, _, rest @ ..] = payload else { return None };
        self.works(Work::Open);
        let (console, algorithms) = number(rest)?;
        let wanted = [4, 12, 20].map(|place| algorithms.get(place).map(|it| it & 0x3f));
        let suite = self.character.suites.iter().copied();
        let suite = suite.into_iter().find(|suite| suite.algorithms().map(Some) == wanted);
        let quirks = &self.character.quirks;
        let taken =
            if quirks.has(Habit::BegunCounts) { self.logins.places() } else { self.logins.count() };
        let status = match suite {
            None => quirks.refuses_suites_by.unwrap_or(0x11),
            Some(_) if taken >= self.character.sessions_max => 0x01,
            Some(_) => 0,
        };
        let (Some(suite), 0) = (suite, status) else {
            return Some(packet::new(OPENED, 0, 0, &[*tag, status, 0, 0]));
        };
        let id = self.logins.add(State::Opened { suite, console, privilege: *privilege }, 0);
        let mut answer = vec![*tag, 0, Privilege::Administrator as u8, 0];
        answer.extend(console.to_le_bytes());
        answer.extend(id.to_le_bytes());
        answer.extend(algorithms.get(..24)?);
        Some(packet::new(OPENED, 0, 0, &answer))
    }

    fn on_first(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let [tag, _, _, _, rest @ ..] = payload else { return None };
        self.works(Work::First);
        let quirks = self.character.quirks.clone();
        let (id, rest) = number(rest)?;
        let (theirs, rest) = rest.split_first_chunk()?;
        let [role, _, _, length, name @ ..] = rest else { return None };
        let name = name.get(..usize::from(*length))?;
        let users = self.character.users.clone();
        let locked = self.logins.wrong >= self.character.locks_after;
        let Some(entry) = self.logins.find(id) else {
            return Some(refusal(RAKP[1], *tag, 0x02, 0, &quirks));
        };
        let (suite, console, first) = match &entry.state {
            State::Opened { suite, console, privilege } => (*suite, *console, *privilege),
            State::Proving(proof) => (proof.suite, proof.console, proof.privilege),
            _ => return None,
        };
        let refuse = |status| Some(refusal(RAKP[1], *tag, status, console, &quirks));
        let user = users.into_iter().find(|user| user.name.as_bytes() == name);
        let Some(user) = user.filter(|_| !locked) else { return refuse(0x0d) };
        if role & 0x0f > user.privilege as u8 {
            return refuse(0x0a);
        }
        entry.privilege_max = role & 0x0f;
        // Each copy gets another number, and the last one counts.
        let ours = random();
        let guid = self.character.guid.0;
        let role = match first {
            _ if !quirks.has(Habit::SignsFirstPrivilege) => *role,
            0 => role & 0xf0 | Privilege::Administrator as u8,
            first => role & 0xf0 | first,
        };
        let who = [&[role, *length], name].concat();
        let signature = suite.sign(
            user.password.as_bytes(),
            &[&console.to_le_bytes(), &id.to_le_bytes(), theirs, &ours, &guid, &who],
        );
        let proof = Proof { suite, console, privilege: first, theirs: *theirs, ours, who, user };
        entry.state = State::Proving(Box::new(proof));
        let mut answer = vec![*tag, 0, 0, 0];
        answer.extend(console.to_le_bytes());
        answer.extend(ours);
        answer.extend(guid);
        answer.extend(&*signature);
        answer.extend([0x5a].iter().filter(|_| quirks.has(Habit::LongSignatures)));
        Some(packet::new(RAKP[1], 0, 0, &answer))
    }

    fn on_third(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let [tag, status, _, _, rest @ ..] = payload else { return None };
        self.works(Work::Third);
        let quirks = self.character.quirks.clone();
        let (id, signature) = number(rest)?;
        let (key, guid) = (self.character.key.clone(), self.character.guid.0);
        let Some(entry) = self.logins.find(id) else {
            return Some(refusal(RAKP[3], *tag, 0x02, 0, &quirks));
        };
        if entry.state.is_ready() && quirks.has(Habit::ProofOnce) {
            self.logins.close(id);
            return Some(refusal(RAKP[3], *tag, 0x02, 0, &quirks));
        }
        let State::Proving(proof) = &entry.state else { return None };
        if *status != 0 {
            self.logins.close(id);
            return None;
        }
        let Proof { suite, console, theirs, ours, who, user, .. } = &**proof;
        let mut answer = vec![*tag, 0, 0, 0];
        answer.extend(console.to_le_bytes());
        let password = user.password.as_bytes();
        let expected = suite.sign(password, &[ours, &console.to_le_bytes(), who]);
        let left = self.character.quirks.refuses_proofs;
        self.character.quirks.refuses_proofs = left.saturating_sub(1);
        if left > 0 || !is_same(&expected, signature) {
            let refused = refusal(RAKP[3], *tag, 0x0f, *console, &quirks);
            self.logins.close(id);
            self.logins.wrong += 1;
            return Some(refused);
        }
        let session_key = suite.sign(key.as_deref().unwrap_or(password), &[theirs, ours, who]);
        answer.extend(suite.tag(&session_key, &[theirs, &id.to_le_bytes(), &guid]));
        answer.extend([0x5a].iter().filter(|_| quirks.has(Habit::LongSignatures)));
        let [hears, speaks] = [(); 2].map(|()| SessionKeys::new(*suite, &session_key));
        let voice = Voice::new(speaks, *console);
        entry.state = State::Ready(Box::new(Session::new(*console, id, hears)), Some(voice));
        self.logins.done += 1;
        Some(packet::new(RAKP[3], 0, 0, &answer))
    }

    /// What may be asked outside of any session.
    fn on_bare(&mut self, question: &Question<'_>) -> Answer {
        match (question.function, question.command, question.data) {
            (6, 0x38, [channel, ..]) => (0, capabilities(&self.character, channel & 0x80 != 0)),
            (6, 0x39, [kind, name @ ..]) if self.character.old => {
                let user = self.character.users.iter().find(|user| {
                    let mut padded = [0; 16];
                    padded.iter_mut().zip(user.name.bytes()).for_each(|(to, from)| *to = from);
                    name == padded
                });
                let locked = self.logins.wrong >= self.character.locks_after;
                let user = user.filter(|_| !locked);
                let (Some(user), Some(kind)) = (user.cloned(), Kind::of(*kind)) else {
                    return (0x81, Vec::new());
                };
                let mut password = [0; 16];
                password.iter_mut().zip(user.password.bytes()).for_each(|(to, from)| *to = from);
                let old = Old { kind, password: password.into() };
                let challenge = random();
                let most = user.privilege as u8;
                let id = self.logins.add(State::Challenged { old, user, challenge }, most);
                (0, [id.to_le_bytes().as_slice(), &challenge].concat())
            }
            _ => (0xc1, Vec::new()),
        }
    }

    fn on_session(&mut self, id: u32, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let entry = self.logins.find(id)?;
        let State::Ready(session, _) = &mut entry.state else {
            return self.on_activate(id, packet);
        };
        let message = session.open(packet)?;
        let privilege = entry.privilege;
        let question = Question::read(&message)?;
        let answer = self.on_command(id, privilege, &question)?;
        let quirks = &self.character.quirks;
        let answer = answered(&message, &answer, quirks.has(Habit::WrongSums))?;
        let State::Ready(session, voice) = &mut self.logins.find(id)?.state else { return None };
        let sealed = match voice {
            Some(voice) => voice.say(&answer, quirks),
            None => session.seal(&answer, random()),
        };
        if (question.function, question.command) == CLOSE {
            self.logins.close(id);
        }
        Some(sealed)
    }

    fn on_activate(&mut self, id: u32, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let sessions = self.logins.count();
        let entry = self.logins.find(id)?;
        let State::Challenged { old, user, challenge } = &entry.state else { return None };
        let Some((_, message)) = old.open(packet, id) else {
            // A wrong password: nothing is said.
            self.logins.wrong += 1;
            return None;
        };
        let (old, user, challenge) = (old.clone(), user.clone(), *challenge);
        let question = Question::read(message)?;
        let (6, 0x3a, [_, wanted, rest @ ..]) =
            (question.function, question.command, question.data)
        else {
            return None;
        };
        let (said, next) = rest.split_first_chunk::<16>()?;
        let (next, _) = number(next)?;
        let code = match () {
            () if *said != challenge => 0x85,
            () if *wanted > user.privilege as u8 => 0x86,
            () if sessions >= self.character.sessions_max => 0x81,
            () => 0,
        };
        let mut data = Vec::new();
        if code == 0 {
            entry.privilege_max = *wanted;
            let session = Session::old(id, next.wrapping_add(1).max(1), old.clone());
            entry.state = State::Ready(Box::new(session), None);
            data.push(old.kind.number());
            data.extend(id.to_le_bytes());
            data.extend(1u32.to_le_bytes());
            data.push(*wanted);
        }
        Some(old.seal(id, next, &answered(message, &(code, data), false)?))
    }
}

fn capabilities(character: &Character, new: bool) -> Vec<u8> {
    let old = if character.old { 0b0001_0101 } else { 0 };
    if !new {
        return vec![1, old, 0x04, 0, 0, 0, 0, 0];
    }
    let key = if character.key.is_some() { 0x20 } else { 0 };
    let new = if character.quirks.has(Habit::DeniesItself) { 0 } else { 2 };
    let generations = new | u8::from(character.old);
    vec![1, 0x80 | old, 0x04 | key, generations, 0, 0, 0, 0]
}

impl<'a> Question<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        let [BMC, function, _, CONSOLE, number, command, data @ .., _] = message else {
            return None;
        };
        let (head, body) = message.split_at_checked(3)?;
        let right = sum(head) == 0 && sum(body) == 0;
        right.then_some(Self { function: function >> 2, command: *command, number: *number, data })
    }
}

/// What is said to one who is not let in.
fn refusal(kind: u8, tag: u8, status: u8, console: u32, quirks: &Quirks) -> Vec<u8> {
    let (tag, console) = if quirks.has(Habit::AnonymousRefusals) { (0, 0) } else { (tag, console) };
    let mut payload = vec![tag, status, 0, 0];
    payload.extend(console.to_le_bytes());
    // As long as the answer that was not given.
    payload.extend([0; 32].iter().filter(|_| quirks.has(Habit::AnonymousRefusals)));
    packet::new(kind, 0, 0, &payload)
}

/// The message that answers `message`, with sums that are right or wrong.
fn answered(message: &[u8], (code, data): &Answer, wrong: bool) -> Option<Vec<u8>> {
    let wrong = if wrong { 0x55 } else { 0 };
    let question = Question::read(message)?;
    let mut answer = vec![CONSOLE, (question.function | 1) << 2];
    answer.push(sum(&answer) ^ wrong);
    let mut body = vec![BMC, question.number, question.command, *code];
    body.extend(data);
    body.push(sum(&body) ^ wrong);
    answer.extend(body);
    Some(answer)
}

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let got = getrandom(&mut bytes, GetRandomFlags::empty());
    assert_eq!(got, Ok(N), "the kernel gives a few bytes whole");
    bytes
}

/// As many as one BMC of the field has room for.
const BEGUN_MAX: usize = 4;

/// Close Session.
const CLOSE: (u8, u8) = (6, 0x3c);
