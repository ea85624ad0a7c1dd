//! A configuration on trial: this box goes back to the one before, unless it is kept in time.
//!
//! ```text
//! taken ──▶ open ── time is over ─────────────────────────────▶ back
//!             ├──── this box: both keep it ───────────────────▶ kept
//!             └──── the other box's word: keep it too ──▶ kept on its word ── it says that it has gone back ──▶ back
//!                                                            └────────── it has not in time ──▶ kept
//! ```
//!
//! Who confirms keeps only what the other box has kept. Should the last word between them be lost, the one that has
//! kept it hears in the heartbeats that the other one went back, and goes back as well: in the end both have the
//! same.

use std::time::Duration;

use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::node::Node;
use firmware_agnostic::node::reload::Reloaded;
use firmware_agnostic::report::Time;
use firmware_agnostic::time::Instant;
use smol::channel::Sender;
use smol::{Task, Timer};

use crate::config::mark;
use crate::control::request::ReloadMode;
use crate::effects::Effects;
use crate::input::{Input, TrialQuery};
use crate::reload::apply::ReloadOutcome;
use crate::reload::candidate::Candidate;
use crate::reload::outcome::ConfigOutcome;
use crate::reload::staged_file;

/// What this box tries out.
pub(crate) struct Trial {
    /// What it goes back to.
    before: Candidate,
    /// What it tries.
    tried: Fingerprint,
    until: Instant,
    stage: TrialStage,
    /// The other box has said that it has the new one too.
    heard: bool,
    /// It cannot go back yet, which was said, and is tried again.
    waits: bool,
    _rings: Task<()>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TrialStage {
    Open,
    KeptOnWord,
    /// Nothing is left to be done but to say so again.
    Kept,
}

impl Effects {
    /// Goes on with `candidate` as wished; refuses that while another one is on trial.
    pub(crate) fn reload_or_try(
        &mut self,
        candidate: Candidate,
        wish: ReloadMode,
        node: &Node,
        now: Instant,
    ) -> ReloadOutcome {
        if wish != ReloadMode::Show {
            self.trial.as_ref().map_or(Ok(()), |trial| trial.may_be_replaced(now))?;
        }
        // What is tried is the file: the secrets are each box's own.
        let candidate = match wish {
            ReloadMode::Try(_) => Candidate { secrets: self.secrets, ..candidate },
            ReloadMode::Show | ReloadMode::Apply => candidate,
        };
        let (config, keys) = (self.config.as_ref().clone(), self.keys.clone());
        let before = Candidate { config, keys, secrets: self.secrets };
        let fate = match wish {
            ReloadMode::Show => None,
            ReloadMode::Apply => Some(ConfigOutcome::Applied),
            ReloadMode::Try(time) => Some(ConfigOutcome::OnTrial(time)),
        };
        let outcome = self.reload(candidate, fate, node, now)?;
        let changed = outcome.0.is_some();
        if changed {
            self.trial = None;
        }
        if let ReloadMode::Try(time) = wish {
            if changed {
                log::warn!(
                    "the configuration is on trial: say twobox reload --confirm within {}",
                    Time(time)
                );
            }
            let (tried, until) = (self.config.settings.config, now + time);
            // With nothing to go back to, nothing is on trial here.
            let stage = if changed { TrialStage::Open } else { TrialStage::Kept };
            let rings = self.rings_after(time);
            self.trial.get_or_insert(Trial {
                before,
                tried,
                until,
                stage,
                heard: false,
                waits: false,
                _rings: rings,
            });
        }
        Ok(outcome)
    }

    /// Why nothing else can be done now, if something is on trial, or not yet kept for sure.
    pub(crate) fn tries(&self, now: Instant) -> Option<String> {
        let trial = self.trial.as_ref()?;
        match trial.stage {
            TrialStage::Open => trial.may_be_replaced(now).err(),
            TrialStage::KeptOnWord => {
                let left = Time(trial.until - now);
                Some(format!(
                    "the other box may go back yet: say twobox reload --confirm here too, or wait for {left}"
                ))
            }
            TrialStage::Kept => None,
        }
    }

    /// Answers what is asked about the trial.
    pub(crate) fn trying(&mut self, trying: &TrialQuery, reply: &Sender<String>, now: Instant) {
        let running = mark(&self.config.text);
        let open = self.trial.as_ref().is_some_and(|trial| trial.stage == TrialStage::Open);
        let answer = match (trying, &mut self.trial) {
            (TrialQuery::Begin, Some(trial)) => trial.may_be_replaced(now).map(|()| running),
            (TrialQuery::Begin, None) | (TrialQuery::Which, Some(_)) => Ok(running),
            // A person who says it again hears the same.
            (TrialQuery::Keep, Some(trial)) => {
                if trial.stage != TrialStage::Kept {
                    log::info!("{}", ConfigOutcome::Kept);
                    self.events.configured(ConfigOutcome::Kept, "", now);
                }
                trial.stage = TrialStage::Kept;
                Ok(running)
            }
            (TrialQuery::KeepToo(wanted), _) if *wanted == running => {
                if open {
                    self.keep_on_word(now);
                }
                Ok(running)
            }
            (TrialQuery::KeepToo(_), _) => {
                Err("another configuration runs there by now".to_owned())
            }
            (TrialQuery::Refused(why), _) => {
                self.events.configured(ConfigOutcome::Refused, why, now);
                Ok(running)
            }
            (TrialQuery::Which | TrialQuery::Keep, None) => {
                Err("no configuration is on trial here".to_owned())
            }
        };
        let _ = match answer {
            Ok(text) => reply.try_send(format!("ok\n{text}\n")),
            Err(why) => reply.try_send(format!("refused\n{why}\n")),
        };
    }

    fn keep_on_word(&mut self, now: Instant) {
        let Some(trial) = self.trial.take() else { return };
        log::info!("{}", ConfigOutcome::KeptOnWord);
        self.events.configured(ConfigOutcome::KeptOnWord, "", now);
        let time = trial.until - now + SETTLE;
        let (stage, until, rings) = (TrialStage::KeptOnWord, now + time, self.rings_after(time));
        self.trial = Some(Trial { stage, until, _rings: rings, ..trial });
    }

    /// Looks whether the trial has come to its end.
    pub(crate) fn end_trial(&mut self, node: &Node, now: Instant) -> Option<Box<Reloaded>> {
        let trial = self.trial.take()?;
        if trial.gone_back(node) {
            return self.go_back(trial, "the other box has gone back", node, now);
        }
        if now < trial.until || trial.stage == TrialStage::Kept {
            self.trial = Some(trial);
            return None;
        }
        match trial.stage {
            TrialStage::Open => self.go_back(trial, "nobody has confirmed it", node, now),
            // A silent box may have gone back, and not have said so yet.
            TrialStage::KeptOnWord if node.peer().hears(now).is_empty() || !trial.heard => {
                let rings = self.rings_after(AGAIN);
                self.trial = Some(Trial { until: now + AGAIN, _rings: rings, ..trial });
                None
            }
            TrialStage::KeptOnWord | TrialStage::Kept => {
                self.trial = Some(Trial { stage: TrialStage::Kept, ..trial });
                None
            }
        }
    }

    fn go_back(
        &mut self,
        trial: Trial,
        why: &'static str,
        node: &Node,
        now: Instant,
    ) -> Option<Box<Reloaded>> {
        let tried = self.config.text.clone();
        match self.reload(trial.before.clone(), Some(ConfigOutcome::Returned(why)), node, now) {
            Ok((reloaded, _)) => {
                log::warn!("{}: the one before is back", ConfigOutcome::Returned(why));
                staged_file::give_up(&self.program.config, trial.before.config.text, tried);
                reloaded
            }
            Err(reasons) => {
                if !trial.waits {
                    log::error!("the configuration before cannot come back yet: {reasons}");
                }
                let rings = self.rings_after(AGAIN);
                let until = now.min(trial.until);
                self.trial = Some(Trial { until, waits: true, _rings: rings, ..trial });
                None
            }
        }
    }

    /// Notes what the other box says that it runs with.
    pub(crate) fn note_trial(&mut self, node: &Node) {
        let Some(trial) = &mut self.trial else { return };
        let says = node.peer().last_heartbeat().map(|word| word.config);
        trial.heard |= says == Some(trial.tried);
        if !trial.waits && trial.gone_back(node) {
            self.soon(Input::TrialOver);
        }
    }

    fn rings_after(&self, time: Duration) -> Task<()> {
        let inputs = self.inputs.clone();
        self.executor.spawn(async move {
            Timer::after(time).await;
            let _ = inputs.send(Input::TrialOver).await;
        })
    }
}

impl Trial {
    /// # Errors
    ///
    /// When it is open, for people.
    fn may_be_replaced(&self, now: Instant) -> Result<(), String> {
        if self.stage != TrialStage::Open {
            return Ok(());
        }
        let left = Time(self.until - now);
        Err(format!(
            "a configuration is on trial for {left} more: say twobox reload --confirm, or wait"
        ))
    }

    /// How long it takes, for people.
    pub(crate) fn state(&self, now: Instant) -> Option<String> {
        let left = Time(self.until - now);
        (self.stage == TrialStage::Open)
            .then(|| format!("on trial for {left} more, see reload --confirm"))
    }

    /// Whether the other box, on whose word this one has kept it, has gone back itself. Where nothing had changed here,
    /// there is nothing to go back to.
    fn gone_back(&self, node: &Node) -> bool {
        let before = self.before.config.settings.config;
        let says = node.peer().last_heartbeat().map(|word| word.config);
        self.stage == TrialStage::KeptOnWord
            && self.heard
            && before != self.tried
            && says == Some(before)
    }
}

/// How much later the other box may go back that has not heard in time that this one keeps it: it began when it had the
/// answer, and no letter takes longer than five minutes.
const SETTLE: Duration = Duration::from_secs(310);
/// How soon it is looked again, where it cannot go back while something moves, or the other box is silent.
const AGAIN: Duration = Duration::from_secs(1);
