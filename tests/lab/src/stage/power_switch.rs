//! Plays the switch by which one box cuts the power of the other.
//!
//! Each box has a switch in front of it, which the other one reaches through a socket and the command
//! `switch NAME on|off|status`. *Off* is answered when the box is really dead; a test can make a switch unreachable,
//! slow, or a liar.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firmware_agnostic::identity::BoxId;

use crate::stage::machine::{Machine, name};

/// How the switch of a box behaves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Switch {
    /// It does as told, and tells the truth.
    #[default]
    Sound,
    /// It does not answer.
    Unreachable,
    /// It takes its time before it does anything.
    Slow(Duration),
    /// It says that it has done as told, and has not; asked for the power, it tells the truth.
    Lying,
}

/// The switches of both boxes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Switches(Arc<Mutex<[Switch; 2]>>);

impl Switches {
    /// Serves both switches for as long as the lab lives.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made.
    pub(crate) fn serve(&self, boxes: [Machine; 2]) -> io::Result<()> {
        let listener = UnixListener::bind(SOCKET)?;
        let switches = self.clone();
        std::thread::Builder::new().name("switches".to_owned()).spawn(move || {
            for asker in listener.incoming().flatten() {
                let (switches, boxes) = (switches.clone(), boxes.clone());
                // One that is slow must not hold up the other.
                std::thread::spawn(move || switches.answer(asker, &boxes));
            }
        })?;
        Ok(())
    }

    /// Makes the switch of a box behave like that from now on.
    pub(crate) fn set(&self, id: BoxId, switch: Switch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[id.index()] = switch;
    }

    fn answer(&self, mut asker: UnixStream, boxes: &[Machine; 2]) -> io::Result<()> {
        let mut question = String::new();
        BufReader::new(&asker).take(100).read_line(&mut question)?;
        let mut words = question.split_whitespace();
        let target = words.next();
        let Some(id) = BoxId::BOTH.into_iter().find(|id| Some(name(*id)) == target) else {
            return writeln!(asker, "error: no box of that name");
        };
        let target = &boxes[id.index()];
        let verb = words.next().unwrap_or_default();
        let switch = self.0.lock().unwrap_or_else(PoisonError::into_inner)[id.index()];
        match switch {
            Switch::Slow(time) => std::thread::sleep(time),
            Switch::Lying if verb != "status" => return writeln!(asker, "{verb}"),
            Switch::Sound | Switch::Lying => {}
            Switch::Unreachable => {
                // Until the asker gives up.
                asker.read_to_end(&mut Vec::new())?;
                return Ok(());
            }
        }
        match verb {
            "off" => target.power_off(),
            "on" => target.power_on()?,
            _ => {}
        }
        writeln!(asker, "{}", if target.is_on() { "on" } else { "off" })
    }
}

/// Asks the switch of a box, from inside the other one, and says what it answered.
///
/// # Errors
///
/// When there is no answer.
pub fn ask(target: &str, verb: &str) -> io::Result<String> {
    let mut switch = UnixStream::connect(SOCKET_IN_BOX)?;
    writeln!(switch, "{target} {verb}")?;
    let mut answer = String::new();
    BufReader::new(&switch).read_line(&mut answer)?;
    // The answer is there; nothing depends on the end of the connection.
    let _ = switch.shutdown(Shutdown::Both);
    match answer.trim() {
        power @ ("on" | "off") => Ok(power.to_owned()),
        other => Err(io::Error::other(format!("the switch of {target} answered {other:?}"))),
    }
}

/// The socket of the switches, in the lab; in a box it is a hard link to that.
pub(crate) const SOCKET: &str = "/run/lab/switch.sock";

/// The same in a box.
const SOCKET_IN_BOX: &str = "/run/switch.sock";
