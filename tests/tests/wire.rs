//! Do the bytes mean what they always meant, and does nothing else mean anything?
//!
//! `wire/vN/NAME.hex` is one frame each, fixed for ever: what was shipped is out there. A file is written if it is not
//! there yet and `TWOBOX_WRITE` is set, and never changed; a new field is a new version, with a folder of its own.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use firmware_agnostic::frame::{
    self, Deframer, FRAME_MAX, Frame, FrameError, Key, Keys, LINE_MAX, PairId, Version, Word,
};
use firmware_agnostic::heartbeat::{
    Asks, Boot, Epoch, Fingerprint, Heartbeat, Links, Priority, Role, Term,
};
use firmware_agnostic::identity::{BoxId, LINKS_MAX, LinkId};
use firmware_agnostic::reception::Reception;
use firmware_agnostic::time::Instant;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use tests::world::random::Random;

#[test]
fn the_bytes_of_every_version_are_fixed() {
    assert_eq!(Version::NEWEST, Version::Two);
    let mut one = golden();
    one.retain(|(name, ..)| !["witness_lost", "shoots", "system"].contains(&name.as_str()));
    for (.., heartbeat) in &mut one {
        heartbeat.system = Fingerprint::default();
    }
    let versions = [(Version::One, one), (Version::Two, golden())];
    for (version, words) in versions {
        for (name, number, heartbeat) in words {
            its_bytes_are_fixed(&name, &Word { version, number, heartbeat });
        }
    }
}

fn its_bytes_are_fixed(name: &str, word: &Word) {
    let version = word.version as u8;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("wire/v{version}/{name}.hex"));
    let frame = frame::encode(word, &keys(), pair());
    if !path.exists() && env::var_os("TWOBOX_WRITE").is_some() {
        fs::write(&path, hex(&frame) + "\n").expect("the folder of the bytes can be written");
    }
    let bytes = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let bytes = unhex(bytes.trim());
    assert_eq!(hex(&frame), hex(&bytes), "{name} is written otherwise than it was");
    assert_eq!(frame::decode(&bytes, &keys(), pair()), Ok(*word), "{name}");
}

#[test]
fn what_the_older_version_has_no_words_for_stays_unsaid() {
    let heartbeat = Heartbeat { witness: false, shoots: true, ..largest() };
    let word = Word { version: Version::One, number: 1, heartbeat };
    let read = frame::decode(&frame::encode(&word, &keys(), pair()), &keys(), pair());
    let left =
        Heartbeat { witness: true, shoots: false, system: Fingerprint::default(), ..heartbeat };
    assert_eq!(read.map(|word| word.heartbeat), Ok(left));
}

#[test]
fn boxes_of_two_versions_find_the_newer_one_that_both_speak() {
    let said = |version: Version, number| -> Vec<Version> { version.to_say(number).collect() };
    assert_eq!(said(Version::Two, 16), [Version::Two]);
    assert_eq!(said(Version::One, 17), [Version::One]);
    assert_eq!(said(Version::One, 32), [Version::Two, Version::One]);
    // Both have heard a word of the older version, and could speak the newer one.
    let mut boxes = [(); 2].map(|()| reception());
    let old = Word { version: Version::One, number: 1, heartbeat: typical() };
    for reception in &mut boxes {
        assert_eq!(reception.speaks(), Version::Two);
        let heard = reception.receive(ETHERNET, &frame::encode(&old, &keys(), pair()), at(1));
        assert!(heard.is_ok());
        assert_eq!(reception.speaks(), Version::One);
    }
    for number in 2..64 {
        for (speaker, listener) in [(0, 1), (1, 0)] {
            for version in boxes[speaker].speaks().to_say(number) {
                let frame = frame::encode(&Word { version, number, ..old }, &keys(), pair());
                // The same word in the other version is a replay.
                let _ = boxes[listener].receive(ETHERNET, &frame, at(1));
            }
        }
    }
    assert_eq!(boxes.map(|reception| reception.speaks()), [Version::Two; 2]);
}

#[test]
fn the_largest_frame_fits_the_serial_budget() {
    let frame = encode(&largest());
    let mut line = [0; LINE_MAX];
    assert!(frame::enclose(&frame, &mut line).len() <= 64, "{} bytes", frame.len());
}

#[test]
fn what_is_cut_short_is_refused() {
    for (name, _, heartbeat) in golden() {
        let frame = encode(&heartbeat);
        for length in 0..frame.len() {
            let cause = if length < 20 { FrameError::Truncated } else { FrameError::WrongKey };
            assert_eq!(decode(&frame[..length]), Err(cause), "{name}, {length} bytes");
        }
    }
}

#[test]
fn one_bit_makes_the_difference() {
    let frame = encode(&typical());
    for bit in 0..frame.len() * 8 {
        let mut flipped = frame.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let cause = match bit / 8 {
            0 => FrameError::Version,
            2 | 3 => FrameError::Foreign,
            _ => FrameError::WrongKey,
        };
        assert_eq!(decode(&flipped), Err(cause), "bit {bit}");
    }
}

#[test]
fn noise_is_refused() {
    let mut random = Random::new(1);
    for _ in 0..20_000 {
        let length = random.within(&(0..FRAME_MAX as u64 + 20)) as usize;
        let mut noise: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
        // Half of the noise has a header that is right.
        if length > 4 && random.happens(500_000) {
            noise[..4].copy_from_slice(&encode(&typical())[..4]);
        }
        let refused = decode(&noise).expect_err("a signature was guessed");
        assert_eq!(refused == FrameError::Oversized, length > FRAME_MAX);
        assert_eq!(refused == FrameError::Truncated, length < 20);
    }
}

#[test]
fn what_is_signed_and_no_sentence_is_malformed() {
    let frame = encode(&typical());
    let body = &frame[4..frame.len() - 16];
    let with = |place: usize, byte: u8| {
        let mut body = body.to_vec();
        body[place] = byte;
        body
    };
    assert!(decode(&sign(body)).is_ok());
    let too_long = [body, &[0]].concat();
    // The number takes five bytes here; the bits follow: kind, role, request, flags, and what is to come.
    let bits = |bits: u16| {
        let (low, high) = (bits & 0x7f | 0x80, bits >> 7);
        let mut body = body.to_vec();
        body[5..7].copy_from_slice(&[low as u8, high as u8]);
        body
    };
    let typical = u16::from(body[5] & 0x7f) | u16::from(body[6]) << 7;
    assert_eq!(bits(typical), body);
    let (kind, role, asks) = (bits(typical | 1), bits(typical | 7 << 3), bits(typical | 7 << 6));
    let (silent, newer) = (bits(typical & !(1 << 13)), [&[0x81, 0x80, 1], &body[7..]].concat());
    let newer = [&body[..5], &newer].concat();
    for wrong in [&body[..body.len() - 1], &[], &too_long, &kind, &role, &asks, &silent, &newer] {
        assert_eq!(decode(&sign(wrong)), Err(FrameError::Malformed), "{}", hex(wrong));
    }
    let mut random = Random::new(2);
    for _ in 0..20_000 {
        let place = random.within(&(0..body.len() as u64)) as usize;
        // It may be a sentence or not, as long as nobody falls over it.
        let _ = decode(&sign(&with(place, random.bits() as u8)));
        let length = random.within(&(0..FRAME_MAX as u64 - 19)) as usize;
        let noise: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
        let _ = decode(&sign(&noise));
    }
}

#[test]
fn a_key_is_changed_without_a_lost_word() {
    let (old, new) = (|| Key::new(1, b"old"), || Key::new(2, b"new"));
    let ring = |keys: Vec<Key>| Keys::new(keys).expect("the names differ");
    let (before, during, after) =
        (ring(vec![old(), new()]), ring(vec![new(), old()]), ring(vec![new()]));
    let word = Word { version: Version::NEWEST, number: 1, heartbeat: typical() };
    let says = |keys: &Keys| frame::encode(&word, keys, pair());
    for (speaker, listener) in [(&before, &during), (&during, &before), (&during, &after)] {
        assert!(frame::decode(&says(speaker), listener, pair()).is_ok());
    }
    assert_eq!(frame::decode(&says(&before), &after, pair()), Err(FrameError::WrongKey));
    let same_name = Keys::new([Key::new(2, b"else")]).expect("one key");
    assert_eq!(frame::decode(&says(&after), &same_name, pair()), Err(FrameError::WrongKey));
    assert_eq!(frame::decode(&says(&after), &after, PairId::of("dhcp")), Err(FrameError::Foreign));
    assert!(Keys::new([old(), old()]).is_none(), "two keys with one name");
    assert!(Keys::new([]).is_none());
}

#[test]
fn a_stream_is_understood_wherever_it_begins() {
    let frames = [encode(&typical()), encode(&largest()), encode(&newborn())];
    let stream: Vec<u8> = frames.iter().flat_map(|frame| enclosed(frame)).collect();
    let ends: Vec<usize> = frames
        .iter()
        .scan(0, |end, frame| {
            *end += enclosed(frame).len();
            Some(*end)
        })
        .collect();
    for begin in 0..stream.len() {
        let heard = deframe(&stream[begin..]);
        // Those that begin after the ear was put to the line are heard, all of them.
        let whole = ends.iter().position(|end| *end > begin).map_or(3, |first| first + 1);
        for frame in &frames[whole..] {
            assert!(heard.contains(&frame.to_vec()), "from byte {begin} on");
        }
    }
}

#[test]
fn noise_on_a_line_costs_the_noise() {
    let frame = encode(&typical());
    let mut random = Random::new(3);
    for length in 0..300 {
        let noise: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
        let stream = [&noise[..], &enclosed(&frame)].concat();
        assert_eq!(deframe(&stream).last(), Some(&frame.to_vec()), "after {length} bytes of noise");
    }
    let endless = [vec![0], vec![7; 10_000], enclosed(&frame)].concat();
    let heard = deframe(&endless);
    assert_eq!(heard.len(), 2);
    let refused = frame::decode(&heard[0], &keys(), pair());
    assert_eq!(refused, Err(FrameError::Oversized), "what is too long is counted as that");
    assert_eq!(heard[1], frame.to_vec());
    let broken = [&[0, 9, 9, 9, 0][..], &enclosed(&frame)].concat();
    let heard = deframe(&broken);
    assert_eq!(heard.len(), 2);
    let refused = frame::decode(&heard[0], &keys(), pair());
    assert_eq!(refused, Err(FrameError::Truncated), "what is no COBS is counted");
    assert_eq!(heard[1], frame.to_vec());
    let zeros = [vec![0; 500], enclosed(&frame), vec![0; 500]].concat();
    assert_eq!(deframe(&zeros), [frame.to_vec()], "zeros between frames are nothing");
}

#[test]
fn zeros_within_a_frame_come_through() {
    for frame in [vec![0; FRAME_MAX], vec![0, 1, 0, 0, 2, 0], vec![0], vec![255; FRAME_MAX]] {
        assert_eq!(deframe(&enclosed(&frame)), [frame]);
    }
}

#[test]
fn a_replay_is_refused_on_its_link() {
    let mut reception = reception();
    let now = Instant::from_millis(1);
    let says = |number| says(number, typical());
    assert!(reception.receive(ETHERNET, &says(5), now).is_ok());
    assert_eq!(reception.receive(ETHERNET, &says(5), now), Err(FrameError::Replayed));
    assert_eq!(reception.receive(ETHERNET, &says(4), now), Err(FrameError::Replayed));
    assert!(reception.receive(SERIAL, &says(5), now).is_ok(), "each link carries every frame");
    assert!(reception.receive(ETHERNET, &says(8), now).is_ok());
    let statistics = reception.statistics(ETHERNET);
    assert_eq!((statistics.received, statistics.lost), (2, 2));
    assert_eq!(statistics.dropped[FrameError::Replayed as usize], 2);
    assert_eq!(reception.statistics(SERIAL).lost, 0);
}

#[test]
fn numbers_begin_anew_after_the_last_one() {
    let mut reception = reception();
    let now = Instant::from_millis(1);
    let mut hears = |number| reception.receive(ETHERNET, &says(number, typical()), now).is_ok();
    assert!(hears(u32::MAX - 1));
    assert!(hears(u32::MAX));
    assert!(hears(0));
    assert!(!hears(u32::MAX));
    assert!(hears(1));
    assert_eq!(reception.statistics(ETHERNET).lost, 0);
}

#[test]
fn a_recording_of_an_earlier_boot_is_a_replay() {
    let mut reception = reception();
    let now = Instant::from_millis(1);
    let says = |boot: u8, number| {
        let epoch = Epoch { boot: Boot([boot; 4]), change: 1 };
        says(number, Heartbeat { epoch, ..typical() })
    };
    for boot in 0..32 {
        assert!(reception.receive(ETHERNET, &says(boot, 9), now).is_ok());
    }
    for boot in 0..32 {
        assert_eq!(reception.receive(ETHERNET, &says(boot, 9), now), Err(FrameError::Replayed));
    }
}

/// One of everything that a heartbeat can say.
fn golden() -> Vec<(String, u32, Heartbeat)> {
    let mut golden = vec![
        ("typical".to_owned(), 300, typical()),
        ("largest".to_owned(), u32::MAX, largest()),
        ("newborn".to_owned(), 0, newborn()),
    ];
    let roles = [
        Role::Init,
        Role::Standby,
        Role::Fencing,
        Role::Starting,
        Role::Active,
        Role::Stopping,
        Role::Failed,
    ];
    let roles = roles.map(|role| (format!("role_{role}"), 1, Heartbeat { role, ..typical() }));
    let asks = [
        ("nothing", Asks::Nothing),
        ("hand_over", Asks::HandOver),
        ("standby", Asks::Standby),
        ("claim", Asks::Claim),
        ("leave", Asks::Leave),
        ("fence", Asks::Fence),
        ("maintenance", Asks::Maintenance),
    ];
    let asks =
        asks.map(|(word, asks)| (format!("asks_{word}"), 1, Heartbeat { asks, ..typical() }));
    golden.extend(roles.into_iter().chain(asks));
    let system = Fingerprint([0x5e, 0x1f, 0, 1]);
    golden.extend([
        ("witness_lost".to_owned(), 1, Heartbeat { witness: false, ..typical() }),
        ("shoots".to_owned(), 1, Heartbeat { shoots: true, ..typical() }),
        ("system".to_owned(), 1, Heartbeat { system, ..typical() }),
    ]);
    golden
}

fn typical() -> Heartbeat {
    Heartbeat {
        from: BoxId::Second,
        epoch: Epoch { boot: Boot([0xb0, 0x07, 0xb0, 0x07]), change: 4 },
        role: Role::Standby,
        priority: Priority(50),
        term: Term(3),
        fit: true,
        witness: true,
        shoots: false,
        asks: Asks::Nothing,
        config: Fingerprint([0xc0, 0xff, 0x1e, 0x5]),
        system: Fingerprint::default(),
        heard: Some(Epoch { boot: Boot([0x01, 0x02, 0x03, 0x04]), change: 6 }),
        hears: Links::default().with(ETHERNET, true).with(SERIAL, true),
    }
}

fn largest() -> Heartbeat {
    let epoch = Epoch { boot: Boot([0xff; 4]), change: u32::MAX };
    let links = (0..LINKS_MAX).filter_map(LinkId::new);
    Heartbeat {
        from: BoxId::Second,
        epoch,
        role: Role::Failed,
        priority: Priority(u8::MAX),
        term: Term(u32::MAX),
        fit: true,
        witness: true,
        shoots: false,
        asks: Asks::Fence,
        config: Fingerprint([0xff; 4]),
        system: Fingerprint([0xff; 4]),
        heard: Some(epoch),
        hears: links.fold(Links::default(), |links, link| links.with(link, true)),
    }
}

fn newborn() -> Heartbeat {
    Heartbeat {
        from: BoxId::First,
        epoch: Epoch { boot: Boot([0; 4]), change: 0 },
        role: Role::Init,
        priority: Priority(0),
        term: Term(0),
        fit: false,
        witness: true,
        shoots: false,
        asks: Asks::Nothing,
        config: Fingerprint([0; 4]),
        system: Fingerprint::default(),
        heard: None,
        hears: Links::default(),
    }
}

fn encode(heartbeat: &Heartbeat) -> Frame {
    says(u32::MAX, *heartbeat)
}

fn says(number: u32, heartbeat: Heartbeat) -> Frame {
    frame::encode(&Word { version: Version::NEWEST, number, heartbeat }, &keys(), pair())
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn decode(bytes: &[u8]) -> Result<Word, FrameError> {
    frame::decode(bytes, &keys(), pair())
}

/// The frame around `body`, signed as RFC 2104 has it and not as the core does it.
fn sign(body: &[u8]) -> Vec<u8> {
    let mut frame = encode(&typical())[..4].to_vec();
    frame.extend(body);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("a key may have any length");
    mac.update(&frame);
    frame.extend(&mac.finalize().into_bytes()[..16]);
    frame
}

fn keys() -> Keys {
    Keys::new([Key::new(7, SECRET)]).expect("one key is a ring")
}

fn pair() -> PairId {
    PairId::of("ldap")
}

fn reception() -> Reception {
    Reception::new(keys(), pair())
}

fn enclosed(frame: &[u8]) -> Vec<u8> {
    frame::enclose(frame, &mut [0; LINE_MAX]).to_vec()
}

fn deframe(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut deframer = Deframer::new();
    stream.iter().filter_map(|byte| deframer.push(*byte).map(<[u8]>::to_vec)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits =
        |pair: &[u8]| str::from_utf8(pair).ok().and_then(|it| u8::from_str_radix(it, 16).ok());
    text.as_bytes().chunks(2).map(|pair| digits(pair).expect("two hexadecimal digits")).collect()
}

const SECRET: &[u8] = b"known to everybody who reads this";
const ETHERNET: LinkId = LinkId::new(0).expect("there is a first link");
const SERIAL: LinkId = LinkId::new(1).expect("there is a second link");
