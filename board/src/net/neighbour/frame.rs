//! The frames by which boxes on an Ethernet tell and ask each other who has an address: ARP (RFC 826) and neighbour
//! discovery (RFC 4861), whole from the Ethernet header on. Pure: bytes in, bytes out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::checksum::checksum;
use crate::net::netlink::Mac;

/// An ARP packet to everybody (RFC 826), in its Ethernet frame.
pub(super) fn arp(operation: u16, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut frame = ethernet(EVERYBODY, sender.0, ARP);
    frame.extend(ETHERNET.to_be_bytes());
    frame.extend(IPV4.to_be_bytes());
    frame.extend([6, 4]);
    frame.extend(operation.to_be_bytes());
    for (mac, address) in [sender, target] {
        frame.extend(mac.0);
        frame.extend(address.octets());
    }
    frame
}

/// A neighbour solicitation from nobody for `address` (RFC 4861, 4.3), in its Ethernet frame.
pub(super) fn solicitation(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    // Only boxes whose address ends in the same 24 bits listen here (RFC 4291, 2.7.1).
    let group = Ipv6Addr::from_bits(SOLICITED.to_bits() | address.to_bits() & 0x00ff_ffff);
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(address.octets());
    icmpv6(mac, Ipv6Addr::UNSPECIFIED, group, message)
}

/// An advertisement that nobody asked for (RFC 4861, 4.4), in its Ethernet frame.
pub(super) fn advertisement(mac: Mac, address: Ipv6Addr, routes: bool) -> Vec<u8> {
    let flags = OVERRIDE | if routes { ROUTER } else { 0 };
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    message.extend(address.octets());
    // The one option: the target's hardware address, of one unit of eight bytes.
    message.extend([2, 1]);
    message.extend(mac.0);
    icmpv6(mac, address, ALL_NODES, message)
}

/// `message` with its checksum, in an IPv6 packet to a group, in its Ethernet frame.
fn icmpv6(mac: Mac, source: Ipv6Addr, group: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let length = (message.len() as u16).to_be_bytes();
    let ends = [source.octets(), group.octets()].concat();
    // The pseudo-header of RFC 8200, 8.1; the other three bytes of the length are zero and add nothing.
    let sum = checksum(&[&*ends, &length, &[0, ICMPV6], &*message].concat());
    message.splice(2..4, sum.to_be_bytes());

    // The card's name of a group is 33:33 and the last four bytes (RFC 2464, 7).
    let [.., a, b, c, d] = group.octets();
    let mut frame = ethernet(Mac([0x33, 0x33, a, b, c, d]), mac, IPV6);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(length);
    frame.extend([ICMPV6, HOPS]);
    frame.extend(ends);
    frame.extend(message);
    frame
}

fn ethernet(to: Mac, from: Mac, protocol: u16) -> Vec<u8> {
    [&to.0[..], &from.0[..], &protocol.to_be_bytes()[..]].concat()
}

/// Who claims `address` in this frame, if somebody does; any bytes may come.
pub fn claim(frame: &[u8], address: IpAddr) -> Option<Mac> {
    let at = |place: usize, bytes: &[u8]| frame.get(place..place + bytes.len()) == Some(bytes);
    let mac = |place: usize| frame.get(place..)?.first_chunk().copied().map(Mac);
    match address {
        IpAddr::V4(v4) => {
            let whole = at(12, &[0x08, 0x06, 0, 1, 0x08, 0, 6, 4]) && frame.len() >= ARP_END;
            (whole && at(ARP_SENDER, &v4.octets())).then(|| mac(ARP_SENDER - 6))?
        }
        IpAddr::V6(v6) => {
            let valid = at(12, &[0x86, 0xdd, 0x60])
                && at(20, &[ICMPV6, HOPS])
                && at(54, &[ADVERTISEMENT, 0]);
            // With its target's hardware address if it tells it, which is the first option in practice.
            (valid && at(ADVERTISED, &v6.octets()))
                .then(|| mac(80).filter(|_| at(78, &[2, 1])).or_else(|| mac(6)))?
        }
    }
}

const EVERYBODY: Mac = Mac([0xff; 6]);
pub(super) const NOBODY: Mac = Mac([0; 6]);
const SOLICITED: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

// Protocol numbers (IANA): of Ethernet, of ARP, of IPv6, of ICMPv6.
pub(super) const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
const ETHERNET: u16 = 1;
pub(super) const REQUEST: u16 = 1;
pub(super) const REPLY: u16 = 2;
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;
/// The most there can be: what arrives with it has not come through a router (RFC 4861, 7.1).
const HOPS: u8 = 255;

/// Where an ARP frame has its sender's address.
pub(super) const ARP_SENDER: usize = 28;
/// Where an ARP frame ends, but for padding.
const ARP_END: usize = 42;
/// Where an advertisement has the address it is about.
pub(super) const ADVERTISED: usize = 62;

#[cfg(test)]
mod tests {
    use etherparse::{Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    const CARD: Mac = Mac([2, 0, 0, 0, 0, 0x0a]);
    const V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
    const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);

    #[test]
    fn arp_reads_as_arp() {
        let frame = arp(REPLY, (CARD, V4), (CARD, V4));
        assert_eq!(frame.len(), ARP_END);
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(NetSlice::Arp(arp)) = packet.net else { panic!("no ARP") };
        assert_eq!(
            (arp.operation().0, arp.hw_addr_type().0, arp.proto_addr_type().0),
            (2, 1, 0x0800)
        );
        assert_eq!(
            (arp.sender_hw_addr(), arp.sender_protocol_addr()),
            (&CARD.0[..], &V4.octets()[..])
        );
        assert_eq!(
            (arp.target_hw_addr(), arp.target_protocol_addr()),
            (&CARD.0[..], &V4.octets()[..])
        );
    }

    #[test]
    fn an_announcement_is_a_claim_and_a_probe_is_none() {
        let claim_v4 = |frame: &[u8]| claim(frame, V4.into());
        assert_eq!(claim_v4(&arp(REQUEST, (CARD, V4), (NOBODY, V4))), Some(CARD));
        assert_eq!(claim_v4(&arp(REQUEST, (CARD, Ipv4Addr::UNSPECIFIED), (NOBODY, V4))), None);
        let claim_v6 = |frame: &[u8]| claim(frame, V6.into());
        assert_eq!(claim_v6(&advertisement(CARD, V6, false)), Some(CARD));
        assert_eq!(claim_v6(&solicitation(CARD, V6)), None);
        for (frame, address) in [
            (arp(REPLY, (CARD, V4), (CARD, V4)), IpAddr::V4(V4)),
            (advertisement(CARD, V6, false), IpAddr::V6(V6)),
        ] {
            // Without its option an advertisement is whole, and its sender is on the envelope.
            for cut in (0..frame.len()).filter(|cut| *cut < 78) {
                assert_eq!(claim(&frame[..cut], address), None, "{cut}");
            }
        }
    }

    #[test]
    fn neighbour_discovery_reads_as_neighbour_discovery() {
        for (frame, group, group_card) in [
            (solicitation(CARD, V6), "ff02::1:ff12:3456", [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]),
            (advertisement(CARD, V6, true), "ff02::1", [0x33, 0x33, 0, 0, 0, 1]),
        ] {
            assert_eq!(frame[..6], group_card);
            let packet = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(NetSlice::Ipv6(ip)) = packet.net else { panic!("no IPv6") };
            let header = ip.header();
            assert_eq!(
                (header.hop_limit(), header.destination_addr()),
                (255, group.parse().unwrap())
            );
            let Some(TransportSlice::Icmpv6(icmp)) = packet.transport else { panic!("no ICMPv6") };
            assert!(icmp.is_checksum_valid(header.source(), header.destination()));
            assert_eq!(icmp.payload()[..16], V6.octets());
            match icmp.icmp_type() {
                Icmpv6Type::NeighborSolicitation => {
                    assert_eq!(header.source_addr(), Ipv6Addr::UNSPECIFIED);
                }
                Icmpv6Type::NeighborAdvertisement(flags) => {
                    assert_eq!(
                        (flags.router, flags.solicited, flags.r#override),
                        (true, false, true)
                    );
                    assert_eq!(icmp.payload()[16..], [2, 1, 2, 0, 0, 0, 0, 0x0a]);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
