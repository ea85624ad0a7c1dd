//! A box with a cable in its tty, whose other end is in the hand of the test.

use std::fs::remove_file;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use board::link::{Config, Port};
use firmware_agnostic::frame::{LINE_MAX, enclose};
use firmware_agnostic::identity::BoxId;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, tcgetattr, tcsetattr,
};
use smol::Timer;
use smol::future::or;
use tempfile::TempDir;

use crate::{PATIENCE, PAUSE, after, block_on, config, next, plugged, receive};

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
        cable.write(LINE);
        // What is no frame comes through as it is, to be counted.
        let heard: Vec<_> = std::iter::from_fn(|| receive(&port, PAUSE)).collect();
        assert_eq!(heard.last().map(Vec::as_slice), Some(FRAME), "{noise:?}");
        assert_eq!(heard.iter().filter(|frame| *frame == FRAME).count(), 1, "{noise:?}");
    }
    assert_eq!(port.failure(), None);
}

/// A UART delivers a few bytes at a time; nothing is left lying, whether more comes or not.
#[test]
fn a_frame_that_comes_in_pieces_is_heard_when_it_is_whole() {
    let cable = NullModem::new();
    let port = cable.port();
    assert_eq!(receive(&port, PAUSE), None);
    let frame = [7; 45];
    let line = enclose(&frame, &mut [0; LINE_MAX]).to_vec();
    for (size, pause) in [(1, 1), (8, 8), (16, 1), (40, 100)] {
        let speak = async {
            for piece in line.chunks(size) {
                cable.write(piece);
                Timer::after(Duration::from_millis(pause)).await;
            }
            after(PAUSE, None).await
        };
        let heard = block_on(or(next(&port), speak));
        assert_eq!(heard.as_deref(), Some(&frame[..]), "{size} bytes at a time");
    }
}

#[test]
fn a_cable_that_is_plugged_in_again_works_again() {
    let mut cable = NullModem::new();
    let port = cable.port();
    assert_eq!(receive(&port, PAUSE), None);
    for _ in 0..2 {
        // What is said until it is heard may come more than once.
        while receive(&port, PAUSE).is_some() {}
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

/// As `ModemManager`, a login or `stty` does, which the mark of exclusive use does not keep out where they are root.
#[test]
fn a_tty_that_another_program_has_set_otherwise_is_set_back() {
    let cable = NullModem::new();
    let port = cable.port();
    assert!(cable.reaches(&port));
    // Both ends of a pty have the same settings.
    let ours = tcgetattr(cable.hand()).unwrap();
    let mut others = ours.clone();
    others.local_modes.insert(LocalModes::ICANON | LocalModes::ECHO);
    others.input_modes.insert(InputModes::IXON | InputModes::ICRNL);
    tcsetattr(cable.hand(), OptionalActions::Now, &others).unwrap();
    // Nothing that is no line of text would come through.
    assert!(cable.reaches(&port));
    let failure = port.failure().expect("nobody said a word");
    assert!(failure.contains("fuser"), "{failure}");
    assert_eq!(tcgetattr(cable.hand()).unwrap().local_modes, ours.local_modes);
    port.send(b"hello");
    assert_eq!(port.failure(), None);
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
    let conflict = cable.config().conflict(BoxId::First);
    login.kill().unwrap();
    login.wait().unwrap();
    assert!(failure.contains("has a login on it (sleep"), "{failure}");
    // It is told before the start, too.
    assert_eq!(conflict, Some(failure));
    assert_eq!(cable.config().conflict(BoxId::First), None);
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
    let mut settings = tcgetattr(cable.hand()).unwrap();
    settings.control_modes |= ControlModes::HUPCL | ControlModes::CRTSCTS;
    tcsetattr(cable.hand(), OptionalActions::Now, &settings).unwrap();
    let link = cable.config().open(BoxId::First).unwrap();
    let error = link.receive(&mut [0; 64]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
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
        plugged(self.config(), BoxId::First)
    }

    fn config(&self) -> Config {
        assert!(self.device.starts_with(self.directory.path()));
        let device = self.device.display();
        let text = format!("[[link]]\nkind = \"serial\"\ndevice = \"{device}\"\nbaud = 9600\n");
        config(&text)
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
        let heard = block_on(or(or(next(port), speak), after(PATIENCE, None)));
        heard.as_deref() == Some(FRAME)
    }

    fn drain(&self) {
        while rustix::io::read(self.hand(), &mut [0; 4096]).is_ok() {}
    }
}

/// A frame, and what it looks like on a cable.
const FRAME: &[u8] = b"hi";
const LINE: &[u8] = b"\0\x03hi\0";
