//! Finds out which machine this is.
//!
//! The file is the same on both boxes, so something outside of it must tell them apart: the name of the host, the
//! serial number of its board, the address of a network card, or a file that the factory has written.
//!
//! A network card is known by the address that it was made with, where the kernel tells it: the ports of a bond or
//! a team all have one address, and some networks want that of another machine.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use board::config::table::Table;
use board::disk::safe_file::{SafeFile, Trust, look};
use board::net::netlink::{Interface, Netlink};

/// What this machine is known by.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    /// The name of the box, where a person has told it; nothing else counts then.
    pub told: Option<String>,
    /// The name of the host.
    pub hostname: String,
    /// The serial number of the board, if it has one.
    pub serial: Option<String>,
    /// The addresses of its network cards.
    pub macs: Vec<String>,
}

impl Identity {
    /// What the machine is known by that this program runs on.
    pub fn of_this_machine() -> Self {
        // What cannot be asked fits no mark, and the message says which marks were found.
        let cards = Netlink::open().and_then(|mut netlink| netlink.interfaces());
        let macs = macs(&cards.unwrap_or_default());
        Self {
            told: None,
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            serial: SERIALS.iter().find_map(|path| line(Path::new(path))),
            macs,
        }
    }

    /// Whether this is the box called `name`: every mark that the file gives it must fit.
    pub(super) fn is(&self, name: &str, marks: &Marks) -> bool {
        if let Some(told) = &self.told {
            return told == name;
        }
        let Marks { hostname, serial, mac, id } = marks;
        if marks.is_empty() {
            return self.is_host(name);
        }
        hostname.as_ref().is_none_or(|hostname| self.is_host(hostname))
            && serial.as_ref().is_none_or(|serial| self.serial.as_ref() == Some(serial))
            && mac
                .as_ref()
                .is_none_or(|mac| self.macs.iter().any(|own| own.eq_ignore_ascii_case(mac)))
            && id.as_ref().is_none_or(|(path, id)| trusted_line(path).is_ok_and(|line| line == *id))
    }

    /// With or without its domain, as hosts are called both ways.
    fn is_host(&self, name: &str) -> bool {
        let short = self.hostname.split('.').next().unwrap_or_default();
        self.hostname.eq_ignore_ascii_case(name) || short.eq_ignore_ascii_case(name)
    }
}

/// Says what this machine is, for a person who wonders.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(told) = &self.told {
            return write!(f, "the box called {told:?}");
        }
        write!(f, "hostname {:?}", self.hostname)?;
        if let Some(serial) = &self.serial {
            write!(f, ", serial {serial:?}")?;
        }
        if !self.macs.is_empty() {
            write!(f, ", mac {}", self.macs.join(" "))?;
        }
        Ok(())
    }
}

/// What the network cards are known by.
fn macs(cards: &[Interface]) -> Vec<String> {
    let macs = cards.iter().filter_map(|card| card.permanent.or(card.mac));
    let mut macs: Vec<_> = macs.filter(|mac| mac.0 != [0; 6]).map(|mac| mac.to_string()).collect();
    macs.sort();
    macs.dedup();
    macs
}

/// What the file says a box is known by.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Marks {
    hostname: Option<String>,
    serial: Option<String>,
    mac: Option<String>,
    id: Option<(PathBuf, String)>,
}

impl Marks {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let marks = Self {
            hostname: table.take("hostname"),
            serial: table.take("serial"),
            mac: table.take("mac"),
            id: None,
        };
        if marks.mac.as_ref().is_some_and(|mac| !is_mac(mac)) {
            table.error("mac", "is no address of a network card, such as \"52:54:00:12:34:56\"");
        }
        let with_file = (table.has("id_file"), table.has("id"));
        let (file, id) = (table.take("id_file"), table.take("id"));
        match with_file {
            (true, false) => {
                table.error("id_file", "goes with `id`, what the file says on this box");
            }
            (false, true) => table.error("id", "goes with `id_file`, the file that says it"),
            _ => {}
        }
        Self { id: file.zip(id), ..marks }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Says what is looked for.
impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_ref().map(|(path, id)| match trusted_line(path) {
            Ok(_) => format!("{id} in {}", path.display()),
            Err(error) => format!("{id} in {}, which {error}", path.display()),
        });
        let marks = [
            ("hostname", &self.hostname),
            ("serial", &self.serial),
            ("mac", &self.mac),
            ("id", &id),
        ];
        let said: Vec<_> = marks
            .iter()
            .filter_map(|(word, mark)| Some(format!("{word} {}", mark.as_ref()?)))
            .collect();
        f.write_str(if said.is_empty() { "hostname as its name" } else { "" })?;
        f.write_str(&said.join(" and "))
    }
}

/// What a file of the kernel says that has one line, if it says anything.
fn line(path: &Path) -> Option<String> {
    Some(only_line(&look(path, LINE_MAX).ok()?)).filter(|line| !line.is_empty())
}

/// What a file says that has one line, and that others than root cannot change.
fn trusted_line(path: &Path) -> io::Result<String> {
    let bytes = SafeFile::of(path, Trust::default())?.read(LINE_MAX)?;
    Ok(only_line(&bytes))
}

/// Device trees end their texts with a zero.
fn only_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()
}

fn is_mac(text: &str) -> bool {
    let mut parts = text.split(':');
    let pairs = parts
        .by_ref()
        .take(6)
        .filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    pairs.count() == 6 && parts.next().is_none()
}

/// Far longer than any serial number.
const LINE_MAX: u64 = 4096;

/// On a PC, and on a board with a device tree.
const SERIALS: [&str; 2] = ["/sys/class/dmi/id/product_serial", "/proc/device-tree/serial-number"];

#[cfg(test)]
mod tests {
    use board::net::netlink::Mac;

    use super::*;

    #[test]
    fn every_mark_must_fit() {
        let me = Identity {
            hostname: "server1.example.com".to_owned(),
            serial: Some("4711".to_owned()),
            macs: vec!["52:54:00:12:34:56".to_owned()],
            ..Identity::default()
        };
        let host = |name: &str| Marks { hostname: Some(name.to_owned()), ..Marks::default() };
        let serial = |serial: &str| Marks { serial: Some(serial.to_owned()), ..host("server1") };
        assert!(me.is("SERVER1", &Marks::default()));
        assert!(!me.is("server2", &Marks::default()));
        assert!(me.is("left", &host("server1.example.com")));
        assert!(me.is("left", &serial("4711")));
        assert!(!me.is("left", &serial("4712")));
        let mac = Some("52:54:00:12:34:5A".to_owned());
        assert!(!me.is("server1", &Marks { mac, ..Marks::default() }));
        assert!(Identity { told: Some("left".to_owned()), ..me }.is("left", &serial("4712")));
    }

    #[test]
    fn a_card_is_known_by_the_address_that_it_was_made_with() {
        let card = |mac, permanent: Option<u8>| Interface {
            index: 1,
            name: "eth0".to_owned(),
            mac: Some(Mac([2, 0, 0, 0, 0, mac])),
            permanent: permanent.map(|permanent| Mac([2, 0, 0, 0, 0, permanent])),
            up: true,
            carrier: true,
            loopback: false,
            forwards: false,
            port_of: None,
        };
        // Two ports of a bond, the bond, and a card that tells nothing.
        let cards = [card(1, Some(1)), card(1, Some(2)), card(1, None), card(9, None)];
        assert_eq!(macs(&cards), ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:09"]);
        // A card that was given the address of another box does not make it that box.
        assert_eq!(macs(&[card(7, Some(3))]), ["02:00:00:00:00:03"]);
    }

    #[test]
    fn an_address_of_a_card_is_six_bytes() {
        assert!(is_mac("52:54:00:ab:CD:56"));
        for wrong in
            ["", "52:54:00:12:34", "52:54:00:12:34:56:78", "52:54:00:12:34:5g", "525:4:00:12:34:56"]
        {
            assert!(!is_mac(wrong), "{wrong}");
        }
    }
}
