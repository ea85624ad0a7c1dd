//! Asks the other box what an operator here wants to know.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use board::time::clock::Clock;
use smol::Timer;
use smol::channel::Sender;
use smol::future::or;

use super::{Answered, Letters, Unanswered, aside, trial};
use crate::config::trusted_text;
use crate::control::client::{Reply, Verdict};
use crate::control::request::PeerQuestion;
use crate::observe::history::{Anchor, ahead};

/// Asks the other box, called `peer`, for somebody who waits for `reply`.
pub(crate) fn peer(
    letters: &Rc<Letters>,
    request: PeerQuestion,
    peer: &str,
    reply: Sender<String>,
) {
    let (asking, hung_up, peer) = (letters.clone(), reply.clone(), peer.to_owned());
    let work = async move {
        let peer = &*peer;
        let told = match request {
            PeerQuestion::Check => check(&asking).await,
            PeerQuestion::History(count) => history(&asking, peer, count).await,
            PeerQuestion::Try(time) => trial::both(&asking, peer, time).await,
            PeerQuestion::Confirm => trial::confirm(&asking, peer).await,
        };
        let text = told.unwrap_or_else(|error| match error {
            Failed::Here(error) => format!("refused\n{}\n", error.to_string().trim_end()),
            Failed::Unanswered(why) | Failed::Unsure(why, _) if why == Unanswered::Busy => {
                format!("refused\n{why}\n")
            }
            Failed::Unanswered(why) => format!("silent\nno answer of {peer}: {why}\n"),
            Failed::Unsure(why, then) => format!("silent\nno answer of {peer}: {why}\n{then}\n"),
        });
        let _ = reply.try_send(text);
    };
    // Nobody asks on for a person who has gone.
    let gone = async move {
        while !hung_up.is_closed() {
            Timer::after(LOOK).await;
        }
    };
    letters.executor.spawn(or(work, gone)).detach();
}

async fn check(letters: &Letters) -> Result<String, Failed> {
    let path = letters.answers.borrow().supervisor().config.clone();
    let read = aside(move || trusted_text(&path)).await?;
    let text = read.map_err(|error| Failed::Here(io::Error::other(error)))?;
    let Answered { text, .. } = letters.ask(&format!("check\n{text}")).await?;
    let Some(Reply { verdict, text }) = Reply::parse(&text) else { return Ok(text) };
    Ok(format!("{}\n{}{text}", verdict.label(), letters.answers.borrow().program()))
}

async fn history(letters: &Letters, peer: &str, count: usize) -> Result<String, Failed> {
    let bytes = letters.ways.room(Clock.now());
    let Answered { text, reading } = letters.ask(&format!("history {count} {bytes}")).await?;
    let Some(Reply { verdict: Verdict::Ok, text }) = Reply::parse(&text) else { return Ok(text) };
    let Some(reading) = reading else { return Ok(text) };
    let ((least, most), now) = (ahead(reading), Anchor::now());
    Ok(format!("ok\nclock_us {peer} {least} {most}\n{now}{text}"))
}

pub(super) enum Failed {
    /// Here, or it was refused.
    Here(io::Error),
    Unanswered(Unanswered),
    /// It is not known whether the other box has done it.
    Unsure(Unanswered, String),
}

/// What was refused, for people.
pub(super) fn refusal(why: String) -> Failed {
    Failed::Here(io::Error::other(why))
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Here(error)
    }
}

impl From<Unanswered> for Failed {
    fn from(why: Unanswered) -> Self {
        Self::Unanswered(why)
    }
}

/// Soon enough for the next one to ask.
const LOOK: Duration = Duration::from_millis(500);
