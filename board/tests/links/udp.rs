//! Two boxes, each a network namespace, and a cable between them.
//!
//! At the other end of the cable is an echo, which answers each question. So an answer means that frames travel both
//! ways.

use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use board::link::{Config, Port, PortState};
use firmware_agnostic::identity::BoxId;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use smol::Timer;
use smol::channel::{Sender, bounded};
use smol::future::or;

use crate::{PATIENCE, PAUSE, after, block_on, config, frame, next, plugged, receive};

#[test]
fn datagrams_travel_between_boxes_with_addresses() {
    let cable = Cable::new();
    for words in [V4, V6, "multicast = \"239.0.0.1\"\nttl = 2"] {
        let _echo = cable.echo(words);
        let port = cable.port(words);
        assert!(talks(&port), "{words}: {:?}", port.failure());
        assert_eq!(port.failure(), None);
        assert_eq!(port.lines(), None);
    }
}

#[test]
fn datagrams_travel_without_an_address() {
    let cable = Cable::bare();
    for words in [BROADCAST, "multicast = \"224.0.0.69\"", "multicast = \"ff02::694\"\nttl = 1"] {
        let _echo = cable.echo(words);
        let port = cable.port(words);
        assert!(talks(&port), "{words}: {:?}", port.failure());
    }
}

#[test]
fn link_local_addresses_will_do() {
    let cable = Cable::bare();
    cable.near("ip addr add fe80::1/64 dev eth1 nodad");
    cable.far("ip addr add fe80::2/64 dev eth1 nodad");
    let words = "address = { a = \"fe80::1\", b = \"fe80::2\" }";
    let _echo = cable.echo(words);
    assert!(talks(&cable.port(words)));
}

#[test]
fn several_links_share_an_interface_and_a_port() {
    let cable = Cable::new();
    let _echoes = [cable.echo(V4), cable.echo(V6)];
    let ports = [cable.port(V4), cable.port(V6)];
    assert!(ports.iter().all(talks));
}

#[test]
fn a_link_survives_its_interface_going_down() {
    let cable = Cable::new();
    let _echo = cable.echo(V4);
    let port = cable.port(V4);
    assert!(talks(&port));
    cable.near("ip link set eth1 down");
    assert!(!hears(&port));
    let failure = port.failure().expect("the interface is down");
    assert!(failure.contains("see whether eth1 is up"), "{failure}");
    cable.near("ip link set eth1 up");
    assert!(talks(&port));
    assert_eq!(port.failure(), None);
}

#[test]
fn a_link_survives_the_loss_of_its_address() {
    let cable = Cable::new();
    let _echo = cable.echo(V4);
    let port = cable.port(V4);
    assert!(talks(&port));
    cable.near("ip addr del 192.0.2.1/24 dev eth1");
    assert!(!hears(&port));
    let failure = port.failure().expect("the address is missing");
    assert!(failure.contains("has 192.0.2.1"), "{failure}");
    // A service address is here first, and would now be the source of what is sent.
    cable.near("ip addr add 192.0.2.10/24 dev eth1");
    cable.near("ip addr add 192.0.2.1/24 dev eth1");
    assert!(talks(&port));
}

#[test]
fn a_link_survives_a_new_interface_of_the_same_name() {
    for words in [V4, BROADCAST] {
        let cable = Cable::new();
        let port = cable.port(words);
        for slowly in [true, false] {
            let echo = cable.echo(words);
            assert!(talks(&port), "{words}: {:?}", port.failure());
            drop(echo);
            let remove = async {
                Timer::after(PAUSE).await;
                cable.near("ip link del eth1");
                // Nothing is sent meanwhile, so the link has to see by itself.
                Timer::after(if slowly { A_LOOK } else { Duration::ZERO }).await;
                None
            };
            assert_eq!(block_on(or(next(&port), remove)), None);
            if slowly {
                let failure = port.failure().expect("the interface is gone");
                assert!(failure.contains("no interface eth1"), "{failure}");
            }
            cable.connect();
            cable.give_addresses();
        }
        let _echo = cable.echo(words);
        assert!(talks(&port), "{words}: {:?}", port.failure());
    }
}

#[test]
fn a_link_is_open_before_its_address_is_there() {
    let cable = Cable::bare();
    let port = cable.port(V4);
    assert!(!hears(&port));
    let failure = port.failure().expect("the address is missing");
    assert!(failure.contains("is up and has 192.0.2.1"), "{failure}");
    cable.give_addresses();
    let _echo = cable.echo(V4);
    assert!(talks(&port));
}

#[test]
fn a_link_waits_for_its_interface_and_its_peer() {
    let cable = Cable::new();
    cable.near("ip link set eth1 name late");
    let port = cable.port(V4);
    assert!(!hears(&port));
    assert!(port.failure().expect("no interface yet").contains("no interface eth1"));
    cable.near("ip link set late name eth1");
    cable.near("ip link set eth1 up");
    // Nobody listens at the other end: each frame is answered by "port unreachable".
    assert!(!hears(&port));
    assert_eq!(receive(&port, A_LOOK), None);
    assert_eq!(port.failure(), None);
    for _life_of_the_peer in 0..2 {
        let _echo = cable.echo(V4);
        assert!(talks(&port));
    }
}

/// The peer's end loses its power: the carrier goes.
#[test]
fn a_direct_cable_shows_whether_the_peer_has_power() {
    let cable = Cable::new();
    let port = cable.port(&format!("{V4}\ndirect = true"));
    let line = || block_on(or(line(&port), after(PATIENCE, None)));
    assert_eq!(line(), Some(true));
    cable.far("ip link set eth1 down");
    assert_eq!(line(), Some(false));
    cable.far("ip link set eth1 up");
    assert_eq!(line(), Some(true));
    // Under another name of the interface too.
    cable.near("ip link set eth1 name wan0");
    cable.far("ip link set eth1 down");
    assert_eq!(line(), Some(false));
    cable.near("ip link set wan0 name eth1");
    cable.far("ip link set eth1 up");
    assert_eq!(line(), Some(true));
    // This box's own end says nothing of the peer.
    cable.near("ip link set eth1 down");
    assert_eq!(block_on(or(self::line(&port), after(A_LOOK * 2, None))), None);
}

async fn line(port: &Port) -> Option<bool> {
    loop {
        if let PortState::Line(up) = port.receive(&mut [0; 64]).await {
            return Some(up);
        }
    }
}

#[test]
fn only_the_peer_is_listened_to() {
    let cable = Cable::new();
    cable.far("ip addr add 192.0.2.3/24 dev eth1");
    let port = cable.port(V4);
    assert!(!hears(&port));
    let says = |from: &'static str| {
        cable.far_end(move || UdpSocket::bind(from)?.send_to(b"hello", "192.0.2.1:694")).unwrap();
    };
    says("192.0.2.3:694");
    assert_eq!(receive(&port, PAUSE), None);
    assert_eq!((port.strangers(), port.sender()), (1, None));
    says("192.0.2.2:694");
    assert_eq!(receive(&port, PATIENCE).as_deref(), Some(&b"hello"[..]));
    assert_eq!((port.strangers(), port.sender()), (1, Some([192, 0, 2, 2].into())));
}

#[test]
fn a_crowd_of_strangers_hides_nobody() {
    let cable = Cable::new();
    cable.far("ip addr add 192.0.2.3/24 dev eth1");
    let port = cable.port(V4);
    assert_eq!(receive(&port, PAUSE), None);
    let say = || {
        let stranger = UdpSocket::bind("192.0.2.3:694")?;
        for _ in 0..200 {
            stranger.send_to(b"hello", "192.0.2.1:694")?;
        }
        UdpSocket::bind("192.0.2.2:694")?.send_to(b"it is me", "192.0.2.1:694")
    };
    cable.far_end(say).unwrap();
    // Sooner than the link looks after itself, and finds what nobody has told it of.
    assert_eq!(receive(&port, PAUSE / 2).as_deref(), Some(&b"it is me"[..]));
    assert_eq!(port.strangers(), 200);
}

#[test]
fn a_port_that_is_taken_is_told_with_the_remedy() {
    let cable = Cable::new();
    let first = cable.port(V4);
    let second = cable.port(V4);
    assert!(!hears(&first));
    assert!(!hears(&second));
    assert_eq!(first.failure(), None);
    let failure = second.failure().expect("the port is taken");
    assert!(failure.contains("another `port`"), "{failure}");
}

/// A cable between two network namespaces: `eth1` on both boxes.
pub(crate) struct Cable {
    near: File,
    far: File,
}

impl Cable {
    /// A cable with addresses at both ends.
    pub(crate) fn new() -> Self {
        let cable = Self::bare();
        cable.give_addresses();
        cable
    }

    pub(crate) fn bare() -> Self {
        let cable = Self { near: namespace(), far: namespace() };
        cable.connect();
        cable
    }

    pub(crate) fn connect(&self) {
        let far = format!("/proc/{}/fd/{}", std::process::id(), self.far.as_raw_fd());
        self.near(&format!("ip link add eth1 type veth peer name eth1 netns {far}"));
        for end in [&self.near, &self.far] {
            // Without its loopback a namespace is no box: the kernel takes every address for a broadcast.
            in_namespace(end, || ["lo", "eth1"].map(|name| ip(&format!("ip link set {name} up"))));
        }
    }

    pub(crate) fn give_addresses(&self) {
        self.near("ip addr add 192.0.2.1/24 dev eth1");
        self.near("ip addr add 2001:db8::1/64 dev eth1 nodad");
        self.far("ip addr add 192.0.2.2/24 dev eth1");
        self.far("ip addr add 2001:db8::2/64 dev eth1 nodad");
    }

    pub(crate) fn near(&self, command: &str) {
        in_namespace(&self.near, || ip(command));
    }

    pub(crate) fn far(&self, command: &str) {
        in_namespace(&self.far, || ip(command));
    }

    fn far_end<T: Send>(&self, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        in_namespace(&self.far, act)
    }

    /// The near end, on the thread of the test.
    pub(crate) fn port(&self, words: &str) -> Port {
        self.port_on("eth1", words)
    }

    pub(crate) fn port_on(&self, interface: &str, words: &str) -> Port {
        enter(&self.near);
        plugged(udp_on(interface, words), BoxId::First)
    }

    pub(crate) fn echo(&self, words: &str) -> Echo {
        let far = self.far.try_clone().unwrap();
        let config = udp(words);
        Echo::new(move || {
            enter(&far);
            plugged(config, BoxId::Second)
        })
    }
}

/// The other box: `?1234` it answers with `!1234`.
pub(crate) struct Echo {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn new(open: impl FnOnce() -> Port + Send + 'static) -> Self {
        let (stop, stopped) = bounded(1);
        let thread = thread::spawn(move || {
            let port = open();
            let echo = async {
                let mut buffer = [0; 64];
                loop {
                    let length = frame(&port, &mut buffer).await;
                    if buffer[0] == b'?' {
                        buffer[0] = b'!';
                        port.send(&buffer[..length]);
                    }
                }
            };
            block_on(or(echo, async {
                let _ = stopped.recv().await;
            }));
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.close();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Whether the other box answers, if it is asked for as long as it takes.
pub(crate) fn talks(port: &Port) -> bool {
    is_answered(port, PATIENCE)
}

/// Whether the other box answers soon.
pub(crate) fn hears(port: &Port) -> bool {
    is_answered(port, PAUSE)
}

fn is_answered(port: &Port, patience: Duration) -> bool {
    // The answer to an earlier question says nothing about now.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let question = format!("?{number}").into_bytes();
    let answer = format!("!{number}").into_bytes();
    let speak = async {
        loop {
            Timer::after(Duration::from_millis(20)).await;
            port.send(&question);
        }
    };
    let listen = async {
        let mut buffer = [0; 64];
        loop {
            let length = frame(port, &mut buffer).await;
            if buffer[..length] == answer {
                return true;
            }
        }
    };
    block_on(or(or(listen, speak), after(patience, false)))
}

fn udp(words: &str) -> Config {
    udp_on("eth1", words)
}

fn udp_on(interface: &str, words: &str) -> Config {
    config(&format!("[[link]]\nkind = \"udp\"\ninterface = \"{interface}\"\n{words}\n"))
}

fn namespace() -> File {
    let made = thread::spawn(|| {
        #[allow(unsafe_code)]
        // SAFETY: nothing but the network is unshared, and this thread ends at once.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
            .expect("these tests run as root");
        File::open("/proc/thread-self/ns/net").unwrap()
    });
    made.join().unwrap()
}

fn enter(namespace: &File) {
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .unwrap();
}

fn in_namespace<T: Send>(namespace: &File, act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let acting = scope.spawn(|| {
            enter(namespace);
            act()
        });
        acting.join().unwrap()
    })
}

fn ip(command: &str) {
    let mut words = command.split(' ');
    let status =
        Command::new(words.next().unwrap()).args(words).status().expect("iproute2 is installed");
    assert!(status.success(), "{command}");
}

pub(crate) const V4: &str = "address = { a = \"192.0.2.1\", b = \"192.0.2.2\" }";
const V6: &str = "address = { a = \"2001:db8::1\", b = \"2001:db8::2\" }";
pub(crate) const BROADCAST: &str = "broadcast = true";
/// More than the second after which a link looks after itself.
pub(crate) const A_LOOK: Duration = Duration::from_millis(1500);
