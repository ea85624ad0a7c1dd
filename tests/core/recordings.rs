//! Plays back what was said before: frames that come so late that chance hardly brings them about, and recordings.

use firmware_agnostic::heartbeat::{
    Epoch, Fingerprint, Heartbeat, Incarnation, LinkSet, PeerRequest, Priority, Role, Term,
};
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::journal::Journal;
use firmware_agnostic::node::fencing::Fencing;
use firmware_agnostic::node::{Action, Answer, Event, Node, Tag};
use firmware_agnostic::receiver::Heard;
use firmware_agnostic::time::Instant;

use simulation::fixtures;

/// Home said that it yields, died, came back, and serves; only now, while it is late, the old word arrives.
#[test]
fn what_an_earlier_boot_echoed_releases_nobody() {
    let mut away = Away::standby();
    let yields =
        Heartbeat { request: PeerRequest::Standby, heard: Some(away.node.epoch()), ..home(OLD, 5) };
    away.hears_the_next_boot_serve();
    // Late, and not dead: this box is what it was when the old word was said.
    away.waits(700);
    away.hears_late(yields, 0);
    away.step(Event::Timeout);
    assert_eq!(away.node.role(), Role::Standby, "no sign of life, and no release");
}

#[test]
fn the_farewell_of_an_earlier_boot_says_nothing_of_the_present_one() {
    let mut away = Away::standby();
    let farewell =
        Heartbeat { request: PeerRequest::Leave, heard: Some(away.node.epoch()), ..home(OLD, 5) };
    away.hears_the_next_boot_serve();
    away.waits(30_000);
    away.hears_late(farewell, 0);
    away.step(Event::Timeout);
    assert_eq!(away.node.role(), Role::Fencing, "no sign of life, and no release");
}

/// Home once could not stop a resource, and asked to be shot.
#[test]
fn what_an_earlier_boot_asked_gets_nobody_shot() {
    let mut away = Away::standby();
    let stuck = Heartbeat {
        role: Role::Stopping,
        request: PeerRequest::Fence,
        heard: Some(away.node.epoch()),
        ..home(OLD, 5)
    };
    away.hears_the_next_boot_serve();
    away.waits(700);
    away.hears_late(stuck, 0);
    away.step(Event::Timeout);
    assert_eq!(away.node.role(), Role::Standby, "no sign of life, and no wish");
    // The same word, while it is true.
    let mut away = Away::standby();
    away.hears(Heartbeat { heard: Some(away.node.epoch()), ..stuck });
    assert_eq!(away.node.role(), Role::Fencing);
}

/// The same words, while they are true: or the two above would show nothing.
#[test]
fn what_the_present_boot_says_is_believed() {
    for request in [PeerRequest::Standby, PeerRequest::Leave] {
        let mut away = Away::standby();
        away.hears(Heartbeat { request, heard: Some(away.node.epoch()), ..home(OLD, 5) });
        assert_eq!(away.node.role(), Role::Starting, "{request:?}");
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
    away.sees_off(looked);
    assert_eq!(away.node.role(), Role::Fencing);
    let asked = away.looked.expect("it is looked at again");
    away.sees_off(asked);
    assert_eq!(away.node.role(), Role::Starting);
}

/// This box is suspended while the answer comes; the peer may have found it off, and serve.
#[test]
fn what_was_seen_before_a_stall_is_looked_at_again() {
    let mut away = Away::standby();
    away.waits(5_000);
    let looked = away.looked.expect("a silent peer's power is looked at");
    away.millis += 60_000;
    away.sees_off(looked);
    assert_eq!(away.node.role(), Role::Fencing, "it listens first");
    away.waits(1_000);
    let Fencing::Querying(again) = away.node.fencing() else { panic!("it is looked at again") };
    away.sees_off(again);
    assert_eq!(away.node.role(), Role::Starting);
}

/// Everything that home said in many earlier lives is played back in its name, faster than it was said, while it is
/// dead.
#[test]
fn recordings_keep_no_dead_box_alive() {
    let mut away = Away::standby();
    let mut change = 5;
    for life in 0..40 {
        // Each life of the past had heard the life of this box that was then.
        let past = Some(Epoch { boot: Incarnation([0, life, b'p', b'a']), change: 9 });
        for role in [Role::Init, Role::Standby, Role::Fencing, Role::Active] {
            let boot = Incarnation([0, life, b'h', b'o']);
            for heard in [None, past] {
                change += 1;
                let said = Heartbeat { role, heard, ..home(boot, change) };
                away.step(Event::Heartbeat(LINK, Heard { heartbeat: said, proof: None }));
                away.waits(10);
            }
        }
    }
    assert_eq!(away.node.role(), Role::Fencing, "home has been silent for three seconds");
    assert!(away.looked.is_some());
}

/// A box that has just booted, and whose peer cannot be heard, is armed by nothing that was recorded.
#[test]
fn recordings_arm_nobody() {
    let before =
        Journal { peer_life: Incarnation([0, 9, b'h', b'o']), armed: true, ..Journal::default() };
    let mut away = Away::born(Some(before.after_a_boot()));
    for number in 0..400 {
        // The latest life is in the journal, and all others came before it.
        let boot = Incarnation([0, 9 - (number / 100) as u8, b'h', b'o']);
        let said = Heartbeat { role: Role::Fencing, ..home(boot, number) };
        away.step(Event::Heartbeat(LINK, Heard { heartbeat: said, proof: None }));
        away.waits(200);
        if let Fencing::Querying(tag) = away.node.fencing() {
            away.step(Event::Answer(tag, Answer::PowerOn));
        }
        assert!(!away.node.fencing().is_under_way(), "it shoots because of a recording");
    }
    assert_eq!(away.node.role(), Role::Fencing);
}

/// The box that is not home, and its clock.
struct Away {
    node: Node,
    millis: u64,
    looked: Option<Tag>,
}

impl Away {
    /// A box without leftovers.
    fn born(journal: Option<Journal>) -> Self {
        let [_, settings] = fixtures::pair();
        let node = Node::new(settings, Incarnation(*b"away"), journal, Instant::from_millis(0));
        let mut away = Self { node, millis: 0, looked: None };
        let stop = away.step(Event::Timeout).expect("leftovers are stopped first");
        away.step(Event::Answer(stop, Answer::Stopped));
        away
    }

    /// Away is standby, and has heard home say that home is about to start.
    fn standby() -> Self {
        let mut away = Self::born(None);
        away.hears(Heartbeat { heard: Some(away.node.epoch()), ..home(OLD, 4) });
        assert_eq!(away.node.role(), Role::Standby);
        away
    }

    fn hears(&mut self, heartbeat: Heartbeat) {
        self.hears_late(heartbeat, self.millis);
    }

    /// What home said when it had heard what this box said at `millis`.
    fn hears_late(&mut self, heartbeat: Heartbeat, millis: u64) {
        let proof = Some(Instant::from_millis(millis));
        self.step(Event::Heartbeat(LINK, Heard { heartbeat, proof }));
    }

    /// The box that was home boots anew.
    fn hears_the_next_boot_serve(&mut self) {
        self.waits(700);
        let heard = Some(self.node.epoch());
        self.hears(Heartbeat { role: Role::Active, heard, ..home(NEW, 3) });
        assert_eq!(
            self.node.peer().last_heartbeat().map(|word| word.epoch).map(|epoch| epoch.boot),
            Some(NEW)
        );
    }

    fn sees_off(&mut self, asked: Tag) {
        let at = Instant::from_millis(self.millis);
        self.step(Event::Answer(asked, Answer::PowerOff(at)));
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

fn home(boot: Incarnation, change: u32) -> Heartbeat {
    Heartbeat {
        from: BoxId::First,
        epoch: Epoch { boot, change },
        role: Role::Standby,
        priority: Priority(100),
        term: Term(0),
        fit: true,
        witness: true,
        shoots: false,
        restarts: false,
        request: PeerRequest::Nothing,
        config: Fingerprint::default(),
        system: Fingerprint::default(),
        heard: None,
        hears: LinkSet::default().with(LINK, true),
    }
}

const OLD: Incarnation = Incarnation([0, 200, b'h', b'o']);
const NEW: Incarnation = Incarnation([0, 201, b'h', b'o']);
const LINK: LinkId = LinkId::new(0).expect("there is a first link");
