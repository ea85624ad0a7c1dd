//! Watches whether the floating address was ever on both boxes.
//!
//! A thread looks into the network namespaces of both boxes some 200 times a second, past the product and past
//! every cable. A move between two looks must not look like a double, so a pair of sightings counts only if the
//! first box still has the address after it was seen on the second.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId;

use crate::stage::kernel::Interfaces;

/// The eyes of the lab in both boxes.
#[derive(Clone, Debug)]
pub(crate) struct Watch(Arc<Shared>);

/// A stretch of time in which both boxes had the address.
#[derive(Clone, Copy, Debug)]
pub struct Double {
    /// When it was first seen.
    pub since: Instant,
    /// When it was last seen.
    pub until: Instant,
}

impl Watch {
    /// Watches for `address`, once boxes are there to look into.
    ///
    /// # Errors
    ///
    /// When the kernel has no thread left.
    pub(crate) fn new(address: Ipv4Addr) -> io::Result<Self> {
        let shared = Arc::new(Shared { address, seen: Mutex::default() });
        let watcher = Arc::clone(&shared);
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
            loop {
                watcher.seen().look(watcher.address);
                std::thread::sleep(RHYTHM);
            }
        })?;
        Ok(Self(shared))
    }

    /// Looks into a box from now on, or, with `None`, no more: it has no power.
    pub(crate) fn open(&self, id: BoxId, eyes: Option<Interfaces>) {
        self.0.seen().eyes[id.index()] = eyes;
    }

    /// The boxes that have the address now.
    pub(crate) fn holders(&self) -> Vec<BoxId> {
        let seen = self.0.seen();
        BoxId::BOTH.into_iter().filter(|id| seen.holds(*id, self.0.address)).collect()
    }

    /// Every time that both boxes had the address.
    pub(crate) fn doubles(&self) -> Vec<Double> {
        self.0.seen().doubles.clone()
    }

    /// Whether a box sees a plug in its interface.
    pub(crate) fn carrier(&self, id: BoxId, interface: &str) -> bool {
        let seen = self.0.seen();
        let eyes = seen.eyes.get(id.index()).and_then(Option::as_ref);
        eyes.is_some_and(|eyes| eyes.carrier(interface).unwrap_or(false))
    }

    /// How often both boxes were looked into.
    pub(crate) fn looks(&self) -> u64 {
        self.0.seen().looks
    }
}

#[derive(Debug)]
struct Shared {
    address: Ipv4Addr,
    seen: Mutex<Seen>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no thread panics while it looks")
    }
}

#[derive(Debug, Default)]
struct Seen {
    eyes: [Option<Interfaces>; 2],
    looks: u64,
    doubles: Vec<Double>,
}

impl Seen {
    fn look(&mut self, address: Ipv4Addr) {
        let [first, second] = BoxId::BOTH;
        self.looks += 1;
        let double =
            self.holds(first, address) && self.holds(second, address) && self.holds(first, address);
        if !double {
            return;
        }
        let now = Instant::now();
        match self.doubles.last_mut() {
            Some(last) if now - last.until < APART => last.until = now,
            _ => self.doubles.push(Double { since: now, until: now }),
        }
    }

    fn holds(&self, id: BoxId, address: Ipv4Addr) -> bool {
        let eyes = self.eyes.get(id.index()).and_then(Option::as_ref);
        eyes.is_some_and(|eyes| eyes.addresses().is_ok_and(|all| all.contains(&address)))
    }
}

/// How often it looks.
const RHYTHM: Duration = Duration::from_millis(5);

/// Sightings that are further apart than this are two events.
const APART: Duration = Duration::from_millis(100);
