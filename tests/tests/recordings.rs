//! Does a word of yesterday start anything today? Frames that come so late that chance hardly brings them about.

use firmware_agnostic::heartbeat::{
    Asks, Boot, Epoch, Fingerprint, Heartbeat, Links, Priority, Role, Term,
};
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::node::{Action, Answer, Event, Node, Tag};
use firmware_agnostic::shot::Shot;
use firmware_agnostic::time::Instant;

use tests::world::sample;

/// Home said that it yields, died, came back, and serves; only now, while it is late, the old word arrives.
#[test]
fn what_an_earlier_boot_echoed_releases_nobody() {
    let mut away = Away::standby();
    let yields = Heartbeat { asks: Asks::Standby, heard: Some(away.node.epoch()), ..home(OLD, 5) };
    away.hears_the_next_boot_serve();
    // Late, and not dead: this box is what it was when the old word was said.
    away.waits(700);
    away.hears(yields);
    away.step(Event::Timeout);
    assert_eq!(away.node.role(), Role::Standby, "a sign of life, and no release");
}

#[test]
fn the_farewell_of_an_earlier_boot_says_nothing_of_the_present_one() {
    let mut away = Away::standby();
    let farewell = Heartbeat { asks: Asks::Leave, heard: Some(away.node.epoch()), ..home(OLD, 5) };
    away.hears_the_next_boot_serve();
    away.waits(30_000);
    away.hears(farewell);
    away.step(Event::Timeout);
    assert_eq!(away.node.role(), Role::Standby, "a sign of life, and no release");
}

/// Home once could not stop a resource, and asked to be shot.
#[test]
fn what_an_earlier_boot_asked_gets_nobody_shot() {
    let mut away = Away::standby();
    let stuck = Heartbeat {
        role: Role::Stopping,
        asks: Asks::Fence,
        heard: Some(away.node.epoch()),
        ..home(OLD, 5)
    };
    away.hears_the_next_boot_serve();
    away.waits(700);
    away.hears(stuck);
    away.step(Event::Timeout);
    assert_eq!(away.node.role(), Role::Standby, "a sign of life, and no wish");
    // The same word, while it is true; and from a boot that hears nothing, as soon as that is sure.
    for heard in [Some(away.node.epoch()), None] {
        let mut away = Away::standby();
        let stuck = Heartbeat { heard: heard.map(|_| away.node.epoch()), ..stuck };
        for _ in 0..20 {
            away.hears(stuck);
            away.waits(200);
        }
        assert_eq!(away.node.role(), Role::Fencing, "{heard:?}");
    }
}

/// The same words, while they are true: or the two above would show nothing.
#[test]
fn what_the_present_boot_says_is_believed() {
    for asks in [Asks::Standby, Asks::Leave] {
        let mut away = Away::standby();
        away.hears(Heartbeat { asks, heard: Some(away.node.epoch()), ..home(OLD, 5) });
        assert_eq!(away.node.role(), Role::Starting, "{asks:?}");
    }
}

/// The power that was seen off before home was heard again may be on by now.
#[test]
fn a_late_answer_is_no_answer() {
    let mut away = Away::standby();
    away.waits(5_000);
    let looked = away.looked.expect("a silent peer's power is looked at");
    away.hears(Heartbeat { role: Role::Active, heard: Some(away.node.epoch()), ..home(NEW, 3) });
    assert_eq!(away.node.role(), Role::Standby);
    away.waits(5_000);
    assert_eq!(away.node.role(), Role::Fencing);
    away.step(Event::Answer(looked, Answer::PowerOff));
    assert_eq!(away.node.role(), Role::Fencing);
    let asked = away.looked.expect("it is looked at again");
    away.step(Event::Answer(asked, Answer::PowerOff));
    assert_eq!(away.node.role(), Role::Starting);
}

/// This box is suspended while the answer comes; the peer may have found it off, and serve.
#[test]
fn what_was_seen_before_a_stall_is_looked_at_again() {
    let mut away = Away::standby();
    away.waits(5_000);
    let looked = away.looked.expect("a silent peer's power is looked at");
    away.millis += 60_000;
    away.step(Event::Answer(looked, Answer::PowerOff));
    assert_eq!(away.node.role(), Role::Fencing, "it listens first");
    away.waits(1_000);
    let Shot::Looking(again) = away.node.shot() else { panic!("it is looked at again") };
    away.step(Event::Answer(again, Answer::PowerOff));
    assert_eq!(away.node.role(), Role::Starting);
}

/// The box that is not home, and its clock.
struct Away {
    node: Node,
    millis: u64,
    looked: Option<Tag>,
}

impl Away {
    /// Away is standby, and has heard home say that home is about to start.
    fn standby() -> Self {
        let [_, settings] = sample::pair();
        let node = Node::new(settings, Boot(*b"away"), None, Instant::from_millis(0));
        let mut away = Self { node, millis: 0, looked: None };
        let stop = away.step(Event::Timeout).expect("leftovers are stopped first");
        away.step(Event::Answer(stop, Answer::Stopped));
        away.hears(home(OLD, 4));
        assert_eq!(away.node.role(), Role::Standby);
        away
    }

    fn hears(&mut self, heartbeat: Heartbeat) {
        self.step(Event::Heartbeat(LINK, heartbeat));
    }

    /// The old boot has fallen silent, or the new one would not be believed.
    fn hears_the_next_boot_serve(&mut self) {
        self.waits(700);
        let heard = Some(self.node.epoch());
        self.hears(Heartbeat { role: Role::Active, heard, ..home(NEW, 3) });
        assert_eq!(self.node.peer().epoch().map(|epoch| epoch.boot), Some(NEW));
    }

    fn waits(&mut self, millis: u64) {
        let end = self.millis + millis;
        while self.millis < end {
            self.millis += 10;
            self.step(Event::Timeout);
        }
    }

    /// The tag of a stop that is asked for.
    fn step(&mut self, event: Event) -> Option<Tag> {
        let mut stop = None;
        for action in self.node.step(event, Instant::from_millis(self.millis)) {
            match action {
                Action::LookAtPower(tag) => self.looked = Some(tag),
                Action::Stop(tag) => stop = Some(tag),
                _ => {}
            }
        }
        stop
    }
}

fn home(boot: Boot, change: u32) -> Heartbeat {
    Heartbeat {
        from: BoxId::First,
        epoch: Epoch { boot, change },
        role: Role::Standby,
        priority: Priority(100),
        term: Term(0),
        fit: true,
        witness: true,
        shoots: false,
        asks: Asks::Nothing,
        config: Fingerprint::default(),
        system: Fingerprint::default(),
        heard: None,
        hears: Links::default().with(LINK, true),
    }
}

const OLD: Boot = Boot(*b"old ");
const NEW: Boot = Boot(*b"new ");
const LINK: LinkId = LinkId::new(0).expect("there is a first link");
