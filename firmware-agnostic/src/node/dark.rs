//! Recognises that the peer and its BMC have lost their power together.
//!
//! A box whose BMC hangs on the same feed cannot be seen off: nothing answers any more. What can be seen is that the
//! control lines of the serial cable that were high have dropped, that every direct Ethernet cable has lost its
//! carrier, and that the BMC is silent. If all of that lasts for `dark_time`, the peer is *dark*: evidence where
//! `takeover.require` is `dark`, and something to show to an operator where it is `fenced`.
//!
//! Dropped lines alone are none: somebody may have pulled every cable, and then the BMC answers.

use core::time::Duration;

use crate::evidence::Evidence;
use crate::heartbeat::{LinkSet, Role};
use crate::node::fencing::Fencing;
use crate::node::{Actions, Node};
use crate::peer::Health;
use crate::time::{Instant, Timer};

/// What is known of the peer's darkness.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Dark {
    /// The peer's power could not be seen when it was last looked at.
    pub(crate) unseen: bool,
    /// The reason was that its BMC gave no sign of life. One that refuses to answer is not dark.
    pub(crate) bmc_silent: bool,
    /// Whether it was so for `dark_time`.
    lasted: Lasted,
}

/// Whether the peer has been dark for `dark_time`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
enum Lasted {
    /// Not yet.
    #[default]
    No,
    /// It has, and its power is to be looked at once more.
    Unasked,
    /// It has, and that question has been asked.
    Asked,
}

/// What there is to be seen of a silent peer while evidence is collected, and shown to people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signs {
    /// How long it has been silent on every link.
    pub silence: Duration,
    /// The links whose line or carrier is there.
    pub up: LinkSet,
    /// The links whose line or carrier was there and is gone.
    pub down: LinkSet,
    /// The peer's BMC gives no answer.
    pub bmc_silent: bool,
    /// When all of it will have lasted long enough, if nothing changes.
    pub dark_at: Option<Instant>,
}

impl Node {
    /// Keeps the time for which the peer has been dark, and looks once more at its end.
    pub(super) fn watch_dark(&mut self, now: Instant, actions: &mut Actions) {
        let dark = self.role == Role::Fencing
            && self.dark.bmc_silent
            && self.peer.lines_dropped()
            && self.peer.health(now) == Health::Dead;
        if !dark {
            self.timers.stop(Timer::Dark);
            self.dark.lasted = Lasted::No;
        } else if self.timers.expired(Timer::Dark, now) || self.dark.lasted == Lasted::Unasked {
            self.dark.lasted = Lasted::Unasked;
            // A shot that goes on just now is waited for, and not the pause after it.
            if matches!(self.fencing, Fencing::Backoff | Fencing::Armed) {
                self.dark.lasted = Lasted::Asked;
                self.query_power(actions);
            }
        } else if self.timers.get(Timer::Dark).is_none() && self.dark.lasted == Lasted::No {
            self.timers.set(Timer::Dark, now + self.settings.dark_time);
        }
    }

    /// Whether the peer has been dark long enough for this box to take over.
    pub(super) fn darkness_suffices(&self) -> bool {
        self.dark.lasted != Lasted::No
            && self.dark.bmc_silent
            && Evidence::Dark.suffices(self.settings.require)
    }

    /// What there is to be seen of a silent peer.
    pub fn signs(&self, now: Instant) -> Signs {
        let (up, down) = self.peer.lines();
        Signs {
            silence: self.peer.silence(now),
            up,
            down,
            bmc_silent: self.dark.bmc_silent,
            dark_at: self.timers.get(Timer::Dark),
        }
    }
}
