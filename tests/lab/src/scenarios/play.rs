//! Lets a person pull the plugs.
//!
//! Keys cut cables and power; the screen shows both boxes and what the client notices, twice a second.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use board::thread::deadline::Deadline;
use firmware_agnostic::identity::BoxId::{self, First, Second};
use rustix::termios::{OptionalActions, isatty, tcgetattr, tcsetattr};

use crate::observers::failure::{Failure, expect};
use crate::scenarios::tour::{condition, millis};
use crate::stage::config::Choices;
use crate::{Cable, Lab, name};

/// Lets a person play until they quit. The program that started this puts the terminal right again.
///
/// # Errors
///
/// When there is no terminal.
pub fn run(choices: &Choices) -> Result<(), Failure> {
    let terminal = io::stdin();
    expect(isatty(&terminal), "to play, a terminal is needed; without one, take the tour")?;
    let mut table = Table { lab: Lab::new(choices)?, cut: Vec::new(), said: String::new() };
    let mut settings = tcgetattr(&terminal)?;
    settings.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &settings)?;
    for id in BoxId::BOTH {
        table.lab.power_on(id)?;
    }
    loop {
        table.draw()?;
        if Deadline::new(REFRESH).readable(&[terminal.as_fd()]).is_err() {
            continue;
        }
        let mut keys = [0u8; 16];
        let length = rustix::io::read(&terminal, &mut keys)?;
        for key in keys.iter().take(length) {
            if QUIT.contains(key) {
                print!("{LEAVE}");
                return Ok(io::stdout().flush()?);
            }
            table.press(*key)?;
        }
        if length == 0 {
            return Ok(());
        }
    }
}

/// What lies in front of the person.
struct Table {
    lab: Lab,
    cut: Vec<Cable>,
    said: String,
}

impl Table {
    fn press(&mut self, key: u8) -> io::Result<()> {
        match key {
            b'1' => self.push_button(First)?,
            b'2' => self.push_button(Second)?,
            b'a' => self.pull(Cable::Lan(First)),
            b'A' => self.pull(Cable::Lan(Second)),
            b'b' => self.pull(Cable::Direct),
            b's' => self.pull(Cable::Serial),
            b'k' => self.crash()?,
            b'S' => self.order(self.lab.serving().unwrap_or(First), "standby"),
            b'R' => BoxId::BOTH.into_iter().for_each(|id| self.order(id, "resume")),
            _ => {}
        }
        Ok(())
    }

    fn push_button(&mut self, id: BoxId) -> io::Result<()> {
        if self.lab.is_on(id) {
            self.lab.power_off(id);
            self.said = format!("you cut the power of {}", name(id));
        } else {
            self.lab.power_on(id)?;
            self.said = format!("you gave {} its power", name(id));
        }
        Ok(())
    }

    fn pull(&mut self, cable: Cable) {
        if let Some(place) = self.cut.iter().position(|cut| *cut == cable) {
            self.cut.remove(place);
            self.lab.mend(cable);
            self.said = format!("you put {cable} back in");
        } else {
            self.cut.push(cable);
            self.lab.cut(cable);
            self.said = format!("you pulled {cable} out");
        }
    }

    fn crash(&mut self) -> io::Result<()> {
        if let Some(id) = self.lab.serving() {
            self.lab.crash_supervisor(id)?;
            self.said = format!("you killed the supervisor of {}", name(id));
        }
        Ok(())
    }

    /// Gives an order to a box, as an operator does.
    fn order(&mut self, id: BoxId, word: &str) {
        self.said = match self.lab.twobox(id, &[word]) {
            Ok(output) => {
                let text = if output.status.success() { output.stdout } else { output.stderr };
                let text = String::from_utf8_lossy(&text);
                format!("{} {word}: {}", name(id), text.lines().next().unwrap_or("done"))
            }
            Err(error) => format!("{} {word}: {error}", name(id)),
        };
    }

    fn draw(&self) -> io::Result<()> {
        let lab = &self.lab;
        let mut lines = vec!["twobox: pull the plugs".to_owned(), String::new()];
        for id in BoxId::BOTH {
            lines.push(format!("  {:<8} {}", name(id), condition(lab, id)));
        }
        lines.push(String::new());
        for cable in [Cable::Lan(First), Cable::Lan(Second), Cable::Direct, Cable::Serial] {
            let state = if self.cut.contains(&cable) { "OUT" } else { "in" };
            lines.push(format!("  {:<34} {state}", cable.to_string()));
        }
        let recent = Instant::now().checked_sub(RECENT).unwrap_or_else(Instant::now);
        let silence = lab.client().since(recent).silence;
        let served = lab.serving().map_or("nobody", name);
        lines.push(String::new());
        lines.push(format!(
            "  served by {served}; longest silence of the last 10 s: {}",
            millis(silence)
        ));
        lines.push(format!("  moments with the address on both boxes: {}", lab.doubles().len()));
        lines.push(format!("\r\n  {}", self.said));
        lines.push(KEYS.replace('\n', "\x1b[K\r\n"));
        // Home, each line with its rest erased, and the rest of the screen erased.
        let mut screen = io::stdout().lock();
        write!(screen, "\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n"))?;
        screen.flush()
    }
}

const KEYS: &str = "
  1 2  power of server1, server2       k  kill the active box's supervisor
  a A  eth0 of server1, server2        S  the active box gives up (planned)
  b    eth1, box to box                R  both may serve again
  s    the serial cable                q  quit";

/// `q`, and what Ctrl-C and Ctrl-D send to a raw terminal.
const QUIT: [u8; 3] = [b'q', 3, 4];

/// Erases what was drawn.
const LEAVE: &str = "\x1b[H\x1b[J";

const REFRESH: Duration = Duration::from_millis(500);

const RECENT: Duration = Duration::from_secs(10);
