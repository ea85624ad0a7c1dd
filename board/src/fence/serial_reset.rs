//! Fencing by a control line that is wired to the peer's reset header: a pulse on it resets the peer.
//!
//! A reset counts only if its effect was seen (`design.md` 4.3), so another line of the same port must show that
//! the peer has power: wired to a supply of the board, or to a line that its own port holds high. The peer counts
//! as off from the moment in which that line fell *during the pulse*. One that is low before proves nothing: the
//! cable may be out.
//!
//! Opening a port raises both of its lines for a moment, and so does the kernel at boot. The cable must therefore delay
//! (an RC circuit, as for the `rcd_serial` plug-in of heartbeat), and the pulse be longer than its delay. The port is
//! opened once, and kept.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use firmware_agnostic::time::Instant;
use serialport::SerialPort;

use super::{Fence, Power};
use crate::config::requirement::Requirement;
use crate::config::table::Table;
use crate::thread::deadline::Deadline;
use crate::time::clock::Clock;

/// `kind = "serial-reset"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    device: PathBuf,
    line: DrivenLine,
    sense: Sense,
    pulse: Duration,
}

/// A line that this end drives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DrivenLine {
    /// Request to send.
    Rts,
    /// Data terminal ready.
    Dtr,
}

/// A line that the other end drives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sense {
    /// Data carrier detect.
    Dcd,
    /// Data set ready.
    Dsr,
    /// Clear to send.
    Cts,
}

impl Config {
    /// Reads the words of a reset line.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let device = table.require("device");
        let line = if table.has("line") {
            table.choose("line", &[("rts", DrivenLine::Rts), ("dtr", DrivenLine::Dtr)])
        } else {
            Some(DrivenLine::Rts)
        };
        let sensed = table.has("sense");
        let choices = [("dcd", Sense::Dcd), ("dsr", Sense::Dsr), ("cts", Sense::Cts)];
        let sense = table.choose("sense", &choices);
        if !sensed {
            table.miss(
                "sense",
                "is missing: say which line shows the other box's power, \"dcd\", \"dsr\" or \"cts\"; a reset that \
                 nobody sees proves nothing",
            );
        }
        let pulse = table.get_or("pulse", PULSE);
        Some(Self { device: device?, line: line?, sense: sense?, pulse })
    }

    /// What must be there: the port.
    pub fn needs(&self) -> Vec<Requirement> {
        vec![Requirement::Device(self.device.clone())]
    }

    /// The device; the port is opened when it is first used.
    pub fn open(&self) -> SerialReset {
        let (device, line) = (self.device.clone(), self.line);
        SerialReset::with(self.clone(), Box::new(move || ResetPort::open(&device, line)))
    }
}

/// A line to the peer's reset header, and one that shows its power.
pub struct SerialReset {
    config: Config,
    plug: Plug,
    wires: Option<Box<dyn Wires>>,
    /// When the sensed line was last seen to fall in a pulse, if it was not seen high since.
    fell: Option<Instant>,
}

/// Opens the port.
type Plug = Box<dyn Fn() -> io::Result<Box<dyn Wires>> + Send>;

/// The control lines of a port (`ioctl_tty(2)`, `TIOCMGET`).
trait Wires: Send {
    /// Drives `line`.
    fn drive(&mut self, line: DrivenLine, high: bool) -> io::Result<()>;

    /// Whether the other end holds `sense` high.
    fn is_high(&mut self, sense: Sense) -> io::Result<bool>;
}

impl SerialReset {
    fn with(config: Config, plug: Plug) -> Self {
        Self { config, plug, wires: None, fell: None }
    }

    /// Does something with the port, which is opened before if it is not open, and closed if that failed.
    fn wires<T>(&mut self, verb: impl FnOnce(&mut dyn Wires) -> io::Result<T>) -> io::Result<T> {
        let wires = match &mut self.wires {
            Some(wires) => wires,
            empty => empty.insert((self.plug)()?),
        };
        let done = verb(&mut **wires);
        if done.is_err() {
            self.wires = None;
        }
        done
    }

    fn is_high(&mut self) -> io::Result<bool> {
        let sense = self.config.sense;
        self.wires(|wires| wires.is_high(sense))
    }

    /// Holds the line, and tells whether the other one is low at the end: what comes back before was no reset.
    fn pulse(&mut self, patience: &Deadline) -> io::Result<bool> {
        let (line, until) = (self.config.line, Clock.now() + self.config.pulse);
        self.wires(|wires| wires.drive(line, true))?;
        let mut seen = Ok(false);
        let mut waited = Ok(());
        while Clock.now() < until && waited.is_ok() && seen.is_ok() {
            waited = patience.sleep(LOOK);
            seen = self.is_high().map(|high| !high);
        }
        // In every case the line is not left where it is.
        self.wires(|wires| wires.drive(line, false))?;
        waited.and(seen)
    }
}

impl Fence for SerialReset {
    fn set_power(&mut self, power: Power, patience: &Deadline) -> io::Result<()> {
        if power == Power::On {
            // A box that was reset is on.
            return Ok(());
        }
        self.fell = None;
        let was_high = self.is_high()?;
        let fell = self.pulse(patience)?;
        if !was_high {
            return Err(io::Error::other(format!("the pulse was given unseen: {UNSEEN}")));
        }
        if !fell {
            return Err(io::Error::other(
                "the pulse was given, and the other box kept its power: is the line wired to its reset, and the pulse \
                 longer than the delay of the cable?",
            ));
        }
        self.fell = Some(Clock.now());
        Ok(())
    }

    fn power(&mut self, _patience: &Deadline) -> io::Result<Power> {
        let high = self.is_high()?;
        match self.fell {
            // Firmware that begins to run plays with its lines.
            Some(fell) if !high || Clock.now() - fell < FIRMWARE => Ok(Power::Off),
            _ if high => {
                self.fell = None;
                Ok(Power::On)
            }
            _ => Err(io::Error::other(UNSEEN)),
        }
    }
}

/// A port that is ours alone.
struct ResetPort(serialport::TTYPort);

impl ResetPort {
    fn open(device: &std::path::Path, line: DrivenLine) -> io::Result<Box<dyn Wires>> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", device.display()))
        };
        let port = serialport::new(device.to_string_lossy(), 9_600)
            .open_native()
            .map_err(|error| failed(error.into()))?;
        let mut port = Self(port);
        // It was raised when the port was opened. When it is closed, the kernel lowers it (`HUPCL`, termios(3)).
        port.drive(line, false).map_err(failed)?;
        Ok(Box::new(port))
    }
}

impl Wires for ResetPort {
    fn drive(&mut self, line: DrivenLine, high: bool) -> io::Result<()> {
        Ok(match line {
            DrivenLine::Rts => self.0.write_request_to_send(high),
            DrivenLine::Dtr => self.0.write_data_terminal_ready(high),
        }?)
    }

    fn is_high(&mut self, sense: Sense) -> io::Result<bool> {
        Ok(match sense {
            Sense::Dcd => self.0.read_carrier_detect(),
            Sense::Dsr => self.0.read_data_set_ready(),
            Sense::Cts => self.0.read_clear_to_send(),
        }?)
    }
}

const UNSEEN: &str =
    "the line that shows the other box's power is low: it may be off, or the cable may be out";

/// Longer than the delay of the usual cables.
const PULSE: Duration = Duration::from_secs(1);

/// Between two looks at the line.
const LOOK: Duration = Duration::from_millis(5);

/// No operating system runs so soon after a reset.
const FIRMWARE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::super::{Fenced, fence};
    use super::*;

    #[test]
    fn a_reset_whose_effect_was_seen_has_fenced() {
        let bench = Bench::new(Wiring::Sound);
        let mut device = bench.device();
        assert_eq!(device.power(&patience()).unwrap(), Power::On);
        assert_eq!(fence(&mut device, &patience()).unwrap(), Fenced::Shot);
        assert_eq!(device.power(&patience()).unwrap(), Power::Off);
        assert_eq!(bench.driven(), [true, false], "one pulse");
        bench.set(|wires| wires.high = true);
        assert_eq!(device.power(&patience()).unwrap(), Power::Off, "firmware plays with its lines");
        device.fell = Some(Instant::default());
        assert_eq!(device.power(&patience()).unwrap(), Power::On, "it has booted");
        bench.set(|wires| wires.high = false);
        assert!(device.power(&patience()).is_err(), "what falls later was not our reset");
    }

    #[test]
    fn a_line_that_is_low_before_proves_nothing() {
        let bench = Bench::new(Wiring::Out);
        let mut device = bench.device();
        assert!(device.power(&patience()).unwrap_err().to_string().contains("cable may be out"));
        let told = fence(&mut device, &patience()).unwrap_err().to_string();
        assert!(told.contains("given unseen") && told.contains("taken for alive"), "{told}");
        assert_eq!(bench.driven(), [true, false], "it may help all the same");
    }

    #[test]
    fn a_reset_without_effect_has_fenced_nobody() {
        let bench = Bench::new(Wiring::NoReset);
        let told = fence(&mut bench.device(), &patience()).unwrap_err().to_string();
        assert!(told.contains("kept its power") && told.contains("taken for alive"), "{told}");
        assert_eq!(bench.driven(), [true, false]);
    }

    #[test]
    fn the_line_is_always_let_go() {
        let bench = Bench::new(Wiring::Breaks);
        assert!(fence(&mut bench.device(), &patience()).is_err());
        assert_eq!(bench.driven().last(), Some(&false));
        let bench = Bench::new(Wiring::NoReset);
        assert!(bench.device().pulse(&Deadline::new(Duration::from_millis(20))).is_err());
        assert_eq!(bench.driven(), [true, false], "called off");
    }

    /// A pty has no control lines: what the kernel does with real ones cannot be tried here.
    #[test]
    fn a_port_without_lines_is_told() {
        let pty = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&pty).unwrap();
        unlockpt(&pty).unwrap();
        let path = ptsname(&pty, Vec::new()).unwrap().into_string().unwrap();
        let config = Config { device: path.clone().into(), ..config() };
        let told = config.open().power(&patience()).unwrap_err().to_string();
        assert!(told.contains(&path), "{told}");
    }

    /// How the cable is wired.
    #[derive(Clone, Copy, Eq, PartialEq)]
    enum Wiring {
        Sound,
        NoReset,
        Out,
        /// The adapter is pulled out in the middle of a pulse.
        Breaks,
    }

    /// Lines that a test can see and set.
    #[derive(Clone)]
    struct Bench(Arc<Mutex<Fake>>);

    struct Fake {
        wiring: Wiring,
        high: bool,
        held: bool,
        driven: Vec<bool>,
    }

    impl Bench {
        fn new(wiring: Wiring) -> Self {
            let high = wiring != Wiring::Out;
            Self(Arc::new(Mutex::new(Fake { wiring, high, held: false, driven: Vec::new() })))
        }

        fn device(&self) -> SerialReset {
            let bench = self.clone();
            SerialReset::with(config(), Box::new(move || Ok(Box::new(bench.clone()))))
        }

        fn set(&self, change: impl FnOnce(&mut Fake)) {
            change(&mut self.0.lock().unwrap());
        }

        fn driven(&self) -> Vec<bool> {
            self.0.lock().unwrap().driven.clone()
        }
    }

    impl Wires for Bench {
        fn drive(&mut self, line: DrivenLine, high: bool) -> io::Result<()> {
            assert_eq!(line, DrivenLine::Rts);
            self.set(|fake| {
                fake.driven.push(high);
                fake.held = high;
                fake.high &= fake.wiring != Wiring::Sound || !high;
            });
            Ok(())
        }

        fn is_high(&mut self, sense: Sense) -> io::Result<bool> {
            assert_eq!(sense, Sense::Dcd);
            let fake = self.0.lock().unwrap();
            if fake.wiring == Wiring::Breaks && fake.held {
                return Err(io::Error::other("pulled out"));
            }
            Ok(fake.high)
        }
    }

    fn config() -> Config {
        Config {
            device: "/dev/ttyS9".into(),
            line: DrivenLine::Rts,
            sense: Sense::Dcd,
            pulse: Duration::from_millis(100),
        }
    }

    fn patience() -> Deadline {
        Deadline::new(Duration::from_secs(60))
    }
}
