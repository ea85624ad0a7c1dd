//! Carries heartbeats over cables and paths that transport whole frames.
//!
//! A [`Link`] is what is open now: it sends and receives without ever waiting, and says in an error what went
//! wrong. A [`Port`] is the place that it is plugged into: what all links share stands there, once; what one is made of
//! stands in its own file.
//!
//! To add a link: write `link/NAME.rs` after the model of `udp`, then name it below: `mod`, its word in `KINDS`, a
//! variant of `Kind`. The compiler asks for the arms.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use firmware_agnostic::identity::{BoxId, LINKS_MAX};

use crate::config::requirement::Requirement;
use crate::config::table::{Name, Table};

pub use port::{Port, PortState};

mod port;
mod serial;
mod udp;

/// One `[[link]]` of the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// What people call it: the word `name`, or else its interface or device. No two links have the same.
    pub name: String,
    kind: Kind,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    Udp(udp::Config),
    Serial(serial::Config),
}

impl Config {
    /// Reads every `[[link]]`, and complains about each that is incomplete, one too many, or called like an earlier
    /// one.
    pub fn read_all(tables: Vec<Table<'_>>) -> Vec<Self> {
        let mut configs: Vec<Self> = Vec::new();
        for (place, mut table) in tables.into_iter().enumerate() {
            if place == LINKS_MAX {
                table.error("", format!("is one too many: a pair has {LINKS_MAX} links at most"));
            }
            // While the kind is not known, neither are the words that belong to it.
            let Some(reader) = table.kind(KINDS) else { continue };
            if let Some(config) = Self::read(&mut table, reader) {
                if configs.iter().any(|earlier| earlier.name == config.name) {
                    let name = &config.name;
                    table.error(
                        "name",
                        format!("{name} is another link already: give one of them another `name`"),
                    );
                }
                if let Some(earlier) = configs.iter().find(|earlier| earlier.kind == config.kind) {
                    let reason =
                        format!("is the cable of {} once more: a cable counts once", earlier.name);
                    table.error("", reason);
                } else if let Some((ip, earlier)) = holder(&configs, &config.addresses()) {
                    let reason = format!(
                        "{ip} is an address of link {earlier} already: give each cable its own"
                    );
                    table.error("address", reason);
                }
                configs.push(config);
            }
            table.finish();
        }
        configs
    }

    fn read(table: &mut Table<'_>, reader: Reader) -> Option<Self> {
        let name = table.take("name").map(|Name(name)| name);
        let kind = reader(table)?;
        Some(Self { name: name.unwrap_or_else(|| kind.name()), kind })
    }

    /// What the box `me` must have for it.
    pub fn needs(&self, me: BoxId) -> Vec<Requirement> {
        match &self.kind {
            Kind::Udp(config) => config.needs(me),
            Kind::Serial(config) => config.needs(me),
        }
    }

    /// Who uses on the box `me` what the link is made of, and how to make an end of that; nothing where it is not
    /// there.
    pub fn conflict(&self, me: BoxId) -> Option<String> {
        match &self.kind {
            Kind::Udp(_) => None,
            Kind::Serial(config) => config.conflict(me),
        }
    }

    /// Opens the link on the box `me`, which may take its time: a USB adapter is set up over its bus.
    ///
    /// # Errors
    ///
    /// When what it is made of is not there, or may not be used: with the remedy.
    pub fn open(&self, me: BoxId) -> io::Result<Box<dyn Link + Send>> {
        Ok(match &self.kind {
            Kind::Udp(config) => Box::new(config.open(me)?),
            Kind::Serial(config) => Box::new(config.open(me)?),
        })
    }

    /// Opens the link on the box `me` to send only, beside the supervisor that takes it meanwhile.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_to_speak(&self, me: BoxId) -> io::Result<Box<dyn Link + Send>> {
        Ok(match &self.kind {
            Kind::Udp(config) => Box::new(config.open_to_speak(me)?),
            Kind::Serial(config) => Box::new(config.open_to_speak(me)?),
        })
    }

    /// Whether the cable itself shows that there is a live machine at the other end.
    pub fn shows_power(&self) -> bool {
        match &self.kind {
            Kind::Udp(config) => config.direct,
            Kind::Serial(_) => true,
        }
    }

    /// The addresses of its two ends, but those that every link may have (RFC 4291 section 2.5.6).
    pub fn addresses(&self) -> Vec<IpAddr> {
        let all = match &self.kind {
            Kind::Udp(config) => config.addresses(),
            Kind::Serial(_) => Vec::new(),
        };
        let local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        all.into_iter().filter(|ip| !local(ip)).collect()
    }

    /// The bits per second of a cable so slow that they must be counted.
    pub fn baud(&self) -> Option<u32> {
        match &self.kind {
            Kind::Udp(_) => None,
            Kind::Serial(config) => Some(config.baud),
        }
    }
}

/// The first of these addresses that an end of one of these links has, and what the link is called.
pub fn holder<'a>(links: &'a [Config], addresses: &[IpAddr]) -> Option<(IpAddr, &'a str)> {
    let ends =
        links.iter().flat_map(|link| link.addresses().into_iter().map(|ip| (ip, &*link.name)));
    ends.into_iter().find(|(ip, _)| addresses.contains(ip))
}

impl Kind {
    fn name(&self) -> String {
        match self {
            Self::Udp(config) => config.name(),
            Self::Serial(config) => config.name(),
        }
    }
}

/// Reads the words of one kind.
type Reader = fn(&mut Table<'_>) -> Option<Kind>;

const KINDS: &[(&str, Reader)] = &[
    ("udp", |table| udp::Config::read(table).map(Kind::Udp)),
    ("serial", |table| serial::Config::read(table).map(Kind::Serial)),
];

/// A link that is open. Its descriptor becomes readable when a frame may be there.
pub trait Link: AsFd {
    /// Sends a whole frame now, or drops it. Never waits.
    ///
    /// # Errors
    ///
    /// The frame was dropped: `WouldBlock` when there is no room, which is no fault of the link; else with the
    /// reason. The link stays open.
    fn send(&self, frame: &[u8]) -> io::Result<()>;

    /// Takes the next whole frame, and tells its length. Never waits. Is called when the descriptor is readable,
    /// and once a second besides, so that a link can look after itself.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is nothing left to read; `Interrupted` when there may be, and others should have
    /// their turn first; else the link must be opened again.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Where the last frame came from that [`Link::receive`] has read, where links tell.
    fn sender(&self) -> Option<IpAddr> {
        None
    }

    /// What came from others than the other box since this was asked last: how much, and from where the last of it.
    /// It was dropped.
    fn strangers(&self) -> (u64, Option<IpAddr>) {
        (0, None)
    }

    /// How long it takes until the rest of the frame is here of which [`Link::receive`] has just read a part, if it
    /// has.
    fn rest(&self) -> Option<Duration> {
        None
    }

    /// Looks, about once a second, whether what was opened is still what is there.
    ///
    /// # Errors
    ///
    /// When it is not: the link must be opened again.
    fn look(&self) -> io::Result<()> {
        Ok(())
    }

    /// The modem control lines, where there are any.
    fn lines(&self) -> Option<ModemLines> {
        None
    }

    /// Whether there is a live machine at the other end, as far as the cable itself shows it.
    fn line(&self) -> Option<bool> {
        self.lines().map(ModemLines::any)
    }
}

/// What the other end of a serial cable holds high (`ioctl_tty(2)`, `TIOCMGET`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ModemLines {
    /// DCD: on a null modem, the other end's DTR.
    pub carrier: bool,
    /// DSR: on a null modem, the other end's DTR.
    pub dsr: bool,
    /// CTS: on a null modem, the other end's RTS.
    pub cts: bool,
}

impl ModemLines {
    /// Whether the other end holds any of them: something is powered there, and has its port open.
    pub const fn any(self) -> bool {
        self.carrier || self.dsr || self.cts
    }
}

/// An error that says what was tried, and keeps its kind.
fn while_trying(what: String) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}
