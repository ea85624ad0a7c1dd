//! What becomes of a link whose interface changes under it.

use std::time::{Duration, Instant};

use board::link::Port;

use crate::udp::{A_LOOK, BROADCAST, Cable, V4, hears, talks};
use crate::{PATIENCE, receive};

const LINK_LOCAL: &str = "address = { a = \"fe80::1\", b = \"fe80::2\" }";
const GROUP: &str = "multicast = \"ff02::694\"";

#[test]
fn a_link_survives_that_its_interface_is_renamed() {
    for words in [V4, LINK_LOCAL, BROADCAST, GROUP, "direct = true\nbroadcast = true"] {
        let cable = cable();
        let _echo = cable.echo(words);
        let port = cable.port(words);
        assert!(talks(&port), "{words}: {:?}", port.failure());
        cable.near("ip link set eth1 name wan0");
        // It has looked after itself meanwhile.
        assert_eq!(receive(&port, A_LOOK), None);
        assert!(talks(&port), "{words}: {:?}", port.failure());
        assert_eq!(port.failure(), None);
    }
}

#[test]
fn a_link_goes_to_the_interface_that_has_the_name_now() {
    let cable = cable();
    let _echo = cable.echo(BROADCAST);
    let port = cable.port(BROADCAST);
    assert!(talks(&port));
    cable.near("ip link set eth1 name wan0");
    cable.near("ip link add eth1 type veth peer name other1");
    cable.near("ip link set eth1 up");
    wait_until(&port, |port| !hears(port));
    cable.near("ip link del eth1");
    cable.near("ip link set wan0 name eth1");
    assert!(talks(&port), "{:?}", port.failure());
}

#[test]
fn a_link_is_opened_again_on_an_interface_that_is_replaced() {
    for words in [LINK_LOCAL, GROUP, "multicast = \"224.0.0.69\""] {
        let cable = cable();
        let port = cable.port(words);
        for _ in 0..2 {
            let echo = cable.echo(words);
            assert!(talks(&port), "{words}: {:?}", port.failure());
            drop(echo);
            cable.near("ip link del eth1");
            wait_until(&port, |port| {
                let _ = receive(port, A_LOOK);
                port.failure().is_some_and(|failure| failure.contains("no interface eth1"))
            });
            cable.connect();
            give_link_local_addresses(&cable);
        }
    }
}

#[test]
fn other_names_of_the_interface_will_do() {
    for name in ["enp3s0", "enp0s20f0u1u4u3i2"] {
        let cable = cable();
        cable.near(&format!("ip link property add dev eth1 altname {name}"));
        let _echo = cable.echo(BROADCAST);
        let port = cable.port_on(name, BROADCAST);
        assert!(talks(&port), "{name}: {:?}", port.failure());
        assert_eq!(receive(&port, A_LOOK), None);
        cable.near("ip link set eth1 name wan0");
        assert_eq!(receive(&port, A_LOOK), None);
        assert!(talks(&port), "{name}: {:?}", port.failure());
    }
}

fn cable() -> Cable {
    let cable = Cable::new();
    give_link_local_addresses(&cable);
    cable
}

fn give_link_local_addresses(cable: &Cable) {
    cable.near("ip addr replace fe80::1/64 dev eth1 nodad");
    cable.far("ip addr replace fe80::2/64 dev eth1 nodad");
}

/// Waits for what the link finds out by itself.
fn wait_until(port: &Port, is_so: impl Fn(&Port) -> bool) {
    let end = Instant::now() + PATIENCE + Duration::from_secs(10);
    while !is_so(port) {
        assert!(Instant::now() < end, "{:?}", port.failure());
    }
}
