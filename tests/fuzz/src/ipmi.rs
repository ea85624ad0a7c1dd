//! What a BMC says, or who pretends to be one: bytes of any kind, in a conversation.
//!
//! An input is a way to be let in (a byte) and datagrams (two bytes of length each). Our numbers are no secret
//! here, so that a recorded conversation is understood to its end (`board/tests/ipmi/recorded.rs`), and changed in
//! its middle. With the highest bit of that byte the BMC knows the password, and the rest is what it says in the
//! session.

use std::time::Duration;

use board::fence::ipmi::command::{self, Privilege};
use board::fence::ipmi::exchange::{AuthMethod, Exchange, Step};
use board::fence::ipmi::message::{IpmiRequest, IpmiResponse};
use board::fence::ipmi::packet::Packet;
use board::fence::ipmi::rakp::Login;
use board::fence::ipmi::session::Kind;
use board::fence::ipmi::suite::Suite;
use firmware_agnostic::time::Instant;

mod inside;

/// The bytes as a datagram, a message and the data of every answer; then as a conversation.
pub fn ipmi(bytes: &[u8]) {
    read(bytes);
    let Some((way, rest)) = bytes.split_first() else { return };
    match way {
        0x80.. if way % 2 == 0 => {
            inside::inside(AuthMethod::New(&[Suite::Sha256]), Suite::Sha256, rest)
        }
        0x80.. => inside::inside(AuthMethod::New(&[Suite::Sha1]), Suite::Sha1, rest),
        _ => converse(WAYS[usize::from(*way) % WAYS.len()], rest),
    }
}

fn read(bytes: &[u8]) {
    let _ = (Packet::read(bytes), IpmiResponse::read(bytes, bytes.len().is_multiple_of(2)));
    let _ = (command::power(bytes), command::guid(bytes), command::device(bytes));
    let _ = (command::able(bytes), command::challenged(bytes), command::activated(bytes));
    let _ = command::restart(bytes);
}

fn converse(way: AuthMethod, mut datagrams: &[u8]) {
    let mut talk = Talk::new(way);
    let mut step = talk.ask();
    while let Some((length, rest)) = datagrams.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (datagram, rest) = rest.split_at(length);
        datagrams = rest;
        if step.end.is_some() {
            let _ = talk.ask();
        }
        // What is empty is a time in which nothing is heard.
        step = if datagram.is_empty() { talk.late() } else { talk.hear(datagram) };
    }
    talk.ends(step);
}

/// A conversation, and its time.
struct Talk {
    exchange: Exchange,
    now: Instant,
    asked: usize,
}

impl Talk {
    fn new(way: AuthMethod) -> Self {
        let login = Login {
            user: USER.to_vec(),
            password: PASSWORD.to_vec().into(),
            key: None,
            privilege: Privilege::Operator,
        };
        let known = matches!(way, AuthMethod::New(_)).then_some(Suite::Sha1);
        let exchange = Exchange::new(login, way, known, |bytes| bytes.fill(7));
        Self { exchange, now: Instant::from_millis(1), asked: 0 }
    }

    fn ask(&mut self) -> Step {
        let questions: [fn() -> IpmiRequest; 2] = [command::chassis_status, command::system_guid];
        let question = questions[self.asked % questions.len()]();
        self.asked += 1;
        self.exchange.ask(question, self.now, self.now + TIME)
    }

    fn hear(&mut self, datagram: &[u8]) -> Step {
        self.exchange.heard(datagram, self.now)
    }

    fn late(&mut self) -> Step {
        self.now = self.exchange.wake().unwrap_or(self.now).max(self.now);
        self.exchange.late(self.now)
    }

    /// A question ends in time, after anything that was heard.
    fn ends(mut self, mut step: Step) {
        let until = self.now + TIME;
        for _ in 0..100 {
            if step.end.is_some() || self.exchange.wake().is_none() {
                return;
            }
            assert!(self.now <= until, "it would be waited for without an end");
            step = self.late();
        }
        panic!("it is busy, and comes to no end");
    }
}

const USER: &[u8] = b"twobox";
const PASSWORD: &[u8] = b"secret";
/// That a question has.
const TIME: Duration = Duration::from_secs(5);

const WAYS: [AuthMethod; 5] = [
    AuthMethod::New(&[Suite::Sha256, Suite::Sha1]),
    AuthMethod::New(&[Suite::Nothing]),
    AuthMethod::Old(Kind::Md5),
    AuthMethod::Old(Kind::Password),
    AuthMethod::Old(Kind::Nothing),
];
