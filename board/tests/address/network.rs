//! What an address is to the network that it is in: a source, a route, and what others answer for it.

use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use board::net::neighbour::Neighbours;
use board::net::netlink::Netlink;
use board::resource::Resource;
use firmware_agnostic::identity::BoxId;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Lab, V4, V6, addresses, config, open, open_with, patience};

#[test]
fn the_box_keeps_its_own_address_as_the_source() {
    let lab = Lab::new();
    lab.near.ip("address add 2001:db8::1/64 dev near0 nodad");
    lab.near.ip("address add 203.0.113.1/24 dev near0");
    lab.near.ip("route add default via 203.0.113.2");
    lab.near.ip("-6 route add default via 2001:db8::2");
    let source = |to: &str| {
        let way = lab.near.ip(&format!("route get {to}"));
        way.split(" src ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    for (words, expected) in [
        ("", "2001:db8::1"),
        ("preferred = false", "2001:db8::1"),
        ("preferred = true", "2001:db8::10"),
    ] {
        lab.near.run(move || open_with(V6, words).start(&patience()).unwrap());
        // To a neighbour, and beyond the network.
        for to in ["2001:db8::2", "2001:db8:1::5"] {
            assert_eq!(source(to), expected, "{words} to {to}");
        }
        lab.near.run(|| open(V6).stop(&patience()).unwrap());
    }
    // Also one that was there before the box's own.
    lab.near.ip("address del 203.0.113.1/24 dev near0");
    lab.near.run(|| open("203.0.113.10/32").start(&patience()).unwrap());
    lab.near.ip("address add 203.0.113.1/24 dev near0");
    lab.near.ip("route replace default via 203.0.113.2");
    for to in ["203.0.113.2", "198.51.100.5"] {
        assert_eq!(source(to), "203.0.113.1", "{to}");
    }
}

/// With no other address of the kind, it is the source all the same.
#[test]
fn an_address_alone_is_the_source() {
    let lab = Lab::new();
    lab.near.run(|| open(V6).start(&patience()).unwrap());
    assert!(lab.near.ip("route get 2001:db8::2").contains("src 2001:db8::10"));
}

#[test]
fn the_routes_are_left_as_they_were() {
    let routes = |lab: &Lab| ["route", "-6 route"].map(|words| lab.near.ip(words)).concat();
    for manager in [false, true] {
        let lab = Lab::new();
        if manager {
            // As NetworkManager and networkd do it: their own routes, with their own metric.
            for (address, network, kind) in [
                ("203.0.113.1/24", "203.0.113.0/24", ""),
                ("2001:db8::1/64", "2001:db8::/64", "-6 "),
            ] {
                lab.near.ip(&format!("address add {address} dev near0 noprefixroute"));
                lab.near
                    .ip(&format!("{kind}route add {network} dev near0 metric 100 proto static"));
            }
            lab.near.wait_for("-6 route", "proto static");
        }
        let before = routes(&lab);
        for _ in 0..2 {
            for prefix in [V4, V6] {
                lab.near.run(move || open(prefix).start(&patience()).unwrap());
            }
            // There is a way to the neighbours meanwhile.
            lab.near.ip("route get 2001:db8::2");
            lab.near.ip("route get 203.0.113.2");
            for prefix in [V4, V6] {
                lab.near.run(move || open(prefix).stop(&patience()).unwrap());
            }
            assert_eq!(routes(&lab), before, "with a manager: {manager}");
        }
    }
}

#[test]
fn a_router_that_answers_for_every_address_is_told_with_the_remedy() {
    for (prefix, words) in [(V4, ""), ("203.0.113.10/32", "own"), (V6, "")] {
        let lab = Lab::new();
        if words == "own" {
            lab.near.ip("address add 203.0.113.1/24 dev near0");
        }
        let conflict = |words: &'static str| {
            lab.near.run(move || config("near0", prefix, words).conflict(BoxId::First))
        };
        // One machine that has the address is no router.
        lab.far.ip(&format!("address add {prefix} dev far0 {}", super::nodad(prefix)));
        assert_eq!(conflict(ASKS), None);
        let error = lab
            .near
            .run(move || open_with(prefix, ASKS).start(&patience()).unwrap_err().to_string());
        assert!(error.contains("another machine holds it"), "{error}");
        lab.far.ip(&format!("address del {prefix} dev far0"));

        let router = Router::new(&lab);
        assert_eq!(conflict("probe = \"0s\""), None);
        let told = conflict(ASKS).expect("a router answers for all");
        assert!(told.contains("on near0 would keep every start from taking"), "{told}");
        assert!(told.contains("say probe = \"0s\""), "{told}");
        let error = lab
            .near
            .run(move || open_with(prefix, ASKS).start(&patience()).unwrap_err().to_string());
        assert!(error.contains("it answers for every address"), "{error}");
        assert!(error.contains("say probe = \"0s\""), "{error}");
        drop(router);
        lab.near.run(move || {
            open_with(prefix, "probe = \"0s\"").start(&patience()).unwrap();
            assert!(addresses().contains(&prefix.to_owned()));
        });
    }
}

/// Long enough for an answer of a busy machine.
const ASKS: &str = "probe = \"300ms\"";

/// A machine on the far side that answers for every address that it is asked for.
struct Router {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Router {
    fn new(lab: &Lab) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let (end, (far, mac)) = (
            ends.clone(),
            lab.far.run(|| {
                let far = Netlink::open().unwrap().interface("far0").unwrap().unwrap();
                (far.index, far.mac.unwrap())
            }),
        );
        let socket = lab.far.run(|| {
            let all = Protocol::from(i32::from((libc::ETH_P_ALL as u16).to_be()));
            Socket::new(Domain::PACKET, Type::RAW, Some(all)).unwrap()
        });
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let thread = lab.far.beside(move || {
            let mut frame = [0; 1500];
            while !end.load(Ordering::Relaxed) {
                let Ok(length) = (&socket).read(&mut frame) else { continue };
                if let Some(asked) = asked(&frame[..length]) {
                    Neighbours::open(far, asked).unwrap().announce(mac, false).unwrap();
                }
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The address that a probe asks for (RFC 5227, 2.1.1; RFC 4862, 5.4.2).
fn asked(frame: &[u8]) -> Option<IpAddr> {
    match (frame.get(12..14)?, frame.get(20..22)?) {
        ([8, 6], [0, 1]) if frame.get(28..32)? == [0; 4] => {
            Some(IpAddr::from(*frame.get(38..)?.first_chunk::<4>()?))
        }
        ([0x86, 0xdd], [58, 255]) if frame.get(54)? == &135 => {
            Some(IpAddr::from(*frame.get(62..)?.first_chunk::<16>()?))
        }
        _ => None,
    }
}
