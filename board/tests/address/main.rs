//! The address against real kernels: two boxes, each in a network namespace of its own, and a cable between them.

use std::io;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use board::config::table::Source;
use board::net::neighbour::Neighbours;
use board::net::netlink::Netlink;
use board::resource::Resource;
use board::resource::address::{Address, Config};
use board::thread::deadline::Deadline;
use firmware_agnostic::identity::BoxId;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

mod interfaces;
mod lab;
mod network;
mod told;

use lab::{Lab, Namespace};

const V4: &str = "203.0.113.10/24";
const V6: &str = "2001:db8::10/64";

#[test]
fn a_started_address_is_reachable_and_a_stopped_one_is_gone() {
    for (prefix, mine, theirs) in
        [(V4, "203.0.113.1/24", "203.0.113.2/24"), (V6, "2001:db8::1/64", "2001:db8::2/64")]
    {
        let lab = Lab::new();
        lab.near.ip(&format!("address add {mine} dev near0 {}", nodad(mine)));
        lab.far.ip(&format!("address add {theirs} dev far0 {}", nodad(theirs)));
        lab.near.run(move || {
            let mut address = open(prefix);
            address.start(&patience()).unwrap();
            assert_eq!(addresses(), [mine, prefix]);
            // Once more: it is there, and that is what was wanted.
            address.start(&patience()).unwrap();
            assert_eq!(addresses(), [mine, prefix]);
            address.monitor().unwrap();
        });
        let ip: IpAddr = prefix.split('/').next().unwrap().parse().unwrap();
        let door = lab.near.run(move || TcpListener::bind((ip, 0)).unwrap());
        let end = (ip, door.local_addr().unwrap().port());
        lab.far
            .run(move || TcpStream::connect_timeout(&end.into(), Duration::from_secs(5)).unwrap());

        lab.near.run(move || {
            // Another life of the supervisor stops what it has not started.
            let mut address = open(prefix);
            address.stop(&patience()).unwrap();
            assert_eq!(addresses(), [mine]);
            address.stop(&patience()).unwrap();
        });
    }
}

#[test]
fn the_neighbours_learn_at_once_where_the_address_is() {
    let lab = Lab::new();
    let card = card(&lab.near, "near0");
    for (prefix, theirs) in [(V4, "203.0.113.2/24"), (V6, "2001:db8::2/64")] {
        let ip = prefix.split('/').next().unwrap();
        lab.far.ip(&format!("address add {theirs} dev far0 {}", nodad(theirs)));
        lab.far
            .ip(&format!("neighbour replace {ip} lladdr 02:00:00:00:00:99 dev far0 nud reachable"));
        let mut address = lab.near.run(move || {
            let mut address = open(prefix);
            address.start(&patience()).unwrap();
            address
        });
        lab.far.wait_for(&format!("neighbour show {ip} dev far0"), &card);

        // And again, should the first have been lost: the rest of the burst is due within 50 ms.
        lab.far
            .ip(&format!("neighbour replace {ip} lladdr 02:00:00:00:00:99 dev far0 nud reachable"));
        let pause = address.rhythm();
        assert!(pause <= Duration::from_millis(50), "{pause:?}");
        thread::sleep(pause);
        lab.near.run(move || address.monitor().unwrap());
        lab.far.wait_for(&format!("neighbour show {ip} dev far0"), &card);
    }
}

#[test]
fn an_address_that_another_machine_holds_is_not_taken() {
    let lab = Lab::new();
    let holder = card(&lab.far, "far0");
    for prefix in [V4, V6] {
        lab.far.ip(&format!("address add {prefix} dev far0 {}", nodad(prefix)));
        let error = lab.near.run(move || {
            let error = open_with(prefix, "probe = \"1s\"").start(&patience()).unwrap_err();
            assert_eq!(addresses(), [""; 0]);
            error
        });
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&format!("answered by {holder} on near0")), "{error}");
        // Who says so takes it all the same.
        lab.near.run(move || open_with(prefix, "probe = \"0s\"").start(&patience()).unwrap());
        lab.near.run(move || open(prefix).stop(&patience()).unwrap());
    }
}

#[test]
fn the_last_word_of_a_box_that_has_let_go_is_no_holder() {
    let lab = Lab::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            lab.far.run(|| {
                let far = Netlink::open().unwrap().interface("far0").unwrap().unwrap();
                let peer = Neighbours::open(far.index, [203, 0, 113, 10].into()).unwrap();
                // While the other one asks.
                thread::sleep(Duration::from_millis(300));
                peer.announce(far.mac.unwrap(), false).unwrap();
            });
        });
        lab.near.run(|| open_with(V4, "probe = \"1s\"").start(&patience()).unwrap());
    });
}

#[test]
fn a_claim_from_elsewhere_is_answered() {
    let lab = Lab::new();
    let card = card(&lab.near, "near0");
    lab.far.ip("address add 203.0.113.2/24 dev far0");
    let mut address = lab.near.run(|| {
        let mut address = open(V4);
        address.start(&patience()).unwrap();
        settle(&mut address);
        address
    });
    lab.far.run(|| {
        let far = Netlink::open().unwrap().interface("far0").unwrap().unwrap();
        let rival = Neighbours::open(far.index, [203, 0, 113, 10].into()).unwrap();
        rival.announce(far.mac.unwrap(), false).unwrap();
    });
    lab.far.ip("neighbour replace 203.0.113.10 lladdr 02:00:00:00:00:99 dev far0 nud reachable");
    assert!(!address.rhythm().is_zero(), "too slow: an announcement of its own is due");
    lab.near.run(move || address.monitor().unwrap());
    lab.far.wait_for("neighbour show 203.0.113.10 dev far0", &card);
}

#[test]
fn what_an_earlier_life_has_left_is_removed_and_nothing_else() {
    let lab = Lab::new();
    // Ours came first: the kernel calls the others of its network secondary, and would remove them with it.
    for prefix in [V4, "203.0.113.1/24", "203.0.113.10/32", "198.51.100.7/24", V6, "2001:db8::1/64"]
    {
        lab.near.ip(&format!("address add {prefix} dev near0 {}", nodad(prefix)));
    }
    // The same address on another interface is not ours.
    lab.near.ip("link add other0 type veth peer name other1");
    lab.near.ip(&format!("address add {V4} dev other0"));
    lab.near.run(|| {
        open(V4).stop(&patience()).unwrap();
        open(V6).stop(&patience()).unwrap();
        assert_eq!(addresses(), ["198.51.100.7/24", "2001:db8::1/64", "203.0.113.1/24"]);
    });
    assert!(lab.near.ip("address show other0").contains(V4));
    // With another length of network it is ours too.
    lab.near.ip(&format!("address add 2001:db8::10/128 dev near0 {}", nodad(V6)));
    lab.near.run(|| {
        open(V6).start(&patience()).unwrap();
        assert_eq!(addresses(), ["198.51.100.7/24", "2001:db8::1/64", V6, "203.0.113.1/24"]);
    });
}

#[test]
fn an_address_that_somebody_removes_is_missed() {
    let lab = Lab::new();
    let mut address = lab.near.run(|| {
        let mut address = open(V4);
        address.start(&patience()).unwrap();
        settle(&mut address);
        address
    });
    assert!(address.rhythm() <= Duration::from_secs(1));
    lab.near.ip(&format!("address del {V4} dev near0"));
    let (mut address, error) = lab.near.run(move || {
        let error = address.monitor().unwrap_err();
        (address, error)
    });
    assert!(error.to_string().starts_with("203.0.113.10/24 is gone from near0"), "{error}");
    lab.near.ip(&format!("address add {V4} dev near0"));
    lab.near.ip("link set near0 down");
    let error = lab.near.run(move || address.monitor().unwrap_err());
    assert!(error.to_string().contains("near0, which is down"), "{error}");
}

#[test]
fn an_interface_that_was_away_serves_again() {
    let lab = Lab::new();
    lab.far.ip("address add 203.0.113.2/24 dev far0");
    let mut address = lab.near.run(|| {
        let mut address = open(V4);
        address.start(&patience()).unwrap();
        address.stop(&patience()).unwrap();
        address
    });
    for away in ["link set near0 down", "link delete near0"] {
        lab.near.ip(away);
        lab.cable();
        lab.far.ip("address replace 203.0.113.2/24 dev far0");
        lab.far
            .ip("neighbour replace 203.0.113.10 lladdr 02:00:00:00:00:99 dev far0 nud reachable");
        address = lab.near.run(move || {
            address.start(&patience()).unwrap();
            address.monitor().unwrap();
            address.stop(&patience()).unwrap();
            address
        });
        let card = card(&lab.near, "near0");
        lab.far.wait_for("neighbour show 203.0.113.10 dev far0", &card);
    }
}

#[test]
fn without_its_interface_it_cannot_start_and_is_stopped() {
    let lab = Lab::new();
    lab.near.ip("link delete near0");
    lab.near.run(|| {
        let mut address = open(V4);
        let error = address.start(&patience()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("no such interface"), "{error}");
        address.stop(&patience()).unwrap();
    });
}

#[test]
fn a_box_without_the_right_says_which_one() {
    for (lost, told) in [
        (
            CapabilitySet::NET_ADMIN,
            "cannot add 203.0.113.10/24 to near0: operation not permitted; twobox needs CAP_NET_ADMIN",
        ),
        (
            CapabilitySet::NET_RAW,
            "cannot listen for 203.0.113.10 on near0: operation not permitted; twobox needs CAP_NET_RAW",
        ),
    ] {
        let error = Lab::new().near.run(move || {
            let mut rights = capabilities(None).unwrap();
            rights.effective.remove(lost);
            set_capabilities(None, rights).unwrap();
            open(V4).start(&patience()).unwrap_err()
        });
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn the_kernel_says_why_it_refuses() {
    let lab = Lab::new();
    lab.near.run(|| std::fs::write("/proc/sys/net/ipv6/conf/near0/disable_ipv6", "1").unwrap());
    let error = lab.near.run(|| open(V6).start(&patience()).unwrap_err().to_string());
    // In words since Linux 6.5; the number alone would be "permission denied".
    assert!(error.starts_with("cannot add 2001:db8::10/64 to near0: "), "{error}");
    assert!(error.ends_with("IPv6 is disabled on this device"), "{error}");
    lab.near.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let near = netlink.interface("near0").unwrap().unwrap();
        netlink.set_up(&near, false).unwrap();
        assert!(!netlink.interface("near0").unwrap().unwrap().up);
        netlink.set_up(&near, true).unwrap();
        assert!(netlink.interface("near0").unwrap().unwrap().up);
    });
}

/// The first burst is over, and the next announcement is seconds away.
fn settle(address: &mut Address) {
    for _ in 0..4 {
        thread::sleep(address.rhythm());
        address.monitor().unwrap();
    }
    assert!(address.rhythm() > Duration::from_millis(500));
}

fn open(prefix: &str) -> Address {
    open_with(prefix, "")
}

fn open_with(prefix: &str, words: &str) -> Address {
    open_on("near0", prefix, words)
}

fn open_on(interface: &str, prefix: &str, words: &str) -> Address {
    config(interface, prefix, words).open(BoxId::First)
}

fn config(interface: &str, prefix: &str, words: &str) -> Config {
    let text = format!("address = \"{prefix}\"\ninterface = \"{interface}\"\n{words}\n");
    let source = Source::new(&text);
    let mut table = source.parse();
    let config = Config::read(&mut table).expect("a whole table");
    table.finish();
    assert_eq!(source.into_complaints(), []);
    config
}

/// The hardware address of an interface.
fn card(room: &Namespace, interface: &'static str) -> String {
    room.run(|| Netlink::open()?.interface(interface)).unwrap().unwrap().mac.unwrap().to_string()
}

fn patience() -> Deadline {
    Deadline::new(Duration::from_secs(10))
}

/// All addresses of `near0`, sorted, but for the one that IPv6 gives to each card.
fn addresses() -> Vec<String> {
    let mut netlink = Netlink::open().unwrap();
    let near = netlink.interface("near0").unwrap().unwrap();
    let all = netlink.addresses().unwrap().into_iter().filter(|it| it.index == near.index);
    let mut all: Vec<_> = all.map(|it| it.prefix.to_string()).collect();
    all.retain(|prefix| !prefix.starts_with("fe80"));
    all.sort();
    all
}

fn nodad(prefix: &str) -> &'static str {
    if prefix.contains(':') { "nodad" } else { "" }
}
