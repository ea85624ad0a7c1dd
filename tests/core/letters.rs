//! Checks that the pieces of letters keep their bytes, and that a box that knows none drops them.
//!
//! `wire/letters/2.hex` is a short exchange, one frame on each line, fixed for ever as the heartbeats are; `1.hex`
//! is the same in the version before, which is no longer understood.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use firmware_agnostic::frame::{FRAME_MAX, Frame, FrameError, Key, Keys, PairId};
use firmware_agnostic::heartbeat::Incarnation;
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::letter::{Answerer, Asker, Nonce, Seal, SendPace, end_of};
use firmware_agnostic::receiver::Reception;
use firmware_agnostic::time::Instant;

#[test]
fn the_bytes_of_the_pieces_are_fixed() {
    let said = exchange().iter().fold(String::new(), |mut text, frame| {
        frame.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text + "\n"
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/wire/letters/2.hex");
    if !path.exists() && env::var_os("TWOBOX_WRITE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &said).unwrap();
    }
    assert_eq!(said, fs::read_to_string(&path).unwrap());
}

#[test]
fn a_box_that_knows_no_letters_drops_them_as_of_another_version() {
    let Seal { keys, pair, .. } = seal(BoxId::Second);
    let mut reception = Reception::new(keys, pair);
    let link = LinkId::new(0).unwrap();
    for frame in exchange() {
        assert!(end_of(&frame).is_some() && frame.len() <= FRAME_MAX);
        let dropped = reception.receive(link, &frame, Instant::default());
        assert_eq!(dropped, Err(FrameError::Version));
    }
}

#[test]
fn the_pieces_that_are_dropped_are_counted_for_each_cause() {
    let Seal { keys, pair, .. } = seal(BoxId::Second);
    let mut reception = Reception::new(keys, pair);
    let link = LinkId::new(0).unwrap();
    let mut drops = |cause| reception.refuse_piece(link, cause);
    let counts = [FrameError::WrongKey, FrameError::WrongKey, FrameError::Replayed].map(&mut drops);
    assert_eq!(counts, [1, 2, 1]);
    assert_eq!(drops(FrameError::WrongKey), 3);
}

/// The version before could be read, and sent again, by everybody on the wire.
#[test]
fn letters_of_the_version_before_are_dropped() {
    let Seal { keys, pair, .. } = seal(BoxId::Second);
    let mut reception = Reception::new(keys, pair);
    for frame in bytes(include_str!("wire/letters/1.hex")) {
        assert_eq!(end_of(&frame), None);
        let dropped = reception.receive(LinkId::new(0).unwrap(), &frame, Instant::default());
        assert_eq!(dropped, Err(FrameError::Version));
    }
}

fn bytes(text: &str) -> Vec<Vec<u8>> {
    let byte = |line: &str, at| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
    let line = |line: &str| (0..line.len()).step_by(2).map(|at| byte(line, at)).collect();
    text.lines().map(line).collect()
}

/// A question of two pieces, for whose answer the asker waits.
fn exchange() -> Vec<Frame> {
    let question = b"check\nof a question that is longer than a piece";
    let (mut now, mut said) = (Instant::default(), Vec::new());
    let length = question.len() as u32;
    let mut asker = Asker::new(seal(BoxId::First), 1, Nonce(*b"question"), length, now);
    let mut answerer = Answerer::new(seal(BoxId::Second));
    while !asker.whole() {
        let piece = asker.say(question, &PACE, now);
        let answer = (said.len() > 6).then_some(b"ok\n".as_slice());
        let fresh = || Some(Nonce(*b"answerer"));
        let heard = answerer.hear(&piece, Some(LIFE), fresh, NOON, answer).unwrap();
        let (reply, _) = heard.expect("a sound piece is answered");
        now = now + PACE.gap;
        asker.hear(&reply, &PACE, now).unwrap();
        said.extend([piece, reply]);
    }
    said
}

fn seal(me: BoxId) -> Seal {
    let keys = Keys::new([Key::new(7, b"known to everybody who reads this")]);
    Seal { keys: keys.expect("one key is a ring"), pair: PairId::of("ldap"), me, life: LIFE }
}

const LIFE: Incarnation = Incarnation(*b"life");
const NOON: Duration = Duration::new(1_767_268_800, 123_456_789);
const PACE: SendPace = SendPace {
    gap: Duration::from_millis(3),
    retry: Duration::from_millis(250),
    patience: Duration::from_secs(6),
};
