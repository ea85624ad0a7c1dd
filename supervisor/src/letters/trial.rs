//! How do both boxes take one configuration, or none? `reload --both`, `reload --confirm`
//!
//! This box looks whether it could go on with its file, and sends it; the other box looks, and takes it on trial; then this
//! one does. Each goes back by itself unless both know in time that it is kept (`effects/trial.rs`).

use std::time::Duration;

use firmware_agnostic::news::Time;
use smol::channel::{Sender, bounded};

use super::asks::{Failed, refusal};
use super::{Answered, Letters, aside};
use crate::client::{Answer, Verdict};
use crate::config::{Config, mark};
use crate::reload::{Candidate, NOTHING};
use crate::request::Wish;
use crate::run::{Input, Trying};
use crate::trial_file;
use crate::upgrade::Itself;

/// Has both boxes try the file of this one for `time`.
pub(super) async fn both(letters: &Letters, peer: &str, time: Duration) -> Result<String, Failed> {
    said(&letters.trying(Trying::Begin).await).map_err(refusal)?;
    let itself = letters.answers.borrow().supervisor().clone();
    let read = aside(move || Candidate::read(&itself)).await?;
    let candidate = read.map_err(refusal)?;
    let shown = said(&letters.reload(candidate.clone(), Wish::Show).await).map_err(refusal)?;
    let question = format!("try {}\n{}", time.as_secs(), candidate.config.text);
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
            letters.trying(Trying::Refused(why.clone())).await;
            return Err(refusal(format!("{peer}: {why}nothing was changed on either box")));
        }
    };
    if [&*shown, &text] == [NOTHING; 2] {
        return Ok("ok\nnothing has changed: both boxes run with it already\n".to_owned());
    }
    let taken = taken(letters, candidate, time).await;
    taken.map_err(|why| refusal(format!("{why}{peer} goes back within {}", Time(time))))?;
    let shown = shown.lines().filter(|line| !line.starts_with("nothing was changed"));
    let shown = shown.collect::<Vec<_>>().join("\n");
    Ok(format!(
        "ok\n{shown}\nboth boxes run with it, and go back within {} unless you say on one of them: \
         twobox reload --confirm\n",
        Time(time)
    ))
}

/// Has this box try `candidate`, which is in its file.
async fn taken(letters: &Letters, candidate: Candidate, time: Duration) -> Result<String, String> {
    // The other box may have begun one with this one meanwhile.
    said(&letters.trying(Trying::Begin).await)?;
    let (path, tried) = (candidate.config.path.clone(), candidate.config.text.clone());
    let running = letters.answers.borrow().running().to_owned();
    let begun = aside(move || trial_file::begin(&path, &running, &tried)).await;
    begun.and_then(|it| it).map_err(|error| format!("{error}\n"))?;
    let (path, tried) = (candidate.config.path.clone(), candidate.config.text.clone());
    let taken = said(&letters.reload(candidate, Wish::Try(time)).await);
    if untried(&taken) {
        // It is in the file again, as it was written.
        let back = aside(move || trial_file::keep(&path, &tried)).await.and_then(|it| it);
        back.unwrap_or_else(not_back);
    }
    taken
}

/// Keeps what is on trial, on both boxes.
pub(super) async fn confirm(letters: &Letters, peer: &str) -> Result<String, Failed> {
    let which = said(&letters.trying(Trying::Which).await).map_err(refusal)?;
    let back = "not confirmed: both boxes go back when their time is over";
    let asked = letters.ask(&format!("confirm {}", which.trim())).await;
    let Answered { text, .. } = asked.map_err(|why| Failed::Unsure(why, back.to_owned()))?;
    let told = said(&text).map_err(|why| refusal(format!("{peer}: {why}{back}")))?;
    said(&letters.trying(Trying::Keep).await)
        .map_err(|why| refusal(format!("too late: {why}{peer} goes back as well")))?;
    let (path, running) = {
        let answers = letters.answers.borrow();
        (answers.supervisor().config.clone(), answers.running().to_owned())
    };
    let kept = aside(move || trial_file::keep(&path, &running)).await?;
    let kept = kept.map_or_else(|error| unwritten("this box", &error), |()| String::new());
    Ok(format!("ok\nboth boxes keep the configuration\n{kept}{told}"))
}

/// Takes `text` on trial for `time`, as the other box wants. Waits until that is done.
pub(super) fn take(
    itself: &Itself,
    running: &Config,
    inputs: &Sender<Input>,
    time: Duration,
    text: &str,
) -> Result<String, String> {
    said(&wait(inputs, |reply| Input::Trial(Trying::Begin, reply)))?;
    let candidate = Candidate::of(itself, text)?;
    let here = std::fs::read_to_string(&itself.config).map_err(|error| error.to_string())?;
    if ![mark(&running.text), mark(text)].contains(&mark(&here)) {
        let path = itself.config.display();
        return Err(format!(
            "{path} was changed there, and does not run yet: reload it, or put it back"
        ));
    }
    trial_file::begin(&itself.config, &running.text, text).map_err(|error| error.to_string())?;
    let taken =
        said(&wait(inputs, |reply| Input::Reload(Box::new(candidate), Wish::Try(time), reply)));
    if untried(&taken) {
        // Somebody may have written it there as well.
        let back = if taken.is_err() && mark(&here) == mark(text) {
            trial_file::keep(&itself.config, text)
        } else {
            trial_file::remove(&itself.config)
        };
        back.unwrap_or_else(not_back);
    }
    taken
}

/// Keeps what is on trial and has this mark, as the other box wants. Waits until that is done.
pub(super) fn keep(
    itself: &Itself,
    running: &str,
    inputs: &Sender<Input>,
    mark: &str,
) -> Result<String, String> {
    said(&wait(inputs, |reply| Input::Trial(Trying::KeepToo(mark.to_owned()), reply)))?;
    let kept = trial_file::keep(&itself.config, running);
    Ok(kept.map_or_else(|error| unwritten(&itself.name, &error), |()| String::new()))
}

impl Letters {
    async fn reload(&self, candidate: Candidate, wish: Wish) -> String {
        self.tell(|reply| Input::Reload(Box::new(candidate), wish, reply)).await
    }

    async fn trying(&self, trying: Trying) -> String {
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
    match Answer::parse(answer) {
        Some(Answer { verdict: Verdict::Ok, text }) => Ok(text),
        Some(Answer { text, .. }) => Err(text),
        None => Err("it makes no sense\n".to_owned()),
    }
}

/// Whether nothing is on trial here after this was said.
fn untried(said: &Result<String, String>) -> bool {
    said.as_ref().map_or(true, |text| text == NOTHING)
}

#[expect(clippy::needless_pass_by_value, reason = "for unwrap_or_else")]
fn not_back(error: std::io::Error) {
    log::error!("the configuration file is not as it was before the trial: {error}");
}

fn unwritten(whose: &str, error: &std::io::Error) -> String {
    format!("warning: the file of {whose} does not have it: {error}\n")
}
