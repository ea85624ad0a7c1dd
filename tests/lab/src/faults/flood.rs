//! Sends a box more than it could ever want to hear.
//!
//! Everything comes from the peer's address to the right port: frames of random bytes and lengths, frames of the right
//! version, key and pair that nobody has signed, frames that were signed with another key, and recordings of the real
//! ones. The null modem carries nothing but noise, as fast as it can.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId;
use rustix::io::write;

use crate::Lab;
use crate::stage::ethernet::{Segment, Station};
use crate::stage::null_modem::Wire;
use simulation::random::Random;

impl Lab {
    /// Sends `rate` forged frames a second to a box by each Ethernet link, and noise by the null modem, for `time`.
    /// Tells how many frames went by each link.
    ///
    /// # Errors
    ///
    /// When the box has no power.
    pub fn flood(&self, id: BoxId, rate: u32, time: Duration) -> io::Result<u64> {
        let mut floods = Vec::new();
        for segment in NETWORKS {
            let port = self.ethernet.port(segment, Station::Box(id))?;
            let recorded = self.ethernet.recording(segment, Station::Box(id.other()));
            let frames = forged(&recorded);
            floods.push(move || pour(&port, &frames, rate, time));
        }
        self.null_modem.set(id.other(), Wire::Jammed);
        let poured = thread::scope(|scope| {
            let floods: Vec<_> = floods.into_iter().map(|flood| scope.spawn(flood)).collect();
            floods.into_iter().map(|it| it.join().unwrap_or(0)).min()
        });
        self.null_modem.mend();
        Ok(poured.unwrap_or(0))
    }
}

impl Lab {
    /// Sends a box what the other one said to open letters, `rate` frames a second by each network, for `time`.
    /// Tells how many went by each.
    ///
    /// # Errors
    ///
    /// When the box has no power.
    pub(crate) fn replay_openings(&self, id: BoxId, rate: u32, time: Duration) -> io::Result<u64> {
        let other = Station::Box(id.other());
        let recorded = NETWORKS.map(|segment| self.ethernet.openings(segment, other)).concat();
        let [lan, direct] = NETWORKS.map(|segment| self.ethernet.port(segment, Station::Box(id)));
        let (lan, direct) = (lan?, direct?);
        Ok(thread::scope(|scope| {
            let floods = [&lan, &direct].map(|port| {
                let recorded = &recorded;
                scope.spawn(move || pour(port, recorded, rate, time))
            });
            floods.into_iter().map(|flood| flood.join().unwrap_or(0)).min().unwrap_or(0)
        }))
    }
}

/// Writes the frames again and again, so many a second, and tells how many it were.
fn pour(port: &impl AsFd, frames: &[Vec<u8>], rate: u32, time: Duration) -> u64 {
    let start = Instant::now();
    let mut poured = 0;
    for frame in frames.iter().cycle() {
        let due = Duration::from_secs(1) * u32::try_from(poured).unwrap_or(u32::MAX) / rate;
        if due >= time {
            break;
        }
        // Late is late: what was missed comes as a burst.
        thread::sleep(due.saturating_sub(start.elapsed()));
        // A port that is full loses frames, as Ethernet may.
        let _ = write(port, frame);
        poured += 1;
    }
    poured
}

/// Frames that must not be believed, made of recordings of real ones.
fn forged(recorded: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut chance = Random::new(1);
    let mut forged = Vec::new();
    for real in recorded.iter().cycle().take(KINDS) {
        let length = chance.within(&(0..120)) as usize;
        let mut random = vec![0; length];
        random.fill_with(|| chance.bits() as u8);
        forged.extend(with_payload(real, &random));
        let Some((headers, said)) = real.split_at_checked(HEADERS) else { continue };
        let mut unsigned = said.to_vec();
        if let Some(end) = unsigned.last_mut() {
            *end = !*end;
        }
        forged.extend(with_payload(headers, &unsigned));
        forged.push(real.clone());
    }
    forged
}

/// The headers of `real` before another payload (RFC 791, RFC 768).
fn with_payload(real: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let mut frame = real.get(..HEADERS)?.to_vec();
    let length = payload.len() as u16;
    frame[IP_LENGTH].copy_from_slice(&(IP + UDP + length).to_be_bytes());
    frame[UDP_LENGTH].copy_from_slice(&(UDP + length).to_be_bytes());
    // Zero is no checksum, which an interface must accept.
    frame[UDP_SUM].fill(0);
    frame[IP_SUM].fill(0);
    let words = frame[IP_HEADER].chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1]));
    let sum: u32 = words.sum();
    frame[IP_SUM].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    frame.extend(payload);
    Some(frame)
}

/// Ethernet, IPv4 without options, UDP.
const HEADERS: usize = 14 + 20 + 8;
const IP: u16 = 20;
const UDP: u16 = 8;
const IP_HEADER: Range<usize> = 14..34;
const IP_LENGTH: Range<usize> = 16..18;
const IP_SUM: Range<usize> = 24..26;
const UDP_LENGTH: Range<usize> = 38..40;
const UDP_SUM: Range<usize> = 40..42;

/// The networks that carry heartbeats.
const NETWORKS: [Segment; 2] = [Segment::Lan, Segment::Direct];

/// How many of each kind there are before they repeat themselves.
const KINDS: usize = 100;
