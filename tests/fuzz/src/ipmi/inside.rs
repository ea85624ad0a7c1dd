//! A BMC that knows the password, and says what the fuzzer wants in the session: padded and numbered in any way.
//!
//! No mutation makes a right signature, so that a recorded conversation leads no further than it did. Here each
//! message is signed as it is said. Nothing may be believed that was not signed, or was said before; and what is
//! believed is what was said.

use board::fence::ipmi::exchange::{AuthMethod, Step};
use board::fence::ipmi::message::{BMC, CONSOLE, sum};
use board::fence::ipmi::packet::{self, HIDDEN, MESSAGE, OPEN, OPENED, Packet, RAKP, RMCP};
use board::fence::ipmi::suite::{SessionKeys, Suite};

use super::{PASSWORD, Talk};

/// A conversation with it, in which it says `words` (see [`Word`]).
pub(super) fn inside(way: AuthMethod, suite: Suite, mut words: &[u8]) {
    let mut talk = Talk::new(way);
    let mut bmc = Bmc::new(suite);
    let step = talk.ask();
    let mut step = bmc.let_in(&mut talk, step);
    while let Some(word) = Word::read(&mut words) {
        if step.end.is_some() {
            let asked = talk.ask();
            bmc.let_in(&mut talk, asked);
        }
        step = if let Some(datagram) = bmc.say(&word) {
            let step = talk.hear(&datagram);
            let end = step.end.as_ref();
            assert!(word.may_count() || end.is_none(), "{word:?} has ended a question");
            if let Some(Ok(data)) = end {
                assert_eq!((data.as_slice(), 0), (word.data, word.code), "{word:?}");
            }
            step
        } else {
            talk.late()
        };
        step = bmc.let_in(&mut talk, step);
    }
    talk.ends(step);
}

/// What it says: three bytes, and the data.
#[derive(Debug)]
struct Word<'a> {
    how: u8,
    code: u8,
    data: &'a [u8],
}

impl<'a> Word<'a> {
    fn read(words: &mut &'a [u8]) -> Option<Self> {
        let ([how, code, length], rest) = words.split_first_chunk()?;
        let (data, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        *words = rest;
        Some(Self { how: *how, code: *code, data })
    }

    /// Nothing, for as long as that is waited for.
    const fn is_silence(&self) -> bool {
        self.how & 0x80 != 0
    }

    /// What was said before, once more, which of it the code tells.
    const fn is_old(&self) -> bool {
        self.how & 0x40 != 0
    }

    const fn is_signed(&self) -> bool {
        self.how & 0x20 == 0
    }

    /// More blocks of padding than are needed.
    const fn blocks(&self) -> u8 {
        self.how >> 2 & 7
    }

    /// The number of its packet, the `count`th.
    fn number(&self, count: u32) -> u32 {
        match self.how & 3 {
            0 => count,
            1 => 0,
            2 => 1,
            _ => self.data.first_chunk().map_or(u32::MAX, |number| u32::from_le_bytes(*number)),
        }
    }

    /// Whether it may end a question. Only where no padding is needed a whole block of it may be added.
    const fn may_count(&self) -> bool {
        self.is_signed() && !self.is_old() && self.blocks() < 2
    }
}

struct Bmc {
    suite: Suite,
    /// So many handshakes have begun; the number of each is another.
    begun: u8,
    console: [u8; 4],
    /// The console's number, and its user with the length before and the role before that.
    told: ([u8; 16], Vec<u8>),
    keys: Option<SessionKeys>,
    /// The message that is to be answered.
    asked: Option<Vec<u8>>,
    said: Vec<Vec<u8>>,
}

impl Bmc {
    fn new(suite: Suite) -> Self {
        let told = ([0; 16], Vec::new());
        Self { suite, begun: 0, console: [0; 4], told, keys: None, asked: None, said: Vec::new() }
    }

    /// Answers by the book what was sent, until a message in the session is to be answered.
    fn let_in(&mut self, talk: &mut Talk, mut step: Step) -> Step {
        let mut sent: Vec<Vec<u8>> = Vec::new();
        loop {
            sent.append(&mut step.send);
            let Some(next) = (!sent.is_empty()).then(|| sent.remove(0)) else { return step };
            let Some(answer) = Packet::read(&next).and_then(|packet| self.answer(&packet)) else {
                continue;
            };
            let ended = step.end;
            step = talk.hear(&answer);
            step.end = step.end.or(ended);
        }
    }

    fn answer(&mut self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let Packet::New { kind, session, payload, .. } = *packet else { return None };
        match kind {
            OPEN => {
                self.begun = self.begun.wrapping_add(1);
                self.console = payload.get(4..)?.first_chunk().copied()?;
                let mut answer = self.head();
                answer.extend(self.id());
                answer.extend(payload.get(8..)?);
                Some(packet::new(OPENED, 0, 0, &answer))
            }
            _ if kind == RAKP[0] => {
                let ours = *payload.get(8..)?.first_chunk()?;
                let ([role, _, _], who) = payload.get(24..)?.split_first_chunk()?;
                self.told = (ours, [&[*role], who].concat());
                let (number, console, id) = (self.number(), self.console, self.id());
                let parts: [&[u8]; 6] = [&console, &id, &ours, &number, &GUID, &self.told.1];
                let mut answer = self.head();
                answer.extend(number.iter().chain(&GUID));
                answer.extend(&*self.suite.sign(PASSWORD, &parts));
                Some(packet::new(RAKP[1], 0, 0, &answer))
            }
            _ if kind == RAKP[2] => {
                // One that gives up is not answered.
                if payload.get(1) != Some(&0) {
                    return None;
                }
                let (ours, who) = &self.told;
                let key = self.suite.sign(PASSWORD, &[ours, &self.number(), who]);
                let mut answer = self.head();
                answer.extend(self.suite.tag(&key, &[ours, &self.id(), &GUID]));
                self.keys = Some(SessionKeys::new(self.suite, &key));
                Some(packet::new(RAKP[3], 0, 0, &answer))
            }
            MESSAGE if session.to_le_bytes() == self.id() => {
                self.asked = self.keys.as_ref().and_then(|keys| keys.show(payload));
                assert!(self.asked.is_some(), "the console hides its messages by the same keys");
                None
            }
            _ => None,
        }
    }

    /// The packet of a word, none where it is silence.
    fn say(&mut self, word: &Word<'_>) -> Option<Vec<u8>> {
        if word.is_silence() {
            return None;
        }
        if word.is_old() {
            return self.said.get(usize::from(word.code) % self.said.len().max(1)).cloned();
        }
        let (keys, asked) = (self.keys.as_ref()?, self.asked.as_ref()?);
        let [_, function, _, _, number, command, ..] = asked.as_slice() else { return None };
        let mut message = vec![CONSOLE, function | 4];
        message.push(sum(&message));
        let mut body = vec![BMC, *number, *command, word.code];
        body.extend(word.data);
        body.push(sum(&body));
        message.extend(body);
        let count = self.said.len() as u32 + 1;
        let console = u32::from_le_bytes(self.console);
        let datagram = if word.is_signed() {
            let pads = 15 - (message.len() % 16) as u8 + 16 * word.blocks();
            let hidden = keys.hide_padded(&message, pads, [count as u8; 16]);
            let kind = MESSAGE | HIDDEN;
            let mut packet = packet::to_be_signed(kind, console, word.number(count), &hidden);
            packet.extend(keys.tag(&packet[RMCP..]));
            packet
        } else {
            packet::new(MESSAGE, console, word.number(count), &message)
        };
        self.said.push(datagram.clone());
        Some(datagram)
    }

    /// How each answer of a handshake begins.
    fn head(&self) -> Vec<u8> {
        [[0; 4], self.console].concat()
    }

    const fn id(&self) -> [u8; 4] {
        [9, 9, 9, self.begun]
    }

    const fn number(&self) -> [u8; 16] {
        [self.begun; 16]
    }
}

const GUID: [u8; 16] = [5; 16];
