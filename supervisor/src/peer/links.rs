//! The links of this box: what comes by each of them becomes an event.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use board::link::{Config, Port, PortState};
use board::time::clock::Clock;
use board::time::reactor::Reactor;
use firmware_agnostic::frame::{FRAME_MAX, FrameError};
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::letter;
use firmware_agnostic::node::Event;
use firmware_agnostic::receiver::Reception;
use smol::channel::Sender;
use smol::{LocalExecutor, Task};

use crate::input::Input;
use crate::peer::letters::Letters;

/// Every link, in the order of the configuration.
pub(crate) struct Links {
    me: BoxId,
    executor: Rc<LocalExecutor<'static>>,
    lookout: Rc<Reactor>,
    heard: Inbound,
    ports: Vec<Rc<Port>>,
    ears: Vec<ListenTask>,
}

/// What becomes of what comes by a link: it is a piece of a letter, or goes through the reception into the loop.
type Inbound = (Rc<RefCell<Reception>>, Rc<Letters>, Sender<Input>);

/// The task that listens at a port, as long as this lives.
struct ListenTask {
    link: Rc<Cell<LinkId>>,
    _listens: Task<()>,
}

impl Links {
    /// The links of `configs` on the box `me`. What comes by them goes to `heard`.
    pub(crate) fn new(
        configs: &[Config],
        me: BoxId,
        (executor, lookout): (Rc<LocalExecutor<'static>>, Rc<Reactor>),
        heard: Inbound,
    ) -> Self {
        let (ports, ears) = (Vec::new(), Vec::new());
        let mut links = Self { me, executor, lookout, heard, ports, ears };
        links.reload(configs, &[]);
        links
    }

    /// Where frames are sent.
    pub(crate) fn ports(&self) -> &[Rc<Port>] {
        &self.ports
    }

    /// Goes on with the links of `configs`: for each one `places` has its place so far, and it stays open.
    pub(crate) fn reload(&mut self, configs: &[Config], places: &[Option<LinkId>]) {
        let known = self.ports.drain(..).zip(self.ears.drain(..));
        let mut known: Vec<_> = known.map(Some).collect();
        let kept: Vec<_> = (0..configs.len())
            .map(|place| known.get_mut((*places.get(place)?)?.index()).and_then(Option::take))
            .collect();
        // Closed before anything is opened, which may be the same with other words.
        drop(known);
        for ((config, link), kept) in configs.iter().zip((0..).map_while(LinkId::new)).zip(kept) {
            let (port, ear) = kept.unwrap_or_else(|| self.open(config, link));
            ear.link.set(link);
            self.ports.push(port);
            self.ears.push(ear);
        }
    }

    fn open(&self, config: &Config, link: LinkId) -> (Rc<Port>, ListenTask) {
        let port = Port::new(config.clone(), self.me, self.lookout.clone());
        let (port, link) = (Rc::new(port), Rc::new(Cell::new(link)));
        let listens = listen(self.me, port.clone(), link.clone(), self.heard.clone());
        (port, ListenTask { link, _listens: self.executor.spawn(listens) })
    }
}

/// Turns what comes by one link of the box `me` into events, for ever.
async fn listen(
    me: BoxId,
    port: Rc<Port>,
    link: Rc<Cell<LinkId>>,
    (reception, letters, inputs): Inbound,
) {
    let mut noise = Noise::default();
    // A little more than a frame has, so that a longer one is seen to be longer.
    let mut buffer = [0; FRAME_MAX + 2];
    loop {
        let seen = port.receive(&mut buffer).await;
        let link = link.get();
        let length = match seen {
            PortState::Frame(length) => length,
            PortState::Line(up) => {
                let _ = inputs.send(Input::Event(Event::Line(link, up))).await;
                continue;
            }
        };
        let frame = buffer.get(..length).unwrap_or(&buffer);
        if let Some(end) = letter::end_of(frame) {
            match letters.hear(end, link, frame) {
                Ok(()) => noise.ends(),
                Err(cause) => {
                    let count = reception.borrow_mut().refuse_piece(link, cause);
                    tell(&port, "a piece of a letter", piece_refused(cause), count);
                }
            }
            continue;
        }
        let received = reception.borrow_mut().receive(link, frame, Clock.now());
        match received {
            Ok(heard) => {
                noise.ends();
                if heard.heartbeat.from != me {
                    port.copies_follow();
                    letters.heard(&heard);
                }
                // A heartbeat that finds no room is lost, as others are.
                let _ = inputs.try_send(Input::Event(Event::Heartbeat(link, heard)));
            }
            Err(cause) => {
                let name = port.name();
                if let Some(baud) = port.baud().filter(|_| may_be_noise(cause)) {
                    noise.comes().into_iter().for_each(|why| {
                        log::warn!("link {name}: what comes at {baud} baud is no frame: {why}");
                    });
                    continue;
                }
                let count = reception.borrow().statistics(link).dropped[cause as usize];
                tell(&port, "a frame", cause, count);
            }
        }
    }
}

/// Tells that `what` was dropped, the `count`th for this cause: the first, the tenth, the hundredth, so that a
/// flood makes no flood of lines.
fn tell(port: &Port, what: &str, cause: impl fmt::Display, count: u32) {
    if count.checked_ilog10().is_some_and(|zeros| count == 10_u32.pow(zeros)) {
        let from = port.sender().map(|sender| format!(" from {sender}")).unwrap_or_default();
        log::warn!("link {}: dropped {what}{from}: {cause} ({count} so far)", port.name());
    }
}

/// For people, why a piece of a letter was dropped. A piece is encrypted for one letter, so a wrong key may be that
/// of another.
fn piece_refused(cause: FrameError) -> String {
    match cause {
        FrameError::WrongKey => {
            "not of the letter under way, or not with a key of this pair".to_owned()
        }
        cause => cause.to_string(),
    }
}

/// Whether noise is dropped for this cause.
const fn may_be_noise(cause: FrameError) -> bool {
    matches!(cause, FrameError::Truncated | FrameError::Oversized | FrameError::Version)
}

/// What comes by a cable that knows no frames, and is none. One in between is a frame that was cut off, when the
/// other end lost its power or was opened again.
#[derive(Default)]
struct Noise {
    in_a_row: u32,
    /// There was a frame, at any time.
    heard: bool,
}

impl Noise {
    fn ends(&mut self) {
        *self = Self { in_a_row: 0, heard: true };
    }

    /// What a person should look at, if that is to be told now: once for as long as it lasts.
    fn comes(&mut self) -> Option<&'static str> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let why = if self.heard {
            "look at the cable"
        } else {
            "give both ends the same `baud`, and see that the peer is at the other end"
        };
        (self.in_a_row == NOISE).then_some(why)
    }
}

/// So many in a row are no chance.
const NOISE: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_that_lasts_is_told_once_and_one_that_does_not_is_not() {
        let mut noise = Noise::default();
        let told = |noise: &mut Noise| (0..9).filter_map(|_| noise.comes()).collect::<Vec<_>>();
        assert!(matches!(told(&mut noise).as_slice(), [why] if why.contains("baud")));
        for _ in 0..9 {
            noise.ends();
            assert_eq!([noise.comes(), noise.comes()], [None, None]);
        }
        assert_eq!(told(&mut noise), ["look at the cable"]);
    }
}
