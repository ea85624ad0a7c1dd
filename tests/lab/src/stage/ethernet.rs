//! Carries the Ethernet frames between the boxes.
//!
//! To every other port of the same segment, as on a hub, unless a cable is pulled (no frames, no carrier) or a path
//! loses what one station says to another (no frames, but the carrier stays: the nastier fault). One thread moves
//! the frames of all segments; taking a port away from under it takes effect at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use firmware_agnostic::identity::BoxId;
use rustix::event::epoll;
use rustix::io::{read, write};

use crate::stage::kernel::Tap;

/// All the Ethernet of the lab.
#[derive(Clone, Debug)]
pub(crate) struct Ethernet(Arc<Shared>);

/// What a cable ends in.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Station {
    Box(BoxId),
    Client,
}

/// What frames cannot cross.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Segment {
    /// The service network: a switch with the boxes and the client.
    Lan,
    /// The cable from box to box, which loses its carrier when either end does.
    Direct,
    /// The network of the BMCs.
    Management,
}

impl Segment {
    /// Every one, in the order of the names of its interfaces.
    pub(crate) const ALL: [Self; 3] = [Self::Lan, Self::Direct, Self::Management];

    /// What a box calls its interface to this segment.
    pub(crate) const fn interface(self) -> &'static str {
        match self {
            Self::Lan => "eth0",
            Self::Direct => "eth1",
            Self::Management => "eth2",
        }
    }
}

impl Ethernet {
    /// An Ethernet without stations, and the thread that will serve it.
    ///
    /// # Errors
    ///
    /// When the kernel has no descriptor or thread left.
    pub(crate) fn new() -> io::Result<Self> {
        let ready = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let ethernet = Self(Arc::new(Shared { ready, wiring: Mutex::default() }));
        let shared = Arc::clone(&ethernet.0);
        std::thread::Builder::new().name("ethernet".to_owned()).spawn(move || shared.serve())?;
        Ok(ethernet)
    }

    /// Plugs the port of a station in.
    ///
    /// # Errors
    ///
    /// When the port is gone already.
    pub(crate) fn plug(&self, segment: Segment, station: Station, tap: Tap) -> io::Result<()> {
        let mut wiring = self.0.wiring();
        let key = wiring.next_key;
        wiring.next_key += 1;
        let data = epoll::EventData::new_u64(key);
        epoll::add(&self.0.ready, tap.as_fd(), data, epoll::EventFlags::IN)?;
        wiring.ports.insert(key, Port { segment, station, tap });
        wiring.set_carriers();
        Ok(())
    }

    /// Takes every port of a station away: its interfaces are gone when this returns.
    pub(crate) fn unplug(&self, station: Station) {
        let mut wiring = self.0.wiring();
        wiring.ports.retain(|_, port| port.station != station);
        wiring.set_carriers();
    }

    /// Pulls the plug of a station out, or puts it back in.
    pub(crate) fn pull(&self, segment: Segment, station: Station, pulled: bool) {
        let mut wiring = self.0.wiring();
        if pulled {
            wiring.pulled.insert((segment, station));
        } else {
            wiring.pulled.remove(&(segment, station));
        }
        wiring.set_carriers();
    }

    /// Lets what `from` says to `to` vanish on the way, or arrive again.
    pub(crate) fn lose(&self, segment: Segment, from: Station, to: Station, lost: bool) {
        let mut wiring = self.0.wiring();
        if lost {
            wiring.lost.insert((segment, from, to));
        } else {
            wiring.lost.remove(&(segment, from, to));
        }
    }

    /// What a station has first said to the port of the heartbeats.
    pub(crate) fn recording(&self, segment: Segment, station: Station) -> Vec<Vec<u8>> {
        let wiring = self.0.wiring();
        wiring.recorded.get(&(segment, station)).cloned().unwrap_or_default()
    }

    /// What a station said to open letters, as far as it was recorded.
    pub(crate) fn openings(&self, segment: Segment, station: Station) -> Vec<Vec<u8>> {
        let wiring = self.0.wiring();
        wiring.openings.get(&(segment, station)).cloned().unwrap_or_default()
    }

    /// Another hand on the port of a station.
    ///
    /// # Errors
    ///
    /// When it has none, because it has no power.
    pub(crate) fn port(&self, segment: Segment, station: Station) -> io::Result<OwnedFd> {
        let wiring = self.0.wiring();
        let mut ports = wiring.ports.values();
        let port = ports.find(|port| port.segment == segment && port.station == station);
        port.ok_or(io::ErrorKind::NotConnected)?.tap.as_fd().try_clone_to_owned()
    }

    /// Repairs every cable and every path.
    pub(crate) fn mend(&self) {
        let mut wiring = self.0.wiring();
        wiring.pulled.clear();
        wiring.lost.clear();
        wiring.set_carriers();
    }
}

#[derive(Debug)]
struct Shared {
    ready: OwnedFd,
    wiring: Mutex<Wiring>,
}

#[derive(Debug, Default)]
struct Wiring {
    ports: BTreeMap<u64, Port>,
    next_key: u64,
    pulled: BTreeSet<(Segment, Station)>,
    lost: BTreeSet<(Segment, Station, Station)>,
    recorded: BTreeMap<(Segment, Station), Vec<Vec<u8>>>,
    /// Of these, what opens a letter.
    openings: BTreeMap<(Segment, Station), Vec<Vec<u8>>>,
}

#[derive(Debug)]
struct Port {
    segment: Segment,
    station: Station,
    tap: Tap,
}

impl Shared {
    fn wiring(&self) -> MutexGuard<'_, Wiring> {
        self.wiring.lock().expect("no thread panics while it holds the wiring")
    }

    fn serve(&self) {
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); 16];
        loop {
            let Ok((ready, _)) = epoll::wait(&self.ready, &mut events, None) else { continue };
            let mut wiring = self.wiring();
            for event in ready {
                wiring.forward(event.data.u64());
            }
        }
    }
}

impl Wiring {
    /// Moves what one port has to say, as far as it is ready and in reason.
    fn forward(&mut self, key: u64) {
        let mut frame = [0u8; FRAME_MAX];
        for _ in 0..BURST {
            let Some(port) = self.ports.get(&key) else { return };
            match read(port.tap.as_fd(), &mut frame) {
                Ok(length) => {
                    let place = (port.segment, port.station);
                    self.deliver(port, &frame[..length]);
                    self.record(place, &frame[..length]);
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
                // The box behind it is gone, and the port with it.
                Err(_) => {
                    self.ports.remove(&key);
                    self.set_carriers();
                }
            }
        }
    }

    fn deliver(&self, from: &Port, frame: &[u8]) {
        if !self.carrier(from) {
            return;
        }
        let others = self.ports.values().filter(|to| {
            to.segment == from.segment && to.station != from.station && self.carrier(to)
        });
        for to in others {
            if !self.lost.contains(&(from.segment, from.station, to.station)) {
                // A port that is down or full loses frames, as Ethernet may.
                let _ = write(to.tap.as_fd(), frame);
            }
        }
    }

    fn record(&mut self, place: (Segment, Station), frame: &[u8]) {
        if frame.get(HEARTBEATS) != Some(&PORT.to_be_bytes()) {
            return;
        }
        let opens = frame.get(KIND) == Some(&OPENS);
        let recorded = if opens { &mut self.openings } else { &mut self.recorded };
        let recorded = recorded.entry(place).or_default();
        if recorded.len() < RECORDED {
            recorded.push(frame.to_vec());
        }
    }

    fn carrier(&self, port: &Port) -> bool {
        let plugged = |station| {
            !self.pulled.contains(&(port.segment, station))
                && self.ports.values().any(|p| p.segment == port.segment && p.station == station)
        };
        match port.segment {
            Segment::Lan | Segment::Management => plugged(port.station),
            Segment::Direct => BoxId::BOTH.into_iter().all(|id| plugged(Station::Box(id))),
        }
    }

    fn set_carriers(&self) {
        for port in self.ports.values() {
            // Fails only for a box that is dying, and then nobody looks.
            let _ = port.tap.set_carrier(self.carrier(port));
        }
    }
}

/// An Ethernet frame with a VLAN tag.
const FRAME_MAX: usize = 1518;

/// Where the port stands to which a UDP datagram goes (RFC 791, RFC 768), and that of the heartbeats.
const HEARTBEATS: Range<usize> = 36..38;
const PORT: u16 = 694;

/// The first byte behind the headers of Ethernet, IPv4 and UDP.
const KIND: usize = 14 + 20 + 8;
/// It opens a letter.
const OPENS: u8 = 0x82;

/// How many are recorded: the first ones.
const RECORDED: usize = 32;

/// So that one station that floods cannot silence the others.
const BURST: usize = 64;
