//! What becomes of an address whose interface changes under it.

use std::thread;
use std::time::Duration;

use board::config::requirement::Requirement;
use board::net::netlink::Netlink;
use board::resource::Resource;
use board::resource::address::Address;

use super::{Lab, V4, V6, addresses, card, nodad, open, open_on, patience, settle};

#[test]
fn an_interface_that_is_renamed_keeps_its_address_until_it_is_stopped() {
    for prefix in [V4, V6] {
        let lab = Lab::new();
        let mut address = started(&lab, prefix);
        lab.near.ip("link set near0 name wan0");
        address = lab.near.run(move || {
            address.monitor().unwrap();
            address
        });
        // An old kernel would have dropped the mark.
        lab.near.ip(&format!("address replace {prefix} dev wan0 {}", nodad(prefix)));
        lab.near.run(move || address.stop(&patience()).unwrap());
        assert!(!lab.near.ip("address show wan0").contains(prefix));
    }
}

#[test]
fn another_life_finds_the_address_on_a_renamed_interface() {
    for prefix in [V4, V6] {
        let lab = Lab::new();
        drop(started(&lab, prefix));
        lab.near.ip("link set near0 name wan0");
        // It goes on with it, where it can.
        lab.near.run(move || {
            let mut address = open(prefix);
            assert!(address.adopt().unwrap());
            address.monitor().unwrap();
        });
        // With another interface of the old name as well.
        lab.near.ip("link add near0 type veth peer name near1");
        lab.near.run(move || open(prefix).stop(&patience()).unwrap());
        assert!(!lab.near.ip("address").contains(prefix));
    }
}

#[test]
fn an_address_moves_to_the_interface_that_has_the_name_now() {
    let lab = Lab::new();
    let mut address = started(&lab, V4);
    lab.near.ip("link set near0 name wan0");
    lab.near.ip("link add near0 type veth peer name near1");
    lab.near.ip("link set near0 up");
    lab.near.run(move || {
        let error = address.monitor().unwrap_err().to_string();
        assert!(
            error.contains("is not on near0, which is the name of another interface now"),
            "{error}"
        );
        address.stop(&patience()).unwrap();
        address.start(&patience()).unwrap();
        address.monitor().unwrap();
        assert_eq!(addresses(), [V4]);
    });
    assert!(!lab.near.ip("address show wan0").contains(V4));
}

#[test]
fn a_start_names_the_interface_as_it_is_called_now() {
    let lab = Lab::new();
    let mut address = started(&lab, V4);
    lab.near.ip("link set near0 name wan0");
    lab.near.run(move || {
        address.stop(&patience()).unwrap();
        assert!(address.ready().is_err());
        let error = address.start(&patience()).unwrap_err().to_string();
        assert!(error.contains("needs near0, which is called wan0 now"), "{error}");
    });
}

#[test]
fn an_interface_that_goes_to_another_namespace_takes_the_address_with_it() {
    let lab = Lab::new();
    let mut address = started(&lab, V4);
    lab.near.ip(&format!("link set near0 netns /proc/{}/ns/net", lab.far.thread));
    lab.near.run(move || {
        let error = address.monitor().unwrap_err().to_string();
        assert!(error.contains("needs near0, and there is no such interface"), "{error}");
        address.stop(&patience()).unwrap();
    });
    assert!(!lab.far.ip("address show near0").contains(V4));
}

#[test]
fn an_interface_that_is_replaced_gets_the_address_again() {
    let lab = Lab::new();
    let mut address = started(&lab, V4);
    lab.near.ip("link delete near0");
    lab.cable();
    lab.near.run(move || {
        let error = address.monitor().unwrap_err().to_string();
        assert!(error.contains("is gone from near0, which is another interface now"), "{error}");
        address.stop(&patience()).unwrap();
        address.start(&patience()).unwrap();
        address.monitor().unwrap();
        assert_eq!(addresses(), [V4]);
    });
}

/// A network manager replaces a bond, or a driver resets its card. On a busy machine that may take longer than the
/// moment.
#[test]
fn a_start_waits_a_moment_for_its_interface() {
    let lab = Lab::new();
    let waits = |_| {
        lab.near.ip("link set near0 down");
        let comes = lab.near.beside(|| {
            thread::sleep(Duration::from_millis(300));
            let mut netlink = Netlink::open().unwrap();
            let near = netlink.interface("near0").unwrap().unwrap();
            netlink.set_up(&near, true).unwrap();
        });
        let started = lab.near.run(|| open(V4).start(&patience()).is_ok());
        comes.join().unwrap();
        started
    };
    assert!((0..10).any(waits));
}

#[test]
fn an_address_without_its_interface_is_not_ready() {
    let lab = Lab::new();
    let ready = || lab.near.run(|| open(V4).ready().map_err(|error| error.to_string()));
    assert!(ready().unwrap().is_some());
    lab.near.ip("link set near0 down");
    assert!(ready().unwrap_err().contains("needs near0, which is down"));
    lab.near.ip("link delete near0");
    assert!(ready().unwrap_err().contains("no such interface"));
}

#[test]
fn other_names_of_the_interface_will_do() {
    for name in ["enp3s0", "enp0s20f0u1u4u3i2"] {
        let lab = Lab::new();
        lab.near.ip(&format!("link property add dev near0 altname {name}"));
        lab.near.run(move || {
            open_on(name, V4, "").start(&patience()).unwrap();
            assert_eq!(addresses(), [V4]);
        });
        lab.near.run(|| std::fs::write("/proc/sys/net/ipv6/conf/near0/forwarding", "1").unwrap());
        let forwards = || Netlink::open()?.interface(name);
        assert!(lab.near.run(forwards).unwrap().unwrap().forwards);
        // The box's own address comes second, and is none of ours.
        lab.near.ip("address add 203.0.113.1/24 dev near0");
        lab.near.run(move || {
            let mut address = open_on(name, V4, "");
            assert!(address.adopt().unwrap());
            address.monitor().unwrap();
            address.stop(&patience()).unwrap();
            assert_eq!(addresses(), ["203.0.113.1/24"]);
        });
    }
}

#[test]
fn what_another_resource_has_put_elsewhere_stays() {
    let lab = Lab::new();
    lab.near.ip("link add near1 type veth peer name near2");
    lab.near.ip("link set near1 up");
    lab.near.run(|| open_on("near1", V4, "").start(&patience()).unwrap());
    for interface in ["near0", "gone0"] {
        lab.near.run(move || open_on(interface, V4, "").stop(&patience()).unwrap());
        assert!(lab.near.ip("address show near1").contains(V4), "{interface}");
    }
}

/// As a kernel is that keeps no marks: it has made none of its own either.
#[test]
fn without_marks_an_address_is_ours_where_nothing_has_the_name() {
    let lab = Lab::new();
    lab.near.run(|| std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap());
    lab.near.ip("link set near0 name wan0");
    lab.near.ip(&format!("address add {V4} dev wan0"));
    // The address of a service behind a load balancer.
    lab.near.ip(&format!("address add {V4} dev lo"));
    lab.near.run(|| open(V4).stop(&patience()).unwrap());
    assert!(!lab.near.ip("address show wan0").contains(V4));
    assert!(lab.near.ip("address show lo").contains(V4));
}

#[test]
fn a_carrier_that_comes_is_a_reason_to_announce_at_once() {
    for (prefix, theirs) in [(V4, "203.0.113.2/24"), (V6, "2001:db8::2/64")] {
        let ip = prefix.split('/').next().unwrap();
        let lab = Lab::new();
        lab.far.ip("link set far0 down");
        lab.near.wait_for("link show near0", "NO-CARRIER");
        let mut address = started(&lab, prefix);
        assert!(is_quiet(&address));
        lab.far.ip("link set far0 up");
        lab.near.wait_for("link show near0", "LOWER_UP");
        lab.far.ip(&format!("address add {theirs} dev far0 {}", nodad(theirs)));
        lab.far
            .ip(&format!("neighbour replace {ip} lladdr 02:00:00:00:00:99 dev far0 nud reachable"));
        address = lab.near.run(move || {
            wait_for_alarm(&address);
            address.monitor().unwrap();
            address
        });
        let card = card(&lab.near, "near0");
        lab.far.wait_for(&format!("neighbour show {ip} dev far0"), &card);
        // The whole burst, and not one word alone.
        assert!(address.rhythm() <= Duration::from_millis(50));
    }
}

#[test]
fn another_hardware_address_is_a_reason_to_announce_at_once() {
    let lab = Lab::new();
    let mut address = started(&lab, V4);
    lab.near.ip("link set near0 address 02:00:00:00:00:77");
    lab.far.ip("address add 203.0.113.2/24 dev far0");
    lab.far.ip("neighbour replace 203.0.113.10 lladdr 02:00:00:00:00:99 dev far0 nud reachable");
    lab.near.run(move || {
        wait_for_alarm(&address);
        address.monitor().unwrap();
    });
    lab.far.wait_for("neighbour show 203.0.113.10 dev far0", "02:00:00:00:00:77");
}

#[test]
fn stacked_interfaces_hold_an_address() {
    let bridge = ["link add name top0 type bridge forward_delay 0", "link set near0 master top0"];
    let macvlan = ["link add link near0 name top0 type macvlan mode bridge"];
    for make in [&bridge[..], &macvlan] {
        let lab = Lab::new();
        for words in make {
            lab.near.ip(words);
        }
        lab.near.ip("link set top0 up");
        lab.near.wait_for("link show top0", "LOWER_UP");
        lab.far.ip("address add 203.0.113.2/24 dev far0");
        lab.far
            .ip("neighbour replace 203.0.113.10 lladdr 02:00:00:00:00:99 dev far0 nud reachable");
        let mut address = lab.near.run(|| {
            let mut address = open_on("top0", V4, "");
            address.start(&patience()).unwrap();
            address.monitor().unwrap();
            address
        });
        lab.far.wait_for("neighbour show 203.0.113.10 dev far0", &card(&lab.near, "top0"));
        lab.near.ip("link set top0 name other0");
        lab.near.run(move || address.stop(&patience()).unwrap());
        assert!(!lab.near.ip("address").contains(V4));
    }
}

/// What comes in by the port of a bridge is the bridge's (github.com/acassen/keepalived/issues/472).
#[test]
fn an_address_is_not_reached_on_the_port_of_a_bridge() {
    let lab = Lab::new();
    let address = started(&lab, V4);
    lab.near.ip("link add name top0 type bridge forward_delay 0");
    lab.near.ip("link set near0 master top0");
    let (address, error) = lab.near.run(move || {
        let mut address = address;
        wait_for_alarm(&address);
        let error = address.monitor().unwrap_err().to_string();
        let missing = Requirement::Interface("near0".to_owned()).missing();
        assert!(missing.is_some_and(|missing| missing.contains("near0 is a port of top0")));
        (address, error)
    });
    assert!(error.contains("a port of top0") && error.contains("interface = \"top0\""), "{error}");
    lab.near.ip("link set near0 nomaster");
    lab.near.run(move || {
        let mut address = address;
        address.start(&patience()).unwrap();
        address.monitor().unwrap();
        assert_eq!(Requirement::Interface("near0".to_owned()).missing(), None);
        address.stop(&patience()).unwrap();
    });
}

/// An address that is there, its first bursts over.
fn started(lab: &Lab, prefix: &'static str) -> Address {
    lab.near.run(move || {
        let mut address = open(prefix);
        address.start(&patience()).unwrap();
        settle(&mut address);
        address
    })
}

fn is_quiet(address: &Address) -> bool {
    let alarm = address.alarm().expect("it listens for changes");
    board::thread::deadline::Deadline::new(Duration::ZERO).readable(&[alarm]).is_err()
}

fn wait_for_alarm(address: &Address) {
    patience().readable(&[address.alarm().expect("it listens for changes")]).unwrap();
}
