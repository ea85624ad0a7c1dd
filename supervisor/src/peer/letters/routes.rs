//! Chooses the link for a piece of a letter, and its time after the piece before.
//!
//! By a network, if one carries both ways; else by a serial cable. There a piece waits until a heartbeat has been said,
//! and goes behind it: so there is one for each heartbeat at the most, and no heartbeat waits for a piece.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use board::link::Port;
use firmware_agnostic::frame::Frame;
use firmware_agnostic::heartbeat::LinkSet;
use firmware_agnostic::identity::LinkId;
use firmware_agnostic::letter::SendPace;
use firmware_agnostic::receiver::Reception;
use firmware_agnostic::time::Instant;

use crate::config::Config;

/// The links, as letters see them.
pub(super) struct Routes {
    links: RefCell<Vec<Route>>,
    reception: Rc<RefCell<Reception>>,
    keepalive: Cell<Duration>,
    deadtime: Cell<Duration>,
    /// The links on which the other box hears this one.
    heard_on: Cell<LinkSet>,
    /// What waits for the next heartbeat: a question and an answer at the most.
    riding: RefCell<VecDeque<(Slot, LinkId, Frame)>>,
}

struct Route {
    id: LinkId,
    port: Rc<Port>,
    slow: bool,
}

/// Whose piece it is. A newer one takes the place of one that still waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Slot {
    Question,
    Answer,
}

impl Routes {
    /// No links yet. What comes by them goes through `reception`.
    pub(super) fn new(reception: Rc<RefCell<Reception>>) -> Self {
        Self {
            links: RefCell::default(),
            reception,
            keepalive: Cell::default(),
            deadtime: Cell::default(),
            heard_on: Cell::default(),
            riding: RefCell::default(),
        }
    }

    /// Goes on with the links of `config`, whose `ports` are these.
    pub(super) fn reload(&self, config: &Config, ports: &[Rc<Port>]) {
        let ids = (0..).map_while(LinkId::new);
        let links = ids.zip(config.links.iter().zip(ports)).map(|(id, (link, port))| Route {
            id,
            port: port.clone(),
            slow: link.baud().is_some(),
        });
        *self.links.borrow_mut() = links.collect();
        self.keepalive.set(config.settings.timing.keepalive());
        self.deadtime.set(config.settings.timing.deadtime());
        self.riding.borrow_mut().clear();
    }

    pub(super) fn heard_on(&self, links: LinkSet) {
        self.heard_on.set(links);
    }

    /// The link to take at the `turn`th try, if any carries both ways.
    pub(super) fn way(&self, turn: usize, now: Instant) -> Option<LinkId> {
        let reception = self.reception.borrow();
        let carries = |way: &&Route| {
            let heard = reception.statistics(way.id).heard_at;
            self.heard_on.get().contains(way.id)
                && heard.is_some_and(|at| now - at < self.deadtime.get())
        };
        let links = self.links.borrow();
        let (slow, fast): (Vec<_>, Vec<_>) = links.iter().filter(carries).partition(|it| it.slow);
        let ways = if fast.is_empty() { slow } else { fast };
        ways.get(turn.checked_rem(ways.len())?).map(|way| way.id)
    }

    /// How long an answer may be that a person is to wait for.
    pub(super) fn room(&self, now: Instant) -> usize {
        let slow = self.way(0, now).is_some_and(|link| self.is_slow(link));
        if slow { SLOW_ROOM } else { ROOM }
    }

    /// How fast pieces go by `link`.
    pub(super) fn pace(&self, link: LinkId) -> SendPace {
        if self.is_slow(link) {
            // The heartbeats of both boxes set the pace: a question rides behind one, its answer behind another.
            let retry = self.keepalive.get() * 4;
            return SendPace { gap: Duration::ZERO, retry, patience: PATIENCE.max(retry * 4) };
        }
        SendPace { gap: GAP, retry: RETRY, patience: PATIENCE }
    }

    pub(super) fn send(&self, rider: Slot, link: LinkId, frame: Frame) {
        if !self.is_slow(link) {
            return self.say(link, &frame);
        }
        let mut riding = self.riding.borrow_mut();
        match riding.iter_mut().find(|(other, ..)| *other == rider) {
            Some(waits) => *waits = (rider, link, frame),
            None => riding.push_back((rider, link, frame)),
        }
    }

    /// A heartbeat has been said: one that waits may follow it.
    pub(super) fn ride(&self) {
        if let Some((_, link, frame)) = self.riding.borrow_mut().pop_front() {
            self.say(link, &frame);
        }
    }

    fn say(&self, link: LinkId, frame: &[u8]) {
        if let Some(way) = self.links.borrow().get(link.index()) {
            way.port.send_spare(frame);
        }
    }

    fn is_slow(&self, link: LinkId) -> bool {
        self.links.borrow().get(link.index()).is_some_and(|way| way.slow)
    }
}

/// Some three hundred pieces a second.
const GAP: Duration = Duration::from_millis(3);
/// Longer than any network on which a deadtime of a second can be kept.
const RETRY: Duration = Duration::from_millis(250);
/// A box that is alive answers sooner, however busy it is.
const PATIENCE: Duration = Duration::from_secs(6);
/// A few seconds.
const ROOM: usize = 64 * 1024;
/// Half a minute at the usual keepalive.
const SLOW_ROOM: usize = 4 * 1024;
