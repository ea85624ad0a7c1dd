//! All that can happen to a box, in any order: heartbeats of a peer that lies, orders, answers to questions that were
//! never asked, and time that jumps.
//!
//! The peer has the key, and means harm; nothing that it says may bring the machine down, keep it busy, or make it
//! start without evidence.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use firmware_agnostic::evidence::{Evidence, Require};
use firmware_agnostic::heartbeat::{
    Epoch, Fingerprint, Heartbeat, Incarnation, LinkSet, PeerRequest, Priority, Role, Term,
};
use firmware_agnostic::identity::{BoxId, LINKS_MAX, LinkId, RESOURCES_MAX, ResourceId};
use firmware_agnostic::journal::{Expiry, Journal, StandingOrder};
use firmware_agnostic::node::fencing::LastLoss;
use firmware_agnostic::node::{ACTIONS_MAX, Action, Answer, Event, Node, Tag};
use firmware_agnostic::order::{Order, OrderDuration};
use firmware_agnostic::receiver::Heard;
use firmware_agnostic::recovery::{OnFailure, Policy};
use firmware_agnostic::report::{Cause, Report};
use firmware_agnostic::settings::AutoFailback;
use firmware_agnostic::settings::{AtBoot, Settings, Times, Timing};
use firmware_agnostic::time::Instant;

/// A life of one box.
pub fn node(bytes: &[u8]) {
    let _ = live(&mut Unstructured::new(bytes));
}

fn live(life: &mut Unstructured<'_>) -> Result<()> {
    let settings = settings(life)?;
    let last_life = if life.arbitrary()? { Some(journal(life)?) } else { None };
    let mut now = Instant::from_millis(1_000);
    let mut node = Node::new(settings.clone(), ME, last_life, now);
    let mut questions = Questions::default();
    // Where there are no bytes left, the same zero would be read for ever.
    while !life.is_empty() {
        now = later(life, now, node.next_deadline())?;
        let event = event(life, &node, &questions, now)?;
        let actions = node.step(event, now);
        assert!(actions.len() < ACTIONS_MAX, "no room is left: {actions:?}");
        assert!(node.next_deadline() > now, "it would be woken at once, again and again");
        for (place, action) in actions.iter().enumerate() {
            if let Action::Start(tag) = action {
                let before = &actions[..place];
                starts_on_evidence(&settings, &node, &questions, event, before, *tag);
            }
        }
        actions.iter().for_each(|action| questions.note(action));
        // The supervisor ends, or the machine does.
        if actions
            .iter()
            .any(|action| matches!(action, Action::Leave | Action::Reset | Action::Upgrade))
        {
            break;
        }
    }
    Ok(())
}

/// One holder, as far as one box can see it: what it tells as its evidence is what has just happened.
fn starts_on_evidence(
    settings: &Settings,
    node: &Node,
    questions: &Questions,
    event: Event,
    before: &[Action],
    tag: Tag,
) {
    let told = before.iter().find_map(|action| match action {
        Action::Tell(Report::Changed(change)) if change.to == Role::Starting => Some(change.cause),
        _ => None,
    });
    let Some(Cause::Evidence(evidence)) = told else { panic!("a start for no reason: {told:?}") };
    let word = node.peer().last_heartbeat();
    let seen = match evidence {
        Evidence::Released => word.is_some_and(|word| {
            matches!(word.role, Role::Standby | Role::Failed)
                && !matches!(word.request, PeerRequest::Fence | PeerRequest::Maintenance)
                && word.heard.is_some_and(|heard| {
                    heard.boot == ME
                        && (word.request == PeerRequest::Leave || heard.change + 1 == tag)
                })
        }),
        Evidence::Fenced => match event {
            Event::Answer(tag, Answer::PowerOff(_)) => questions.look == Some(tag),
            Event::Answer(tag, Answer::Fenced(_)) => questions.shot == Some(tag),
            Event::SeenOff(_) => true,
            _ => false,
        },
        Evidence::Dark => {
            settings.require != Require::Fenced
                && node.peer().lines_dropped()
                && matches!(event, Event::Answer(tag, Answer::PowerSilent) if questions.look == Some(tag))
        }
        Evidence::Silence => settings.require == Require::Silence,
        Evidence::Operator => event == Event::Order(Order::Confirm(settings.me.other())),
    };
    assert!(seen, "started on {evidence:?} that nobody has seen: {event:?} {word:?}");
    assert!(node.fit() || before.is_empty(), "an unfit box starts");
}

/// What was asked last.
#[derive(Default)]
struct Questions {
    group: Option<Tag>,
    look: Option<Tag>,
    shot: Option<Tag>,
}

impl Questions {
    fn note(&mut self, action: &Action) {
        match action {
            Action::Adopt(tag) | Action::Start(tag) | Action::Stop(tag) => self.group = Some(*tag),
            Action::LookAtPower(tag) => self.look = Some(*tag),
            Action::Fence(tag) => self.shot = Some(*tag),
            _ => {}
        }
    }

    /// The tag of an answer: of what was asked, or any other.
    fn tag(&self, life: &mut Unstructured<'_>) -> Result<Tag> {
        let asked = *life.choose(&[self.group, self.look, self.shot, None])?;
        asked.map_or_else(|| life.arbitrary(), Ok)
    }
}

fn later(life: &mut Unstructured<'_>, now: Instant, deadline: Instant) -> Result<Instant> {
    Ok(match life.int_in_range(0..=5)? {
        0 => now,
        1 | 2 => deadline.max(now),
        3 => now + Duration::from_millis(life.arbitrary::<u8>()?.into()),
        4 => now + Duration::from_micros(life.arbitrary::<u32>()?.into()),
        _ => now + Duration::from_secs(life.arbitrary::<u16>()?.into()),
    })
}

fn event(
    life: &mut Unstructured<'_>,
    node: &Node,
    questions: &Questions,
    now: Instant,
) -> Result<Event> {
    Ok(match life.int_in_range(0..=14)? {
        0 | 1 => Event::Heartbeat(link(life)?, heard(life, node, now)?),
        2 => Event::Timeout,
        3 | 4 => {
            let (resource, at) = (resource(life)?, before(life, now)?);
            let answer = *life.choose(&[
                Answer::Started,
                Answer::Adopted,
                Answer::NotAdopted,
                Answer::Stopped,
                Answer::PowerOff(at),
                Answer::PowerOn,
                Answer::PowerUnknown,
                Answer::PowerSilent,
                Answer::Fenced(at),
                Answer::FenceFailed,
                Answer::PoweredOn,
                Answer::PowerOnFailed,
                Answer::StartFailed(resource),
                Answer::StopFailed(resource),
            ])?;
            Event::Answer(questions.tag(life)?, answer)
        }
        5 => Event::ResourceFailed(resource(life)?),
        6 => Event::Gate { closed: life.arbitrary()? },
        7 => Event::Line(link(life)?, life.arbitrary()?),
        8 => Event::Witness(life.arbitrary()?),
        9 => Event::LastLoss(*life.choose(&[
            LastLoss::Ordered,
            LastLoss::Unclear,
            LastLoss::None,
        ])?),
        10 => Event::SeenOff(before(life, now)?),
        11 => Event::SeenOn,
        12 => Event::OwesPower(Duration::from_millis(life.arbitrary::<u16>()?.into())),
        13 => match life.int_in_range(0..=2)? {
            0 => Event::Ready(questions.tag(life)?),
            1 => Event::Startable(resource(life)?, life.arbitrary()?),
            _ => Event::Hangs(life.arbitrary()?),
        },
        _ => Event::Order(order(life)?),
    })
}

/// A time that is over, and seldom one that is to come.
fn before(life: &mut Unstructured<'_>, now: Instant) -> Result<Instant> {
    let time = Duration::from_millis(life.arbitrary::<u16>()?.into());
    Ok(match life.int_in_range(0..=7)? {
        0 => now + time,
        1 | 2 => now,
        _ => Instant::from_micros(now.as_micros().saturating_sub(time.as_micros() as u64)),
    })
}

fn heard(life: &mut Unstructured<'_>, node: &Node, now: Instant) -> Result<Heard> {
    let heartbeat = heartbeat(life, node)?;
    let proof = if life.arbitrary()? { Some(before(life, now)?) } else { None };
    Ok(Heard { heartbeat, proof })
}

fn heartbeat(life: &mut Unstructured<'_>, node: &Node) -> Result<Heartbeat> {
    let mine = node.epoch();
    let heard = match life.int_in_range(0..=3)? {
        0 => None,
        1 => Some(Epoch { boot: boot(life)?, change: life.arbitrary()? }),
        2 => {
            Some(Epoch { change: mine.change.wrapping_sub(life.arbitrary::<u8>()?.into()), ..mine })
        }
        _ => Some(mine),
    };
    let mut hears = LinkSet::default();
    for _ in 0..life.int_in_range(0..=2)? {
        hears = hears.with(link(life)?, true);
    }
    Ok(Heartbeat {
        from: *life.choose(&[BoxId::Second, BoxId::Second, BoxId::First])?,
        epoch: Epoch { boot: boot(life)?, change: life.arbitrary()? },
        role: role(life)?,
        priority: Priority(life.arbitrary()?),
        term: Term(life.arbitrary()?),
        fit: life.arbitrary()?,
        witness: life.arbitrary()?,
        shoots: life.arbitrary()?,
        restarts: life.arbitrary()?,
        request: request(life)?,
        config: Fingerprint([life.arbitrary::<bool>()?.into(), 0, 0, 0]),
        system: Fingerprint::default(),
        heard,
        hears,
    })
}

fn order(life: &mut Unstructured<'_>) -> Result<Order> {
    let time = Duration::from_micros(life.arbitrary()?);
    let until =
        *life.choose(&[OrderDuration::Reboot, OrderDuration::Time(time), OrderDuration::Resume])?;
    Ok(*life.choose(&[
        Order::Standby(until),
        Order::Takeover(until),
        Order::Maintenance(until),
        Order::Failback,
        Order::Resume,
        Order::Clear,
        Order::Confirm(BoxId::First),
        Order::Confirm(BoxId::Second),
        Order::Leave,
        Order::Upgrade,
    ])?)
}

fn settings(life: &mut Unstructured<'_>) -> Result<Settings> {
    let keepalive = Duration::from_micros(life.int_in_range(1_001..=500_000)?);
    let times = Times {
        keepalive,
        warntime: keepalive * 5 / 2,
        deadtime: keepalive * 5,
        initdead: Duration::from_secs(60),
        fence_time: Duration::from_secs(life.int_in_range(0..=20)?),
        baud: None,
    };
    let policy = Policy {
        on_failure: *life.choose(&[
            OnFailure::Ignore,
            OnFailure::Restart,
            OnFailure::Failover,
            OnFailure::Standby,
            OnFailure::Fence,
        ])?,
        threshold: life.int_in_range(1..=3)?,
        forget_after: *life.choose(&[None, Some(Duration::from_secs(60)), Some(Duration::ZERO)])?,
    };
    let resources = life.int_in_range(0..=RESOURCES_MAX)?;
    Ok(Settings {
        me: BoxId::First,
        priority: Priority(life.arbitrary()?),
        auto_failback: *life.choose(&[
            AutoFailback::On,
            AutoFailback::Off,
            AutoFailback::Manual,
        ])?,
        failback_hold: Duration::from_millis(life.arbitrary::<u16>()?.into()),
        require: *life.choose(&[Require::Fenced, Require::Dark, Require::Silence])?,
        dark_time: Duration::from_millis(life.arbitrary::<u16>()?.into()),
        restart_time: Duration::from_millis(life.arbitrary::<u16>()?.into()),
        at_boot: *life.choose(&[AtBoot::Wait, AtBoot::Fence])?,
        timing: Timing::new(times).expect("these times are in order"),
        links: life.int_in_range(1..=LINKS_MAX)?,
        resources: core::iter::repeat_n(policy, resources).collect(),
        config: Fingerprint::default(),
        system: Fingerprint::default(),
    })
}

fn journal(life: &mut Unstructured<'_>) -> Result<Journal> {
    Ok(Journal {
        term: Term(life.arbitrary()?),
        role: role(life)?,
        clean: life.arbitrary()?,
        peer: if life.arbitrary()? { Some(role(life)?) } else { None },
        fenced: life.arbitrary()?,
        order: if life.arbitrary()? { Some(standing(life)?) } else { None },
        life: *life.choose(&[EARLIER, ME, LATER])?,
        peer_life: boot(life)?,
        armed: life.arbitrary()?,
        failed_stays: life.arbitrary()?,
        power_on: if life.arbitrary()? {
            Some(Instant::from_millis(life.arbitrary::<u16>()?.into()))
        } else {
            None
        },
        this_boot: life.arbitrary()?,
    })
}

fn standing(life: &mut Unstructured<'_>) -> Result<StandingOrder> {
    let until = match life.int_in_range(0..=2)? {
        0 => Expiry::Resume,
        1 => Expiry::Reboot,
        _ => Expiry::At(Instant::from_micros(life.arbitrary()?)),
    };
    Ok(StandingOrder { request: request(life)?, until })
}

fn role(life: &mut Unstructured<'_>) -> Result<Role> {
    Ok(*life.choose(&[
        Role::Init,
        Role::Standby,
        Role::Fencing,
        Role::Starting,
        Role::Active,
        Role::Stopping,
        Role::Failed,
    ])?)
}

fn request(life: &mut Unstructured<'_>) -> Result<PeerRequest> {
    Ok(*life.choose(&[
        PeerRequest::Nothing,
        PeerRequest::HandOver,
        PeerRequest::Standby,
        PeerRequest::Claim,
        PeerRequest::Leave,
        PeerRequest::Fence,
        PeerRequest::Maintenance,
    ])?)
}

fn boot(life: &mut Unstructured<'_>) -> Result<Incarnation> {
    Ok(*life.choose(&[
        Incarnation([0, 5, 1, 1]),
        Incarnation([0, 5, 1, 1]),
        Incarnation([0, 6, 1, 1]),
        Incarnation([0, 5, 2, 2]),
        ME,
    ])?)
}

fn link(life: &mut Unstructured<'_>) -> Result<LinkId> {
    Ok(LinkId::new(life.int_in_range(0..=LINKS_MAX - 1)?).expect("below the most"))
}

fn resource(life: &mut Unstructured<'_>) -> Result<ResourceId> {
    Ok(ResourceId::new(life.int_in_range(0..=RESOURCES_MAX - 1)?).expect("below the most"))
}

const EARLIER: Incarnation = Incarnation([0, 7, 7, 7]);
const ME: Incarnation = Incarnation([0, 8, 8, 8]);
const LATER: Incarnation = Incarnation([0, 9, 9, 9]);
