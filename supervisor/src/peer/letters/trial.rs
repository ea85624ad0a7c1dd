//! Has both boxes take one configuration, or none: `reload --both`, `reload --confirm`
//!
//! This box looks whether it could go on with its file, and sends it; the other box looks, and takes it on trial;
//! then this one does. Each goes back by itself unless both know in time that it is kept (`reload/trial.rs`).

use std::time::Duration;

use board::thread::deadline::Deadline;
use firmware_agnostic::report::Time;
use smol::channel::{Sender, bounded};

use super::answers::Answers;
use super::questions::{Failed, refusal};
use super::{Answered, Letters, aside};
use crate::config::validation;
use crate::config::{Config, Difference, mark};
use crate::control::client::{Reply, Verdict};
use crate::control::request::ReloadMode;
use crate::input::{Input, TrialQuery};
use crate::process::upgrade::OwnProgram;
use crate::reload::candidate::{Candidate, NOTHING};
use crate::reload::staged_file;

/// Has both boxes try the file of this one for `time`.
pub(super) async fn both(letters: &Letters, peer: &str, time: Duration) -> Result<String, Failed> {
    said(&letters.trying(TrialQuery::Begin).await).map_err(refusal)?;
    let answers = letters.answers.borrow().clone();
    let read = aside(move || answers.look()).await?;
    let (file, shown) = read.map_err(refusal)?;
    let question = format!("try {}\n{file}", time.as_secs());
    let Answered { text, .. } = letters.ask(&question).await.map_err(|why| {
        let back = format!(
            "nothing was changed on this box; if the other one has taken the file, it goes back within {}",
            Time(time)
        );
        Failed::Unsure(why, back)
    })?;
    let text = match said(&text) {
        Ok(text) => text,
        Err(why) => {
            letters.trying(TrialQuery::Refused(why.clone())).await;
            return Err(refusal(format!("{peer}: {why}nothing was changed on either box")));
        }
    };
    if [&*shown, &text] == [NOTHING; 2] {
        return Ok("ok\nnothing has changed: both boxes run with it already\n".to_owned());
    }
    let answers = letters.answers.borrow().clone();
    let taken = aside(move || answers.take(time, &file)).await.map_err(|error| error.to_string());
    taken.and_then(|taken| taken).map_err(|why| {
        refusal(format!("{}\n{peer} goes back within {}", why.trim_end(), Time(time)))
    })?;
    let shown = shown.lines().filter(|line| !line.starts_with("nothing was changed"));
    let shown = shown.collect::<Vec<_>>().join("\n");
    Ok(format!(
        "ok\n{shown}\nboth boxes run with it, and go back within {} unless you say on one of them: \
         twobox reload --confirm\n",
        Time(time)
    ))
}

/// Keeps what is on trial, on both boxes.
pub(super) async fn confirm(letters: &Letters, peer: &str) -> Result<String, Failed> {
    let which = said(&letters.trying(TrialQuery::Which).await).map_err(refusal)?;
    let back = "not confirmed: both boxes go back when their time is over";
    let asked = letters.ask(&format!("confirm {}", which.trim())).await;
    let Answered { text, .. } = asked.map_err(|why| Failed::Unsure(why, back.to_owned()))?;
    let told = said(&text).map_err(|why| refusal(format!("{peer}: {why}{back}")))?;
    said(&letters.trying(TrialQuery::Keep).await)
        .map_err(|why| refusal(format!("too late: {why}{peer} goes back as well")))?;
    let (path, running) = {
        let answers = letters.answers.borrow();
        (answers.supervisor().config.clone(), answers.running().to_owned())
    };
    let kept = aside(move || staged_file::keep(&path, &running)).await?;
    let kept = kept.map_or_else(|error| unwritten("this box", &error), |()| String::new());
    Ok(format!("ok\nboth boxes keep the configuration\n{kept}{told}"))
}

/// Keeps what is on trial and has this mark, as the other box wants. Waits until that is done.
pub(super) fn keep(
    program: &OwnProgram,
    running: &str,
    inputs: &Sender<Input>,
    mark: &str,
) -> Result<String, String> {
    said(&wait(inputs, |reply| Input::Trial(TrialQuery::KeepToo(mark.to_owned()), reply)))?;
    let kept = staged_file::keep(&program.config, running);
    Ok(kept.map_or_else(|error| unwritten(&program.name, &error), |()| String::new()))
}

impl Answers {
    /// What the file says, and what would change with it.
    fn look(&self) -> Result<(String, String), String> {
        let candidate = Candidate::read(&self.program, &self.needs())?;
        self.ask_new_devices(&candidate.config)?;
        let text = candidate.config.text.clone();
        said(&candidate.put(ReloadMode::Show, &self.inputs)).map(|shown| (text, shown))
    }

    /// Takes `text` on trial for `time`, because the other box wants it, if this one lets it. Waits until that is done.
    pub(super) fn try_for_peer(&self, time: Duration, text: &str) -> Result<String, String> {
        let Some(own) = self.own() else { return Err("it does not run yet".to_owned()) };
        let (name, peer) = (&self.program.name, own.name(own.settings.me.other()));
        let what = self.may_try_for_peer(own, text, name, peer).inspect_err(|why| {
            log::warn!("refused to try a configuration of {peer}: {}", why.replace('\n', " "));
        })?;
        log::warn!("{peer} has this box try a configuration for {}", Time(time));
        what.lines().for_each(|line| log::warn!("{peer} changes {line}"));
        self.take(time, text)
    }

    /// What would change with `text`. The key of the pair is no right to say what runs as root: that is for an
    /// operator of this box, who has said it where the file has that very text.
    fn may_try_for_peer(
        &self,
        own: &Config,
        text: &str,
        name: &str,
        peer: &str,
    ) -> Result<String, String> {
        if !own.peer_may_configure {
            return Err(format!(
                "{name} does not let {peer} configure it: say peer_may_configure = true in its file, \
                 or copy the file and say twobox reload there"
            ));
        }
        let path = &self.program.config;
        let stands = staged_file::is_exactly(path, text);
        let config = if stands {
            validation::read(text, path, name, &self.needs())
        } else {
            validation::read_of_peer(text, own, name, &self.needs())
        };
        let difference = Difference::between(own, &config.map_err(|error| error.to_string())?);
        let beyond: Vec<_> = difference.beyond_the_peer().collect();
        if !stands && !beyond.is_empty() {
            return Err(format!(
                "{name} lets {peer} change neither programs, accounts nor files there: copy the file to it first, \
                 or say twobox reload there; this is\n  {}",
                beyond.join("\n  ")
            ));
        }
        Ok(difference.to_string())
    }

    /// Takes `text` on trial for `time`. Waits until that is done.
    pub(super) fn take(&self, time: Duration, text: &str) -> Result<String, String> {
        let Self { program, inputs, .. } = self;
        let _turn = program.turn();
        let runs = said(&wait(inputs, |reply| Input::Trial(TrialQuery::Begin, reply)))?;
        if runs.trim() != mark(self.running()) {
            return Err("another configuration was taken meanwhile: say it once more".to_owned());
        }
        let candidate = Candidate::of(program, text, &self.needs())?;
        self.ask_new_devices(&candidate.config)?;
        let (path, running) = (&program.config, self.running());
        let stood = staged_file::begin(path, running, text).map_err(|error| error.to_string())?;
        let taken = said(&candidate.put(ReloadMode::Try(time), inputs));
        if taken.as_ref().map_or(true, |text| text == NOTHING) {
            // As it was before: somebody may have written it there.
            let back = if taken.is_err() && stood {
                staged_file::keep(path, text)
            } else {
                staged_file::remove(path)
            };
            back.unwrap_or_else(|error| {
                log::error!("the configuration file is not as it was before the trial: {error}");
            });
        }
        taken
    }
}

impl Answers {
    /// Refuses a fence device that is not used yet and does not tell the power: it could not cut it either.
    fn ask_new_devices(&self, config: &Config) -> Result<(), String> {
        let peer = config.settings.me.other();
        let known = self.config().map(|own| own.fence_of(peer)).unwrap_or_default();
        let new = config.fence_of(peer).iter().filter(|device| !known.contains(device));
        new.filter(|device| !device.moves_when_opened()).try_for_each(|device| {
            let asked = device.open().power(&Deadline::new(device.timeout));
            asked.map(drop).map_err(|error| {
                let (box_, device) = (config.name(peer), &device.name);
                format!("box.{box_}.fence: {device} does not tell the power: {error}\n")
            })
        })
    }
}

impl Letters {
    async fn trying(&self, trying: TrialQuery) -> String {
        self.tell(|reply| Input::Trial(trying, reply)).await
    }

    /// Puts something before the loop, and waits for what it says.
    async fn tell(&self, input: impl FnOnce(Sender<String>) -> Input) -> String {
        let (reply, answer) = bounded(1);
        let _ = self.inputs.send(input(reply)).await;
        answer.recv().await.unwrap_or_default()
    }
}

fn wait(inputs: &Sender<Input>, input: impl FnOnce(Sender<String>) -> Input) -> String {
    let (reply, answer) = bounded(1);
    let _ = inputs.send_blocking(input(reply));
    answer.recv_blocking().unwrap_or_default()
}

/// The text of a good answer, or of one that is not.
fn said(answer: &str) -> Result<String, String> {
    match Reply::parse(answer) {
        Some(Reply { verdict: Verdict::Ok, text }) => Ok(text),
        Some(Reply { text, .. }) => Err(text),
        None => Err("it makes no sense\n".to_owned()),
    }
}

fn unwritten(whose: &str, error: &std::io::Error) -> String {
    format!("warning: the file of {whose} does not have it: {error}\n")
}
