//! Checks that the bytes mean what they always meant, and that nothing else means anything.
//!
//! `wire/vN/NAME.hex` is one frame each, fixed for ever: what was shipped is out there. A file is written if it is not
//! there yet and `TWOBOX_WRITE` is set, and never changed; a new field is a new version, with a folder of its own.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use firmware_agnostic::frame::{
    self, Deframer, Echo, FRAME_MAX, Frame, FrameError, Key, Keys, LINE_MAX, Message, PairId,
    Version,
};
use firmware_agnostic::heartbeat::{
    Epoch, Fingerprint, Heartbeat, Incarnation, LinkSet, PeerRequest, Priority, Role, Term,
};
use firmware_agnostic::identity::{BoxId, LINKS_MAX, LinkId};
use firmware_agnostic::receiver::Reception;
use firmware_agnostic::time::Instant;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use simulation::random::Random;

#[test]
fn the_bytes_of_every_version_are_fixed() {
    assert_eq!(Version::NEWEST, Version::Three);
    for (name, number, heartbeat) in golden() {
        let word = Message { version: Version::Two, number, heartbeat, echo: None };
        its_bytes_are_fixed(&name, &word);
        its_bytes_are_fixed(&name, &Message { version: Version::Three, ..word });
    }
    let held = [0, 3, 250, 255].map(|held| Duration::from_millis(held * 4));
    for (link, held) in (0..LINKS_MAX).filter_map(LinkId::new).zip(held) {
        let echo = Some(Echo::new(link, u32::MAX - link.index() as u32, held));
        let word = Message { version: Version::Three, number: 1, heartbeat: typical(), echo };
        its_bytes_are_fixed(&format!("echo_{}", link.index()), &word);
    }
    let restarts = Heartbeat { restarts: true, ..typical() };
    let word = Message { version: Version::Three, number: 1, heartbeat: restarts, echo: None };
    its_bytes_are_fixed("restarts", &word);
}

/// To a peer of an older version nothing can be said, which takes every word for a proof of life.
#[test]
fn a_guard_says_the_next_word_and_only_in_a_version_that_tells_proofs() {
    let echo = Some(Echo::new(ETHERNET, 7, Duration::ZERO));
    let word = Message { version: Version::Three, number: u32::MAX, heartbeat: typical(), echo };
    let said = word.of_guard(largest()).expect("this version tells proofs");
    assert_eq!((said.number, said.heartbeat, said.version), (0, largest(), Version::Three));
    assert_eq!(said.echo, Some(Echo { held: u8::MAX, ..word.echo.unwrap() }), "it hears nobody");
    assert_eq!(Message { version: Version::Two, ..word }.of_guard(largest()), None);
}

/// The first version is understood no more: two are enough to upgrade the boxes one after the other.
#[test]
fn the_first_version_is_refused_in_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/wire/v1");
    let files = fs::read_dir(folder).expect("its bytes are kept");
    let frames = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let refused = frames.map(|text| decode(&unhex(text.trim())));
    let refused: Vec<_> = refused.collect();
    assert!(refused.len() > 10);
    assert!(refused.iter().all(|read| *read == Err(FrameError::Version)), "{refused:?}");
}

fn its_bytes_are_fixed(name: &str, word: &Message) {
    let version = word.version as u8;
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../core/wire/v{version}/{name}.hex"));
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
    let echo = Some(Echo::new(ETHERNET, 7, Duration::ZERO));
    let word = Message { version: Version::Two, number: 1, heartbeat: largest(), echo };
    let read = decode(&frame::encode(&word, &keys(), pair()));
    assert_eq!(read, Ok(Message { echo: None, ..word }));
}

#[test]
fn boxes_of_two_versions_find_the_newer_one_that_both_speak() {
    let said = |version: Version, number| -> Vec<Version> { version.to_say(number).collect() };
    assert_eq!(said(Version::Three, 16), [Version::Three]);
    assert_eq!(said(Version::Two, 17), [Version::Two]);
    assert_eq!(said(Version::Two, 32), [Version::Three, Version::Two]);
    // Both have heard a word of the older version, and could speak the newer one.
    let mut boxes = [(); 2].map(|()| reception());
    let old = Message { version: Version::Two, number: 1, heartbeat: typical(), echo: None };
    for reception in &mut boxes {
        assert_eq!(reception.speaks(), Version::Three);
        let heard = reception.receive(ETHERNET, &frame::encode(&old, &keys(), pair()), at(1));
        assert!(heard.is_ok());
        assert_eq!(reception.speaks(), Version::Two);
    }
    for number in 2..64 {
        for (speaker, listener) in [(0, 1), (1, 0)] {
            for version in boxes[speaker].speaks().to_say(number) {
                let frame = frame::encode(&Message { version, number, ..old }, &keys(), pair());
                // The same word in the other version is a replay.
                let _ = boxes[listener].receive(ETHERNET, &frame, at(1));
            }
        }
    }
    assert_eq!(boxes.map(|reception| reception.speaks()), [Version::Three; 2]);
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
            // The other version has another byte there, and another body behind it.
            0 if bit == 0 => FrameError::WrongKey,
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
    // The number takes four bytes here; the bits follow: role, request, flags, link, and what is to come.
    let bits = |change: fn(u32) -> u32| {
        let [low, middle, high, _] =
            change(u32::from_le_bytes([body[4], body[5], body[6], 0])).to_le_bytes();
        [&body[..4], &[low, middle, high], &body[7..]].concat()
    };
    assert_eq!(bits(|bits| bits), body);
    let (role, request) = (bits(|bits| bits | 7), bits(|bits| bits | 7 << 3));
    let (silent, link) = (bits(|bits| bits & !(1 << 10)), bits(|bits| bits | 7 << 12));
    let (unknown, newer) = (bits(|bits| bits | 1 << 11 | 7 << 12), bits(|bits| bits | 1 << 16));
    let echo = with(body.len() - 1, 1);
    let short = &body[..body.len() - 1];
    assert_eq!(decode(&sign(&too_long)), Err(FrameError::Oversized));
    for wrong in [short, &[], &role, &request, &silent, &link, &unknown, &newer, &echo] {
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

/// What the older version may say one day is not taken for what it says now.
#[test]
fn another_kind_of_the_older_version_is_malformed() {
    let word = Message { version: Version::Two, number: 1, heartbeat: typical(), echo: None };
    let frame = frame::encode(&word, &keys(), pair());
    let (head, body) = (&frame[..4], &frame[4..frame.len() - 16]);
    // The number takes one byte here; the bits follow in two: kind, role, request, flags.
    let bits = u16::from(body[1] & 0x7f) | u16::from(body[2]) << 7;
    let with = |bits: u16| {
        let [low, high, more] = [bits, bits >> 7, bits >> 14].map(|bits| bits as u8 & 0x7f);
        let bytes =
            if more == 0 { vec![low | 0x80, high] } else { vec![low | 0x80, high | 0x80, more] };
        decode(&sign_after(head, &[&body[..1], &bytes, &body[3..]].concat()))
    };
    assert!(with(bits).is_ok());
    for other in [bits | 1, bits | 1 << 14, bits & !(1 << 13)] {
        assert_eq!(with(other), Err(FrameError::Malformed), "{other:b}");
    }
}

/// The proof that the peer lives: the time at which this box said what the peer names.
#[test]
fn what_the_peer_has_heard_is_known_by_its_time() {
    let mut mine = reception();
    for number in 1..=1_000 {
        mine.send(number, None, at(u64::from(number) * 200));
    }
    let mut hears = |number, echo, now| {
        let echo = Some(Echo::new(ETHERNET, echo, Duration::from_millis(40)));
        let frame = encode_word(number, typical(), echo);
        mine.receive(ETHERNET, &frame, at(now)).expect("it is new").proof
    };
    assert_eq!(hears(1, 1_000, 200_050), Some(at(200_000)));
    assert_eq!(hears(2, 900, 200_060), Some(at(180_000)));
    assert_eq!(hears(3, 1, 200_070), None, "too long ago to be remembered");
    assert_eq!(hears(4, 1_001, 200_080), None, "it was never said");
    let known = mine.statistics(ETHERNET);
    let first = Duration::from_millis(10);
    assert!(known.round_trip.is_some_and(|time| time > first), "smoothed: {known:?}");
}

#[test]
fn the_round_trip_is_smoothed_and_only_exact_echoes_count() {
    let mut mine = reception();
    let mut echo = |number: u32, of: u32, held: u64, now: u64| {
        let echo = Some(Echo::new(ETHERNET, of, Duration::from_millis(held)));
        let frame = encode_word(number, typical(), echo);
        mine.receive(ETHERNET, &frame, at(now)).expect("it is new");
        let known = *mine.statistics(ETHERNET);
        mine.send(number + 1, None, at(u64::from(number + 1) * 1_000));
        let micros = |time: Duration| u64::try_from(time.as_micros()).expect("it is short");
        (known.round_trip.map(micros), micros(known.jitter))
    };
    assert_eq!(echo(1, 1, 0, 1_990), (None, 0), "nothing was said yet");
    assert_eq!(echo(2, 2, 40, 2_050), (Some(10_000), 5_000));
    assert_eq!(echo(3, 3, 40, 3_066), (Some(12_000), 7_750));
    assert_eq!(echo(4, 4, 2_000, 7_000), (Some(12_000), 7_750), "it was held for too long to tell");
    assert_eq!(echo(9, 6, 40, 6_900), (Some(12_000), 7_750), "that very one is not known");
}

#[test]
fn what_is_said_in_one_moment_counts_as_the_first_of_it() {
    let mut mine = reception();
    for (number, said) in [(10, 3_000), (11, 3_004), (12, 3_005)] {
        mine.send(number, None, at(said));
    }
    let mut proof = |number, of| {
        let echo = Some(Echo::new(ETHERNET, of, Duration::ZERO));
        let frame = encode_word(number, typical(), echo);
        mine.receive(ETHERNET, &frame, at(3_010)).expect("it is new").proof
    };
    assert_eq!([proof(1, 11), proof(2, 12)], [Some(at(3_000)), Some(at(3_005))]);
}

#[test]
fn a_link_that_is_one_frame_behind_has_its_turn_and_one_that_is_gone_has_none() {
    let mut mine = reception();
    for (link, number) in [(SERIAL, 9), (ETHERNET, 9), (ETHERNET, 10)] {
        mine.receive(link, &says(number, typical()), at(1_000)).expect("it is new");
    }
    let life = Some(typical().epoch.boot);
    let echoed = |mine: &mut Reception, number| {
        mine.send(number, life, at(1_020)).map(|echo| (echo.link, echo.number))
    };
    assert_eq!(echoed(&mut mine, 10), Some((ETHERNET, 10)));
    assert_eq!(echoed(&mut mine, 11), Some((SERIAL, 9)));
    assert_eq!(mine.statistics(SERIAL).received, 1);
    mine.reload(keys(), &[None, Some(ETHERNET)]);
    assert_eq!([ETHERNET, SERIAL].map(|link| mine.statistics(link).received), [0, 2]);
    assert_eq!(echoed(&mut mine, 12), Some((SERIAL, 10)), "it has another place");
    mine.reload(keys(), &[]);
    assert_eq!(echoed(&mut mine, 13), None);
}

#[test]
fn a_stream_tells_whether_it_is_within_a_frame() {
    let mut stream = Deframer::new();
    assert!(!stream.is_in_the_middle());
    let within = [0, 1, 1, 0, 1].map(|byte| {
        let _ = stream.push(byte);
        stream.is_in_the_middle()
    });
    assert_eq!(within, [false, true, true, false, true]);
}

#[test]
fn a_set_has_what_was_put_in_twice_and_a_ring_names_its_keys() {
    let twice = LinkSet::default().with(SERIAL, true).with(SERIAL, true);
    assert!(twice.contains(SERIAL) && !twice.contains(ETHERNET));
    assert!(keys().ids().eq([7]));
}

/// Links are echoed in turn, and one that brings nothing new is left out.
#[test]
fn each_link_has_its_turn_to_be_echoed() {
    let mut mine = reception();
    let life = typical().epoch.boot;
    let mut echoed = |number: u32, links: &[LinkId]| {
        for link in links {
            mine.receive(*link, &says(number, typical()), at(1_000)).expect("it is new");
        }
        let echo = mine.send(number, Some(life), at(1_020))?;
        Some((echo.link, echo.number, echo.held))
    };
    assert_eq!(echoed(10, &[ETHERNET, SERIAL]), Some((ETHERNET, 10, 5)));
    assert_eq!(echoed(11, &[ETHERNET, SERIAL]), Some((SERIAL, 11, 5)));
    let dead: Vec<_> = (12..20).map(|number| echoed(number, &[ETHERNET])).collect();
    assert!(dead[1..].iter().all(|echo| echo.is_some_and(|(link, ..)| link == ETHERNET)));
    assert_eq!(mine.send(99, Some(Incarnation(*b"else")), at(1_030)), None);
}

/// A link that was held up may be behind, and one that somebody holds back for long may not.
#[test]
fn a_frame_that_others_have_left_far_behind_is_a_replay() {
    let mut mine = reception();
    for number in 1..=100 {
        mine.receive(ETHERNET, &says(number, typical()), at(1)).expect("it is new");
    }
    let late = mine.receive(SERIAL, &says(83, typical()), at(2));
    assert_eq!(late, Err(FrameError::Replayed));
    assert!(mine.receive(SERIAL, &says(84, typical()), at(2)).is_ok());
}

#[test]
fn a_key_is_changed_without_a_lost_word() {
    let (old, new) = (|| Key::new(1, b"old"), || Key::new(2, b"new"));
    let ring = |keys: Vec<Key>| Keys::new(keys).expect("the names differ");
    let (before, during, after) =
        (ring(vec![old(), new()]), ring(vec![new(), old()]), ring(vec![new()]));
    let word = Message { version: Version::NEWEST, number: 1, heartbeat: typical(), echo: None };
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
fn a_stream_is_understood_from_any_place() {
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
        let epoch = Epoch { boot: Incarnation([boot; 4]), change: 1 };
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
    let request = [
        ("nothing", PeerRequest::Nothing),
        ("hand_over", PeerRequest::HandOver),
        ("standby", PeerRequest::Standby),
        ("claim", PeerRequest::Claim),
        ("leave", PeerRequest::Leave),
        ("fence", PeerRequest::Fence),
        ("maintenance", PeerRequest::Maintenance),
    ];
    let request = request
        .map(|(word, request)| (format!("asks_{word}"), 1, Heartbeat { request, ..typical() }));
    golden.extend(roles.into_iter().chain(request));
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
        epoch: Epoch { boot: Incarnation([0xb0, 0x07, 0xb0, 0x07]), change: 4 },
        role: Role::Standby,
        priority: Priority(50),
        term: Term(3),
        fit: true,
        witness: true,
        shoots: false,
        restarts: false,
        request: PeerRequest::Nothing,
        config: Fingerprint([0xc0, 0xff, 0x1e, 0x5]),
        system: Fingerprint::default(),
        heard: Some(Epoch { boot: Incarnation([0x01, 0x02, 0x03, 0x04]), change: 6 }),
        hears: LinkSet::default().with(ETHERNET, true).with(SERIAL, true),
    }
}

fn largest() -> Heartbeat {
    let epoch = Epoch { boot: Incarnation([0xff; 4]), change: u32::MAX };
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
        restarts: false,
        request: PeerRequest::Fence,
        config: Fingerprint([0xff; 4]),
        system: Fingerprint([0xff; 4]),
        heard: Some(epoch),
        hears: links.fold(LinkSet::default(), |links, link| links.with(link, true)),
    }
}

fn newborn() -> Heartbeat {
    Heartbeat {
        from: BoxId::First,
        epoch: Epoch { boot: Incarnation([0; 4]), change: 0 },
        role: Role::Init,
        priority: Priority(0),
        term: Term(0),
        fit: false,
        witness: true,
        shoots: false,
        restarts: false,
        request: PeerRequest::Nothing,
        config: Fingerprint([0; 4]),
        system: Fingerprint::default(),
        heard: None,
        hears: LinkSet::default(),
    }
}

/// A network gives back each broadcast, and a cable that is a loop everything.
#[test]
fn own_words_that_come_back_tell_nothing_of_the_peer() {
    let (frame, from) = (says(1, typical()), typical().from);
    let heard = |owner| {
        let mut reception = reception().of(owner);
        assert_eq!(reception.receive(ETHERNET, &frame, at(9)).unwrap().heartbeat, typical());
        let statistics = reception.statistics(ETHERNET);
        (statistics.received, statistics.heard_at, reception.signed_with())
    };
    assert_eq!(heard(from), (0, None, None));
    assert_eq!(heard(from.other()), (1, Some(at(9)), Some(7)));
}

fn encode(heartbeat: &Heartbeat) -> Frame {
    says(u32::MAX, *heartbeat)
}

fn says(number: u32, heartbeat: Heartbeat) -> Frame {
    encode_word(number, heartbeat, None)
}

fn encode_word(number: u32, heartbeat: Heartbeat, echo: Option<Echo>) -> Frame {
    frame::encode(&Message { version: Version::NEWEST, number, heartbeat, echo }, &keys(), pair())
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn decode(bytes: &[u8]) -> Result<Message, FrameError> {
    frame::decode(bytes, &keys(), pair())
}

/// The frame around `body`, signed as RFC 2104 has it and not as the core does it.
fn sign(body: &[u8]) -> Vec<u8> {
    sign_after(&encode(&typical())[..4], body)
}

fn sign_after(head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut frame = [head, body].concat();
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
