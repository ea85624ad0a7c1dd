//! Reads an address with the length of its network's prefix: `203.0.113.10/24`.
//!
//! The length decides what the box takes to be its neighbours, so it is never guessed: an address without
//! one is refused where it is read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use toml::de::DeValue;

use crate::config::table::{Source, Value};

/// An address, and how many of its first bits name the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The address with the first `length` bits for its network, or `None` where it has fewer bits.
    pub const fn new(address: IpAddr, length: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if length <= bits { Some(Self { address, length }) } else { None }
    }

    /// The address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits name the network.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// The address that reaches every box of an IPv4 network; the smallest networks have none (RFC 3021).
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        let IpAddr::V4(address) = self.address else { return None };
        (self.length < 31).then(|| address | Ipv4Addr::from_bits(u32::MAX >> self.length))
    }

    /// Whether `other` lies in the same network.
    pub fn neighbours(self, other: IpAddr) -> bool {
        let differs = match (self.address, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                u128::from(one.to_bits() ^ other.to_bits()) << 96
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
            _ => return false,
        };
        differs.leading_zeros() >= u32::from(self.length)
    }

    /// An address of one box in the network, chosen by `number`; `None` where the network has too few for a choice.
    pub fn pick(self, number: u128) -> Option<IpAddr> {
        let bits = if self.address.is_ipv4() { 32 } else { 128 } - self.length;
        // Neither the network itself nor its broadcast address.
        let hosts = u128::MAX.checked_shr(u32::from(128 - bits))?.checked_sub(1)?;
        let host = number % Some(hosts).filter(|_| bits >= CHOICE)? + 1;
        Some(match self.address {
            IpAddr::V4(v4) => {
                let network = v4.to_bits() & u32::MAX.checked_shl(bits.into()).unwrap_or(0);
                Ipv4Addr::from_bits(network | host as u32).into()
            }
            IpAddr::V6(v6) => {
                let network = v6.to_bits() & u128::MAX.checked_shl(bits.into()).unwrap_or(0);
                Ipv6Addr::from_bits(network | host).into()
            }
        })
    }

    /// Why no box can have this address, if none can.
    fn fault(self) -> Option<&'static str> {
        let address = self.address;
        let nobodys = match address {
            IpAddr::V4(v4) => v4.is_broadcast(),
            // An IPv4 address in the form of sockets: no such packet is on any wire (RFC 4291, 2.5.5.2).
            IpAddr::V6(v6) => v6.to_ipv4_mapped().is_some(),
        };
        if nobodys || address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            return Some("is not the address of one box on a network");
        }
        let v4 = match address {
            IpAddr::V4(v4) => v4,
            IpAddr::V6(v6) => {
                // All routers of the network have it (RFC 4291, 2.6.1), but where it joins two (RFC 6164).
                let bits = u128::MAX.checked_shr(self.length.into()).unwrap_or(0);
                return (self.length < 127 && v6.to_bits() & bits == 0)
                    .then_some("is that of all routers of its network: give one of a box");
            }
        };
        let broadcast = self.broadcast()?;
        if v4 == broadcast {
            Some("is the broadcast address of its network: give one of a box")
        } else if v4 & broadcast == v4
            && v4.to_bits().trailing_zeros() >= 32 - u32::from(self.length)
        {
            Some("is the network itself: give the address of a box in it")
        } else {
            None
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not {}", Self::EXAMPLE);
        let Some((address, length)) = text.split_once('/') else {
            return Err(format!(
                "{text:?} does not say how long its network is: say {}",
                Self::EXAMPLE
            ));
        };
        let address = address.parse().map_err(|_| wrong())?;
        let length = length.parse().map_err(|_| wrong())?;
        let prefix = Self::new(address, length).ok_or_else(wrong)?;
        prefix.fault().map_or(Ok(prefix), |fault| Err(format!("{text} {fault}")))
    }
}

impl Value for Prefix {
    const EXAMPLE: &'static str =
        "an address and its network, such as \"203.0.113.10/24\" or \"2001:db8::10/64\"";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        String::read(value, source)?.parse()
    }
}

/// With so many bits for its boxes a network has room for fourteen.
const CHOICE: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_an_address_and_the_length_of_its_network() {
        for text in [
            "203.0.113.10/24",
            "203.0.113.0/31",
            "203.0.113.10/32",
            "2001:db8::10/64",
            "2001:db8::/127",
            "2001:db8::/128",
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
        for wrong in [
            "203.0.113.10",
            "203.0.113.10/33",
            "203.0.113.10/",
            "203.0.113/24",
            "2001:db8::1/129",
            "0.0.0.0/0",
            "203.0.113.0/24",
            "203.0.113.255/24",
            "127.0.0.1/8",
            "224.0.0.18/32",
            "255.255.255.255/32",
            "::/64",
            "2001:db8::/64",
            "::ffff:203.0.113.10/120",
            "x/8",
            "",
        ] {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_picked_is_the_address_of_one_box_in_the_network() {
        for text in [
            "203.0.113.10/24",
            "203.0.113.10/28",
            "10.0.0.1/8",
            "2001:db8::10/64",
            "2001:db8::10/16",
        ] {
            let (address, length) = text.split_once('/').unwrap();
            let network = Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap();
            for number in [0, 1, 13, 253, 254, u128::MAX - 1, u128::MAX] {
                let picked = network.pick(number).unwrap();
                assert!(network.neighbours(picked), "{picked} in {text}");
                let picked = Prefix::new(picked, network.length()).unwrap();
                assert_eq!(picked.fault(), None, "{picked}");
            }
        }
        for small in ["203.0.113.10/29", "203.0.113.10/32", "2001:db8::10/127", "2001:db8::10/128"]
        {
            assert_eq!(small.parse::<Prefix>().unwrap().pick(7), None, "{small}");
        }
    }

    #[test]
    fn the_length_says_who_is_a_neighbour() {
        let prefix: Prefix = "203.0.113.10/28".parse().unwrap();
        assert_eq!(prefix.broadcast(), Some(Ipv4Addr::new(203, 0, 113, 15)));
        assert!(prefix.neighbours("203.0.113.1".parse().unwrap()));
        assert!(!prefix.neighbours("203.0.113.16".parse().unwrap()));
        assert!(!prefix.neighbours("2001:db8::1".parse().unwrap()));
        let v6: Prefix = "2001:db8::10/64".parse().unwrap();
        assert!(v6.neighbours("2001:db8::ffff".parse().unwrap()));
        assert!(!v6.neighbours("2001:db8:0:1::10".parse().unwrap()));
    }
}
