//! Asks the other box what is longer than a heartbeat.
//!
//! By letter ([`firmware_agnostic::letter`]), over the links that exist. One letter of this box is under way at a
//! time, and one of the other box's. What has to be looked up for an answer is looked up on a thread of its own
//! ([`answers`]); what is asked for an operator, and how it is told, is in [`request`]. The node knows nothing of all
//! this.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use board::link::Port;
use board::thread::capabilities::Rights;
use board::time::clock::Clock;
use firmware_agnostic::frame::{Frame, FrameError, Keys};
use firmware_agnostic::heartbeat::Incarnation;
use firmware_agnostic::identity::LinkId;
use firmware_agnostic::letter::{
    Answerer, Asker, LETTER_MAX, Nonce, PieceOutcome, Reading, Seal, Side,
};
use firmware_agnostic::letter::{SendPace, Silence};
use firmware_agnostic::receiver::{self, Reception};
use rustix::rand::{GetRandomFlags, getrandom};
use smol::channel::{Receiver, Sender, bounded};
use smol::future::or;
use smol::{LocalExecutor, Timer};

use crate::config::Config;
use crate::input::Input;
use crate::process::upgrade::OwnProgram;

mod answers;
mod questions;
mod routes;
mod trial;

use answers::Answers;
use routes::Routes;

pub(crate) use questions::peer;

/// This box's end of the letters.
pub(crate) struct Letters {
    seal: RefCell<Seal>,
    ways: Routes,
    executor: Rc<LocalExecutor<'static>>,
    inputs: Sender<Input>,
    answers: RefCell<Arc<Answers>>,
    desk: RefCell<Desk>,
    /// The letter of this box that is under way.
    asking: RefCell<Option<OutgoingLetter>>,
    /// The number of the next letter of this life.
    number: Cell<u32>,
    /// The life of the other box that its heartbeats have proven last.
    life: Cell<Option<Incarnation>>,
}

/// A letter of this box, and as much of its answer as has come.
struct OutgoingLetter {
    asker: Asker,
    answer: Vec<u8>,
    /// Wakes the one who asks: something has come.
    wake: Sender<()>,
}

/// The letter of the other box.
struct Desk {
    answerer: Answerer,
    question: Vec<u8>,
    answer: Option<Vec<u8>>,
    /// Which letter it is, so that the answer to one before is not given for it.
    number: u64,
    /// An answer is being made.
    working: bool,
}

/// What the other box has answered.
pub(crate) struct Answered {
    pub(crate) text: String,
    pub(crate) reading: Option<Reading>,
}

/// Why the other box has answered nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unanswered {
    /// Somebody else on this box is asking.
    Busy,
    /// There is no link on which the boxes hear each other.
    Unheard,
    /// No number for the letter, or no letter of that length.
    Impossible,
    /// It was given up.
    Silent(Silence),
}

impl Letters {
    /// The end that signs with `seal`. It has no links yet.
    pub(crate) fn new(
        seal: Seal,
        executor: Rc<LocalExecutor<'static>>,
        reception: Rc<RefCell<Reception>>,
        program: OwnProgram,
        inputs: Sender<Input>,
    ) -> Self {
        let desk = Desk {
            answerer: Answerer::new(seal.clone()),
            question: Vec::new(),
            answer: None,
            number: 0,
            working: false,
        };
        let answers = RefCell::new(Arc::new(Answers::new(program, inputs.clone())));
        let (seal, desk) = (RefCell::new(seal), RefCell::new(desk));
        let (ways, asking) = (Routes::new(reception), RefCell::default());
        let (number, life) = (Cell::default(), Cell::default());
        Self { seal, ways, executor, inputs, answers, desk, asking, number, life }
    }

    /// Goes on with `keys`, and with the links of `config`, whose `ports` are these.
    pub(crate) fn go_on(&self, keys: &Keys, config: &Config, ports: &[Rc<Port>]) {
        self.seal.borrow_mut().keys = keys.clone();
        self.desk.borrow_mut().answerer.reload(keys.clone());
        if let Some(asking) = &mut *self.asking.borrow_mut() {
            asking.asker.reload(keys.clone());
        }
        self.ways.reload(config, ports);
        let answers = self.answers.borrow().with(config);
        *self.answers.borrow_mut() = Arc::new(answers);
    }

    /// Notes what a heartbeat of the other box tells: on which links that hears this one, and which life of it is
    /// proven.
    pub(crate) fn heard(&self, heard: &receiver::Heard) {
        self.ways.heard_on(heard.heartbeat.hears);
        if heard.proof.is_some() {
            self.life.set(Some(heard.heartbeat.epoch.boot));
        }
    }

    /// Says what has been waiting for a heartbeat to go before it.
    pub(crate) fn ride(&self) {
        self.ways.ride();
    }

    /// Takes in a frame of a letter, which came by `link` and goes to `end`.
    ///
    /// # Errors
    ///
    /// The cause for which it is dropped.
    pub(crate) fn hear(
        self: &Rc<Self>,
        end: Side,
        link: LinkId,
        frame: &[u8],
    ) -> Result<(), FrameError> {
        if end == Side::Asker {
            // What comes after the end of a letter was said again on its way.
            let mut asking = self.asking.borrow_mut();
            return asking.as_mut().ok_or(FrameError::Replayed)?.hear(self.ways.pace(link), frame);
        }
        let mut desk = self.desk.borrow_mut();
        if let Some(reply) = desk.hear(frame, self.life.get())? {
            self.ways.send(routes::Slot::Answer, link, reply);
            if desk.answerer.whole() && !desk.question.is_empty() {
                self.look_up(&mut desk);
            }
        }
        Ok(())
    }

    /// Makes the answer to what has come.
    fn look_up(self: &Rc<Self>, desk: &mut Desk) {
        let question = std::mem::take(&mut desk.question);
        if std::mem::replace(&mut desk.working, true) {
            let text = "refused\nthe other box is still busy with what it was asked before\n";
            desk.answer = Some(text.into());
            return;
        }
        let (letters, number) = (self.clone(), desk.number);
        let work = async move {
            let answers = letters.answers.borrow().clone();
            let question = String::from_utf8_lossy(&question).into_owned();
            let made = aside(move || answers.answer(&question)).await;
            let mut text = made.unwrap_or_else(|error| format!("refused\n{error}\n")).into_bytes();
            text.truncate(LETTER_MAX);
            let mut desk = letters.desk.borrow_mut();
            desk.working = false;
            if desk.number == number {
                desk.answer = Some(text);
            }
        };
        self.executor.spawn(work).detach();
    }

    /// Asks the other box, and waits for its answer, which begins with `ok` or `refused` on a line of its own.
    pub(crate) async fn ask(&self, question: &str) -> Result<Answered, Unanswered> {
        let text = question.as_bytes();
        let length = u32::try_from(text.len()).ok().filter(|_| text.len() <= LETTER_MAX);
        let (Some(nonce), Some(length)) = (nonce(), length) else {
            return Err(Unanswered::Impossible);
        };
        let number = self.number.replace(self.number.get().wrapping_add(1));
        let asker = Asker::new(self.seal.borrow().clone(), number, nonce, length, Clock.now());
        let (ours, progress) = AskerPlace::take(self, asker)?;
        let mut turn = 0;
        while let Some(due) = ours.with(|it| (!it.asker.whole()).then(|| it.asker.due())).flatten()
        {
            let now = Clock.now();
            let link = self.ways.way(turn, now).ok_or(Unanswered::Unheard)?;
            let pace = self.ways.pace(link);
            if let Some(silence) = ours.with(|it| it.asker.silence(&pace, now)).flatten() {
                return Err(Unanswered::Silent(silence));
            }
            if due <= now {
                turn += usize::from(ours.with(|it| it.asker.again()).unwrap_or_default());
                let link = self.ways.way(turn, now).unwrap_or(link);
                if let Some(frame) = ours.with(|it| it.asker.say(text, &pace, now)) {
                    self.ways.send(routes::Slot::Question, link, frame);
                }
                continue;
            }
            let rings = async {
                Timer::at(Clock.at(due)).await;
            };
            let answered = async {
                let _ = progress.recv().await;
            };
            or(answered, rings).await;
        }
        let answered = ours.with(|it| (std::mem::take(&mut it.answer), it.asker.reading()));
        let (answer, reading) = answered.unwrap_or_default();
        Ok(Answered { text: String::from_utf8_lossy(&answer).into_owned(), reading })
    }
}

impl OutgoingLetter {
    fn hear(&mut self, pace: SendPace, frame: &[u8]) -> Result<(), FrameError> {
        if let Some(bytes) = self.asker.hear(frame, &pace, Clock.now())? {
            self.answer.extend_from_slice(&bytes);
        }
        // One that waits already is enough.
        let _ = self.wake.try_send(());
        Ok(())
    }
}

impl Desk {
    fn hear(
        &mut self,
        frame: &[u8],
        life: Option<Incarnation>,
    ) -> Result<Option<Frame>, FrameError> {
        let Self { answerer, answer, .. } = self;
        let clock = Clock.since_1970();
        let heard = answerer.hear(frame, life, nonce, clock, answer.as_deref())?;
        let Some((reply, heard)) = heard else { return Ok(None) };
        match heard {
            PieceOutcome::Nothing => {}
            PieceOutcome::Begun(bytes) => {
                self.number += 1;
                (self.question, self.answer) = (bytes.to_vec(), None);
            }
            PieceOutcome::More(bytes) => self.question.extend_from_slice(&bytes),
        }
        Ok(Some(reply))
    }
}

/// The place of the one who asks, until this is dropped.
struct AskerPlace<'a>(&'a Letters);

impl<'a> AskerPlace<'a> {
    fn take(letters: &'a Letters, asker: Asker) -> Result<(Self, Receiver<()>), Unanswered> {
        let mut asking = letters.asking.borrow_mut();
        if asking.is_some() {
            return Err(Unanswered::Busy);
        }
        let (wake, progress) = bounded(1);
        *asking = Some(OutgoingLetter { asker, answer: Vec::new(), wake });
        Ok((Self(letters), progress))
    }

    /// What `look` makes of the letter, which is there as long as this is.
    fn with<T>(&self, look: impl FnOnce(&mut OutgoingLetter) -> T) -> Option<T> {
        self.0.asking.borrow_mut().as_mut().map(look)
    }
}

impl Drop for AskerPlace<'_> {
    fn drop(&mut self) {
        *self.0.asking.borrow_mut() = None;
    }
}

/// For the person who has asked, of whom the other box is the peer.
impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "another command on this box is asking the other box: try again when it is done",
            Self::Unheard => "no link carries both ways now: see twobox status",
            Self::Impossible => "what is to be asked is too long, or the kernel has no random numbers",
            Self::Silent(Silence::NoAnswer) => {
                "it is heard, but its twobox does not answer: that is older than the one here, or it hangs"
            }
            Self::Silent(Silence::Broken) => "it began to answer, and then no more came: try again",
            Self::Silent(Silence::Unmade) => {
                "it has the question, and made no answer within a minute: see its log, and whether its disk is stuck"
            }
            Self::Silent(Silence::Long) => "it has not answered in full within five minutes",
        })
    }
}

/// Does `work` beside the loop: it looks into files, writes the configuration, or checks it, which runs programs.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    board::thread::offload::aside("letter", Rights::FILES | Rights::PROGRAMS, work).await
}

fn nonce() -> Option<Nonce> {
    let mut nonce = [0; 8];
    let filled = getrandom(&mut nonce, GetRandomFlags::empty()).ok()?;
    (filled == nonce.len()).then_some(Nonce(nonce))
}
