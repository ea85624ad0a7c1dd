//! Fencing by several devices that only together cut the power of a box, such as the outlets of two power supplies.
//!
//! Each gets every order, all at the same time. The box is off when every device says so, and on as soon as one does,
//! no matter what the others say.

use std::io;
use std::thread;
use std::time::Duration;

use super::topology::{Level, Reasons};
use super::{Fence, Guid, Power};
use crate::config::requirement::Requirement;
use crate::config::table::Table;
use crate::thread::deadline::Deadline;

/// `kind = "together"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    parts: Vec<super::Config>,
}

impl Config {
    /// Reads the list of devices.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let tables = table.tables("devices");
        let said = tables.len();
        let parts = tables.into_iter().filter_map(|mut part| {
            if part.has("action") {
                part.error("", "has an `action` of its own: say it once, for all together");
            }
            let config = super::Config::read(&mut part)?;
            part.finish();
            Some(config)
        });
        let parts: Vec<_> = parts.collect();
        if said < 2 {
            table.error("devices", "is a list of the two or more that must all show the power off");
        }
        let twice = |(place, part): (usize, &super::Config)| {
            parts.iter().take(place).any(|other| part.is_same_as(other))
        };
        if parts.iter().enumerate().any(twice) {
            table.error("devices", "has one device twice: name the outlet of each supply");
        }
        (parts.len() == said).then_some(Self { parts })
    }

    /// What must be there: all that its devices need.
    pub fn needs(&self) -> Vec<Requirement> {
        self.parts.iter().flat_map(super::Config::needs).collect()
    }

    /// The devices that it is made of.
    pub fn parts(&self) -> &[super::Config] {
        &self.parts
    }

    /// The device; nothing is asked of its parts yet.
    pub fn open(&self) -> Together {
        Together { parts: self.parts.iter().map(Level::open).collect() }
    }
}

/// Devices that hold the power of a box together.
pub struct Together {
    parts: Vec<Level>,
}

impl Together {
    /// Asks all parts at once, each in its own time, and tells what they answered, and why the others did not.
    fn all<T: Send>(
        &mut self,
        patience: &Deadline,
        verb: impl Fn(&mut dyn Fence, &Deadline) -> io::Result<T> + Sync,
    ) -> (Vec<T>, Reasons) {
        let verb = &verb;
        let ask = |part: &mut Level| part.ask(patience, |device, patience| verb(device, patience));
        let ask = &ask;
        let answers: Vec<_> = thread::scope(|scope| {
            let asked = self.parts.iter_mut().map(|part| {
                let name = part.name().to_owned();
                (name, scope.spawn(move || ask(part)))
            });
            let asked: Vec<_> = asked.collect();
            let joined = asked.into_iter().map(|(name, thread)| {
                let answer = thread.join();
                (name, answer.unwrap_or_else(|_| Err(io::Error::other("its driver has failed"))))
            });
            joined.collect()
        });
        let (mut given, mut reasons) = (Vec::new(), Reasons::default());
        for (name, answer) in answers {
            match answer {
                Ok(answer) => given.push(answer),
                Err(error) => reasons.add(&name, &error),
            }
        }
        (given, reasons)
    }
}

impl Fence for Together {
    fn set_power(&mut self, power: Power, patience: &Deadline) -> io::Result<()> {
        let (taken, reasons) =
            self.all(patience, |device, patience| device.set_power(power, patience));
        if taken.len() == self.parts.len() { Ok(()) } else { Err(reasons.into_error()) }
    }

    fn power(&mut self, patience: &Deadline) -> io::Result<Power> {
        let (seen, reasons) = self.all(patience, |device, patience| device.power(patience));
        if seen.contains(&Power::On) {
            return Ok(Power::On);
        }
        match seen.len() {
            answered if answered == self.parts.len() => Ok(Power::Off),
            0 => Err(reasons.into_error()),
            // One has answered, so that this is no silence.
            _ => Err(io::Error::other(reasons.into_error())),
        }
    }

    /// What those of its parts say that can tell: the same, or they do not belong together.
    fn guid(&mut self, patience: &Deadline) -> io::Result<Option<Guid>> {
        let mut told: Option<Guid> = None;
        for part in &mut self.parts {
            let guid = part.guid(patience)?;
            match (told, guid) {
                (Some(one), Some(other)) if !one.is_same_box(other) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!(
                            "its parts hold two boxes, GUID {one} and GUID {other}: correct their addresses"
                        ),
                    ));
                }
                _ => told = told.or(guid),
            }
        }
        Ok(told)
    }

    fn note_shot(&mut self, patience: &Deadline) -> io::Result<()> {
        self.all(patience, |device, patience| device.note_shot(patience));
        Ok(())
    }

    fn blink(&mut self, patience: &Deadline) -> io::Result<bool> {
        let (blinks, _) = self.all(patience, |device, patience| device.blink(patience));
        Ok(blinks.contains(&true))
    }

    fn rest(&self) -> Duration {
        self.parts.iter().map(Level::rest).min().unwrap_or(super::REST)
    }
}
