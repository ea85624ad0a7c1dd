//! Names the requests of the control socket.
//!
//! One line of a few words. Reading it needs neither a socket nor a running pair, and each line is either a
//! request or a sentence for the person who wrote it.

use std::time::Duration;

use board::config::table::duration;
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::order::{FenceMode, Order, OrderDuration};
use log::LevelFilter;

/// What somebody asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    /// How is the pair doing?
    Status(StatusForm),
    /// What is known of a peer for whose death somebody is to vouch?
    Evidence,
    /// How does it go with the peer's power, for a command that waits?
    Progress,
    /// An operator's word to the node.
    Order(Order),
    /// Log more, or less.
    Log(LevelFilter),
    /// Go on with what the configuration says now, if it is right.
    Reload(ReloadMode),
    /// Become the program that lies on the disk now, if that can run here.
    Upgrade,
    /// Ask the other box.
    Peer(PeerQuestion),
}

/// What is to be done with a configuration that is right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReloadMode {
    /// Nothing but tell what would change.
    Show,
    /// Go on with it.
    Apply,
    /// Go on with it for so long, unless it is kept.
    Try(Duration),
}

/// For whom a status is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StatusForm {
    /// A person, on a screen of 24 lines.
    Text,
    /// The same, with all that there is.
    All,
    /// A program: JSON.
    Json,
    /// A collector of figures: the text format of Prometheus.
    Metrics,
}

impl Request {
    /// Whether it changes something; else it only asks.
    pub const fn orders(&self) -> bool {
        match self {
            Self::Status(_) | Self::Evidence | Self::Progress => false,
            Self::Peer(request) => request.orders(),
            Self::Order(_) | Self::Log(_) | Self::Reload(_) | Self::Upgrade => true,
        }
    }

    /// Reads a request to a pair whose boxes are called `boxes`, in the order of [`BoxId`].
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the person who made it.
    pub fn parse(line: &str, boxes: [&str; 2]) -> Result<Self, String> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        Ok(match *words.as_slice() {
            ["status"] => Self::Status(StatusForm::Text),
            ["status", "all"] => Self::Status(StatusForm::All),
            ["status", "json"] => Self::Status(StatusForm::Json),
            ["status", "metrics"] => Self::Status(StatusForm::Metrics),
            ["evidence"] => Self::Evidence,
            ["progress"] => Self::Progress,
            ["drill", name] => fence(name, boxes, FenceMode::Drill)?,
            ["standby", ref rest @ ..] => Self::Order(Order::Standby(until(rest)?)),
            ["takeover", ref rest @ ..] => Self::Order(Order::Takeover(until(rest)?)),
            ["maintenance", ref rest @ ..] => Self::Order(Order::Maintenance(until(rest)?)),
            ["failback"] => Self::Order(Order::Failback),
            ["resume"] => Self::Order(Order::Resume),
            ["clear"] => Self::Order(Order::Clear),
            ["confirm", name] => Self::Order(Order::Confirm(named(name, boxes)?)),
            ["fence", name] => fence(name, boxes, FenceMode::Plain)?,
            ["fence", name, "yes"] => fence(name, boxes, FenceMode::Forced)?,
            ["reload"] => Self::Reload(ReloadMode::Apply),
            ["reload", "both", time] => Self::Peer(PeerQuestion::Try(trial(time)?)),
            ["reload", "confirm"] => Self::Peer(PeerQuestion::Confirm),
            ["reload", "show"] => Self::Reload(ReloadMode::Show),
            ["upgrade"] => Self::Upgrade,
            ["peer", "check"] => Self::Peer(PeerQuestion::Check),
            ["peer", "history", count] => Self::Peer(PeerQuestion::History(
                count.parse().map_err(|_| format!("{count} is no number of records"))?,
            )),
            ["log", level] => Self::Log(level.parse().map_err(|_| {
                format!("{level} is no log level: say error, warn, info, debug or trace")
            })?),
            _ => return Err(format!("{line:?} is no request that this version knows")),
        })
    }
}

fn fence(name: &str, boxes: [&str; 2], mode: FenceMode) -> Result<Request, String> {
    Ok(Request::Order(Order::Fence { id: named(name, boxes)?, mode }))
}

/// Reads the name of a box.
fn named(name: &str, boxes: [&str; 2]) -> Result<BoxId, String> {
    let named = BoxId::BOTH.into_iter().zip(boxes).find(|(_, other)| *other == name);
    let [first, second] = boxes;
    named
        .map(|(id, _)| id)
        .ok_or_else(|| format!("{name} is no box of this pair: they are {first} and {second}"))
}

/// Reads how long a trial is to take.
fn trial(time: &str) -> Result<Duration, String> {
    match duration(time)? {
        long if long > TRIAL_MAX => {
            let most = TRIAL_MAX.as_secs() / 3_600;
            Err(format!("{time} is too long for a trial: {most}h at most"))
        }
        time => Ok(time),
    }
}

/// Reads how long an order is to stand.
fn until(words: &[&str]) -> Result<OrderDuration, String> {
    match words {
        [] => Ok(OrderDuration::Reboot),
        ["persistent"] => Ok(OrderDuration::Resume),
        ["for", time] => duration(time).map(OrderDuration::Time),
        _ => Err(format!("{words:?} is no time for which an order can stand")),
    }
}

/// What is asked for at the control socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerQuestion {
    /// Could the other box follow?
    Check,
    /// The last records of its history, so many at the most.
    History(usize),
    /// Both boxes are to try what the file of this one says, for so long.
    Try(Duration),
    /// Both boxes are to keep what they try.
    Confirm,
}

impl PeerQuestion {
    /// Whether it changes something.
    pub(crate) const fn orders(self) -> bool {
        matches!(self, Self::Try(_) | Self::Confirm)
    }
}

/// What a person may take who looks whether all is well.
pub(crate) const TRIAL_MAX: Duration = Duration::from_secs(3_600);
