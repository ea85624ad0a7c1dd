//! Says over the links that the supervisor has died, until another one has come; and that everything is stopped.
//!
//! It says on what the supervisor said last ([`Heartbeat::while_it_restarts`]), so nothing new can follow from it.
//! It hears nobody: a listener knows it from a supervisor by that. Each link has a thread of its own, because
//! opening one may take as long as it likes, and the guard may not.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use board::disk::lease::Lease;
use board::link;
use board::process::guard::LastFrame;
use board::thread::capabilities::Rights;
use board::thread::spawn;
use board::time::clock::Clock;
use firmware_agnostic::frame::{self, Frame, Keys, Message, PairId};
use firmware_agnostic::heartbeat::Heartbeat;
use firmware_agnostic::identity::BoxId;

use crate::config::Config;

/// Says what there is to say for a supervisor that died, if it has said anything.
pub(super) struct Speaker {
    said: Option<SpokenFrames>,
    /// What the supervisor last said of itself.
    last: Option<Heartbeat>,
    links: Vec<Sender<Frame>>,
    keepalive: Duration,
    deadtime: Duration,
}

struct SpokenFrames {
    word: Message,
    keys: Keys,
    pair: PairId,
}

impl Speaker {
    /// A speaker for the supervisor that ran by `config` and sent `last`.
    pub(super) fn new(config: &Config, last: &LastFrame) -> Self {
        let said = SpokenFrames::read(config, last);
        let timing = &config.settings.timing;
        let last = said.as_ref().map(|said| said.word.heartbeat);
        let opened = |link: &link::Config| open(link.clone(), config.settings.me);
        let links = if said.is_some() {
            config.links.iter().filter_map(opened).collect()
        } else {
            Vec::new()
        };
        Self { said, last, links, keepalive: timing.keepalive(), deadtime: timing.deadtime() }
    }

    /// Waits for another supervisor, for `time`, and says so meanwhile. Tells whether one has come.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub(super) fn wait(&mut self, lease: &Lease, time: Duration) -> io::Result<bool> {
        let word = self.last.and_then(Heartbeat::while_it_restarts);
        self.repeat(word, time, || lease.is_taken())
    }

    /// Says that this box holds nothing any more, for as long as it takes to be heard.
    pub(super) fn say_farewell(&mut self) {
        let word = self.last.map(Heartbeat::farewell);
        let _ = self.repeat(word, self.deadtime, || Ok(false));
    }

    fn repeat(
        &mut self,
        word: Option<Heartbeat>,
        time: Duration,
        ended: impl Fn() -> io::Result<bool>,
    ) -> io::Result<bool> {
        let end = Clock.now() + time;
        loop {
            let left = end - Clock.now();
            if left.is_zero() {
                return ended();
            }
            thread::sleep(left.min(self.keepalive));
            if ended()? {
                return Ok(true);
            }
            if let Some(word) = word {
                self.say(word);
            }
        }
    }

    fn say(&mut self, heartbeat: Heartbeat) {
        let Some(frame) = self.said.as_mut().and_then(|said| said.next(heartbeat)) else { return };
        for link in &self.links {
            let _ = link.send(frame.clone());
        }
    }
}

impl SpokenFrames {
    fn read(config: &Config, last: &LastFrame) -> Option<Self> {
        let keys = Rights::SECRETS.lend(|| config.keys()).ok()?;
        let pair = config.pair_id();
        let word = frame::decode(&last.read()?, &keys, pair).ok()?;
        Some(Self { word, keys, pair })
    }

    fn next(&mut self, heartbeat: Heartbeat) -> Option<Frame> {
        self.word = self.word.of_guard(heartbeat)?;
        Some(frame::encode(&self.word, &self.keys, self.pair))
    }
}

/// Starts a thread that sends by one link what it is given.
fn open(link: link::Config, me: BoxId) -> Option<Sender<Frame>> {
    let (sender, frames) = channel();
    spawn::spawn("speaker", Rights::SOCKETS, move || send(&link, me, &frames)).ok()?;
    Some(sender)
}

fn send(config: &link::Config, me: BoxId, frames: &Receiver<Frame>) {
    let mut link = None;
    while let Ok(frame) = frames.recv() {
        // What waited while the link was opened is old.
        let frame = frames.try_iter().last().unwrap_or(frame);
        if link.is_none() {
            link = config.open_to_speak(me).ok();
        }
        // A frame that is lost is one of many.
        let _ = link.as_ref().map(|link| link.send(&frame));
    }
}
