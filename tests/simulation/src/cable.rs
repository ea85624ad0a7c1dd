//! Carries heartbeats: each is lost, late, doubled, damaged, or it comes; each direction has its own fate.

use firmware_agnostic::frame::FrameError;
use firmware_agnostic::heartbeat::Heartbeat;
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::node::Event;
use firmware_agnostic::receiver::Heard;

use super::fault_model::Mishap;
use super::random::Random;
use super::wire::{Release, Said};
use super::{What, World, trace};

/// One cable: what it does to the heartbeats that each box sends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cable {
    /// Nothing comes through from this box.
    pub cut: [bool; 2],
    /// This many in a million get lost besides.
    pub noise: [u32; 2],
}

/// Which cables are cut, and for whose words: a partition of any shape.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape(u8);

impl Shape {
    /// Everything comes through.
    pub const WHOLE: Self = Self(0);
    /// Nothing does.
    pub const APART: Self = Self(u8::MAX);

    /// What `from` says by `link` does not come through, besides.
    #[must_use]
    pub const fn cut(self, link: usize, from: BoxId) -> Self {
        Self(self.0 | 1 << (link * 2 + from.index()))
    }

    const fn cuts(self, link: usize, from: BoxId) -> bool {
        self.0 & 1 << (link * 2 + from.index()) != 0
    }

    /// One of those that people and fate bring about, or any other.
    pub fn any(random: &mut Random, links: usize) -> Self {
        let id = random.one_of(&BoxId::BOTH);
        let link = random.within(&(0..links as u64)) as usize;
        let one_way = Self::WHOLE.cut(link, id);
        match random.within(&(0..8)) {
            0..3 => one_way.cut(link, id.other()),
            3 => one_way,
            4 => Self::APART,
            5 => (0..links).fold(Self::WHOLE, |shape, link| shape.cut(link, id)),
            _ => Self(random.bits() as u8),
        }
    }
}

impl World {
    pub(super) fn say(&mut self, from: BoxId, heartbeat: Heartbeat) {
        let (bytes, now) = (self.bytes(), self.now);
        let local = self.boxes[from.index()].local(now);
        let Some(supervisor) = &mut self.boxes[from.index()].supervisor else { return };
        let words = supervisor.mailbox.write(heartbeat, bytes, now, local);
        self.carry(from, &words);
    }

    /// Puts what was said on every cable.
    pub(super) fn carry(&mut self, from: BoxId, words: &[Said]) {
        let to = from.other();
        let places = 0..self.cables.len();
        for (place, said) in places.flat_map(|place| words.iter().map(move |it| (place, *it))) {
            let cable = self.cables[place];
            let Some(link) = LinkId::new(place) else { continue };
            let lost = self.suffers(Mishap::Loss) || self.random.happens(cable.noise[from.index()]);
            if cable.cut[from.index()] || lost {
                continue;
            }
            let twice = self.suffers(Mishap::Duplicate).then_some(to);
            let back = self.suffers(Mishap::Echo).then_some(from);
            for to in [Some(to), twice, back].into_iter().flatten() {
                let mut said = said;
                if self.suffers(Mishap::Damage) {
                    said.damage(&mut self.random);
                }
                let delay = if self.suffers(Mishap::Ancient) {
                    &self.fault_model.ancient_delay
                } else {
                    &self.fault_model.delay
                };
                let delay = self.random.within(delay);
                self.after(delay, What::Arrives(to, link, Box::new(said)));
            }
        }
    }

    /// Whether the bytes of heartbeats travel: releases differ in nothing else.
    pub(super) fn bytes(&self) -> bool {
        self.bytes_travel || self.boxes.iter().any(|it| it.release != Release::Present)
    }

    pub(super) fn arrive(&mut self, id: BoxId, link: LinkId, said: &Said) {
        let clock = self.boxes[id.index()].clock();
        let now = self.now;
        let Some(supervisor) = &mut self.boxes[id.index()].supervisor else { return };
        let read = supervisor.mailbox.read(link, said, |at| clock.local(at), now);
        let mine = supervisor.node.epoch().boot;
        supervisor.seen.hears(said, read, mine);
        self.check_reading(id, said, read);
        match read {
            Ok(heard) => self.hear(id, link, heard),
            Err(cause) => self.drop_frame(id, link, cause),
        }
    }

    pub(super) fn hear(&mut self, id: BoxId, link: LinkId, heard: Heard) {
        let life = self.boxes[id.index()].life;
        self.deliver(id, life, Event::Heartbeat(link, heard));
    }

    /// Counts a frame that was dropped, and tells of the first one of each life that was not just a replay.
    fn drop_frame(&mut self, id: BoxId, link: LinkId, cause: FrameError) {
        self.saw(cause.label());
        let Some(supervisor) = &mut self.boxes[id.index()].supervisor else { return };
        if cause != FrameError::Replayed && !std::mem::replace(&mut supervisor.has_dropped, true) {
            let link = trace::link(link.index());
            self.note(id, format_args!("link {link}: dropped a frame: {cause}"));
        }
    }

    /// Cuts or mends a cable in both directions.
    pub fn plug(&mut self, link: usize, works: bool) {
        self.cables[link].cut = [!works; 2];
        let name = trace::link(link);
        self.note_world(format_args!("cable {name} is {}", if works { "mended" } else { "cut" }));
    }

    /// Cuts or mends what one cable carries from one box.
    pub fn plug_one_way(&mut self, link: usize, from: BoxId, works: bool) {
        self.cables[link].cut[from.index()] = !works;
        let (name, from) = (trace::link(link), trace::name(from));
        self.note_world(format_args!(
            "cable {name} is {} from {from}",
            if works { "mended" } else { "cut" }
        ));
    }

    /// Cuts and mends the cables until `shape` is the shape of the partition.
    pub fn partition(&mut self, shape: Shape) {
        for link in 0..self.cables.len() {
            let [one, other] = BoxId::BOTH.map(|from| shape.cuts(link, from));
            let cut = self.cables[link].cut;
            if one == other && cut != [one; 2] {
                self.plug(link, !one);
            }
            for (from, wanted) in BoxId::BOTH.into_iter().zip([one, other]) {
                if self.cables[link].cut[from.index()] != wanted {
                    self.plug_one_way(link, from, !wanted);
                }
            }
        }
    }
}
