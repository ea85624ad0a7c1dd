//! What does a box become when it boots? Every journal, every peer, every power: section 4.5 of the design, as a table.
//!
//! What is expected is the rule as it is written, and not what the machine says. `boot.table` beside this file shows it to
//! people; `TWOBOX_WRITE=1 cargo test -p tests --test boot` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use firmware_agnostic::heartbeat::{Asks, Boot, Epoch, Heartbeat, Priority, Role, Term};
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::journal::{End, Journal, Standing};
use firmware_agnostic::node::{Action, Answer, Event, Node};
use firmware_agnostic::settings::{AtBoot, Settings};
use firmware_agnostic::time::Instant;

use tests::world::sample;

#[test]
fn what_a_box_becomes_when_it_boots() {
    let mut rows: BTreeMap<String, BTreeMap<String, &'static str>> = BTreeMap::new();
    let mut cases = 0;
    for case in every_case() {
        let (expected, seen) = (expected(&case), boot(&case));
        assert_eq!(seen, expected, "{case:?}");
        let (row, column) = (case.row(), case.column());
        let known = rows.entry(row).or_default().insert(column, seen.word());
        assert!(known.is_none_or(|known| known == seen.word()), "the table hides {case:?}");
        cases += 1;
    }
    let told = table(&rows, cases);
    println!("{told}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/boot.table");
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
    // A box that was shot never shoots back before it has heard its peer once. Its BMC tells of the last loss of power
    // only: so its journal must tell that it had heard the peer since any earlier one, and if the BMC tells nothing, that
    // it left in order.
    let had_heard = journal.is_some_and(|journal| journal.peer.is_some());
    let was_not_shot = match case.shot {
        Some(shot) => !shot,
        None => journal.is_some_and(|journal| journal.clean),
    };
    let shoots = case.at_boot == AtBoot::Fence && had_heard && was_not_shot;
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
    let [settings, _] = sample::pair();
    let settings = Settings { at_boot: case.at_boot, ..settings };
    let (mut now, mut shoots) = (Instant::from_millis(10_000), false);
    let end = now + Duration::from_secs(60);
    let mut node = Node::new(settings, Boot(*b"mine"), case.journal, now);
    let mut events: Vec<Event> = vec![Event::Timeout];
    events.extend(case.shot.map(Event::WasShot));
    let mut says_at = now + Duration::from_secs(1);
    while now < end {
        if events.is_empty() {
            now = node.next_deadline().min(says_at).max(now);
            events.push(Event::Timeout);
            if now >= says_at {
                says_at = now + Duration::from_millis(200);
                events.extend(case.word(&node, now).map(|word| Event::Heartbeat(LINK, word)));
            }
        }
        for event in std::mem::take(&mut events) {
            for action in node.step(event, now) {
                shoots |= matches!(action, Action::Fence(_));
                events.extend(case.answer(action));
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
    shot: Option<bool>,
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
    const fn word(self) -> &'static str {
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
    fn answer(&self, action: Action) -> Option<Event> {
        let (tag, answer) = match (action, self.power) {
            (Action::Start(tag), _) => (tag, Answer::Started),
            // Nothing is left after a boot.
            (Action::Adopt(tag), _) => (tag, Answer::NotAdopted),
            (Action::Stop(tag), _) => (tag, Answer::Stopped),
            (Action::LookAtPower(tag), Power::Off) => (tag, Answer::PowerOff),
            (Action::LookAtPower(tag), Power::On) => (tag, Answer::PowerOn),
            (Action::LookAtPower(tag), Power::Unknown) => (tag, Answer::PowerUnknown),
            (Action::Fence(tag), Power::Unknown) => (tag, Answer::FenceFailed),
            (Action::Fence(tag), _) => (tag, Answer::Fenced),
            _ => return None,
        };
        Some(Event::Answer(tag, answer))
    }

    /// What the peer says, which hears everything.
    fn word(&self, node: &Node, now: Instant) -> Option<Heartbeat> {
        let mine = node.heartbeat(now);
        let word = Heartbeat {
            from: BoxId::Second,
            epoch: Epoch { boot: Boot(*b"peer"), change: 7 },
            role: Role::Standby,
            priority: Priority(50),
            term: Term(0),
            fit: true,
            asks: Asks::Nothing,
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
        let shot = match self.shot {
            None => "the BMC does not know",
            Some(true) => "this box was shot",
            Some(false) => "it was not",
        };
        match self.peer {
            Peer::NotHeard => {
                format!("not heard, {:?}; at_boot = {:?}; {shot}", self.power, self.at_boot)
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
            Some(Journal { peer: None, .. }) => "2 never heard",
            Some(Journal { clean: false, .. }) => "3 heard, died",
            Some(Journal { clean: true, .. }) => "4 heard, left",
        };
        column.to_owned()
    }
}

fn every_case() -> impl Iterator<Item = Case> {
    let shots = [None, Some(false), Some(true)];
    let powers = [Power::Off, Power::On, Power::Unknown];
    let rest = shots.into_iter().flat_map(move |shot| {
        powers.into_iter().flat_map(move |power| {
            [AtBoot::Wait, AtBoot::Fence].map(|at_boot| (shot, power, at_boot))
        })
    });
    let all: Vec<_> = rest.collect();
    every_journal().into_iter().flat_map(move |journal| {
        let rest = all.clone();
        PEERS.into_iter().flat_map(move |peer| {
            let case = move |(shot, power, at_boot)| Case { journal, peer, power, shot, at_boot };
            rest.clone().into_iter().map(case)
        })
    })
}

fn every_journal() -> Vec<Option<Journal>> {
    let mut journals = vec![None];
    for role in ROLES {
        for bits in 0..4 {
            for peer in [None, Some(Role::Standby), Some(Role::Active)] {
                for asks in [None, Some(Asks::Standby), Some(Asks::Maintenance)] {
                    let order = asks.map(|asks| Standing { asks, until: End::Resume });
                    let (clean, fenced) = (bits & 1 != 0, bits & 2 != 0);
                    journals.push(Some(Journal { term: TERM, role, clean, peer, fenced, order }));
                }
            }
        }
    }
    journals
}

fn table(rows: &BTreeMap<String, BTreeMap<String, &'static str>>, cases: usize) -> String {
    let columns = ["none", "never heard", "heard, died", "heard, left", "an order"];
    let mut told =
        format!("{cases} cases; what the journal of the last life says stands above\n\n");
    let mut line = |row: &str, cells: &[&str]| {
        let cells =
            cells.iter().fold(format!("{row:<66}"), |line, cell| format!("{line} {cell:<15}"));
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
