//! A BMC on another machine, over a network of which this box sees one end: namespaces and a cable (needs root and
//! iproute2).

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use board::fence::{Fence, is_silent};
use board::thread::deadline::Deadline;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::scene::Scene;

#[test]
fn a_bmc_is_silent_only_where_the_way_to_it_is_whole() {
    thread::spawn(|| {
        // SAFETY: only the network namespace is left; the descriptors stay shared.
        #[allow(unsafe_code)]
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("needs root, for a namespace");
        assert_eq!(ask("").unwrap_err(), io::ErrorKind::NetworkUnreachable);
        ip("link add bmc0 type veth peer name far0");
        ip("addr add 192.0.2.1/24 dev bmc0");
        ip("link set bmc0 up");
        // The other end has no power, or the cable is out.
        assert_eq!(ask("").unwrap_err(), io::ErrorKind::NetworkDown);
        let silent = |words| ask(words).is_err_and(|kind| is_silent(&kind.into()));
        assert!(silent("direct = true"));
        ip("link set far0 up");
        assert!(silent(""), "nobody answers, and the way is whole");
        ip("link set bmc0 down");
        assert!(!silent("") && !silent("direct = true"), "nothing could be asked");
    })
    .join()
    .unwrap();
}

fn ask(words: &str) -> Result<(), io::ErrorKind> {
    let bmc = SocketAddr::from(([192, 0, 2, 9], 623));
    let scene = Scene::new();
    let mut device = scene.device(bmc, "twobox", "secret", words);
    let asked = device.power(&Deadline::new(Duration::from_millis(700)));
    asked.map(drop).map_err(|error| error.kind())
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).status().expect("needs iproute2");
    assert!(done.success(), "ip {words}");
}
