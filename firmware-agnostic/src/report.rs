//! What is told to people: one line for every decision and every loss of redundancy.
//!
//! The core knows no names; [`Names`] brings them, and every line can then be written without an
//! allocator. The supervisor's log and the simulator's traces are the same lines.

use core::fmt::{self, Display};
use core::time::Duration;

use crate::evidence::Evidence;
use crate::heartbeat::{Epoch, LinkSet, Role, Term};
use crate::identity::{BoxId, LinkId, ResourceId};
use crate::order::Order;
use crate::peer::Carries;

/// Something worth a line.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Report {
    /// The role changed.
    Changed(Change),
    /// The peer is overdue.
    Late(Duration),
    /// A link carries more or less than before.
    Link(LinkId, Carries),
    /// This box did not run for a while.
    Stalled(Duration),
    /// The peer's power was ordered off.
    Shooting {
        /// As a drill, after which it gets its power back.
        drill: bool,
    },
    /// The peer's power was seen off.
    Fenced,
    /// The peer's power could not be seen off.
    FenceFailed {
        /// The next try comes after this time.
        again: Duration,
        /// This box serves meanwhile.
        serves: bool,
    },
    /// The peer's power could not be seen off, as an operator wants, and the peer talks.
    NotFenced,
    /// A shot was called off, and the peer's power is on.
    CalledOff,
    /// The peer says that it has ordered the power of this box off.
    ShotAt,
    /// The peer talks, and a device says that its power is off.
    OffAndTalks,
    /// The witness answers, or does not.
    Witness(bool),
    /// The line or carrier of a link came, or went.
    Line(LinkId, bool),
    /// The peer is silent, and its power is on or unknown, and this box may not shoot.
    Waiting,
    /// The same, though it is to shoot after boot: this is missing for it.
    WaitingUnarmed(Unarmed),
    /// The peer talks, and does not hear this box.
    PeerDeaf,
    /// The supervisor of the peer has died, and its guard speaks.
    PeerRestarts {
        /// Something runs there that must run on one box only.
        holds: bool,
        /// For so long it is waited for.
        within: Duration,
    },
    /// Two machines speak under the name of the peer.
    Twins(LinkId),
    /// The resources should go to the peer by order, and the gate keeps them here.
    GateKeeps,
    /// The peer did not take what this box gave it by order: this box serves until the peer can.
    TakenBack,
    /// The peer is to get its power back.
    PoweringOn,
    /// The peer's power could not be switched on.
    PowerOnFailed {
        /// The next try comes after this time.
        again: Duration,
    },
    /// A resource failed, and is started again.
    Restarting(ResourceId),
    /// A resource failed, and is left as it is.
    Ignored(ResourceId),
    /// A resource that does not run here could not be started now, or could again.
    Startable(ResourceId, bool),
    /// What starts, stops and watches the resources hangs, or works again.
    Hangs(bool),
    /// A resource failed too often.
    TooOften(ResourceId),
    /// A resource failed too often, and is started again because nobody else could serve.
    Insisting(ResourceId),
    /// The peer says that it leaves.
    PeerLeaves,
    /// The peer is gone, and this box may not take over.
    NobodyServes,
    /// A resource could not be stopped.
    StopFailed(ResourceId),
    /// What an earlier life of the supervisor has left could not be stopped.
    Leftover(ResourceId),
    /// The boxes are configured differently.
    ConfigDiffers,
    /// Somebody else says that it is this box.
    Impostor(LinkId),
    /// Home is ready, and waits for an operator.
    HomeReady,
    /// Home has failed so often that the resources stay here.
    LockedOut,
    /// A resource failed, and nothing is done about it during maintenance.
    Frozen(ResourceId),
    /// The time of an operator's order is over.
    OrderEnded,
    /// What this box was when its last life ended.
    LastLife {
        /// Its role.
        role: Role,
        /// It was told to leave.
        clean: bool,
        /// The kernel runs on.
        this_boot: bool,
    },
}

/// What a box lacks that is to shoot after boot a peer that it has not heard (`fencing.at_boot`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Unarmed {
    /// No journal tells that the peer heard this box to the last.
    NotHeardBefore,
    /// Its own fence device has not told how its power was last lost.
    LossUnknown,
    /// Its feed had failed or a person switched it on, so that nobody knows whether it was shot before.
    LossUnclear,
    /// It was shot.
    Shot,
}

/// How much a piece of news matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// An operator must act.
    Error,
    /// Redundancy is lost, or was made use of.
    Warning,
    /// The ordinary course of things.
    Info,
}

/// A change of role.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Change {
    /// What this box was.
    pub from: Role,
    /// What it is now.
    pub to: Role,
    /// Why.
    pub cause: Cause,
    /// Names the new state.
    pub epoch: Epoch,
    /// The term from now on.
    pub term: Term,
}

/// Why the role changed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Cause {
    /// The supervisor has started.
    Boot,
    /// The peer was heard after boot.
    Heard,
    /// The peer was heard again before it was shot.
    HeardAgain,
    /// The peer was not heard since boot.
    NotHeard(Duration),
    /// The peer fell silent on the links that are named.
    Silent(LinkSet, Duration),
    /// The peer asked to be fenced.
    AskedToFence,
    /// The peer can hold nothing.
    Evidence(Evidence),
    /// All resources run.
    Started,
    /// The resources run on that an earlier life of the supervisor has started.
    Adopted,
    /// All resources are stopped.
    Stopped,
    /// This resource did not start.
    StartFailed(ResourceId),
    /// What watches the resources hangs.
    Unwatched,
    /// This resource failed too often.
    ResourceFailed(ResourceId),
    /// No failure is left: they were cleared, or their time is over.
    Recovered,
    /// An operator ordered it here.
    Ordered(Order),
    /// An operator ordered the peer to take over.
    PeerOrdered,
    /// Home has been ready for this long.
    FailbackDue(Duration),
    /// Both boxes held the resources, and the peer goes before.
    DualActive,
    /// The witness of this box does not answer, and that of the peer does.
    WitnessLost,
    /// This box may no longer take over.
    NotEligible,
}

/// The names that the configuration gives to the places the core knows.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Which of the boxes this one is.
    pub me: BoxId,
    /// The boxes.
    pub boxes: [&'a str; 2],
    /// The links.
    pub links: &'a [&'a str],
    /// The resources.
    pub resources: &'a [&'a str],
}

impl<'a> Names<'a> {
    /// The name of the other box.
    pub const fn peer(&self) -> &'a str {
        self.boxes[self.me.other().index()]
    }

    /// The name of `link`.
    pub fn link(&self, link: LinkId) -> &'a str {
        self.links.get(link.index()).copied().unwrap_or("an unknown link")
    }

    /// The name of `resource`.
    pub fn resource(&self, resource: ResourceId) -> &'a str {
        self.resources.get(resource.index()).copied().unwrap_or("an unknown resource")
    }
}

impl Report {
    /// How much this matters.
    pub const fn weight(&self) -> Severity {
        match self {
            Self::FenceFailed { .. }
            | Self::NotFenced
            | Self::NobodyServes
            | Self::Insisting(_)
            | Self::LockedOut
            | Self::Frozen(_)
            | Self::Waiting
            | Self::WaitingUnarmed(_)
            | Self::PeerDeaf
            | Self::Startable(_, false)
            | Self::Hangs(true)
            | Self::Twins(_)
            | Self::GateKeeps
            | Self::TakenBack
            | Self::PowerOnFailed { .. }
            | Self::ShotAt
            | Self::OffAndTalks
            | Self::TooOften(_)
            | Self::StopFailed(_)
            | Self::Leftover(_)
            | Self::Impostor(_)
            | Self::ConfigDiffers => Severity::Error,
            Self::Late(_)
            | Self::PeerRestarts { .. }
            | Self::Stalled(_)
            | Self::Shooting { .. }
            | Self::Fenced
            | Self::CalledOff
            | Self::PoweringOn
            | Self::Restarting(_)
            | Self::Ignored(_)
            | Self::Witness(false)
            | Self::Line(_, false)
            | Self::Link(_, Carries::OneWay | Carries::Nothing) => Severity::Warning,
            Self::Changed(_)
            | Self::Link(_, Carries::BothWays)
            | Self::Witness(true)
            | Self::Line(_, true)
            | Self::HomeReady
            | Self::Startable(_, true)
            | Self::Hangs(false)
            | Self::OrderEnded
            | Self::LastLife { .. }
            | Self::PeerLeaves => Severity::Info,
        }
    }

    /// The line, in the words of the configuration.
    pub const fn line<'n>(&'n self, names: &'n Names<'n>) -> impl Display + 'n {
        ReportLine { report: self, names }
    }
}

struct ReportLine<'n> {
    report: &'n Report,
    names: &'n Names<'n>,
}

impl Display for ReportLine<'_> {
    #[expect(clippy::too_many_lines, reason = "one sentence for each report")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names;
        let peer = names.peer();
        match self.report {
            Report::Changed(change) => {
                write!(f, "{} -> {}: ", change.from, change.to)?;
                change.cause.describe(names, f)
            }
            Report::Late(time) => {
                write!(f, "{peer} is late: silent on every link for {}", Time(*time))
            }
            Report::Link(link, carries) => self.link(names.link(*link), *carries, f),
            Report::Stalled(time) => {
                write!(f, "this box did not run for {}: listening again before acting", Time(*time))
            }
            Report::Shooting { .. } => write!(f, "ordering the power of {peer} off"),
            Report::Fenced => write!(f, "{peer} is fenced: its power was seen off"),
            Report::FenceFailed { again, serves } => {
                write!(f, "{peer} could not be fenced: trying again in {}", Time(*again))?;
                if *serves {
                    return Ok(());
                }
                write!(f, "; nothing starts here: say twobox confirm {peer} if it is off")
            }
            Report::CalledOff => {
                write!(f, "the shot at {peer} was called off, and its power is on")
            }
            Report::PoweringOn => write!(f, "ordering the power of {peer} on"),
            Report::PowerOnFailed { again } => write!(
                f,
                "the power of {peer} could not be switched on: trying again in {}; or do it by hand",
                Time(*again)
            ),
            Report::PeerDeaf => write!(
                f,
                "{peer} talks, and does not hear this box: mend the direction from this box to {peer}"
            ),
            Report::PeerRestarts { holds, within } => {
                let what = if *holds { "what it served runs on" } else { "nothing is held there" };
                let within = Time(*within);
                write!(
                    f,
                    "the supervisor of {peer} has died, and {what}: waiting for it for {within}"
                )
            }
            Report::Twins(link) => write!(
                f,
                "two machines say on link {} that they are {peer}: nothing starts on their word; take one away, and \
                 say twobox confirm {peer} if the other one is off",
                names.link(*link)
            ),
            Report::GateKeeps => write!(
                f,
                "{peer} is told to take over, and a gate keeps the resources here: they move when it opens"
            ),
            Report::TakenBack => write!(
                f,
                "{peer} did not take over: this box serves until {peer} can; its order to stand by stands"
            ),
            Report::NotFenced => write!(f, "{peer} is not fenced, and talks: look at its device"),
            Report::ShotAt => {
                write!(f, "{peer} is cutting the power of this box: this box resets itself at once")
            }
            Report::OffAndTalks => write!(
                f,
                "the power of {peer} is said to be off, and {peer} talks: its fence device holds something else; \
                 correct it"
            ),
            Report::Witness(true) => f.write_str("the witness answers again"),
            Report::Witness(false) => {
                f.write_str("no witness answers: the network of this box is in doubt")
            }
            Report::Line(link, true) => {
                write!(
                    f,
                    "link {}: the line is up: there is power at the other end",
                    names.link(*link)
                )
            }
            Report::Line(link, false) => write!(
                f,
                "link {}: the line has dropped: {peer} has lost its power or closed its end, or the cable was pulled",
                names.link(*link)
            ),
            Report::PeerLeaves => write!(f, "{peer} leaves: it holds nothing, and will be silent"),
            Report::NobodyServes => write!(
                f,
                "nobody serves: neither this box nor {peer} may, by an operator's order or because a resource failed; say \
                 twobox resume or twobox clear"
            ),
            Report::Waiting | Report::WaitingUnarmed(_) => {
                write!(
                    f,
                    "{peer} was not heard since boot, and its power is not seen off: nothing starts here; "
                )?;
                if let Report::WaitingUnarmed(unarmed) = self.report {
                    write!(f, "it is not shot, because {unarmed}; ")?;
                }
                write!(f, "look at it, and say twobox confirm {peer} if it is off")
            }
            Report::Restarting(resource)
            | Report::Ignored(resource)
            | Report::TooOften(resource)
            | Report::Insisting(resource)
            | Report::Startable(resource, _)
            | Report::StopFailed(resource)
            | Report::Leftover(resource)
            | Report::Frozen(resource) => {
                write!(f, "resource {} ", names.resource(*resource))?;
                self.fate(f)
            }
            Report::Hangs(true) => write!(
                f,
                "the thread of the resources hangs: nothing watches them, and they move to {peer} if it can serve"
            ),
            Report::Hangs(false) => f.write_str("the thread of the resources works again"),
            Report::ConfigDiffers => {
                write!(
                    f,
                    "{peer} is configured differently: give both boxes the same file, and say twobox reload on both"
                )
            }
            Report::Impostor(link) => write!(
                f,
                "somebody on link {} says that it is {}: give each box its own name or id",
                names.link(*link),
                names.boxes[names.me.index()]
            ),
            Report::HomeReady => {
                write!(f, "{peer} is home and ready: say twobox failback to move the resources")
            }
            Report::LockedOut => write!(
                f,
                "{peer} is home, and has failed too often to be trusted: mend it, then say twobox failback or resume"
            ),
            Report::OrderEnded => f.write_str("the time of the operator's order is over"),
            Report::LastLife { role, clean: true, .. } => {
                write!(f, "before this start twobox had ended in order, as {role}")
            }
            Report::LastLife { role, this_boot: true, .. } => {
                write!(f, "twobox was started again, and was {role} before")
            }
            Report::LastLife { role, .. } => {
                write!(
                    f,
                    "before this boot twobox had not ended in order (crash or power cut), as {role}"
                )
            }
        }
    }
}

impl Display for Unarmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHeardBefore => "no journal says that it heard this box to the last",
            Self::LossUnknown => "the BMC of this box does not tell how its power was last lost",
            Self::LossUnclear => "this box was off, and it may have been shot before",
            Self::Shot => "this box was shot",
        })
    }
}

impl ReportLine<'_> {
    /// What a link carries from now on.
    fn link(&self, link: &str, carries: Carries, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.names.peer();
        match carries {
            Carries::Nothing => write!(f, "link {link} is silent: {peer} is not heard by it"),
            Carries::OneWay => {
                write!(f, "link {link} carries one way only: {peer} does not hear us by it")
            }
            Carries::BothWays => write!(f, "link {link} carries again"),
        }
    }

    /// What becomes of a resource.
    fn fate(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.names.peer();
        match self.report {
            Report::Restarting(_) => f.write_str("failed: starting it again"),
            Report::Ignored(_) => f.write_str("failed: left as it is"),
            Report::Startable(_, true) => f.write_str("could be started here again"),
            Report::Startable(_, false) => {
                f.write_str("could not be started here: this box is not fit")
            }
            Report::TooOften(_) => f.write_str("failed too often here"),
            Report::Insisting(_) => {
                write!(f, "failed too often here, and {peer} cannot serve: starting it again")
            }
            Report::StopFailed(_) => f.write_str("could not be stopped: this box resets itself"),
            Report::Leftover(_) => write!(
                f,
                "is left from an earlier life and could not be stopped: trying again, and asking {peer} to fence this \
                 box"
            ),
            Report::Frozen(_) => f.write_str("failed during maintenance: nothing is done about it"),
            _ => Ok(()),
        }
    }
}

impl Cause {
    fn describe(&self, names: &Names<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = names.peer();
        match self {
            Self::Boot => f.write_str("booted"),
            Self::Heard => write!(f, "heard {peer}"),
            Self::HeardAgain => write!(f, "heard {peer} again"),
            Self::NotHeard(time) => {
                write!(f, "{peer} not heard for {} since the start", Time(*time))
            }
            Self::Silent(links, time) => {
                f.write_str("silent")?;
                for (place, link) in links.iter().enumerate() {
                    f.write_str(if place == 0 { " on " } else { ", " })?;
                    f.write_str(names.link(link))?;
                }
                write!(f, " for {}", Time(*time))
            }
            Self::AskedToFence => write!(f, "{peer} asks to be fenced"),
            Self::Evidence(Evidence::Released) => write!(f, "{peer} has released"),
            Self::Evidence(Evidence::Fenced) => {
                write!(f, "{peer} is fenced: its power was seen off")
            }
            Self::Evidence(Evidence::Dark) => {
                write!(f, "{peer} is dark: its lines have dropped, and its BMC is silent")
            }
            Self::Evidence(Evidence::Silence) => {
                write!(f, "{peer} is silent, and silence is enough here")
            }
            Self::Evidence(Evidence::Operator) => {
                write!(f, "an operator confirmed that {peer} is off")
            }
            Self::Started => f.write_str("everything runs"),
            Self::Adopted => {
                f.write_str("its services run on, found after a restart of the supervisor")
            }
            Self::Stopped => f.write_str("everything is stopped"),
            Self::StartFailed(resource) => {
                write!(f, "resource {} did not start", names.resource(*resource))
            }
            Self::ResourceFailed(resource) => {
                write!(f, "resource {} failed too often", names.resource(*resource))
            }
            Self::Unwatched => f.write_str("the thread of the resources hangs"),
            Self::Recovered => f.write_str("no failure is left"),
            Self::Ordered(Order::Leave) => f.write_str("told to leave"),
            Self::Ordered(_) => f.write_str("ordered by an operator"),
            Self::PeerOrdered => write!(f, "an operator wants {peer} to serve"),
            Self::FailbackDue(hold) => {
                write!(f, "{peer} is home and has been ready for {}", Time(*hold))
            }
            Self::DualActive => write!(f, "both boxes served, and {peer} goes before"),
            Self::WitnessLost => {
                write!(f, "no witness answers here, and {peer} has its own")
            }
            Self::NotEligible => f.write_str("this box may not take over now"),
        }
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Init => "init",
            Self::Standby => "standby",
            Self::Fencing => "fencing",
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        })
    }
}

/// A time as people say it: `1.0 s`, `250 ms`.
pub struct Time(pub Duration);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis < 1_000 {
            write!(f, "{millis} ms")
        } else {
            write!(f, "{}.{} s", millis / 1_000, millis % 1_000 / 100)
        }
    }
}
