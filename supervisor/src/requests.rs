//! Answers the operators: makes of each request an event for the node, or a reply.

pub(crate) mod order;

use firmware_agnostic::node::{Event, Node};
use firmware_agnostic::time::Instant;
use smol::channel::Sender;

use crate::config::validation;
use crate::control::request::{Request, StatusForm};
use crate::effects::Effects;
use crate::observe::status::{self, FileFailures, Status};
use crate::peer::letters;
use crate::process::upgrade;
use crate::reload::candidate::refused;
use crate::requests::order::PendingOrder;
use crate::workers::resources::States;
use crate::workers::watchdog::Feeder;

impl Effects {
    /// Answers a request of the control socket, or makes an event of it.
    pub(crate) fn answer(
        &mut self,
        request: Request,
        reply: Sender<String>,
        node: &Node,
        now: Instant,
    ) -> Option<Event> {
        let (verdict, text) = match request {
            Request::Order(order) => {
                self.pending = Some(PendingOrder::new(reply, order, node));
                return Some(Event::Order(order));
            }
            Request::Status(form) => {
                let status = self.status(node, now);
                let verdict = if status.redundant() { "ok" } else { "degraded" };
                match form {
                    StatusForm::Text => (verdict, status.text(Some(status::ROWS))),
                    StatusForm::All => (verdict, status.text(None)),
                    StatusForm::Json => (verdict, status.json()),
                    StatusForm::Metrics => (verdict, status.metrics()),
                }
            }
            Request::Evidence => match self.status(node, now).testimony() {
                Ok(testimony) => ("ok", testimony),
                Err(refusal) => ("refused", format!("{refusal}\n")),
            },
            Request::Progress => ("ok", self.status(node, now).progress()),
            Request::Reload(wish) => {
                let known = validation::needs(&self.config);
                self.program.read_again(known, wish, self.inputs.clone(), reply);
                return None;
            }
            Request::Upgrade => {
                match self.tries(now) {
                    Some(why) => refused(&reply, &why),
                    None => upgrade::try_successor(self.inputs.clone(), reply),
                }
                return None;
            }
            Request::Peer(request) => {
                letters::peer(&self.letters, request, self.names.lend().peer(), reply);
                return None;
            }
            Request::Log(level) => {
                log::set_max_level(level);
                ("ok", format!("log level is {level} now\n"))
            }
        };
        // Somebody who has hung up wants no answer.
        let _ = reply.try_send(format!("{verdict}\n{text}"));
        None
    }

    pub(crate) fn status<'a>(&'a self, node: &'a Node, now: Instant) -> Status<'a> {
        let States { resources } = self.resources.states();
        Status {
            node,
            now,
            names: &self.names,
            config: &self.config,
            ports: self.links.ports(),
            reception: self.reception.borrow(),
            resources,
            files: FileFailures {
                journal: self.journal.failure(),
                history: self.events.failure(),
                metrics: self.metrics.failure(),
            },
            devices: self.fencing.devices(),
            shot: self.events.shot(),
            watchdog: self.feeder.as_ref().map(Feeder::state),
            trial: self.trial.as_ref().and_then(|trial| trial.state(now)),
            latency: self.latency,
            realtime: &self.realtime,
        }
    }
}
