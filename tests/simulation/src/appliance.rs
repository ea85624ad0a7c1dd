//! Holds one simulated box: power, a clock of its own, a supervisor that may die, and resources that outlive it.

use std::collections::{BTreeSet, VecDeque};

use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::journal::Journal;
use firmware_agnostic::node::fencing::LastLoss;
use firmware_agnostic::node::{Action, Event, Node, Tag};
use firmware_agnostic::settings::Settings;
use firmware_agnostic::time::Instant;

use super::checks::Seen;
use super::disk::Disk;
use super::guard::Guard;
use super::wire::{Mailbox, Release};

/// One box.
#[derive(Debug)]
pub struct Appliance {
    /// How it is set up, also after a reboot.
    pub settings: Settings,
    /// What its power does for it.
    pub power: Power,
    /// Something may run here that must run on one box only.
    pub holds: bool,
    /// All of it was started, and none of it was told to stop.
    pub whole: bool,
    /// What of it has died since, by its place.
    pub dead: BTreeSet<usize>,
    /// The supervisor, as long as it lives.
    pub supervisor: Option<Supervisor>,
    /// The guard of the last one, if that died.
    pub guard: Option<Guard>,
    /// Rises with every birth and death; what was set going by an earlier life comes to nothing.
    pub life: u32,
    clock: Clock,
    /// What its resources do not do at present.
    pub refuses: Option<Verb>,
    /// What it remembers.
    pub disk: Disk,
    /// The release of the supervisor that starts here next.
    pub release: Release,
    /// Its witness answers.
    pub witness: bool,
    /// Whether it was shot.
    pub lost: Lost,
    /// How its power last went since a supervisor ran here, as its device tells.
    pub last_loss: LastLoss,
}

/// The clock of a box.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// The time of the world at which it showed `shown`.
    set_at: u64,
    shown: u64,
    /// How much faster it is, in millionths.
    pub skew: i64,
}

impl Clock {
    /// What it shows when it is `now` in the world.
    pub fn local(&self, now: u64) -> Instant {
        let passed = i128::from(now) - i128::from(self.set_at);
        let clock = i128::from(self.shown) + passed + passed * i128::from(self.skew) / 1_000_000;
        Instant::from_micros(u64::try_from(clock).unwrap_or(0))
    }

    /// The first time in the world at which it shows `local`.
    fn world_time(&self, local: Instant) -> u64 {
        let passed = i128::from(local.as_micros()) - i128::from(self.shown);
        let passed = passed * 1_000_000 / (1_000_000 + i128::from(self.skew));
        let mut time = self.set_at + u64::try_from(passed).unwrap_or(0);
        while self.local(time) < local {
            time += 1;
        }
        time
    }
}

impl Appliance {
    /// A box without power.
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            power: Power::Off,
            holds: false,
            whole: false,
            dead: BTreeSet::new(),
            supervisor: None,
            guard: None,
            life: 0,
            clock: Clock { set_at: 0, shown: 0, skew: 0 },
            refuses: None,
            disk: Disk::new(),
            release: Release::Present,
            witness: true,
            lost: Lost::ByItself,
            last_loss: LastLoss::Unclear,
        }
    }

    /// The supervisor, if it still has `life`.
    pub fn alive(&mut self, life: u32) -> Option<&mut Supervisor> {
        if self.life == life { self.supervisor.as_mut() } else { None }
    }

    /// How long ago the newest word was said of each life that was heard here.
    pub fn heard_ages(&self, now: u64) -> Vec<([u8; 4], u64)> {
        self.supervisor.as_ref().map_or(Vec::new(), |it| it.mailbox.ages(now))
    }

    /// Nothing runs here any more.
    pub fn let_go(&mut self) {
        self.holds = false;
        self.whole = false;
        self.dead.clear();
    }

    /// Sets the clock, as a boot does.
    pub const fn set_clock(&mut self, shown: u64, now: u64) {
        (self.clock.shown, self.clock.set_at) = (shown, now);
    }

    /// The clock here.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Sets how much faster the clock here is, in millionths.
    pub const fn set_skew(&mut self, skew: i64) {
        self.clock.skew = skew;
    }

    /// The time here when it is `now` in the world.
    pub fn local(&self, now: u64) -> Instant {
        self.clock.local(now)
    }

    /// The first time in the world at which it is `local` here.
    pub fn world_time(&self, local: Instant) -> u64 {
        self.clock.world_time(local)
    }
}

/// How a box lost its power. What comes after a shot does not undo it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lost {
    /// Nobody ordered it.
    ByItself,
    /// By a shot, and it has not heard its peer since.
    Shot,
    /// By a shot, and it has heard its peer since.
    ShotBefore,
}

/// What the power of a box does for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Power {
    /// It is off, so nothing runs and nothing is held.
    Off,
    /// It is on, and what should run can.
    On,
    /// It is on in vain: nothing runs, and what is held stays held.
    Hangs,
}

/// What can be asked of all resources.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// To start.
    Start,
    /// To stop.
    Stop,
    /// To run on.
    Adopt,
}

/// One life of the supervisor.
#[derive(Debug)]
pub struct Supervisor {
    /// The machine of the product.
    pub node: Node,
    /// When it is going to be woken.
    pub wakes_at: u64,
    /// It does not run at present.
    pub stalled: bool,
    /// What came meanwhile.
    pub inbox: VecDeque<Event>,
    /// Orders to the resources: the first is being carried out.
    pub jobs: VecDeque<Job>,
    /// Its end of the cables.
    pub mailbox: Mailbox,
    /// It has told of a frame that it dropped.
    pub has_dropped: bool,
    /// What is being written into its journal.
    pub writing: Option<Journal>,
    /// What waits for that.
    pub held: VecDeque<Action>,
    /// What its journal says that it is.
    pub recorded: Option<Role>,
    /// What was seen of it, for the checks.
    pub seen: Seen,
    /// The second in which it spoke last, and how often it spoke then.
    pub spoke: (u64, u32),
}

impl Supervisor {
    /// A life that begins.
    pub fn new(node: Node, mailbox: Mailbox, now: u64) -> Self {
        Self {
            node,
            wakes_at: u64::MAX,
            stalled: false,
            inbox: VecDeque::new(),
            jobs: VecDeque::new(),
            mailbox,
            has_dropped: false,
            writing: None,
            held: VecDeque::new(),
            recorded: None,
            seen: Seen::born(now),
            spoke: (0, 0),
        }
    }
}

/// An order to all resources.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Who asked.
    pub tag: Tag,
    /// For what.
    pub verb: Verb,
}
