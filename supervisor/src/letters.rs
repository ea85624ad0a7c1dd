//! Asks the other box what is longer than a heartbeat.
//!
//! By letter ([`firmware_agnostic::letter`]), over the links that exist. One letter of this box is under way at a time, and one
//! of the other box's. What has to be looked up for an answer is looked up on a thread of its own ([`answers`]); what is asked
//! for an operator, and how it is told, is in [`asks`]. The node knows nothing of all this.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use board::clock::Clock;
use board::link::Port;
use board::rights::Rights;
use firmware_agnostic::frame::{Frame, Keys};
use firmware_agnostic::heartbeat::Links;
use firmware_agnostic::identity::LinkId;
use firmware_agnostic::letter::{Answerer, Asker, Heard, LETTER_MAX, Nonce, Reading, Seal};
use firmware_agnostic::letter::{Silence, is_piece};
use firmware_agnostic::receiver::Reception;
use rustix::rand::{GetRandomFlags, getrandom};
use smol::channel::{Receiver, Sender, bounded};
use smol::future::or;
use smol::{LocalExecutor, Timer};

use crate::config::Config;
use crate::run::Input;
use crate::upgrade::Itself;

mod answers;
mod asks;
mod trial;
mod ways;

use answers::Answers;
use ways::Ways;

pub(crate) use answers::TRIAL_MAX;
pub use asks::Asks;
pub(crate) use asks::peer;

/// This box's end of the letters.
pub(crate) struct Letters {
    seal: RefCell<Seal>,
    ways: Ways,
    executor: Rc<LocalExecutor<'static>>,
    inputs: Sender<Input>,
    answers: RefCell<Arc<Answers>>,
    desk: RefCell<Desk>,
    /// Where the pieces go that answer this box, while it asks.
    asking: RefCell<Option<Sender<Frame>>>,
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
        itself: Itself,
        inputs: Sender<Input>,
    ) -> Self {
        let desk = Desk {
            answerer: Answerer::new(seal.clone()),
            question: Vec::new(),
            answer: None,
            number: 0,
            working: false,
        };
        let answers = RefCell::new(Arc::new(Answers::new(itself, inputs.clone())));
        let (seal, desk) = (RefCell::new(seal), RefCell::new(desk));
        let (ways, asking) = (Ways::new(reception), RefCell::default());
        Self { seal, ways, executor, inputs, answers, desk, asking }
    }

    /// Goes on with `keys`, and with the links of `config`, whose `ports` are these.
    pub(crate) fn go_on(&self, keys: &Keys, config: &Config, ports: &[Rc<Port>]) {
        self.seal.borrow_mut().keys = keys.clone();
        self.desk.borrow_mut().answerer.reload(keys.clone());
        self.ways.reload(config, ports);
        let answers = self.answers.borrow().with(config);
        *self.answers.borrow_mut() = Arc::new(answers);
    }

    /// Notes on which links the other box says that it hears this one.
    pub(crate) fn heard_on(&self, links: Links) {
        self.ways.heard_on(links);
    }

    /// Says what has been waiting for a heartbeat to go before it.
    pub(crate) fn ride(&self) {
        self.ways.ride();
    }

    /// Takes in what came by `link`, and says whether it was a piece of a letter.
    pub(crate) fn hear(self: &Rc<Self>, link: LinkId, frame: &[u8]) -> bool {
        if !is_piece(frame) {
            return false;
        }
        let mut desk = self.desk.borrow_mut();
        if let Some(reply) = desk.hear(frame) {
            self.ways.send(ways::Rider::Answer, link, reply);
            if desk.answerer.whole() && !desk.question.is_empty() {
                self.look_up(&mut desk);
            }
        } else if let Some(asking) = &*self.asking.borrow()
            && let Ok(frame) = Frame::from_slice(frame)
        {
            // What finds no room comes again.
            let _ = asking.try_send(frame);
        }
        true
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
        let (_line, pieces) = Line::take(self)?;
        let mut asker = Asker::new(self.seal.borrow().clone(), nonce, length, Clock.now());
        let (mut answer, mut turn) = (Vec::new(), 0);
        while !asker.whole() {
            let now = Clock.now();
            let link = self.ways.way(turn, now).ok_or(Unanswered::Unheard)?;
            let pace = self.ways.pace(link);
            if let Some(silence) = asker.silence(&pace, now) {
                return Err(Unanswered::Silent(silence));
            }
            if asker.due() <= now {
                turn += usize::from(asker.again());
                let link = self.ways.way(turn, now).unwrap_or(link);
                self.ways.send(ways::Rider::Question, link, asker.say(text, &pace, now));
            }
            let rings = async {
                Timer::at(Clock.at(asker.due())).await;
                None
            };
            if let Some(frame) = or(async { pieces.recv().await.ok() }, rings).await {
                let new = asker.hear(&frame, &pace, Clock.now());
                answer.extend_from_slice(new.unwrap_or_default());
            }
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        Ok(Answered { text, reading: asker.reading() })
    }
}

impl Desk {
    fn hear(&mut self, frame: &[u8]) -> Option<Frame> {
        let Self { answerer, answer, .. } = self;
        let clock = Clock.since_1970();
        let (reply, heard) = answerer.hear(frame, nonce, clock, answer.as_deref())?;
        match heard {
            Heard::Nothing => {}
            Heard::Begun(bytes) => {
                self.number += 1;
                (self.question, self.answer) = (bytes.to_vec(), None);
            }
            Heard::More(bytes) => self.question.extend_from_slice(bytes),
        }
        Some(reply)
    }
}

/// The place of the one who asks, until this is dropped.
struct Line<'a>(&'a Letters);

impl<'a> Line<'a> {
    fn take(letters: &'a Letters) -> Result<(Self, Receiver<Frame>), Unanswered> {
        let mut asking = letters.asking.borrow_mut();
        if asking.is_some() {
            return Err(Unanswered::Busy);
        }
        let (pieces, taken) = bounded(PIECES_MAX);
        *asking = Some(pieces);
        Ok((Self(letters), taken))
    }
}

impl Drop for Line<'_> {
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
    board::aside::aside("letter", Rights::FILES | Rights::PROGRAMS, work).await
}

fn nonce() -> Option<Nonce> {
    let mut nonce = [0; 8];
    let filled = getrandom(&mut nonce, GetRandomFlags::empty()).ok()?;
    (filled == nonce.len()).then_some(Nonce(nonce))
}

/// Two are under way, and as many again come twice.
const PIECES_MAX: usize = 8;
