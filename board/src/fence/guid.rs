//! Compares the number by which a machine and its BMC name themselves.
//!
//! It is the UUID of the System Information table (SMBIOS, DSP0134 section 7.2.1), which Linux shows in
//! `/sys/class/dmi/id/product_uuid`, and which a BMC answers to *Get System GUID* (IPMI v2.0 section 20.8). Both
//! are sixteen bytes, and vendors do not agree on their order: as RFC 9562 has it, with the first three fields
//! turned around (SMBIOS), or all of it turned around (IPMI). So two of them are the same box when any of these
//! orders says so.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use firmware_agnostic::heartbeat::Fingerprint;
use toml::de::DeValue;

use crate::config::table::{Source, Value};

/// The number of a machine, in the order in which it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// The number of this machine, which only root may read.
    ///
    /// # Errors
    ///
    /// When the firmware tells none, or nothing that could tell two machines apart.
    pub fn of_this_box() -> io::Result<Self> {
        let text = fs::read_to_string(Path::new("/sys/class/dmi/id/product_uuid"))?;
        let guid: Self = text.trim().parse().map_err(io::Error::other)?;
        if guid.is_blank() {
            return Err(io::Error::other("the firmware of this box has no UUID"));
        }
        Ok(guid)
    }

    /// Whether both are the number of one box, in any byte order.
    pub fn is_same_box(self, other: Self) -> bool {
        let orders = |guid: Self| [guid, guid.turned(), guid.mixed()];
        orders(self).iter().any(|order| orders(other).contains(order))
    }

    /// Whether it is what firmware without a number says: all zeros, all ones, or a number that every such board has.
    pub fn is_blank(self) -> bool {
        [[0; 16], [0xff; 16]].contains(&self.0)
            || PLACEHOLDERS.iter().any(|placeholder| placeholder.is_same_box(self))
    }

    /// What the box tells of it in its heartbeats.
    pub fn fingerprint(self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }

    /// All bytes in the other order.
    fn turned(mut self) -> Self {
        self.0.reverse();
        self
    }

    /// The first three fields in the other order.
    fn mixed(mut self) -> Self {
        let (low, rest) = self.0.split_at_mut(4);
        let (middle, rest) = rest.split_at_mut(2);
        let (high, _) = rest.split_at_mut(2);
        for field in [low, middle, high] {
            field.reverse();
        }
        self
    }
}

/// What the configuration says of the number that a device must tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// This one.
    Guid(Guid),
    /// Any, or none: the device is not asked.
    Any,
}

impl Value for Expected {
    const EXAMPLE: &'static str = Guid::EXAMPLE;

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        if String::read(value, source).is_ok_and(|text| text == "any") {
            return Ok(Self::Any);
        }
        Guid::read(value, source)
            .map(Self::Guid)
            .map_err(|error| format!("{error}; or \"any\", and the device is not asked"))
    }
}

/// Whose power a device should hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whose {
    /// That of the box with this number: the configuration says so.
    Of(Guid),
    /// That of the box whose number has this fingerprint: the box itself has told it.
    Told(Fingerprint),
}

impl Whose {
    /// Whether it is the box that calls itself `found`.
    pub fn is(self, found: Guid) -> bool {
        match self {
            Self::Of(guid) => guid.is_same_box(found),
            Self::Told(fingerprint) => {
                [found, found.turned(), found.mixed(), found.turned().mixed()]
                    .iter()
                    .any(|order| order.fingerprint() == fingerprint)
            }
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(guid) => write!(f, "GUID {guid}"),
            Self::Told(_) => f.write_str("the box that is heard"),
        }
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&place) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Guid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|c| *c != '-')
            .map(|c| c.to_digit(16).map(|digit| digit as u8))
            .collect();
        let bytes: Vec<u8> = digits
            .unwrap_or_default()
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        let guid = <[u8; 16]>::try_from(bytes).map(Self);
        // An odd digit would be lost.
        guid.ok()
            .filter(|_| text.chars().filter(|c| *c != '-').count() == 32)
            .ok_or_else(|| format!("{text:?} is no GUID: say {}", Self::EXAMPLE))
    }
}

impl Value for Guid {
    const EXAMPLE: &'static str = "one such as \"4c4c4544-0042-3510-8054-b4c04f4d5631\"";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        let guid: Self = String::read(value, source)?.parse()?;
        if guid.is_blank() {
            return Err(format!("{guid} is what firmware without a GUID says: leave the word out"));
        }
        Ok(guid)
    }
}

/// Numbers that tell no two machines apart: those of boards whose maker gave them none (osquery pull request 4374),
/// and that of an `OpenBMC` which does not know its box yet (`fakeGuid` in `command/guid.cpp` of
/// phosphor-net-ipmid).
const PLACEHOLDERS: [Guid; 3] = [
    Guid(*b"\x03\x00\x02\x00\x04\x00\x05\x00\x00\x06\x00\x07\x00\x08\x00\x09"),
    Guid(*b"\x10\x00\x00\x00\x00\x00\x80\x00\x00\x40\x00\x00\x00\x00\x00\x00"),
    Guid(*b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_every_board_has_is_none() {
        for text in [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "03000200-0400-0500-0006-000700080009",
            "00020003-0004-0005-0006-000700080009",
            "01020304-0506-0708-090a-0b0c0d0e0f10",
            "100f0e0d-0c0b-0a09-0807-060504030201",
        ] {
            assert!(text.parse::<Guid>().unwrap().is_blank(), "{text}");
        }
        assert!(!"00010203-0405-0607-0809-0a0b0c0d0e0f".parse::<Guid>().unwrap().is_blank());
    }

    #[test]
    fn a_box_is_the_same_in_every_order_of_its_bytes() {
        let box_: Guid = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
        let smbios: Guid = "33221100-5544-7766-8899-aabbccddeeff".parse().unwrap();
        let ipmi: Guid = "ffeeddcc-bbaa-9988-7766-554433221100".parse().unwrap();
        for one in [box_, smbios, ipmi] {
            assert!(one.is_same_box(box_) && box_.is_same_box(one), "{one}");
        }
        assert!(smbios.is_same_box(ipmi) && ipmi.is_same_box(smbios));
        for one in [box_, smbios, ipmi] {
            assert!(Whose::Told(box_.fingerprint()).is(one) && Whose::Of(box_).is(one), "{one}");
            assert!(Whose::Told(one.fingerprint()).is(box_), "{one}");
        }
        let other: Guid = "00112233-4455-6677-8899-aabbccddeefe".parse().unwrap();
        assert!(!Whose::Told(box_.fingerprint()).is(other) && !Whose::Of(box_).is(other));
        assert!(!box_.is_same_box(other) && !smbios.is_same_box(other));
    }

    #[test]
    fn what_is_no_guid_is_refused() {
        for text in ["", "0011", "00112233-4455-6677-8899-aabbccddeef", "g", "é0112233445566778"] {
            assert!(text.parse::<Guid>().is_err(), "{text}");
        }
        let text = "00112233-4455-6677-8899-aabbccddeeff";
        assert_eq!(text.parse::<Guid>().unwrap().to_string(), text);
    }
}
