//! What the wire, the journal and the kernel bring: bytes of any kind.
//!
//! A checksum or a signature keeps all but one in four thousand million mutations out, so half of the inputs are signed
//! here: what is behind the gate must stand as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use board::net::neighbour::claim;
use board::net::netlink::told;
use firmware_agnostic::frame::{
    self, Deframer, FRAME_MAX, Key, Keys, LINE_MAX, Message, PairId, Version,
};
use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::journal::{Journal, SLOT_LEN};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// A frame as it came; then the same bytes as a body that is signed.
pub fn frame_decode(bytes: &[u8]) {
    let keys = Keys::new([Key::new(7, SECRET)]).expect("one key is a ring");
    let pair = PairId::of("ldap");
    let again = |frame: &[u8]| {
        let Ok(word) = frame::decode(frame, &keys, pair) else { return };
        let said = frame::encode(&word, &keys, pair);
        assert_eq!(frame::decode(&said, &keys, pair), Ok(word));
    };
    again(bytes);
    // The header is that of this pair, not of the input.
    let body = bytes.get(HEADER..).unwrap_or_default();
    let body = &body[..body.len().min(FRAME_MAX - HEADER - TAG)];
    let Some(header) = any_frame(&keys, pair) else { return };
    let mut signed = header.to_vec();
    signed.extend(body);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("a key may have any length");
    mac.update(&signed);
    signed.extend(&mac.finalize().into_bytes()[..TAG]);
    again(&signed);
}

/// Noise, and then a frame: it comes through whole, and is the last thing that does.
pub fn deframer(bytes: &[u8]) {
    let mut deframer = Deframer::new();
    for byte in bytes {
        if let Some(frame) = deframer.push(*byte) {
            // What is too long is given out as well, for the reader to count it.
            assert!(frame.len() <= FRAME_MAX + 2, "{} bytes", frame.len());
        }
    }
    let frame: Vec<u8> = bytes.iter().copied().take(FRAME_MAX).collect();
    let mut line = [0; LINE_MAX];
    let line = frame::enclose(&frame, &mut line);
    let mut last = Vec::new();
    for byte in line {
        last = deframer.push(*byte).map(<[u8]>::to_vec).unwrap_or_default();
    }
    assert_eq!(last, frame);
}

/// A journal as it was found; then the same with checksums that are right.
pub fn journal(bytes: &[u8]) {
    let again = |file: &[u8]| {
        let Some((number, journal)) = Journal::decode(file, KERNEL) else { return };
        let (at, place) = journal.encode(number, KERNEL);
        let mut file = vec![0; at];
        file.extend(place);
        file.resize(SLOT_LEN * 2, 0);
        // It was written anew in this boot, be it of an earlier one.
        let journal = Journal { this_boot: true, ..journal };
        assert_eq!(Journal::decode(&file, KERNEL), Some((number, journal)));
    };
    again(bytes);
    let mut file = bytes.to_vec();
    for place in file.chunks_exact_mut(SLOT_LEN) {
        let (head, checksum) = place.split_at_mut(SLOT_LEN - CHECKSUM);
        checksum.copy_from_slice(&Sha256::digest(head)[..CHECKSUM]);
    }
    again(&file);
}

/// A datagram of the kernel.
pub fn netlink(bytes: &[u8]) {
    let told = told(bytes);
    // A message is a header of 16 bytes at least, and tells three things at most.
    assert!(told.len() <= bytes.len() / 16 * 3);
}

/// A frame from an Ethernet. The address that it is about is taken from it, or else nothing would ever be claimed.
pub fn neighbour(bytes: &[u8]) {
    let v4 = bytes.get(28..).and_then(|rest| rest.first_chunk::<4>()).copied();
    let v6 = bytes.get(62..).and_then(|rest| rest.first_chunk::<16>()).copied();
    let v4 = v4.map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
    let v6 = v6.map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from);
    let claims = [IpAddr::from(v4), IpAddr::from(v6)].map(|address| claim(bytes, address));
    // One frame is of one protocol.
    assert!(claims.iter().flatten().count() <= 1, "{claims:?}");
}

/// The header of this pair's frames.
fn any_frame(keys: &Keys, pair: PairId) -> Option<[u8; HEADER]> {
    use firmware_agnostic::heartbeat::{Epoch, Heartbeat, Incarnation, LinkSet};
    use firmware_agnostic::heartbeat::{PeerRequest, Priority, Role, Term};
    use firmware_agnostic::identity::BoxId;
    let heartbeat = Heartbeat {
        from: BoxId::First,
        epoch: Epoch { boot: Incarnation([0; 4]), change: 0 },
        role: Role::Init,
        priority: Priority(0),
        term: Term(0),
        fit: true,
        witness: true,
        shoots: false,
        restarts: false,
        request: PeerRequest::Nothing,
        config: Fingerprint::default(),
        system: Fingerprint::default(),
        heard: None,
        hears: LinkSet::default(),
    };
    let word = Message { version: Version::NEWEST, number: 0, heartbeat, echo: None };
    frame::encode(&word, keys, pair).first_chunk().copied()
}

/// The secret of the golden frames.
const SECRET: &[u8] = b"known to everybody who reads this";
const HEADER: usize = 4;
const TAG: usize = 16;
const CHECKSUM: usize = 4;
const KERNEL: Fingerprint = Fingerprint([1, 2, 3, 4]);
