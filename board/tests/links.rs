//! The links against the kernel: sockets on a cable between two network namespaces, and ttys.
//!
//! At the other end of a cable is an echo, which answers each question. So an answer means that frames travel both ways.

use std::fs::{File, remove_file};
use std::io::{self, Read};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use board::link::{Config, Port};
use board::table::Source;
use firmware_agnostic::identity::BoxId;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{ControlModes, InputModes, LocalModes, tcgetattr};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use smol::Timer;
use smol::channel::{Sender, bounded};
use smol::future::or;
use tempfile::TempDir;

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
        let echo = cable.echo(words);
        let port = cable.port(words);
        assert!(talks(&port));
        cable.near("ip link del eth1");
        assert!(!hears(&port));
        drop(echo);
        let failure = in_a_second(&port).expect("the interface is gone");
        assert!(failure.contains("no interface eth1"), "{failure}");
        cable.connect();
        cable.give_addresses();
        let _echo = cable.echo(words);
        assert!(talks(&port), "{words}: {:?}", port.failure());
    }
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
    assert_eq!(in_a_second(&port), None);
    for _life_of_the_peer in 0..2 {
        let _echo = cable.echo(V4);
        assert!(talks(&port));
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
    says("192.0.2.2:694");
    assert_eq!(receive(&port, PATIENCE).as_deref(), Some(&b"hello"[..]));
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

#[test]
fn frames_travel_over_a_tty() {
    let cable = NullModem::new();
    let port = cable.port();
    assert_eq!(receive(&port, PAUSE), None);
    port.send(b"hello");
    assert_eq!(cable.read(7), [0, 6, b'h', b'e', b'l', b'l', b'o']);
    cable.write(LINE);
    assert_eq!(receive(&port, PATIENCE).as_deref(), Some(FRAME));
    assert_eq!(port.failure(), None);
    // A pty has none.
    assert_eq!(port.lines(), None);
}

#[test]
fn noise_does_not_spoil_the_next_frame() {
    let noise: [&[u8]; 5] = [
        // What a break reads like.
        &[0; 40],
        // The peer's boot messages, or its heartbeats at another baud.
        &[0xf8; 5_000],
        // Signals and flow control, were the tty not raw.
        b"\x03\x04\x11\x13\x1a\x1c\r\n",
        // A frame cut off.
        &[0, 6, b'h', b'e'],
        &[0xff],
    ];
    let cable = NullModem::new();
    let port = cable.port();
    assert_eq!(receive(&port, PAUSE), None);
    for noise in noise {
        cable.write(noise);
        assert_eq!(receive(&port, PAUSE), None, "{noise:?}");
        cable.write(LINE);
        assert_eq!(receive(&port, PATIENCE).as_deref(), Some(FRAME), "{noise:?}");
    }
    assert_eq!(port.failure(), None);
}

#[test]
fn a_cable_that_is_plugged_in_again_works_again() {
    let mut cable = NullModem::new();
    let port = cable.port();
    assert_eq!(receive(&port, PAUSE), None);
    for _ in 0..2 {
        cable.unplug();
        assert_eq!(receive(&port, PAUSE), None);
        let failure = port.failure().expect("the adapter is gone");
        assert!(failure.contains("plug its adapter in"), "{failure}");
        port.send(b"to nobody");
        cable.plug();
        assert!(cable.reaches(&port));
        port.send(b"hello");
        assert_eq!(port.failure(), None);
    }
}

#[test]
fn a_tty_belongs_to_one_program() {
    let cable = NullModem::new();
    let (first, second) = (cable.port(), cable.port());
    assert_eq!(receive(&first, PAUSE), None);
    assert_eq!(receive(&second, PAUSE), None);
    assert_eq!(first.failure(), None);
    let failure = second.failure().expect("the tty is taken");
    assert!(failure.contains("in use by another program"), "{failure}");
    drop(first);
    assert!(cable.reaches(&second));
}

#[test]
fn a_tty_with_a_login_is_refused() {
    let cable = NullModem::new();
    let mut login = Command::new("setsid")
        .args(["sh", "-c", "exec <>\"$0\"; echo here; exec sleep 60"])
        .arg(&cable.device)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    login.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
    let port = cable.port();
    assert_eq!(receive(&port, PAUSE), None);
    let failure = port.failure().expect("a login has the tty");
    login.kill().unwrap();
    login.wait().unwrap();
    assert!(failure.contains("has a login on it (sleep"), "{failure}");
    assert!(cable.reaches(&port));
}

#[test]
fn a_cable_that_nobody_reads_holds_nobody_up() {
    let cable = NullModem::new();
    let port = cable.port();
    assert_eq!(receive(&port, PAUSE), None);
    // Were one of these to wait, it would wait for ever.
    for _ in 0..10_000 {
        port.send(&[7; 50]);
    }
    let failure = port.failure().expect("nobody reads");
    assert!(failure.contains("takes no more frames"), "{failure}");
    cable.write(LINE);
    assert_eq!(receive(&port, PATIENCE).as_deref(), Some(FRAME));
    cable.drain();
    port.send(b"hello");
    assert_eq!(port.failure(), None);
}

#[test]
fn a_tty_is_set_up_for_a_cable_without_flow_control() {
    let cable = NullModem::new();
    let port = cable.port();
    assert_eq!(receive(&port, PAUSE), None);
    let settings = tcgetattr(cable.hand()).unwrap();
    assert_eq!(settings.output_speed(), 9_600);
    let control = settings.control_modes;
    assert!(control.contains(ControlModes::CLOCAL | ControlModes::CREAD | ControlModes::CS8));
    assert!(
        !control.intersects(ControlModes::CRTSCTS | ControlModes::HUPCL | ControlModes::PARENB)
    );
    assert!(
        !settings.input_modes.intersects(
            InputModes::IXON | InputModes::IXOFF | InputModes::BRKINT | InputModes::ICRNL
        )
    );
    assert!(
        !settings.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    );
}

#[test]
fn links_are_configured_in_words() {
    let told = complaints(
        "[[link]]\nkind = \"udp\"\ninterface = \"eth1\"\nbroadcast = true\n\
         [[link]]\nkind = \"udp\"\ninterface = \"eth1\"\nadress = \"192.0.2.1\"\n\
         [[link]]\nkind = \"udp\"\ninterface = \"eth2\"\naddress = \"192.0.2.1\"\n\
         [[link]]\nkind = \"serial\"\ndevice = \"/dev/ttyS1\"\nbaud = 115000\n\
         [[link]]\nkind = \"udp\"\ninterface = \"eth1\"\nmulticast = \"ff02::1\"\n\
         [[link]]\ninterface = \"eth3\"\n",
    );
    let expected = [
        (5, "has no word for where to send"),
        (8, "did you mean address?"),
        (12, "is the same for both boxes"),
        (16, "the nearest is 115200"),
        (17, "eth1 is another link already"),
        (21, "say \"udp\" or \"serial\""),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((line, reason), (expected_line, part)) in told.iter().zip(expected) {
        assert!(*line == expected_line && reason.contains(part), "{line}: {reason}");
    }
}

/// A cable between two network namespaces: `eth1` on both boxes.
struct Cable {
    near: File,
    far: File,
}

impl Cable {
    /// A cable with addresses at both ends.
    fn new() -> Self {
        let cable = Self::bare();
        cable.give_addresses();
        cable
    }

    fn bare() -> Self {
        let cable = Self { near: namespace(), far: namespace() };
        cable.connect();
        cable
    }

    fn connect(&self) {
        let far = format!("/proc/{}/fd/{}", std::process::id(), self.far.as_raw_fd());
        self.near(&format!("ip link add eth1 type veth peer name eth1 netns {far}"));
        for end in [&self.near, &self.far] {
            in_namespace(end, || ip("ip link set eth1 up"));
        }
    }

    fn give_addresses(&self) {
        self.near("ip addr add 192.0.2.1/24 dev eth1");
        self.near("ip addr add 2001:db8::1/64 dev eth1 nodad");
        self.far("ip addr add 192.0.2.2/24 dev eth1");
        self.far("ip addr add 2001:db8::2/64 dev eth1 nodad");
    }

    fn near(&self, command: &str) {
        in_namespace(&self.near, || ip(command));
    }

    fn far(&self, command: &str) {
        in_namespace(&self.far, || ip(command));
    }

    fn far_end<T: Send>(&self, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        in_namespace(&self.far, act)
    }

    /// The near end, on the thread of the test.
    fn port(&self, words: &str) -> Port {
        enter(&self.near);
        Port::new(udp(words), BoxId::First)
    }

    fn echo(&self, words: &str) -> Echo {
        let far = self.far.try_clone().unwrap();
        let config = udp(words);
        Echo::new(move || {
            enter(&far);
            Port::new(config, BoxId::Second)
        })
    }
}

/// A tty whose other end is in the hand of the test, behind a name that stays.
struct NullModem {
    directory: TempDir,
    device: PathBuf,
    hand: Option<OwnedFd>,
}

impl NullModem {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("ttyS1");
        let mut cable = Self { directory, device, hand: None };
        cable.plug();
        cable
    }

    fn plug(&mut self) {
        let hand = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        rustix::io::ioctl_fionbio(&hand, true).unwrap();
        unlockpt(&hand).unwrap();
        let name = ptsname(&hand, Vec::new()).unwrap();
        symlink(name.to_str().unwrap(), &self.device).unwrap();
        self.hand = Some(hand);
    }

    fn unplug(&mut self) {
        self.hand = None;
        remove_file(&self.device).unwrap();
    }

    fn port(&self) -> Port {
        assert!(self.device.starts_with(self.directory.path()));
        let device = self.device.display();
        let text = format!("[[link]]\nkind = \"serial\"\ndevice = \"{device}\"\nbaud = 9600\n");
        Port::new(config(&text), BoxId::First)
    }

    fn hand(&self) -> &OwnedFd {
        self.hand.as_ref().unwrap()
    }

    /// Writes as much as there is room for, as a cable does.
    fn write(&self, bytes: &[u8]) {
        let _ = rustix::io::write(self.hand(), bytes);
    }

    fn read(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let length = rustix::io::read(self.hand(), &mut bytes).unwrap();
        bytes.truncate(length);
        bytes
    }

    /// Whether a frame arrives, of those said for as long as it takes.
    fn reaches(&self, port: &Port) -> bool {
        let speak = async {
            loop {
                self.write(LINE);
                Timer::after(Duration::from_millis(50)).await;
            }
        };
        let mut buffer = [0; 64];
        let listen = async { port.receive(&mut buffer).await };
        let length = smol::block_on(or(or(listen, speak), after(PATIENCE, 0)));
        &buffer[..length] == FRAME
    }

    fn drain(&self) {
        while rustix::io::read(self.hand(), &mut [0; 4096]).is_ok() {}
    }
}

/// The other box: `?1234` it answers with `!1234`.
struct Echo {
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
                    let length = port.receive(&mut buffer).await;
                    if buffer[0] == b'?' {
                        buffer[0] = b'!';
                        port.send(&buffer[..length]);
                    }
                }
            };
            smol::block_on(or(echo, async {
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
fn talks(port: &Port) -> bool {
    is_answered(port, PATIENCE)
}

/// Whether the other box answers soon.
fn hears(port: &Port) -> bool {
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
            let length = port.receive(&mut buffer).await;
            if buffer[..length] == answer {
                return true;
            }
        }
    };
    smol::block_on(or(or(listen, speak), after(patience, false)))
}

fn receive(port: &Port, patience: Duration) -> Option<Vec<u8>> {
    let mut buffer = [0; 64];
    let length =
        smol::block_on(or(async { Some(port.receive(&mut buffer).await) }, after(patience, None)))?;
    Some(buffer[..length].to_vec())
}

/// What is wrong with the port after it had the time to look.
fn in_a_second(port: &Port) -> Option<String> {
    assert_eq!(receive(port, Duration::from_millis(1500)), None);
    port.failure()
}

async fn after<T>(time: Duration, value: T) -> T {
    Timer::after(time).await;
    value
}

fn udp(words: &str) -> Config {
    config(&format!("[[link]]\nkind = \"udp\"\ninterface = \"eth1\"\n{words}\n"))
}

fn complaints(text: &str) -> Vec<(usize, String)> {
    let source = Source::new(text);
    Config::read_all(source.parse().tables("link"));
    source.into_complaints().into_iter().map(|told| (told.line, told.reason)).collect()
}

fn config(text: &str) -> Config {
    let source = Source::new(text);
    source.set_boxes(vec!["a".to_owned(), "b".to_owned()]);
    let configs = Config::read_all(source.parse().tables("link"));
    let complaints = source.into_complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
    configs.into_iter().next().unwrap()
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

const V4: &str = "address = { a = \"192.0.2.1\", b = \"192.0.2.2\" }";
const V6: &str = "address = { a = \"2001:db8::1\", b = \"2001:db8::2\" }";
const BROADCAST: &str = "broadcast = true";
/// A frame, and what it looks like on a cable.
const FRAME: &[u8] = b"hi";
const LINE: &[u8] = b"\0\x03hi\0";
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(300);
