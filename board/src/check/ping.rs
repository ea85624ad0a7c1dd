//! Whether an address answers an ICMP echo (RFC 792, RFC 4443 section 4).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::Check;
use crate::config::requirement::{Requirement, Right};
use crate::config::table::Table;
use crate::net::checksum::checksum;
use crate::net::netlink::Netlink;
use crate::thread::deadline::Deadline;

/// `kind = "ping"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    address: IpAddr,
    interface: Option<String>,
}

impl Config {
    /// Reads the words of an address.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let interface = table.take("interface");
        Some(Self { address: table.require("address")?, interface })
    }

    /// What must be there: the right to send ICMP, and the interface.
    pub fn needs(&self) -> Vec<Requirement> {
        let interface = self.interface.clone().map(Requirement::Interface);
        interface.into_iter().chain([Requirement::Right(Right::Neighbours)]).collect()
    }

    /// The check; nothing is sent yet.
    pub fn open(&self) -> Ping {
        Ping { address: self.address, interface: self.interface.clone(), socket: None, sequence: 0 }
    }
}

/// Somebody who may answer.
pub struct Ping {
    address: IpAddr,
    interface: Option<String>,
    /// Kept for as long as it is answered: after that its interface may be another one.
    socket: Option<Socket>,
    sequence: u16,
}

impl Check for Ping {
    fn ask(&mut self, patience: &Deadline) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.socket()?,
        };
        let mut token = [0; TOKEN];
        rustix::rand::getrandom(&mut token, rustix::rand::GetRandomFlags::empty())?;
        let request = IcmpEcho { sequence: self.sequence, token };
        let asked = self.exchange(&socket, &request, patience);
        if asked.is_ok() {
            self.socket = Some(socket);
        }
        asked.map_err(|error| {
            let silent = error.kind() == io::ErrorKind::TimedOut;
            let why = if silent { "no answer".to_owned() } else { error.to_string() };
            io::Error::new(error.kind(), format!("{}: {why}", self.address))
        })
    }
}

impl Ping {
    fn socket(&self) -> io::Result<Socket> {
        let protocol = if self.address.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        let domain = Domain::for_address(SocketAddr::new(self.address, 0));
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        socket.set_nonblocking(true)?;
        if let Some(name) = &self.interface {
            let gone = || io::Error::new(io::ErrorKind::NotFound, format!("there is no {name}"));
            let index = Netlink::open()?.interface(name)?.ok_or_else(gone)?.index;
            // By its index: the name may be one of several. On Linux this is one option for IPv4 and IPv6.
            socket.bind_device_by_index_v4(NonZero::new(index))?;
        }
        Ok(socket)
    }

    fn exchange(&self, socket: &Socket, echo: &IcmpEcho, patience: &Deadline) -> io::Result<()> {
        let to = SockAddr::from(SocketAddr::new(self.address, 0));
        socket.send_to(&echo.request(self.address.is_ipv4()), &to)?;
        let mut buffer = [0; PACKET_MAX];
        loop {
            patience.readable(&[socket.as_fd()])?;
            let length = match io::Read::read(&mut &*socket, &mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            if echo.is_answered_by(buffer.get(..length).unwrap_or_default(), self.address) {
                return Ok(());
            }
        }
    }
}

/// One question, known by what nobody else can have guessed.
struct IcmpEcho {
    sequence: u16,
    token: [u8; TOKEN],
}

impl IcmpEcho {
    fn request(&self, is_ipv4: bool) -> Vec<u8> {
        let [high, low] = self.sequence.to_be_bytes();
        let kind = if is_ipv4 { ECHO_V4 } else { ECHO_V6 };
        let mut message = vec![kind, 0, 0, 0, 0, 0, high, low];
        message.extend(self.token);
        if is_ipv4 {
            // The kernel fills in that of ICMPv6 (RFC 3542 section 3.1).
            let sum = checksum(&message).to_be_bytes();
            message.splice(2..4, sum);
        }
        message
    }

    /// Whether `packet`, as a raw socket gives it out, is the answer of `from`: with an IP header in IPv4 (raw(7)).
    fn is_answered_by(&self, packet: &[u8], from: IpAddr) -> bool {
        let message = match from {
            IpAddr::V4(from) => {
                let header = packet.first().map_or(0, |byte| usize::from(byte & 0x0f) * 4);
                if packet.get(12..16) != Some(&from.octets()) {
                    return false;
                }
                packet.get(header..)
            }
            IpAddr::V6(_) => Some(packet),
        };
        let kind = if from.is_ipv4() { ANSWER_V4 } else { ANSWER_V6 };
        let Some([said, 0, _, _, _, _, high, low, token @ ..]) = message else { return false };
        *said == kind && [*high, *low] == self.sequence.to_be_bytes() && *token == self.token
    }
}

const ECHO_V4: u8 = 8;
const ANSWER_V4: u8 = 0;
const ECHO_V6: u8 = 128;
const ANSWER_V6: u8 = 129;
const TOKEN: usize = 16;
/// An answer is shorter, with any options in its header.
const PACKET_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn this_box_answers_itself_and_nobody_answers_elsewhere() {
        let ask = |address: &str, time| {
            let address = address.parse().unwrap();
            let mut ping =
                Ping { address, interface: Some("lo".to_owned()), socket: None, sequence: 0 };
            ping.ask(&Deadline::new(Duration::from_millis(time)))
        };
        ask("127.0.0.1", 60_000).unwrap();
        ask("127.1.2.3", 60_000).unwrap();
        ask("::1", 60_000).unwrap();
        // Bound to the loopback, it does not leave this machine.
        let error = ask("192.0.2.1", 50).unwrap_err();
        assert!(error.to_string().starts_with("192.0.2.1: "), "{error}");
    }

    #[test]
    fn only_the_answer_is_one() {
        let echo = IcmpEcho { sequence: 7, token: [3; TOKEN] };
        let from = IpAddr::from([192, 0, 2, 1]);
        let mut packet = vec![0x45; 12];
        packet.extend([192, 0, 2, 1, 0, 0, 0, 0]);
        packet.extend(echo.request(true));
        assert!(!echo.is_answered_by(&packet, from), "that is the question");
        packet[20] = ANSWER_V4;
        assert!(echo.is_answered_by(&packet, from));
        assert!(!echo.is_answered_by(&packet, IpAddr::from([192, 0, 2, 2])));
        for place in [21, 26, 27, 28, 43] {
            let mut other = packet.clone();
            other[place] ^= 1;
            assert!(!echo.is_answered_by(&other, from), "byte {place}");
        }
        for length in 0..packet.len() {
            assert!(!echo.is_answered_by(&packet[..length], from));
        }
    }
}
