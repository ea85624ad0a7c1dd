//! What becomes of a heartbeat? It is lost, late, doubled, or it comes; each direction has its own fate.

use firmware_agnostic::heartbeat::Heartbeat;
use firmware_agnostic::identity::{BoxId, LinkId};

use super::{What, World, trace};

/// One cable: what it does to the heartbeats that each box sends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cable {
    /// Nothing comes through from this box.
    pub cut: [bool; 2],
    /// This many in a million get lost besides.
    pub noise: [u32; 2],
}

impl World {
    pub(super) fn say(&mut self, from: BoxId, heartbeat: Heartbeat) {
        let to = from.other();
        for place in 0..self.cables.len() {
            let cable = self.cables[place];
            let Some(link) = LinkId::new(place) else { continue };
            let lost = self.random.happens(self.misery.loss)
                || self.random.happens(cable.noise[from.place()]);
            if cable.cut[from.place()] || lost {
                continue;
            }
            let twice = self.random.happens(self.misery.duplicate).then_some(to);
            let back = self.random.happens(self.misery.echo).then_some(from);
            for to in [Some(to), twice, back].into_iter().flatten() {
                let delay = if self.random.happens(self.misery.ancient) {
                    &self.misery.ancient_delay
                } else {
                    &self.misery.delay
                };
                let delay = self.random.within(delay);
                self.after(delay, What::Arrives(to, link, heartbeat));
            }
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
        self.cables[link].cut[from.place()] = !works;
        let (name, from) = (trace::link(link), trace::name(from));
        self.note_world(format_args!(
            "cable {name} is {} from {from}",
            if works { "mended" } else { "cut" }
        ));
    }
}
