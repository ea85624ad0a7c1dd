//! Gives the BMCs of the lab a network of their own.
//!
//! On a network of their own, which no heartbeat crosses and no fault of the others touches; each holds one box.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use firmware_agnostic::identity::BoxId;
use rustix::thread::UnshareFlags;

use crate::stage::bmc::{Bmc, Character, Chassis};
use crate::stage::ethernet::{Ethernet, Segment, Station};
use crate::stage::kernel::{Interfaces, Tap, unshare};
use crate::stage::machine::Machine;

/// Plugs the BMCs of both boxes in.
///
/// # Errors
///
/// When the kernel refuses a namespace, a port or a socket.
pub(crate) fn serve(ethernet: &Ethernet, boxes: &[Machine; 2]) -> io::Result<[Bmc; 2]> {
    // A thread of its own, whose network the sockets keep.
    let sockets = || -> io::Result<(Tap, [UdpSocket; 2])> {
        unshare(UnshareFlags::NEWNET)?;
        let interface = Segment::Management.interface();
        let tap = Tap::new(interface)?;
        let interfaces = Interfaces::new()?;
        interfaces.set_hardware(interface, [2, 0, 0, 0, Segment::Management as u8, 100])?;
        interfaces.up(interface)?;
        let [first, second] = BoxId::BOTH.map(address);
        interfaces.set_address(interface, first, PREFIX)?;
        let one = UdpSocket::bind((first, IPMI))?;
        // The same interface has both, one name each (netdevice(7)).
        interfaces.set_address("eth2:1", second, PREFIX)?;
        Ok((tap, [one, UdpSocket::bind((second, IPMI))?]))
    };
    let (tap, [one, other]) = std::thread::scope(|scope| scope.spawn(sockets).join())
        .map_err(|_| io::Error::other("the thread that starts the BMCs has panicked"))??;
    ethernet.plug(Segment::Management, Station::Client, tap)?;
    let bmc = |socket, id: BoxId| {
        Bmc::serve(socket, Character::default(), Box::new(boxes[id.index()].clone()))
    };
    Ok([bmc(one, BoxId::First)?, bmc(other, BoxId::Second)?])
}

/// The address of the BMC of a box (RFC 5737).
pub(crate) fn address(id: BoxId) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, 11 + id.index() as u8)
}

/// The words of `fence` for a box that has one.
pub(crate) fn words(id: BoxId, timeout: &str) -> String {
    let guid = Character::default().guid;
    format!(
        "{{ kind = \"ipmi\", host = \"{}\", user = \"twobox\", password_file = \"/run/bmc.pw\", guid = \"{guid}\", \
         timeout = \"{timeout}\" }}",
        address(id)
    )
}

impl Chassis for Machine {
    fn is_on(&mut self) -> bool {
        Self::is_on(self)
    }

    fn set(&mut self, on: bool) {
        if on {
            // A box that does not boot is seen to be off.
            let _ = self.power_on();
        } else {
            self.power_off();
        }
    }
}

/// The port of IPMI over LAN.
const IPMI: u16 = 623;
pub(crate) const PREFIX: u8 = 24;
