//! Signs, numbers and checks the packets of one session with a BMC.
//!
//! What goes out is numbered and signed; what comes in counts only when it is signed for this session, hidden where the
//! suite hides, and not seen before. There is no way to take an answer without a signature in a session that has one:
//! else a stranger who can send a datagram could tell that the power is off.
//!
//! The packets of some BMCs have numbers that do not count: always 0, or always the same. There the number of the
//! message (six bits) tells a new answer from an old one, and a session ends before such a number comes again. The
//! keys of the next session are others, so that a recorded answer fits nothing any more.

use zeroize::Zeroizing;

use super::message::{IpmiRequest, IpmiResponse};
use super::packet::{self, HIDDEN, MESSAGE, Packet, RMCP};
use super::suite::{SessionKeys, Suite, is_same, md5};

/// An open session.
pub struct Session {
    /// As the BMC calls it: what we send is for this.
    theirs: u32,
    /// As we call it: what we hear must be for this.
    ours: u32,
    /// The number of the next packet.
    next: u32,
    heard: Window,
    guard: Guard,
    /// The number of the last message.
    message: u8,
    /// So many messages up to that ask the same, and any of them may be answered.
    copies: u8,
    /// How many messages had a number of their own.
    messages: u32,
    /// The packets of the BMC have numbers that count.
    counts: bool,
}

/// By what packets are signed.
pub enum Guard {
    /// IPMI 2.0.
    Suite(SessionKeys),
    /// IPMI 1.5.
    Old(Old),
}

/// How one is let in by IPMI 1.5 (table 13-8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// 0: everybody.
    Nothing,
    /// 2
    Md5,
    /// 4: the password itself stands in each packet.
    Password,
}

impl Kind {
    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Md5 => 2,
            Self::Password => 4,
        }
    }

    /// The kind of that number.
    pub const fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Nothing,
            2 => Self::Md5,
            4 => Self::Password,
            _ => return None,
        })
    }
}

/// The signature of IPMI 1.5, by a password.
#[derive(Clone)]
pub struct Old {
    /// What is done with it.
    pub kind: Kind,
    /// The password, with zeros behind it.
    pub password: Zeroizing<[u8; 16]>,
}

impl Old {
    /// The signature of a message (section 22.17.1).
    pub fn sign(&self, session: u32, sequence: u32, message: &[u8]) -> Vec<u8> {
        let password = self.password.as_slice();
        match self.kind {
            Kind::Nothing => Vec::new(),
            Kind::Password => password.to_vec(),
            Kind::Md5 => {
                let (session, sequence) = (session.to_le_bytes(), sequence.to_le_bytes());
                md5(&[password, &session, message, &sequence, password]).to_vec()
            }
        }
    }

    /// A packet of the session.
    pub fn seal(&self, session: u32, sequence: u32, message: &[u8]) -> Vec<u8> {
        let signature = self.sign(session, sequence, message);
        packet::old(self.kind.number(), sequence, session, &signature, message)
    }

    /// The message of a packet, if it is signed for the session.
    pub fn open<'a>(&self, packet: &Packet<'a>, ours: u32) -> Option<(u32, &'a [u8])> {
        let Packet::Old { auth, sequence, session, signature, message } = *packet else {
            return None;
        };
        let right = auth == self.kind.number()
            && session == ours
            && is_same(&self.sign(session, sequence, message), signature);
        right.then_some((sequence, message))
    }
}

impl Session {
    /// A session of IPMI 2.0.
    pub fn new(theirs: u32, ours: u32, keys: SessionKeys) -> Self {
        Self::with(theirs, ours, 1, Guard::Suite(keys))
    }

    /// A session of IPMI 1.5, counted from `next`.
    pub fn old(session: u32, next: u32, guard: Old) -> Self {
        Self::with(session, session, next, Guard::Old(guard))
    }

    fn with(theirs: u32, ours: u32, next: u32, guard: Guard) -> Self {
        let heard = Window::default();
        Self { theirs, ours, next, heard, guard, message: 0, copies: 0, messages: 0, counts: true }
    }

    /// As the BMC calls it.
    pub const fn id(&self) -> u32 {
        self.theirs
    }

    /// The packet of a message, which must not be sent twice: the next time it is another packet. `first` is random.
    pub fn seal(&mut self, message: &[u8], first: [u8; 16]) -> Vec<u8> {
        let number = self.next;
        // Zero is the number of what belongs to no session.
        self.next = number.wrapping_add(1).max(1);
        match &self.guard {
            Guard::Old(old) => old.seal(self.theirs, number, message),
            Guard::Suite(keys) if keys.suite() == Suite::Nothing => {
                packet::new(MESSAGE, self.theirs, number, message)
            }
            Guard::Suite(keys) => {
                let hidden = keys.hide(message, first);
                let mut packet =
                    packet::to_be_signed(MESSAGE | HIDDEN, self.theirs, number, &hidden);
                packet.extend(keys.tag(packet.get(RMCP..).unwrap_or_default()));
                packet
            }
        }
    }

    /// The message of a packet, if it is of this session and was not heard before.
    pub fn open(&mut self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        self.read(packet).and_then(|(message, new)| new.then_some(message))
    }

    /// Goes on to another question than before: what answers the last one answers nothing any more.
    pub const fn turn(&mut self) {
        self.copies = 0;
    }

    /// A packet that asks `request`. Each copy of it is a message of its own, so that its answer tells when it was
    /// asked. `first` is random.
    pub fn question(&mut self, request: &IpmiRequest, first: [u8; 16]) -> Vec<u8> {
        self.message = (self.message + 1) % MESSAGES;
        self.messages = self.messages.saturating_add(1);
        self.copies = (self.copies + 1).min(COPIES_MAX);
        self.seal(&request.write(self.message), first)
    }

    /// How many copies ago `request` was asked in the message that the packet answers, and its data or its
    /// completion code; nothing where the packet answers something else.
    pub fn answer(
        &mut self,
        packet: &Packet<'_>,
        request: &IpmiRequest,
    ) -> Option<(usize, Result<Vec<u8>, u8>)> {
        let (message, new) = self.read(packet)?;
        let response = IpmiResponse::read(&message, self.is_signed())?;
        let ago = (self.message + MESSAGES - response.number) % MESSAGES;
        if ago >= self.copies || !response.answers(request) {
            return None;
        }
        if !new {
            // IPMI 1.5 signs with the password itself, so that its numbers are all that tells sessions apart.
            if matches!(self.guard, Guard::Old(_)) || self.messages > u32::from(MESSAGES) {
                return None;
            }
            self.counts = false;
        }
        Some((usize::from(ago), response.result()))
    }

    /// Whether the numbers of messages are used up that tell a new answer from an old one: then it is time for another
    /// session.
    pub const fn is_spent(&self) -> bool {
        !self.counts && self.messages >= SPENT
    }

    /// Whether nobody but the BMC can have made what is taken.
    pub fn is_signed(&self) -> bool {
        match &self.guard {
            Guard::Old(old) => old.kind != Kind::Nothing,
            Guard::Suite(keys) => keys.suite() != Suite::Nothing,
        }
    }

    /// The suite that it is by; none in IPMI 1.5.
    pub const fn suite(&self) -> Option<Suite> {
        match &self.guard {
            Guard::Suite(keys) => Some(keys.suite()),
            Guard::Old(_) => None,
        }
    }

    /// The message of a packet of this session, and whether the number of the packet is new.
    fn read(&mut self, packet: &Packet<'_>) -> Option<(Vec<u8>, bool)> {
        let (sequence, message) = match &self.guard {
            Guard::Old(old) => {
                let (sequence, message) = old.open(packet, self.ours)?;
                // Where nothing is signed, the number says nothing.
                let counted = old.kind != Kind::Nothing;
                (counted.then_some(sequence), message.to_vec())
            }
            Guard::Suite(keys) => show(keys, packet, self.ours)?,
        };
        let new = sequence.is_none_or(|sequence| self.heard.is_new(sequence));
        Some((message, new))
    }
}

fn show(keys: &SessionKeys, packet: &Packet<'_>, ours: u32) -> Option<(Option<u32>, Vec<u8>)> {
    let Packet::New { kind: MESSAGE, hidden, session, sequence, payload, signed } = *packet else {
        return None;
    };
    if session != ours {
        return None;
    }
    if keys.suite() == Suite::Nothing {
        return (!hidden).then(|| (None, payload.to_vec()));
    }
    let signed = signed?;
    let (text, tag) = signed.split_at_checked(signed.len().checked_sub(keys.suite().tag_len())?)?;
    if !hidden || !is_same(&keys.tag(text), tag) {
        return None;
    }
    Some((Some(sequence), keys.show(payload)?))
}

/// The numbers that were heard, of which none counts twice (section 6.12.13).
#[derive(Default)]
struct Window {
    highest: Option<u32>,
    /// Those below the highest, the lowest bit being the highest itself.
    seen: u32,
}

impl Window {
    fn is_new(&mut self, number: u32) -> bool {
        let Some(highest) = self.highest else {
            (self.highest, self.seen) = (Some(number), 1);
            return true;
        };
        // A distance of more than half the circle is a step back.
        let ahead = number.wrapping_sub(highest);
        if ahead != 0 && ahead < 1 << 31 {
            self.highest = Some(number);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            return true;
        }
        let bit = 1u32.checked_shl(highest.wrapping_sub(number)).unwrap_or(0);
        let new = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

/// A message has a number of six bits (section 13.8).
const MESSAGES: u8 = 64;
/// The others are for the last question, which may be asked several times.
const SPENT: u32 = MESSAGES as u32 / 2;
/// An answer to a copy that is older tells nothing.
const COPIES_MAX: u8 = MESSAGES / 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fence::ipmi::message::{BMC, CONSOLE, sum};

    /// The number of each packet of a BMC does not count; an answer that was recorded is taken once all the same.
    #[test]
    fn where_packets_do_not_count_no_message_is_answered_twice() {
        for suite in [Suite::Sha1, Suite::Sha256] {
            let request = IpmiRequest { function: 0, command: 1, data: Vec::new() };
            let mut bmc = Session::new(1, 2, SessionKeys::new(suite, b"key"));
            let mut console = Session::new(2, 1, SessionKeys::new(suite, b"key"));
            let mut recorded: Vec<Vec<u8>> = Vec::new();
            for asked in 0..u32::from(MESSAGES) {
                assert_eq!(console.is_spent(), asked >= SPENT, "{asked}");
                console.turn();
                console.question(&request, [3; 16]);
                bmc.next = 0;
                let answer = bmc.seal(&answered(&console, &request), [3; 16]);
                for old in &recorded {
                    let old = console.answer(&Packet::read(old).unwrap(), &request);
                    assert_eq!(old, None, "{asked}");
                }
                let taken = console.answer(&Packet::read(&answer).unwrap(), &request);
                assert_eq!(taken, Some((0, Ok(vec![7]))), "{asked}");
                recorded.push(answer);
            }
            console.turn();
            console.question(&request, [3; 16]);
            let first = Packet::read(&recorded[0]).unwrap();
            assert_eq!(console.answer(&first, &request), None, "its number is there again");
        }
    }

    /// One that counted is held to it: an answer of the round before has an old number.
    #[test]
    fn where_packets_count_an_old_one_answers_nothing() {
        let request = IpmiRequest { function: 0, command: 1, data: Vec::new() };
        let mut bmc = Session::new(1, 2, SessionKeys::new(Suite::Sha256, b"key"));
        let mut console = Session::new(2, 1, SessionKeys::new(Suite::Sha256, b"key"));
        let mut recorded: Vec<Vec<u8>> = Vec::new();
        for round in 0..3 {
            for place in 0..usize::from(MESSAGES) {
                console.turn();
                console.question(&request, [3; 16]);
                let answer = bmc.seal(&answered(&console, &request), [3; 16]);
                if round > 0 {
                    let old = Packet::read(&recorded[place]).unwrap();
                    assert_eq!(console.answer(&old, &request), None);
                }
                assert!(console.answer(&Packet::read(&answer).unwrap(), &request).is_some());
                if round == 0 {
                    recorded.push(answer);
                }
            }
        }
        assert!(!console.is_spent());
    }

    /// What a BMC says to the message that `console` asks now.
    fn answered(console: &Session, request: &IpmiRequest) -> Vec<u8> {
        let mut answer = vec![CONSOLE, (request.function | 1) << 2];
        answer.push(sum(&answer));
        let mut body = vec![BMC, console.message << 2, request.command, 0, 7];
        body.push(sum(&body));
        answer.extend(body);
        answer
    }

    #[test]
    fn an_answer_tells_which_copy_it_is_for() {
        let request = IpmiRequest { function: 0, command: 1, data: Vec::new() };
        let mut bmc = Session::new(1, 2, SessionKeys::new(Suite::Sha256, b"key"));
        let mut console = Session::new(2, 1, SessionKeys::new(Suite::Sha256, b"key"));
        let mut last: Vec<Vec<u8>> = Vec::new();
        for _ in 0..20 {
            console.turn();
            let mut next = Vec::new();
            for _ in 0..5 {
                console.question(&request, [3; 16]);
                next.push(bmc.seal(&answered(&console, &request), [3; 16]));
            }
            for old in &last {
                assert_eq!(console.answer(&Packet::read(old).unwrap(), &request), None);
            }
            for (place, answer) in next.iter().enumerate() {
                let taken = console.answer(&Packet::read(answer).unwrap(), &request);
                assert_eq!(taken, Some((4 - place, Ok(vec![7]))));
            }
            last = next;
        }
    }

    #[test]
    fn no_number_counts_twice() {
        let mut window = Window::default();
        for (number, new) in [
            (5, true),
            (5, false),
            (7, true),
            (6, true),
            (6, false),
            (100, true),
            (99, true),
            (60, false),
            (u32::MAX, false),
        ] {
            assert_eq!(window.is_new(number), new, "{number}");
        }
        let mut round = Window::default();
        assert!(round.is_new(u32::MAX) && round.is_new(1) && !round.is_new(u32::MAX));
    }

    #[test]
    fn an_answer_without_the_signature_of_the_session_is_none() {
        for suite in [Suite::Sha1, Suite::Sha256] {
            let mut bmc = Session::new(1, 2, SessionKeys::new(suite, b"key"));
            let sealed = |bmc: &mut Session| bmc.seal(b"off", [3; 16]);
            let mut console = Session::new(2, 1, SessionKeys::new(suite, b"key"));
            let packet = sealed(&mut bmc);
            let opened = console.open(&Packet::read(&packet).unwrap());
            assert_eq!(opened.as_deref(), Some(b"off".as_slice()));
            assert_eq!(console.open(&Packet::read(&packet).unwrap()), None, "it came twice");
            for place in RMCP + 1..packet.len() {
                let mut damaged = sealed(&mut bmc);
                damaged[place] ^= 1;
                let opened = Packet::read(&damaged).and_then(|packet| console.open(&packet));
                assert_eq!(opened, None, "byte {place}");
            }
            let bare = packet::new(MESSAGE, 1, 9, b"off");
            assert_eq!(console.open(&Packet::read(&bare).unwrap()), None);
            let mut stranger = Session::new(1, 2, SessionKeys::new(suite, b"another"));
            let foreign = sealed(&mut stranger);
            assert_eq!(console.open(&Packet::read(&foreign).unwrap()), None);
        }
    }
}
