//! What a BMC says, or who pretends to be one: bytes of any kind, in a conversation.
//!
//! An input is a way to be let in (a byte) and datagrams (two bytes of length each). Our numbers are no secret here, so
//! that a recorded conversation is understood to its end (`board/tests/ipmi/recorded.rs`), and changed in its middle.

use std::time::Duration;

use board::fence::ipmi::command::{self, Privilege};
use board::fence::ipmi::exchange::{Exchange, Step, Way};
use board::fence::ipmi::message::Response;
use board::fence::ipmi::packet::Packet;
use board::fence::ipmi::rakp::Login;
use board::fence::ipmi::session::Kind;
use board::fence::ipmi::suite::Suite;
use firmware_agnostic::time::Instant;

/// The bytes as a datagram, a message and the data of every answer; then as a conversation.
pub fn ipmi(bytes: &[u8]) {
    read(bytes);
    if let Some((way, datagrams)) = bytes.split_first() {
        converse(WAYS[usize::from(*way) % WAYS.len()], datagrams);
    }
}

fn read(bytes: &[u8]) {
    let _ = (Packet::read(bytes), Response::read(bytes, bytes.len() % 2 == 0));
    let _ = (command::power(bytes), command::guid(bytes), command::device(bytes));
    let _ = (command::able(bytes), command::challenged(bytes), command::activated(bytes));
    let _ = command::restart(bytes);
}

fn converse(way: Way, mut datagrams: &[u8]) {
    let login = Login {
        user: b"twobox".to_vec(),
        password: b"secret".to_vec().into(),
        key: None,
        privilege: Privilege::Operator,
    };
    let known = matches!(way, Way::New(_)).then_some(Suite::Sha1);
    let mut exchange = Exchange::new(login, way, known, |bytes| bytes.fill(7));
    let mut now = Instant::from_millis(1);
    let mut questions = [command::chassis_status(), command::system_guid()].into_iter().cycle();
    let mut ask = |exchange: &mut Exchange, now: Instant| {
        let question = questions.next().expect("there is always another");
        exchange.ask(question, now, now + Duration::from_secs(5))
    };
    let mut step = ask(&mut exchange, now);
    while let Some((length, rest)) = datagrams.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (datagram, rest) = rest.split_at(length);
        datagrams = rest;
        if step.end.is_some() {
            let _ = ask(&mut exchange, now);
        }
        // What is empty is a time in which nothing is heard.
        step = if datagram.is_empty() {
            late(&mut exchange, &mut now)
        } else {
            exchange.heard(datagram, now)
        };
    }
    // Whatever was heard, a question ends in time.
    let until = now + Duration::from_secs(5);
    for _ in 0..100 {
        if step.end.is_some() || exchange.wake().is_none() {
            return;
        }
        assert!(now <= until, "it would be waited for without an end");
        step = late(&mut exchange, &mut now);
    }
    panic!("it is busy, and comes to no end");
}

fn late(exchange: &mut Exchange, now: &mut Instant) -> Step {
    *now = exchange.wake().unwrap_or(*now).max(*now);
    exchange.late(*now)
}

const WAYS: [Way; 5] = [
    Way::New(&[Suite::Sha256, Suite::Sha1]),
    Way::New(&[Suite::Nothing]),
    Way::Old(Kind::Md5),
    Way::Old(Kind::Password),
    Way::Old(Kind::Nothing),
];
