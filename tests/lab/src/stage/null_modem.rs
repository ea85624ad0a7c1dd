//! Plays the serial cable between the boxes.
//!
//! Two ttys, and a thread that carries bytes from one to the other at the pace of the line: ten bits a byte. What is
//! said to a box without power, or over a cut wire, is gone, as on a real cable.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use board::thread::deadline::Deadline;
use firmware_agnostic::identity::BoxId;
use rustix::fs::{Mode, OFlags};
use rustix::io::{read, write};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{self, OptionalActions, QueueSelector};

use simulation::random::Random;

/// A null-modem cable with a tty at each end.
#[derive(Clone, Debug)]
pub(crate) struct NullModem(Arc<Shared>);

/// How one wire of the cable treats the bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Wire {
    /// Carries them.
    #[default]
    Sound,
    /// Carries nothing.
    Cut,
    /// Carries rubbish, as between two ends that disagree about the speed.
    Noisy,
    /// Carries rubbish without end, and nothing else.
    Jammed,
}

impl NullModem {
    /// A cable between two boxes without power, and the thread that will carry its bytes.
    ///
    /// # Errors
    ///
    /// When the kernel has no terminal or thread left.
    pub(crate) fn new(baud: u32) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            ends: [End::new()?, End::new()?],
            state: Mutex::default(),
            byte: Duration::from_secs(10) / baud,
        });
        let carrier = Arc::clone(&shared);
        std::thread::Builder::new().name("null modem".to_owned()).spawn(move || carrier.carry())?;
        Ok(Self(shared))
    }

    /// The tty of a box.
    pub(crate) fn device(&self, id: BoxId) -> PathBuf {
        self.0.end(id).device.clone()
    }

    /// Gives a box's end its power, or takes it. What was on its way to it is gone.
    pub(crate) fn power(&self, id: BoxId, on: bool) {
        self.0.state().powered[id.index()] = on;
        // A terminal that cannot be flushed tells the box itself when it opens it.
        let _ = termios::tcflush(&self.0.end(id).tty, QueueSelector::IOFlush);
    }

    /// Changes the wire on which `from` speaks.
    pub(crate) fn set(&self, from: BoxId, wire: Wire) {
        self.0.state().wires[from.index()] = wire;
    }

    /// Repairs both wires.
    pub(crate) fn mend(&self) {
        self.0.state().wires = [Wire::Sound; 2];
    }
}

#[derive(Debug)]
struct Shared {
    ends: [End; 2],
    state: Mutex<State>,
    /// How long a byte takes.
    byte: Duration,
}

#[derive(Debug, Default)]
struct State {
    wires: [Wire; 2],
    powered: [bool; 2],
}

/// One end: what the lab holds, and the tty of the box.
#[derive(Debug)]
struct End {
    lab: OwnedFd,
    /// Held open, so that the lab does not notice when the box closes and opens its side.
    tty: OwnedFd,
    device: PathBuf,
}

impl End {
    fn new() -> io::Result<Self> {
        let lab = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&lab)?;
        unlockpt(&lab)?;
        rustix::io::ioctl_fionbio(&lab, true)?;
        let name = ptsname(&lab, Vec::new())?;
        let name = String::from_utf8_lossy(name.to_bytes()).into_owned();
        let tty = rustix::fs::open(
            name.as_str(),
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut settings = termios::tcgetattr(&tty)?;
        settings.make_raw();
        termios::tcsetattr(&tty, OptionalActions::Now, &settings)?;
        Ok(Self { lab, tty, device: PathBuf::from(name) })
    }
}

impl Shared {
    fn end(&self, id: BoxId) -> &End {
        let [first, second] = &self.ends;
        match id {
            BoxId::First => first,
            BoxId::Second => second,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the state")
    }

    fn carry(&self) {
        let mut lines = BoxId::BOTH.map(|from| Line {
            from,
            travelling: VecDeque::new(),
            chance: Random::new(1),
        });
        loop {
            for end in &self.ends {
                // A real port forgets at its last close that it was exclusive; this one is never closed, and a
                // supervisor that starts again could not have it.
                let _ = termios::ioctl_tiocnxcl(&end.tty);
            }
            let now = Instant::now();
            let mut next = now + LONG;
            for line in &mut lines {
                self.jam(line);
                self.arrive(line, now);
                if let Some((when, _)) = line.travelling.front() {
                    next = next.min(*when);
                }
            }
            // A line takes no more while it is full: the sender's own buffer fills up, as behind a real port.
            let open: Vec<_> = lines.iter_mut().filter(|line| self.takes(line)).collect();
            let polled: Vec<_> = open.iter().map(|l| self.end(l.from).lab.as_fd()).collect();
            if let Ok(place) = Deadline::new(next.saturating_duration_since(now)).readable(&polled)
                && let Some(line) = open.into_iter().nth(place)
            {
                self.depart(line);
            }
        }
    }

    /// Takes a few bytes from the sender, and computes when the line will have carried them.
    fn depart(&self, line: &mut Line) {
        let mut bytes = [0u8; CHUNK];
        let Ok(length) = read(&self.end(line.from).lab, &mut bytes) else { return };
        if self.wire(line) != Wire::Jammed {
            self.travel(line, bytes.into_iter().take(length).collect());
        }
    }

    fn travel(&self, line: &mut Line, bytes: Vec<u8>) {
        let now = Instant::now();
        let free = line.travelling.back().map_or(now, |(when, _)| *when);
        let when = free.max(now) + self.byte * u32::try_from(bytes.len()).unwrap_or(0);
        line.travelling.push_back((when, bytes));
    }

    fn takes(&self, line: &Line) -> bool {
        line.travelling.len() < WINDOW || self.wire(line) == Wire::Jammed
    }

    fn wire(&self, line: &Line) -> Wire {
        self.state().wires[line.from.index()]
    }

    /// Fills a line that is jammed with noise, in which there are as many zeros as make a frame each.
    fn jam(&self, line: &mut Line) {
        if self.wire(line) != Wire::Jammed {
            return;
        }
        while line.travelling.len() < WINDOW {
            let mut noise = [0; NOISE];
            noise.fill_with(|| line.chance.within(&(0..8)) as u8 * 31);
            self.travel(line, noise.to_vec());
        }
    }

    /// Hands over what the line has carried by now.
    fn arrive(&self, line: &mut Line, now: Instant) {
        while line.travelling.front().is_some_and(|(when, _)| *when <= now) {
            let Some((_, mut bytes)) = line.travelling.pop_front() else { return };
            let state = self.state();
            match state.wires[line.from.index()] {
                Wire::Cut => continue,
                Wire::Sound | Wire::Jammed => {}
                Wire::Noisy => bytes.iter_mut().for_each(|byte| *byte = !*byte << 1),
            }
            if state.powered == [true; 2] {
                // A receiver that does not read loses bytes, as a real port does.
                let _ = write(&self.end(line.from.other()).lab, &bytes);
            }
        }
    }
}

/// What is on its way in one direction: when it arrives, and what.
struct Line {
    from: BoxId,
    travelling: VecDeque<(Instant, Vec<u8>)>,
    chance: Random,
}

/// How many bytes travel together: the FIFO of a 16550.
const CHUNK: usize = 16;

/// How many bytes of noise travel together.
const NOISE: usize = 128;

/// How many chunks may travel at once in one direction.
const WINDOW: usize = 4;

/// The thread wakes up now and then even if nothing happens.
const LONG: Duration = Duration::from_millis(100);
