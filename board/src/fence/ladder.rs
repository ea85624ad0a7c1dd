//! Several devices that can each cut the power of the same box: the next is asked when one fails.

use std::io;
use std::time::Duration;

use super::{Config, Fence, Power, fence};
use crate::patience::Patience;

/// The devices of one box, in the order in which they are asked.
///
/// Each must be able to cut the box on its own. Two outlets that feed two supplies of one box are not two rungs: they
/// are one device, of the integrator's own program.
pub struct Ladder {
    rungs: Vec<Rung>,
}

struct Rung {
    name: String,
    timeout: Duration,
    device: Box<dyn Fence>,
}

impl Ladder {
    /// The devices behind `configs`.
    pub fn open(configs: &[Config]) -> Self {
        let rungs = configs.iter().map(|config| Rung {
            name: config.name.clone(),
            timeout: config.timeout,
            device: config.open(),
        });
        Self { rungs: rungs.collect() }
    }

    /// Whether there is no device at all.
    pub fn is_empty(&self) -> bool {
        self.rungs.is_empty()
    }

    /// The worst time that all devices together take.
    pub fn timeout(&self) -> Duration {
        self.rungs.iter().map(|rung| rung.timeout).sum()
    }

    /// Cuts the power by the first device that shows it off.
    ///
    /// # Errors
    ///
    /// When none of them has, with the reasons of all: the box must then be taken for alive.
    pub fn fence(&mut self, patience: &Patience) -> io::Result<()> {
        self.first(patience, |device, patience| fence(device, patience))
    }

    /// The power as the first device that answers sees it.
    ///
    /// # Errors
    ///
    /// When none of them answers, with the reasons of all.
    pub fn power(&mut self, patience: &Patience) -> io::Result<Power> {
        self.first(patience, |device, patience| device.power(patience))
    }

    /// Orders the power on at every device, because any of them may have cut it.
    ///
    /// # Errors
    ///
    /// When none of them takes the order, with the reasons of all. Those of a few are logged: a BMC whose feed was cut
    /// takes no order before it has booted, and its box comes up by itself.
    pub fn on(&mut self, patience: &Patience) -> io::Result<()> {
        let mut reasons = Reasons::default();
        let mut taken = false;
        for rung in &mut self.rungs {
            match rung.device.set_power(Power::On, &patience.at_most(rung.timeout)) {
                Ok(()) => taken = true,
                Err(error) => reasons.add(&rung.name, &error),
            }
        }
        if !taken {
            return Err(reasons.into_error());
        }
        for reason in reasons.texts {
            log::warn!("power on: {reason}");
        }
        Ok(())
    }

    /// The first success, each device having its own time, or all errors.
    fn first<T>(
        &mut self,
        patience: &Patience,
        verb: impl Fn(&mut dyn Fence, &Patience) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut reasons = Reasons::default();
        for rung in &mut self.rungs {
            match verb(&mut *rung.device, &patience.at_most(rung.timeout)) {
                Ok(answer) => return Ok(answer),
                Err(error) => reasons.add(&rung.name, &error),
            }
            if reasons.called_off() {
                break;
            }
        }
        Err(reasons.into_error())
    }
}

/// Why each device failed.
#[derive(Default)]
struct Reasons {
    texts: Vec<String>,
    last: Option<io::ErrorKind>,
}

impl Reasons {
    fn add(&mut self, name: &str, error: &io::Error) {
        self.texts.push(format!("{name}: {error}"));
        self.last = Some(error.kind());
    }

    fn called_off(&self) -> bool {
        self.last == Some(io::ErrorKind::Interrupted)
    }

    fn into_error(self) -> io::Error {
        match self.last {
            None => io::Error::new(io::ErrorKind::Unsupported, "the box has no fence device"),
            Some(kind) => io::Error::new(kind, self.texts.join("; ")),
        }
    }
}
