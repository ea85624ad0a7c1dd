//! Plays one box, and a peer that says the very words and answers that a test wants.

use std::time::Duration;

use firmware_agnostic::heartbeat::{
    Epoch, Heartbeat, Incarnation, LinkSet, PeerRequest, Priority, Role,
};
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::journal::Journal;
use firmware_agnostic::node::fencing::Fencing;
use firmware_agnostic::node::{Action, Actions, Answer, Event, Node, Tag};
use firmware_agnostic::order::{Order, Refusal};
use firmware_agnostic::receiver::Heard;
use firmware_agnostic::settings::Settings;
use firmware_agnostic::time::Instant;

use super::fixtures;

/// A box, and what its peer says.
pub struct Scene {
    /// The box, which is home but for what a test changes.
    pub node: Node,
    /// What the time is.
    pub now: Instant,
    /// When the peer spoke last.
    pub heard: Instant,
    /// The peer's.
    pub epoch: Epoch,
    /// The last question that the box has asked.
    pub asked: Tag,
    /// What the box has done since the test looked last.
    pub done: Vec<Action>,
}

impl Scene {
    /// A box that has just been born, and has asked for what is left to be stopped.
    pub fn born(last_life: Option<Journal>, but: impl FnOnce(&mut Settings)) -> Self {
        let now = Instant::from_millis(1_000);
        let [mut settings, _] = fixtures::pair();
        but(&mut settings);
        let node = Node::new(settings, ME, last_life, now);
        let epoch = Epoch { boot: Incarnation(*b"peer"), change: 0 };
        let mut scene = Self { node, now, heard: now, epoch, asked: 0, done: Vec::new() };
        scene.happens(Event::Timeout);
        scene
    }

    /// A box that stands by for a peer that serves.
    pub fn standby() -> Self {
        Self::standby_with(|_| ())
    }

    /// The same, set up otherwise.
    pub fn standby_with(but: impl FnOnce(&mut Settings)) -> Self {
        let mut scene = Self::born(None, but);
        scene.is_answered(Answer::Stopped);
        scene.says(|word| word.role = Role::Active);
        assert_eq!(scene.node.role(), Role::Standby);
        scene
    }

    /// A box that serves, and whose peer has just handed over.
    pub fn serving_with(but: impl FnOnce(&mut Settings)) -> Self {
        let mut scene = Self::standby_with(but);
        scene.says(|word| word.request = PeerRequest::HandOver);
        scene.is_answered(Answer::Started);
        assert_eq!(scene.node.role(), Role::Active);
        scene.says(|_| ());
        scene
    }

    /// A box that serves, and has just ordered a fencing at a peer that has been silent since it handed over.
    pub fn active() -> Self {
        let mut scene = Self::serving_with(|_| ());
        // In steps: a box that did not run does not take that for silence.
        scene.silence(Duration::from_millis(1_100));
        scene
    }

    /// The peer says nothing for so long.
    pub fn silence(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.node.next_deadline().min(end);
            self.happens(Event::Timeout);
        }
    }

    /// The peer says that it stands by, and knows everything; or what `but` makes of that.
    pub fn says(&mut self, but: impl FnOnce(&mut Heartbeat)) -> Actions {
        self.epoch.change += 1;
        self.heard = self.now;
        let hears = self.node.heartbeat(self.now).hears.with(LINK, true);
        let mut word =
            Heartbeat { heard: Some(self.node.epoch()), hears, ..self.word_of_a_standby() };
        but(&mut word);
        // It has heard what this box says now, unless the word says otherwise.
        self.happens(Event::Heartbeat(LINK, Heard { heartbeat: word, proof: Some(self.now) }))
    }

    /// The peer says the same again, or a recording does: it names nothing that this box has said of late.
    pub fn says_unproven(&mut self, but: impl FnOnce(&mut Heartbeat)) -> Actions {
        let hears = LinkSet::default();
        let mut heartbeat = Heartbeat { heard: None, hears, ..self.word_of_a_standby() };
        but(&mut heartbeat);
        self.happens(Event::Heartbeat(LINK, Heard { heartbeat, proof: None }))
    }

    fn word_of_a_standby(&self) -> Heartbeat {
        Heartbeat {
            from: BoxId::Second,
            epoch: self.epoch,
            role: Role::Standby,
            priority: Priority(1),
            fit: true,
            witness: true,
            shoots: false,
            restarts: false,
            request: PeerRequest::Nothing,
            ..self.node.heartbeat(self.now)
        }
    }

    /// The peer says so again and again.
    pub fn talks(&mut self, time: Duration, but: impl Fn(&mut Heartbeat)) {
        let end = self.now + time;
        while self.now < end {
            self.silence(Duration::from_millis(200));
            self.says(&but);
        }
    }

    /// An operator's word, and what becomes of it.
    ///
    /// # Errors
    ///
    /// Why it was refused.
    ///
    /// # Panics
    ///
    /// If it has not exactly one answer.
    pub fn order(&mut self, order: Order) -> Result<(), Refusal> {
        let replies =
            self.happens(Event::Order(order)).into_iter().filter_map(|action| match action {
                Action::Reply(reply) => Some(reply),
                _ => None,
            });
        let replies: Vec<_> = replies.collect();
        assert_eq!(replies.len(), 1, "an order has one answer");
        replies[0]
    }

    /// The device that was told to fence is ready.
    pub fn device_is_ready(&mut self) -> Actions {
        self.happens(Event::Ready(self.asked))
    }

    /// The device shows the power as off, and the last question about it is answered so.
    pub fn is_seen_off(&mut self) -> Actions {
        let looks = matches!(self.node.fencing(), Fencing::Querying(_));
        let answer = if looks { Answer::PowerOff(self.now) } else { Answer::Fenced(self.now) };
        self.is_answered(answer)
    }

    /// The device is asked though nobody needs it, and shows the power as off.
    pub fn is_polled_off(&mut self) -> Actions {
        self.happens(Event::SeenOff(self.now))
    }

    /// The last question is answered.
    pub fn is_answered(&mut self, answer: Answer) -> Actions {
        self.happens(Event::Answer(self.asked, answer))
    }

    /// Anything else.
    pub fn happens(&mut self, event: Event) -> Actions {
        let actions = self.node.step(event, self.now);
        for action in &actions {
            if let Action::Start(tag)
            | Action::Adopt(tag)
            | Action::Stop(tag)
            | Action::LookAtPower(tag)
            | Action::PowerOn(tag)
            | Action::Fence(tag) = action
            {
                self.asked = *tag;
            }
        }
        self.done.extend(actions.iter().copied());
        actions
    }

    /// The last that it writes down when `does` is done.
    ///
    /// # Panics
    ///
    /// If it has written nothing.
    pub fn last_record(mut self, does: impl FnOnce(&mut Self)) -> Journal {
        does(&mut self);
        let mut records = self.done.iter().filter_map(|action| match action {
            Action::Record(journal) => Some(*journal),
            _ => None,
        });
        records.next_back().expect("something is written down")
    }

    /// Whether the box has done such a thing since a test asked last.
    pub fn has_done(&mut self, what: impl Fn(&Action) -> bool) -> bool {
        std::mem::take(&mut self.done).iter().any(what)
    }
}

/// The boot of the box.
pub const ME: Incarnation = Incarnation(*b"mine");
/// The link by which the peer speaks.
pub const LINK: LinkId = LinkId::new(0).expect("there is a first link");
