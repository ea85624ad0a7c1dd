//! Going on with another configuration: what has changed is replaced, part by part, and the rest is not touched.
//!
//! All that could fail is opened first. From then on nothing fails any more, so that a configuration is in force as a
//! whole, or not at all.

use std::io;
use std::rc::Rc;

use board::check;
use firmware_agnostic::identity::{LINKS_MAX, LinkId, RESOURCES_MAX, ResourceId};
use firmware_agnostic::node::reload::Reloaded;
use firmware_agnostic::node::{Event, Node};
use firmware_agnostic::settings::Settings;
use firmware_agnostic::time::Instant;
use smol::channel::Sender;

use crate::config::{Config, Difference};
use crate::effects::Effects;
use crate::guard::leftovers;
use crate::input::Input;
use crate::observe::history::History;
use crate::observe::hooks::Hooks;
use crate::observe::names::NameTable;
use crate::reload::candidate::{Candidate, NOTHING, refused};
use crate::reload::outcome::ConfigOutcome;
use crate::workers::checks::CheckWorkers;
use crate::workers::fencing::FenceWorker;
use crate::workers::metrics_file::{self, Published};
use crate::workers::resources::Member;

/// What a reload has come to.
pub(crate) type ReloadOutcome = Result<(Option<Box<Reloaded>>, String), String>;

/// What was opened for the new configuration, where the old one has another.
struct Opened {
    members: Vec<Member>,
    fencing: Option<FenceWorker>,
    witnesses: Option<CheckWorkers>,
    gates: Option<CheckWorkers>,
    hooks: Option<Hooks>,
    history: Option<History>,
    metrics: Option<Published>,
}

impl Effects {
    /// Tells the person who wanted a reload what has come of it, and gives what the node should know.
    pub(crate) fn tell_outcome(
        outcome: ReloadOutcome,
        reply: &Sender<String>,
    ) -> Option<Box<Reloaded>> {
        match outcome {
            Ok((reloaded, text)) => {
                let _ = reply.try_send(format!("ok\n{text}"));
                reloaded
            }
            Err(reasons) => {
                refused(reply, &reasons);
                None
            }
        }
    }

    /// Goes on with `candidate` if that can be, for what is told of it then: with nothing to be told, nothing is
    /// done. Tells what the node should know, and people.
    ///
    /// # Errors
    ///
    /// Why nothing has changed, for people.
    pub(crate) fn reload(
        &mut self,
        candidate: Candidate,
        fate: Option<ConfigOutcome>,
        node: &Node,
        now: Instant,
    ) -> ReloadOutcome {
        let Candidate { config, keys, secrets } = candidate;
        let config = config.following(&self.config);
        let mut difference = Difference::between(&self.config, &config);
        if keys != self.keys {
            let [was, is] = [&self.keys, &keys]
                .map(|keys| keys.ids().map(|id| id.to_string()).collect::<Vec<_>>().join(", "));
            let what = if was == is {
                format!("the secret of a key is another now ({is})")
            } else {
                format!("{was} -> {is}; the first one signs")
            };
            difference.add("the keys", &what);
        }
        if secrets != self.secrets {
            let fence = format!("box.{}.fence", config.name(config.settings.me.other()));
            difference.add(&fence, "its secret is another now: it is opened anew");
        }
        if difference.is_empty() {
            log::info!("reload: nothing has changed");
            return Ok((None, NOTHING.to_owned()));
        }
        let fixed = difference.fixed();
        if !fixed.is_empty() {
            return Err(fixed.join("\n"));
        }
        let reloaded = reloaded(&self.config, &config);
        let theirs = self.reception.borrow().signed_with();
        node.may_change_keys(&self.keys, &keys, theirs, now)
            .and_then(|()| node.may_reload(&reloaded, now))
            .map_err(|refusal| refusal.to_string())?;
        if let Some(feeder) = &self.feeder {
            feeder.expect(&config.settings).map_err(|error| error.to_string())?;
        }
        let Some(fate) = fate else {
            return Ok((None, format!("{difference}nothing was changed: say twobox reload\n")));
        };
        let opened =
            self.open_changed(&config, &difference, node).map_err(|error| error.to_string())?;
        let changes = difference.to_string();
        changes.lines().for_each(|line| log::info!("reload: {line}"));
        (self.keys, self.secrets) = (keys, secrets);
        self.reception.borrow_mut().reload(self.keys.clone(), &reloaded.links);
        self.links.reload(&config.links, &reloaded.links);
        self.letters.go_on(&self.keys, &config, self.links.ports());
        self.replace(opened, config);
        self.events.configured(fate, &changes, now);
        Ok((Some(Box::new(reloaded)), format!("{changes}reloaded\n")))
    }

    /// Opens what has changed, and touches nothing.
    fn open_changed(
        &self,
        config: &Config,
        difference: &Difference,
        node: &Node,
    ) -> io::Result<Opened> {
        let (old, me) = (&self.config, config.settings.me);
        let peer = format!("box.{}.fence", config.name(me.other()));
        let gates = gates(config);
        Ok(Opened {
            members: Member::open_all(&config.resources, me, &leftovers::notes(old))?,
            fencing: difference
                .touches(&peer)
                .then(|| FenceWorker::open(config.fence_of(me.other()), self.inputs.clone()))
                .transpose()?,
            witnesses: (config.witnesses != old.witnesses)
                .then(|| {
                    CheckWorkers::over(&config.witnesses, node.witness(), &self.inputs, || {
                        Input::Witness
                    })
                })
                .transpose()?,
            // What is not known to be in step must not make the resources move.
            gates: (gates != self::gates(old))
                .then(|| CheckWorkers::over(&gates, false, &self.inputs, || Input::Gate))
                .transpose()?,
            hooks: (config.hooks != old.hooks)
                .then(|| Hooks::open(&config.hooks, config.name(me)))
                .transpose()?,
            history: (config.history != old.history)
                .then(|| History::open(&config.history))
                .transpose()?,
            metrics: (config.metrics != old.metrics)
                .then(|| metrics_file::publish(config.metrics.clone(), &self.inputs))
                .transpose()?,
        })
    }

    /// Puts what was opened in the place of what was there.
    fn replace(&mut self, opened: Opened, config: Config) {
        let Opened { members, fencing, witnesses, gates, hooks, history, metrics } = opened;
        self.names = Rc::new(NameTable::new(&config));
        self.events
            .reload(self.names.clone(), history.map(|history| (history, &*config.history.file)));
        if let Some(hooks) = hooks {
            self.events.hooks().become_like(&hooks);
        }
        if let Some(fencing) = fencing {
            fencing.succeed(&self.fencing);
            self.fencing = fencing;
            // What was held against the device before is not held against this one.
            self.soon(Input::Event(Event::SeenOn));
        }
        if let Some(witnesses) = witnesses {
            self.witnesses = witnesses;
            self.soon(Input::Witness);
        }
        if let Some(gates) = gates {
            self.gates = gates;
            self.soon(Input::Gate);
        }
        if let Some(metrics) = metrics {
            self.metrics = metrics;
        }
        if let Some(feeder) = &self.feeder {
            feeder.reload(&config.settings);
        }
        if config.log.level != self.config.log.level {
            log::set_max_level(config.log.level);
        }
        self.ready.reload(config.ready_file.clone());
        self.resources.reload(members, &config.resources, &config.text);
        self.config = Rc::new(config);
    }

    /// Has the loop take `input` in after this.
    pub(crate) fn soon(&self, input: Input) {
        let inputs = self.inputs.clone();
        self.executor.spawn(async move { drop(inputs.send(input).await) }).detach();
    }
}

/// What the node should know of `new`.
fn reloaded(old: &Config, new: &Config) -> Reloaded {
    let link = |config| LinkId::new(old.links.iter().position(|link| link == config)?);
    let resource = |config: &board::resource::Config| {
        ResourceId::new(old.resources.iter().position(|resource| config.runs_like(resource))?)
    };
    Reloaded {
        settings: Settings::clone(&new.settings),
        links: new.links.iter().take(LINKS_MAX).map(link).collect(),
        resources: new.resources.iter().take(RESOURCES_MAX).map(resource).collect(),
    }
}

/// Every gate of the resources.
pub(crate) fn gates(config: &Config) -> Vec<check::Config> {
    config.resources.iter().filter_map(|resource| resource.gate.clone()).collect()
}
