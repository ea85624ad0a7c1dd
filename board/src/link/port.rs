//! Opens a broken link again, and keeps nobody waiting meanwhile.
//!
//! ```text
//! open ── ok ──> frames in, frames out ── receive: error ──> wait: 100 ms, doubling up to 2 s ──> open ...
//!   └── error ───────────────────────────────────────────────^
//! ```
//!
//! A frame that cannot be sent now is dropped, never kept: the next one says the same, and is fresh. What is wrong is
//! logged when it changes, and not for each frame.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use firmware_agnostic::identity::BoxId;
use firmware_agnostic::time::Instant;
use smol::Timer;
use smol::future::{or, yield_now};

use super::{Config, Link, ModemLines};
use crate::thread::capabilities::Rights;
use crate::thread::offload::aside;
use crate::time::alarm::Alarm;
use crate::time::clock::Clock;
use crate::time::reactor::{EventSource, Reactor};

/// The place that a link is plugged into, for as long as the supervisor runs.
pub struct Port {
    config: Config,
    me: BoxId,
    lookout: Rc<Reactor>,
    link: RefCell<Option<Rc<Plugged>>>,
    failure: RefCell<Option<String>>,
    back_off: Cell<Duration>,
    /// Frames for which there was no room, in a row.
    dropped: Cell<u32>,
    /// What the cable itself last showed.
    line: Cell<Option<bool>>,
    /// It is time to look at the line.
    looked: Cell<bool>,
    /// Datagrams from others than the other box, which were dropped.
    strangers: Cell<u64>,
}

impl Port {
    /// The place for a link of the box `me`. The first [`Port::receive`] opens the link.
    pub fn new(config: Config, me: BoxId, lookout: Rc<Reactor>) -> Self {
        Self {
            config,
            me,
            lookout,
            link: RefCell::default(),
            failure: RefCell::default(),
            back_off: Cell::new(BACK_OFF_MIN),
            dropped: Cell::new(0),
            line: Cell::default(),
            looked: Cell::default(),
            strangers: Cell::default(),
        }
    }

    /// What people call the link.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The bits per second of a cable that knows no frames, where what comes may be noise.
    pub fn baud(&self) -> Option<u32> {
        self.config.baud()
    }

    /// Sends a frame, if that can be done now.
    pub fn send(&self, frame: &[u8]) {
        let Some(link) = self.link() else { return };
        match link.get_ref().send(frame) {
            Ok(()) => self.works(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.dropped.update(|dropped| dropped.saturating_add(1));
                if self.dropped.get() >= DROPPED_MAX {
                    self.fails(&io::Error::other(NO_ROOM));
                }
            }
            Err(error) => self.fails(&error),
        }
    }

    /// Sends a frame that nobody misses if it cannot be sent now, and of which nothing is learnt about the link.
    pub fn send_spare(&self, frame: &[u8]) {
        if let Some(link) = self.link() {
            let _ = link.get_ref().send(frame);
        }
    }

    /// Waits for the next frame, or for a change of the line. Nothing else that happens to the link ends the wait:
    /// it is opened again and again.
    pub async fn receive(&self, buffer: &mut [u8]) -> PortState {
        // A flood of frames must not keep the one thread from everything else.
        yield_now().await;
        loop {
            let Some(link) = self.plugged().await else {
                self.wait().await;
                continue;
            };
            let received = link.get_ref().receive(buffer);
            self.note_strangers(&link);
            let error = match received {
                Ok(length) => {
                    self.back_off.set(BACK_OFF_MIN);
                    return PortState::Frame(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    yield_now().await;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.something(&link).await {
                        Ok(()) => match self.line_changed(&link) {
                            Some(up) => return PortState::Line(up),
                            None => continue,
                        },
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.fails(&error);
            // Closed before the wait, so that nothing holds the device when it is opened again.
            *self.link.borrow_mut() = None;
            drop(link);
            self.wait().await;
        }
    }

    /// Waits until there is something to read, or to look at.
    async fn something(&self, link: &Plugged) -> io::Result<()> {
        if let Some(rest) = link.get_ref().rest() {
            return link.rings(Clock.now() + rest).await;
        }
        or(link.link.readable(), link.rings(link.due.get())).await?;
        // A loop that is awake a little before it is due need not be woken again for it.
        let now = Clock.now();
        if now + LOOK / 4 >= link.due.get() {
            link.due.set(now + LOOK);
            self.looked.set(true);
            link.get_ref().look()?;
        }
        Ok(())
    }

    /// The frame was a heartbeat, whose copies come by the other links: a link that waits for these need not be
    /// woken for each.
    pub fn copies_follow(&self) {
        if let Some(link) = self.link() {
            link.link.heartbeat_received();
        }
    }

    /// Where the frame came from that was received last, where the link tells.
    pub fn sender(&self) -> Option<IpAddr> {
        self.link()?.get_ref().sender()
    }

    /// How many datagrams came from others than the other box, and were dropped.
    pub fn strangers(&self) -> u64 {
        self.strangers.get()
    }

    fn note_strangers(&self, link: &Plugged) {
        let (more, from) = link.get_ref().strangers();
        let (before, count) = (self.strangers.get(), self.strangers.get().saturating_add(more));
        self.strangers.set(count);
        // The first, the tenth, the hundredth: a flood makes no flood of lines.
        if let Some(from) = from
            && before.checked_ilog10() != count.checked_ilog10()
        {
            log::warn!(
                "link {}: dropped a datagram from {from}, which is not the other box ({count} so far)",
                self.name()
            );
        }
    }

    /// What is wrong with the link, if anything is.
    pub fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// The modem control lines, where there are any and the link is open.
    pub fn lines(&self) -> Option<ModemLines> {
        self.link()?.get_ref().lines()
    }

    /// What the line is, if it is not what it was. A frame is no reason to look.
    fn line_changed(&self, link: &Plugged) -> Option<bool> {
        if !self.looked.take() {
            return None;
        }
        let up = link.get_ref().line()?;
        (self.line.replace(Some(up)) != Some(up)).then_some(up)
    }

    fn link(&self) -> Option<Rc<Plugged>> {
        self.link.borrow().clone()
    }

    /// The link, opened by a thread of its own if it is not open: nobody else waits for that.
    async fn plugged(&self) -> Option<Rc<Plugged>> {
        if let Some(link) = self.link() {
            return Some(link);
        }
        let (config, me) = (self.config.clone(), self.me);
        let opened = aside("open", Rights::SOCKETS, move || config.open(me)).await;
        match opened.and_then(|opened| opened).and_then(|link| Plugged::new(link, &self.lookout)) {
            Ok(link) => *self.link.borrow_mut() = Some(Rc::new(link)),
            Err(error) => self.fails(&error),
        }
        self.link()
    }

    async fn wait(&self) {
        let time = self.back_off.get();
        self.back_off.set(BACK_OFF_MAX.min(time * 2));
        Timer::after(time).await;
    }

    fn works(&self) {
        self.dropped.set(0);
        if self.failure.take().is_some() {
            log::info!("link {}: works again", self.name());
        }
    }

    fn fails(&self, error: &io::Error) {
        let reason = Some(error.to_string());
        if *self.failure.borrow() != reason {
            log::warn!("link {}: {error}", self.name());
            *self.failure.borrow_mut() = reason;
        }
    }
}

/// What a port has seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PortState {
    /// A frame of this length.
    Frame(usize),
    /// The line of the cable is up now, or down.
    Line(bool),
}

/// An open link.
struct Plugged {
    link: EventSource<Box<dyn Link + Send>>,
    alarm: RefCell<Alarm>,
    /// When the link is to look after itself.
    due: Cell<Instant>,
}

impl Plugged {
    fn new(link: Box<dyn Link + Send>, lookout: &Rc<Reactor>) -> io::Result<Self> {
        Ok(Self {
            link: EventSource::redundant(lookout, link)?,
            alarm: RefCell::new(Alarm::new(lookout)?),
            due: Cell::new(Clock.now() + LOOK),
        })
    }

    fn get_ref(&self) -> &dyn Link {
        self.link.get_ref().as_ref()
    }

    /// Only who receives waits, and there is one.
    #[allow(clippy::await_holding_refcell_ref)]
    async fn rings(&self, at: Instant) -> io::Result<()> {
        self.alarm.borrow_mut().rings(at).await
    }
}

/// A loose plug is back sooner than the peer is given up.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);

/// Opening costs little; a cable that is plugged in again should not wait longer than a person does.
const BACK_OFF_MAX: Duration = Duration::from_secs(2);

/// One frame without room is a hiccup; at the usual keepalive these are a second.
const DROPPED_MAX: u32 = 5;

const NO_ROOM: &str =
    "takes no more frames: its baud is too low for the keepalive, or its adapter hangs";

/// An interface that was deleted and made again is noticed within this time.
const LOOK: Duration = Duration::from_secs(1);
