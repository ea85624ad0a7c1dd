//! Tells an operator what has become of an order: what it did, that it changed nothing, or why it was refused and what
//! can be done instead.

use firmware_agnostic::failback::Failback;
use firmware_agnostic::heartbeat::{Heartbeat, PeerRequest, Role};
use firmware_agnostic::identity::{RESOURCES_MAX, ResourceId};
use firmware_agnostic::node::Node;
use firmware_agnostic::order::{Order, Refusal};
use firmware_agnostic::time::{Instant, Timer};
use smol::channel::Sender;

use crate::observe::status::Surroundings;

/// An order that the node is looking at, and the operator who waits for what becomes of it.
pub(crate) struct PendingOrder {
    reply: Sender<String>,
    order: Order,
    before: OrderState,
    after: Option<(OrderState, Surroundings)>,
}

/// All that an order can change on this box.
#[derive(Clone, Eq, PartialEq)]
struct OrderState {
    role: Role,
    request: PeerRequest,
    until: Option<Instant>,
    failures: u32,
    failback: Failback,
}

impl PendingOrder {
    /// `order` is about to be looked at by `node`.
    pub(crate) fn new(reply: Sender<String>, order: Order, node: &Node) -> Self {
        Self { reply, order, before: OrderState::of(node), after: None }
    }

    /// The same, when the node has looked at it.
    pub(crate) fn noted(self, node: &Node, surroundings: Surroundings) -> Self {
        Self { after: Some((OrderState::of(node), surroundings)), ..self }
    }

    /// Tells the operator, who may have hung up.
    pub(crate) fn answer(self, verdict: Result<(), Refusal>) {
        let text = match verdict {
            Ok(()) => format!("ok\n{}", self.done()),
            Err(refusal) => format!("refused\n{}\n", self.refused(refusal)),
        };
        let _ = self.reply.try_send(text);
    }

    /// What it has done, in lines.
    fn done(&self) -> String {
        let Some((after, Surroundings { names: [me, peer], differs, .. })) = &self.after else {
            return String::new();
        };
        let (before, serves) = (&self.before, self.before.serves());
        let until = if after.until.is_some() { "its time is over or " } else { "" };
        let moves_away = format!("{me} stops the services, and {peer} starts them");
        let line = match self.order {
            // It tells itself how it goes.
            Order::Fence { .. } | Order::Leave => return String::new(),
            Order::Upgrade => "going on as the program on the disk; see twobox status".to_owned(),
            Order::Standby(_) if serves => {
                format!("{moves_away}; {me} takes none until {until}twobox resume is said here")
            }
            Order::Standby(_) if before == after => {
                format!("nothing has changed: {me} is held back already, until twobox resume")
            }
            Order::Standby(_) => format!(
                "{me} is held back: it takes no services until {until}twobox resume is said here"
            ),
            Order::Takeover(_) if before == after => {
                format!("nothing has changed: {me} keeps the services already, until twobox resume")
            }
            Order::Takeover(_) if serves => {
                format!(
                    "{me} serves, and keeps the services until {until}twobox resume is said here"
                )
            }
            Order::Takeover(_) => format!(
                "{peer} stops the services, and {me} starts them and keeps them until {until}twobox resume"
            ),
            Order::Maintenance(_) if before == after => {
                "nothing has changed: in maintenance already, until twobox resume".to_owned()
            }
            Order::Maintenance(_) => format!(
                "in maintenance: nothing happens by itself on both boxes until {until}twobox resume is said here"
            ),
            Order::Failback => moves_away.clone(),
            Order::Resume => self.resumed(after),
            Order::Clear if before.failures == 0 => {
                format!("nothing has changed: no resource of {me} has failed")
            }
            Order::Clear => format!("the failures of {me} are forgotten"),
            Order::Confirm(_) => {
                format!("{peer} counts as off by your word: {me} starts the services")
            }
        };
        let moves = !serves && matches!(self.order, Order::Takeover(_))
            || serves && matches!(self.order, Order::Standby(_) | Order::Failback);
        let warning = if *differs && moves {
            format!("warning: {peer} is configured differently: see twobox check --peer\n")
        } else {
            String::new()
        };
        format!("{line}\n{warning}")
    }

    fn resumed(&self, after: &OrderState) -> String {
        let Some((_, Surroundings { names: [me, peer], peer: heartbeat, .. })) = &self.after else {
            return String::new();
        };
        let theirs = heartbeat.is_some_and(|heartbeat| {
            matches!(
                heartbeat.request,
                PeerRequest::Standby | PeerRequest::Claim | PeerRequest::Maintenance
            )
        });
        let ended = match self.before.request {
            PeerRequest::Standby => "may serve again",
            PeerRequest::Claim => "need not keep the services any more",
            PeerRequest::Maintenance => "is no longer in maintenance",
            _ if self.before.failback != after.failback => {
                return format!("{peer} is trusted as home again");
            }
            _ if theirs => {
                return format!(
                    "nothing has changed: no order stands on {me}, but one on {peer}: say twobox resume there"
                );
            }
            _ => return format!("nothing has changed: no order stands on {me}"),
        };
        format!("{me} {ended}")
    }

    /// Why it was not taken.
    fn refused(&self, refusal: Refusal) -> String {
        let Some((_, Surroundings { names: [_, peer], next, way_out, peer: heartbeat, .. })) =
            &self.after
        else {
            return refusal.to_string();
        };
        match (refusal, way_out, next) {
            (Refusal::Busy, Some(way_out), _) => {
                format!("this box waits for proof that {peer} is off: {way_out}")
            }
            (Refusal::Busy, None, Some(next)) => {
                format!("this box is in the middle of a change, and {next}: see twobox status")
            }
            (Refusal::PeerNotReady, ..) => match heartbeat.as_ref().and_then(unready) {
                Some(why) => format!("{peer} is not ready to serve: {why}"),
                None => refusal.to_string(),
            },
            _ => refusal.to_string(),
        }
    }
}

impl OrderState {
    fn of(node: &Node) -> Self {
        let resources = (0..RESOURCES_MAX).filter_map(ResourceId::new);
        Self {
            role: node.role(),
            request: node.request(),
            until: node.timer(Timer::Order),
            failures: resources.map(|id| u32::from(node.recovery().count(id))).sum(),
            failback: node.failback().clone(),
        }
    }

    const fn serves(&self) -> bool {
        matches!(self.role, Role::Starting | Role::Active)
    }
}

/// Why a box that says this does not take the services.
fn unready(heartbeat: &Heartbeat) -> Option<String> {
    Some(match (heartbeat.request, heartbeat.role) {
        (PeerRequest::Standby, _) => {
            "it is held back by an operator: say twobox resume there".to_owned()
        }
        (PeerRequest::Maintenance, _) => "it is in maintenance: say twobox resume there".to_owned(),
        (PeerRequest::Leave, _) => "it leaves".to_owned(),
        (PeerRequest::Fence, _) => "it asks to be fenced".to_owned(),
        _ if !heartbeat.fit => {
            "a resource has failed there: mend the cause, then say twobox clear there".to_owned()
        }
        (_, Role::Standby) => return None,
        (_, role) => format!("it is {role}"),
    })
}

#[cfg(test)]
mod tests {
    use firmware_agnostic::order::OrderDuration;
    use smol::channel::bounded;

    use super::*;

    #[test]
    fn an_order_says_what_it_did_or_that_it_did_nothing() {
        let [serves, stands, held] = [
            stance(Role::Active, PeerRequest::Nothing),
            stance(Role::Standby, PeerRequest::Nothing),
            stance(Role::Standby, PeerRequest::Standby),
        ];
        let stops = stance(Role::Stopping, PeerRequest::Standby);
        let standby = Order::Standby(OrderDuration::Reboot);
        for (order, before, after, said) in [
            (
                standby,
                &serves,
                &stops,
                "server1 stops the services, and server2 starts them; server1 takes none",
            ),
            (
                standby,
                &stands,
                &held,
                "server1 is held back: it takes no services until twobox resume",
            ),
            (standby, &held, &held, "nothing has changed: server1 is held back already"),
            (Order::Resume, &held, &stands, "server1 may serve again"),
            (Order::Resume, &stands, &stands, "nothing has changed: no order stands on server1"),
            (Order::Clear, &stands, &stands, "nothing has changed: no resource of server1"),
        ] {
            let text = answer(order, (before, after), surroundings(), Ok(()));
            assert!(text.starts_with(&format!("ok\n{said}")), "{text}");
            assert!(!text.contains("warning"), "{text}");
        }
        let differs = Surroundings { differs: true, ..surroundings() };
        let text = answer(standby, (&serves, &stops), differs, Ok(()));
        assert!(text.contains("\nwarning: server2 is configured differently"), "{text}");
    }

    #[test]
    fn a_refusal_names_the_way_out() {
        let waits = stance(Role::Fencing, PeerRequest::Nothing);
        let refused = |surroundings, refusal| {
            answer(
                Order::Takeover(OrderDuration::Reboot),
                (&waits, &waits),
                surroundings,
                Err(refusal),
            )
        };
        let way_out = Some("twobox confirm server2, if it is off".to_owned());
        let text = refused(Surroundings { way_out, ..surroundings() }, Refusal::Busy);
        assert!(text.contains("proof that server2 is off: twobox confirm server2"), "{text}");
        let next = Some("listens for server2 for 3.0 s more".to_owned());
        let text = refused(Surroundings { next, ..surroundings() }, Refusal::Busy);
        assert!(text.contains("in the middle of a change, and listens for server2"), "{text}");
        let text = refused(surroundings(), Refusal::NotFit);
        assert_eq!(text, format!("refused\n{}\n", Refusal::NotFit));
    }

    fn answer(
        order: Order,
        (before, after): (&OrderState, &OrderState),
        surroundings: Surroundings,
        verdict: Result<(), Refusal>,
    ) -> String {
        let (reply, answer) = bounded(1);
        let after = Some((after.clone(), surroundings));
        PendingOrder { reply, order, before: before.clone(), after }.answer(verdict);
        answer.try_recv().unwrap()
    }

    fn stance(role: Role, request: PeerRequest) -> OrderState {
        OrderState { role, request, until: None, failures: 0, failback: Failback::default() }
    }

    fn surroundings() -> Surroundings {
        let names = ["server1", "server2"].map(str::to_owned);
        Surroundings { names, next: None, way_out: None, peer: None, differs: false }
    }
}
