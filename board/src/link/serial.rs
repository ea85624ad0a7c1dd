//! Heartbeats over a null-modem cable: another medium, which no mistake in the network can cut.
//!
//! A cable has no frames, no addresses and no errors; it has bytes, of which some are noise. Each frame travels
//! between two zeros (`firmware_agnostic::frame::enclose`), so after anything that went wrong before (noise, a
//! break, the wrong baud, a frame cut off because the queue was full) the next frame begins anew.
//!
//! The port is raw, exclusive, and never waits: no flow control by lines or by characters, so a dead peer cannot
//! stop it; and a frame that would have to queue behind others is dropped, because an old heartbeat is worse than
//! none. DTR and RTS stay high when the port is closed, so that the peer reads from its own lines that this box has
//! power even while the supervisor is restarted.
//!
//! Root can open a tty that is exclusive, and set it otherwise while it is in use, as a login does. That
//! is seen within about a second, and the port is opened and set up again.
//!
//! A tty on which the kernel or a person talks is refused: the first kernel message would end the link, or the first
//! heartbeat the login.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use firmware_agnostic::frame::{Deframer, LINE_MAX, enclose};
use firmware_agnostic::identity::BoxId;
use rustix::termios::{ControlModes, OptionalActions, QueueSelector, Termios};
use rustix::termios::{tcflush, tcgetattr, tcsetattr};
use serialport::{SerialPort, TTYPort};

use super::{Link, ModemLines, while_trying};
use crate::config::requirement::Requirement;
use crate::config::table::{PerBox, Table};

mod modem_lines;
mod tty_conflict;

use modem_lines::LinePoller;

/// `kind = "serial"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Config {
    device: PerBox<PathBuf>,
    pub(super) baud: u32,
}

impl Config {
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let device = table.require("device");
        let baud = table.get_or("baud", BAUD);
        if !BAUDS.contains(&baud) {
            let nearest = BAUDS.iter().min_by_key(|rate| rate.abs_diff(baud)).unwrap_or(&BAUD);
            table.error("baud", format!("{baud} is no standard rate: the nearest is {nearest}"));
        }
        Some(Self { device: device?, baud })
    }

    /// `ttyS1`, or `ttyS1/ttyUSB0` where the boxes differ.
    pub(super) fn name(&self) -> String {
        let [first, second] = BoxId::BOTH.map(|id| {
            let device = self.device.of(id);
            device.file_name().unwrap_or(device.as_os_str()).to_string_lossy()
        });
        if first == second { first.into_owned() } else { format!("{first}/{second}") }
    }

    pub(super) fn needs(&self, me: BoxId) -> Vec<Requirement> {
        vec![Requirement::Device(self.device.of(me).clone())]
    }

    pub(super) fn conflict(&self, me: BoxId) -> Option<String> {
        let device = self.device.of(me);
        Some(tty_conflict::refuse(device).err().filter(|_| device.exists())?.to_string())
    }

    pub(super) fn open(&self, me: BoxId) -> io::Result<Serial> {
        let device = self.device.of(me);
        tty_conflict::refuse(device)?;
        let port = serialport::new(device.to_string_lossy(), self.baud)
            .open_native()
            .map_err(|error| not_opened(device, error))?;
        Serial::new(port, self.baud)
            .map_err(while_trying(format!("cannot set up {}", device.display())))
    }

    /// The next supervisor takes it for its own while it is open (`TIOCNXCL` of `ioctl_tty(2)`).
    pub(super) fn open_to_speak(&self, me: BoxId) -> io::Result<Serial> {
        let serial = self.open(me)?;
        serial.port.borrow_mut().set_exclusive(false)?;
        Ok(serial)
    }
}

/// A tty that is ours alone, or that of a guard beside the next supervisor.
pub(super) struct Serial {
    /// For the length of the queue.
    port: RefCell<TTYPort>,
    /// For the bytes: the same open file.
    tty: Arc<OwnedFd>,
    /// For the modem control lines.
    watch: LinePoller,
    frames: RefCell<Frames>,
    /// How the tty was set up.
    settings: Termios,
    /// What the longest frame takes on the cable.
    line_time: Duration,
}

impl Link for Serial {
    fn send(&self, frame: &[u8]) -> io::Result<()> {
        let waiting = self.port.borrow().bytes_to_write().unwrap_or(0);
        if waiting as usize > LINE_MAX {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        say(frame, &mut TtyBytes(self.tty.as_fd())).map_err(gone)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let next = self.frames.borrow_mut().next(&mut TtyBytes(self.tty.as_fd()), buffer);
        // A tty has no end; it says so when it was hung up (`tty_hung_up_p` in the kernel).
        next.and_then(|length| length.ok_or(io::ErrorKind::UnexpectedEof.into())).map_err(gone)
    }

    /// A UART delivers some bytes at a time: who took in each of them as it comes would have several turns for one
    /// frame.
    fn rest(&self) -> Option<Duration> {
        self.frames.borrow().is_in_the_middle().then_some(self.line_time)
    }

    fn look(&self) -> io::Result<()> {
        if is_same(&tcgetattr(&self.tty).map_err(|error| gone(error.into()))?, &self.settings) {
            return Ok(());
        }
        let device = self.port.borrow().name().unwrap_or_default();
        Err(io::Error::other(format!(
            "another program has set {device} otherwise, and we set it back: end the one that \
             `fuser {device}` shows"
        )))
    }

    fn lines(&self) -> Option<ModemLines> {
        self.watch.lines()
    }
}

impl Serial {
    fn new(port: TTYPort, baud: u32) -> io::Result<Self> {
        let tty = Arc::new(owned(port.try_clone_native()?));
        let watch = LinePoller::of(&tty)?;
        let line_time = Duration::from_secs(LINE_MAX as u64 * BITS) / baud;
        let frames = RefCell::default();
        let settings = tcgetattr(&tty)?;
        let mut serial = Self { port: RefCell::new(port), tty, watch, frames, settings, line_time };
        serial.set_up(baud)?;
        Ok(serial)
    }

    /// Does what `serialport` leaves out.
    fn set_up(&mut self, baud: u32) -> io::Result<()> {
        rustix::io::ioctl_fionbio(&self.tty, true)?;
        let settings = &mut self.settings;
        settings.control_modes.remove(ControlModes::HUPCL | ControlModes::CRTSCTS);
        settings.control_modes.insert(ControlModes::CLOCAL | ControlModes::CREAD);
        tcsetattr(&self.tty, OptionalActions::Now, settings)?;
        // What the driver has made of it.
        *settings = tcgetattr(&self.tty)?;
        let speed = settings.output_speed();
        if speed.abs_diff(baud) > baud / TOLERANCE {
            return Err(io::Error::other(format!(
                "it does {speed} baud instead of {baud}: choose a lower `baud`"
            )));
        }
        // What waits there was said before this box listened.
        tcflush(&self.tty, QueueSelector::IOFlush)?;
        let mut port = self.port.borrow_mut();
        // A pty has no lines, and nobody misses them.
        let _ = port.write_data_terminal_ready(true);
        let _ = port.write_request_to_send(true);
        Ok(())
    }
}

impl AsFd for Serial {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tty.as_fd()
    }
}

/// Whether two settings do the same to the bytes.
fn is_same(one: &Termios, other: &Termios) -> bool {
    let modes = |it: &Termios| (it.input_modes, it.output_modes, it.control_modes, it.local_modes);
    let speeds = |it: &Termios| (it.input_speed(), it.output_speed());
    modes(one) == modes(other) && speeds(one) == speeds(other)
}

/// Writes a frame to a stream of bytes, which takes at once what it takes at all.
fn say(frame: &[u8], stream: &mut impl embedded_io::Write<Error = io::Error>) -> io::Result<()> {
    let mut line = [0; LINE_MAX];
    let line = enclose(frame, &mut line);
    // The rest of a line that was cut off is not worth keeping: the zero that opens the next one ends it.
    if stream.write(line)? < line.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
}

/// The frames in a stream of bytes.
struct Frames {
    deframer: Deframer,
    chunk: [u8; LINE_MAX],
    unread: Range<usize>,
    /// There were some bytes to read, the last time.
    some: bool,
    /// How many bytes have come since the last zero.
    endless: usize,
}

impl Frames {
    /// A frame has begun to come, and goes on.
    fn is_in_the_middle(&self) -> bool {
        self.some && self.deframer.is_in_the_middle()
    }

    /// Copies the next frame into `buffer` and tells its length, or `None` at the end of the stream.
    fn next<S: embedded_io::Read>(
        &mut self,
        stream: &mut S,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, S::Error> {
        self.some = !self.unread.is_empty();
        loop {
            for byte in self.unread.by_ref().filter_map(|place| self.chunk.get(place)) {
                self.endless = if *byte == 0 { 0 } else { self.endless + 1 };
                if let Some(frame) = self.deframer.push(*byte) {
                    // What is too long for the buffer is no heartbeat either.
                    let Some(room) = buffer.get_mut(..frame.len()) else { continue };
                    room.copy_from_slice(frame);
                    return Ok(Some(frame.len()));
                }
            }
            if self.endless > ENDLESS {
                // The noise of another baud may never end with a zero: it is given out to be counted.
                self.endless = 0;
                let noise = buffer.iter_mut().zip(&self.chunk);
                return Ok(Some(noise.map(|(to, from)| *to = *from).count()));
            }
            self.unread = 0..stream.read(&mut self.chunk)?;
            self.some = true;
            if self.unread.is_empty() {
                return Ok(None);
            }
        }
    }
}

impl Default for Frames {
    fn default() -> Self {
        let (deframer, chunk) = (Deframer::new(), [0; LINE_MAX]);
        Self { deframer, chunk, unread: 0..0, some: false, endless: 0 }
    }
}

/// The bytes of a tty that does not wait: where there are none, it says `WouldBlock`.
struct TtyBytes<'a>(BorrowedFd<'a>);

impl embedded_io::ErrorType for TtyBytes<'_> {
    type Error = io::Error;
}

impl embedded_io::Read for TtyBytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buffer)?)
    }
}

impl embedded_io::Write for TtyBytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[allow(unsafe_code)]
fn owned(port: TTYPort) -> OwnedFd {
    // SAFETY: `into_raw_fd` gives the descriptor away without closing it, so nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(port.into_raw_fd()) }
}

fn gone(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => error,
        _ => while_trying("the tty is gone: plug its adapter in again".to_owned())(error),
    }
}

fn not_opened(device: &Path, error: serialport::Error) -> io::Error {
    let device = device.display();
    while_trying(match error.kind() {
        // The device is there, as `tty_conflict` saw: it is the lock that was not to be had.
        serialport::ErrorKind::NoDevice => {
            format!(
                "{device} is in use by another program: end the one that `fuser {device}` shows"
            )
        }
        serialport::ErrorKind::Io(io::ErrorKind::PermissionDenied) => {
            format!(
                "may not open {device}: run as root, or in the group that `ls -l {device}` shows"
            )
        }
        _ => format!("cannot open {device}"),
    })(error.into())
}

/// What Linux has a name for (`termios(3)`), from the slowest that carries a heartbeat in a second.
const BAUDS: &[u32] = &[
    1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 500_000,
    576_000, 921_600, 1_000_000, 1_152_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000, 3_500_000,
    4_000_000,
];

/// On the cable, with those by which a byte begins and ends.
const BITS: u64 = 10;

/// Without a zero among so many bytes there is no frame.
const ENDLESS: usize = 2 * LINE_MAX;

/// The fastest that every UART has.
const BAUD: u32 = 115_200;

/// Two ends that are each this part off, in opposite directions, still read each other: a byte is ten bits long, and
/// its last bit must be met within half a bit.
const TOLERANCE: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_among_garbage() {
        let mut bytes: Vec<u8> = b"\xffboot: \x00\x00login".to_vec();
        say_to(&mut bytes, b"first");
        bytes.extend([0; 10]);
        say_to(&mut bytes, b"second");
        bytes.extend(b"cut o");
        say_to(&mut bytes, b"third");
        // The garbage comes through as it is, to be counted; nobody takes it for a frame.
        let expected = [&b"login"[..], b"first", b"second", b"cut o", b"third"];
        assert_eq!(heard(&bytes), expected.map(<[u8]>::to_vec));
    }

    #[test]
    fn what_is_longer_than_the_buffer_is_no_frame() {
        let mut bytes = Vec::new();
        say_to(&mut bytes, &[7; ROOM + 1]);
        say_to(&mut bytes, b"first");
        assert_eq!(heard(&bytes), [b"first".to_vec()]);
    }

    #[test]
    fn noise_without_an_end_is_counted() {
        assert_eq!(heard(&[0xf8; 2 * LINE_MAX]), [[0; 0]; 0]);
        let mut bytes = vec![0xf8; 10 * LINE_MAX];
        say_to(&mut bytes, b"first");
        let heard = heard(&bytes);
        assert_eq!(heard.last().map(Vec::as_slice), Some(&b"first"[..]));
        assert!(heard.len() > 3, "{heard:?}");
    }

    fn heard(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut frames = Frames::default();
        let mut buffer = [0; ROOM];
        let mut heard = Vec::new();
        while let Ok(Some(length)) = frames.next(&mut bytes, &mut buffer) {
            heard.push(buffer[..length].to_vec());
        }
        heard
    }

    fn say_to(bytes: &mut Vec<u8>, frame: &[u8]) {
        bytes.extend(enclose(frame, &mut [0; LINE_MAX]));
    }

    const ROOM: usize = 40;
}
