//! Boots a box with every journal, every peer and every power: section 4.5 of the design, as a table.
//!
//! What is expected is the rule as it is written, and not what the machine says. `boot.table` beside this file
//! shows it to people; `TWOBOX_WRITE=1 cargo test -p simulation --test boot` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use firmware_agnostic::heartbeat::{
    Epoch, Heartbeat, Incarnation, PeerRequest, Priority, Role, Term,
};
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::journal::{Expiry, Journal, StandingOrder};
use firmware_agnostic::node::fencing::LastLoss;
use firmware_agnostic::node::{Action, Answer, Event, Node};
use firmware_agnostic::receiver::Heard;
use firmware_agnostic::settings::{AtBoot, Settings};
use firmware_agnostic::time::Instant;

use simulation::fixtures;

#[test]
fn what_a_box_becomes_when_it_boots() {
    let mut rows: BTreeMap<String, BTreeMap<String, &'static str>> = BTreeMap::new();
    let mut cases = 0;
    for case in every_case() {
        let (expected, seen) = (expected(&case), boot(&case));
        assert_eq!(seen, expected, "{case:?}");
        let (row, column) = (case.row(), case.column());
        let known = rows.entry(row).or_default().insert(column, seen.label());
        assert!(known.is_none_or(|known| known == seen.label()), "the table hides {case:?}");
        cases += 1;
    }
    let told = table(&rows, cases);
    println!("{told}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/boot.table");
    if env::var_os("TWOBOX_WRITE").is_some() {
        fs::write(&path, &told).expect("the folder of the tests can be written");
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == told, "boot.table differs:\n{told}");
}

/// The rule, sentence by sentence.
fn expected(case: &Case) -> Outcome {
    let wait = Outcome { role: Role::Fencing, shoots: false };
    let stand_by = Outcome { role: Role::Standby, shoots: false };
    let serve = Outcome { role: Role::Active, shoots: false };
    let journal = case.journal;
    // An operator's order that is to outlive a reboot does: this box takes nothing, and so has no reason to shoot.
    if journal.is_some_and(|journal| journal.order.is_some()) {
        return stand_by;
    }
    // A box that was shot never shoots back before it has heard its peer once. That it was not shot is certain only
    // if the life before was armed, and if the power was not lost since: the kernel runs on, or its own device says
    // so.
    let was_armed = journal.is_some_and(|journal| journal.armed);
    let kept =
        journal.is_some_and(|journal| journal.this_boot) || case.loss == Some(LastLoss::None);
    let shoots = case.at_boot == AtBoot::Fence && was_armed && kept;
    match (case.peer, case.power) {
        // Peer heard: obey. Both idle: priority decides.
        (Peer::Serves { .. } | Peer::Idle { below: false }, _) => stand_by,
        // Peer not heard: off is evidence; on means to wait, unless this box is to shoot and may.
        (Peer::Idle { below: true } | Peer::Failed, _) | (Peer::NotHeard, Power::Off) => serve,
        (Peer::NotHeard, Power::On) if shoots => Outcome { shoots, ..serve },
        // What cannot be seen off is no evidence, shot or not.
        (Peer::NotHeard, Power::Unknown) if shoots => Outcome { shoots, ..wait },
        (Peer::NotHeard, Power::On | Power::Unknown) => wait,
    }
}

/// Boots a box, and lets a minute pass, in which the peer goes on saying what it says.
fn boot(case: &Case) -> Outcome {
    let [settings, _] = fixtures::pair();
    let settings = Settings { at_boot: case.at_boot, ..settings };
    let (mut now, mut shoots) = (Instant::from_millis(10_000), false);
    let end = now + Duration::from_secs(60);
    let mut node = Node::new(settings, Incarnation(*b"mine"), case.journal, now);
    let mut events: Vec<Event> = vec![Event::Timeout];
    events.extend(case.loss.map(Event::LastLoss));
    let mut says_at = now + Duration::from_millis(200);
    while now < end {
        if events.is_empty() {
            now = node.next_deadline().min(says_at).max(now);
            events.push(Event::Timeout);
            if now >= says_at {
                says_at = now + Duration::from_millis(200);
                let heard = |heartbeat| Heard { heartbeat, proof: Some(now) };
                events.extend(case.word(&node, now).map(|it| Event::Heartbeat(LINK, heard(it))));
            }
        }
        for event in std::mem::take(&mut events) {
            for action in node.step(event, now) {
                shoots |= matches!(action, Action::Cut(_));
                events.extend(case.answer(action, now));
            }
        }
    }
    Outcome { role: node.role(), shoots }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    journal: Option<Journal>,
    peer: Peer,
    power: Power,
    /// What the BMC of this box knows, if it can be asked.
    loss: Option<LastLoss>,
    at_boot: AtBoot,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Peer {
    NotHeard,
    Idle { below: bool },
    Serves { term: Term },
    Failed,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Power {
    Off,
    On,
    Unknown,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Outcome {
    role: Role,
    shoots: bool,
}

impl Outcome {
    const fn label(self) -> &'static str {
        match (self.role, self.shoots) {
            (Role::Active, false) => "serves",
            (Role::Active, true) => "shoots, serves",
            (Role::Standby, false) => "stands by",
            (Role::Fencing, false) => "waits",
            (Role::Fencing, true) => "shoots, waits",
            _ => "?",
        }
    }
}

impl Case {
    fn answer(&self, action: Action, now: Instant) -> Option<Event> {
        let (tag, answer) = match (action, self.power) {
            (Action::Start(tag), _) => (tag, Answer::Started),
            // Nothing is left after a boot.
            (Action::Adopt(tag), _) => (tag, Answer::NotAdopted),
            (Action::Stop(tag), _) => (tag, Answer::Stopped),
            (Action::LookAtPower(tag), Power::Off) => (tag, Answer::PowerOff(now)),
            (Action::LookAtPower(tag), Power::On) => (tag, Answer::PowerOn),
            (Action::LookAtPower(tag), Power::Unknown) => (tag, Answer::PowerUnknown),
            (Action::Fence(tag), _) => return Some(Event::Ready(tag)),
            (Action::Cut(tag), Power::Unknown) => (tag, Answer::FenceFailed),
            (Action::Cut(tag), _) => (tag, Answer::Fenced(now)),
            _ => return None,
        };
        Some(Event::Answer(tag, answer))
    }

    /// What the peer says, which hears everything.
    fn word(&self, node: &Node, now: Instant) -> Option<Heartbeat> {
        let mine = node.heartbeat(now);
        let word = Heartbeat {
            from: BoxId::Second,
            epoch: Epoch { boot: Incarnation(*b"peer"), change: 7 },
            role: Role::Standby,
            priority: Priority(50),
            term: Term(0),
            fit: true,
            request: PeerRequest::Nothing,
            heard: Some(mine.epoch),
            hears: mine.hears.with(LINK, true),
            ..mine
        };
        match self.peer {
            Peer::NotHeard => None,
            Peer::Idle { below: true } => Some(word),
            Peer::Idle { below: false } => Some(Heartbeat { priority: Priority(200), ..word }),
            Peer::Serves { term } => Some(Heartbeat { role: Role::Active, term, ..word }),
            Peer::Failed => Some(Heartbeat { role: Role::Failed, fit: false, ..word }),
        }
    }

    fn row(&self) -> String {
        let loss = match self.loss {
            None => "the BMC does not know",
            Some(LastLoss::Ordered) => "this box was shot",
            Some(LastLoss::Unclear) => "it was off",
            Some(LastLoss::None) => "it was not off",
        };
        match self.peer {
            Peer::NotHeard => {
                format!("not heard, {:?}; at_boot = {:?}; {loss}", self.power, self.at_boot)
            }
            Peer::Idle { below: true } => "idle, and ranks lower".to_owned(),
            Peer::Idle { below: false } => "idle, and ranks higher".to_owned(),
            Peer::Serves { term } => format!("serves in term {}", term.0),
            Peer::Failed => "failed".to_owned(),
        }
    }

    fn column(&self) -> String {
        let column = match self.journal {
            None => "1 none",
            Some(Journal { order: Some(_), .. }) => "5 an order",
            Some(Journal { armed: false, .. }) => "2 not armed",
            Some(Journal { this_boot: false, .. }) => "3 armed, booted",
            Some(Journal { this_boot: true, .. }) => "4 armed, runs on",
        };
        column.to_owned()
    }
}

fn every_case() -> impl Iterator<Item = Case> {
    let losses = [None, Some(LastLoss::None), Some(LastLoss::Unclear), Some(LastLoss::Ordered)];
    let powers = [Power::Off, Power::On, Power::Unknown];
    let rest = losses.into_iter().flat_map(move |loss| {
        powers.into_iter().flat_map(move |power| {
            [AtBoot::Wait, AtBoot::Fence].map(|at_boot| (loss, power, at_boot))
        })
    });
    let all: Vec<_> = rest.collect();
    every_journal().into_iter().flat_map(move |journal| {
        let rest = all.clone();
        PEERS.into_iter().flat_map(move |peer| {
            let case = move |(loss, power, at_boot)| Case { journal, peer, power, loss, at_boot };
            rest.clone().into_iter().map(case)
        })
    })
}

fn every_journal() -> Vec<Option<Journal>> {
    let mut journals = vec![None];
    for role in ROLES {
        for bits in 0..8 {
            let [clean, armed, this_boot] = [1, 2, 4].map(|bit| bits & bit != 0);
            for request in [None, Some(PeerRequest::Standby), Some(PeerRequest::Maintenance)] {
                let order = request.map(|request| StandingOrder { request, until: Expiry::Resume });
                let journal = Journal {
                    term: TERM,
                    role,
                    clean,
                    order,
                    armed,
                    this_boot,
                    ..Journal::default()
                };
                journals.push(Some(journal));
            }
        }
    }
    journals
}

fn table(rows: &BTreeMap<String, BTreeMap<String, &'static str>>, cases: usize) -> String {
    let columns = ["none", "not armed", "armed, booted", "armed, runs on", "an order"];
    let mut told =
        format!("{cases} cases; what the journal of the last life says stands above\n\n");
    let mut line = |row: &str, cells: &[&str]| {
        let cells =
            cells.iter().fold(format!("{row:<66}"), |line, cell| format!("{line} {cell:<16}"));
        let _ = writeln!(told, "{}", cells.trim_end());
    };
    line("the peer is", &columns);
    for (row, cells) in rows {
        line(row, &cells.values().copied().collect::<Vec<_>>());
    }
    told
}

const PEERS: [Peer; 6] = [
    Peer::NotHeard,
    Peer::Idle { below: true },
    Peer::Idle { below: false },
    Peer::Serves { term: Term(3) },
    Peer::Serves { term: Term(9) },
    Peer::Failed,
];
const ROLES: [Role; 7] = [
    Role::Init,
    Role::Standby,
    Role::Fencing,
    Role::Starting,
    Role::Active,
    Role::Stopping,
    Role::Failed,
];
/// Between the terms in which the peer may serve.
const TERM: Term = Term(5);
const LINK: LinkId = LinkId::new(0).expect("there is a first link");
