//! Has many clients ask the supervisor of a box at once, some of them rudely.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::Lab;
use crate::observers::failure::Failure;
use firmware_agnostic::identity::BoxId;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use supervisor::config::SOCKET;
use supervisor::control::client::{Verdict, ask};

/// How each of the crowd behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manners {
    /// Asks for the status, a hundred times a second, and reads the answer.
    Good,
    /// Gives an order that changes nothing, and is logged.
    Bossy,
    /// Says nothing.
    Silent,
    /// Asks, and never reads the answer.
    Deaf,
    /// Is nobody who may ask, and asks as often as it can.
    Stranger,
    /// May ask, does so as often as it can, and hangs up before the answer every other time.
    Viewer,
}

/// What became of those with good manners.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that were refused.
    pub refused: u64,
    /// The longest wait for an answer.
    pub longest: Duration,
}

impl Lab {
    /// Lets `many` ask the supervisor of a box for `time`.
    pub fn crowd(
        &self,
        id: BoxId,
        manners: Manners,
        many: u32,
        time: Duration,
    ) -> Result<Answers, Failure> {
        let (many, time) = (many.to_string(), time.as_millis().to_string());
        let words = ["crowd", manners.label(), &many, &time];
        let output = self.machine(id).demo(&words)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut numbers = said.split_whitespace().map_while(|word| word.parse().ok());
        let (Some(answered), Some(refused), Some(longest)) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return Err(Failure(format!("the crowd said {said:?}")));
        };
        Ok(Answers { answered, refused, longest: Duration::from_micros(longest) })
    }
}

impl Manners {
    const ALL: [Self; 6] =
        [Self::Good, Self::Bossy, Self::Silent, Self::Deaf, Self::Stranger, Self::Viewer];

    const fn label(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bossy => "bossy",
            Self::Silent => "silent",
            Self::Deaf => "deaf",
            Self::Stranger => "stranger",
            Self::Viewer => "viewer",
        }
    }

    /// Makes the calling thread the user who has these.
    fn become_user(self) -> io::Result<()> {
        let group = match self {
            Self::Stranger => STRANGERS,
            Self::Viewer => VIEWERS,
            Self::Good | Self::Bossy | Self::Silent | Self::Deaf => return Ok(()),
        };
        let (group, user) = (Gid::from_raw(group), Uid::from_raw(group));
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        Ok(set_thread_res_uid(user, user, user)?)
    }
}

/// Is the crowd, in a box: prints how many were answered, how many not, and the longest wait in microseconds.
pub fn play(words: &[&str]) -> Result<(), String> {
    let [manners, many, time] = words else { return Err("crowd MANNERS MANY MILLISECONDS".into()) };
    let manners = Manners::ALL.into_iter().find(|it| it.label() == *manners);
    let (Some(manners), Ok(many), Ok(time)) = (manners, many.parse::<u32>(), time.parse()) else {
        return Err(format!("no crowd: {words:?}"));
    };
    let end = Instant::now() + Duration::from_millis(time);
    let all: Vec<_> = (0..many).map(|_| thread::spawn(move || one(manners, end))).collect();
    let mut sum = Answers::default();
    for one in all {
        let one = one.join().map_err(|_| "one of the crowd has panicked".to_owned())?;
        sum.answered += one.answered;
        sum.refused += one.refused;
        sum.longest = sum.longest.max(one.longest);
    }
    println!("{} {} {}", sum.answered, sum.refused, sum.longest.as_micros());
    Ok(())
}

fn one(manners: Manners, end: Instant) -> Answers {
    let mut answers = Answers::default();
    if let Err(error) = manners.become_user() {
        eprintln!("somebody else cannot be had: {error}");
        return answers;
    }
    for number in 0_u64.. {
        if Instant::now() >= end {
            break;
        }
        let begun = Instant::now();
        let done = match manners {
            Manners::Good => {
                let answer = ask(Path::new(SOCKET), "status json");
                answers.longest = answers.longest.max(begun.elapsed());
                thread::sleep(RHYTHM.saturating_sub(begun.elapsed()));
                answer.map(drop)
            }
            Manners::Bossy => ask(Path::new(SOCKET), "clear").map(drop),
            Manners::Silent => say_nothing(end),
            Manners::Deaf => say_and_ignore(end),
            Manners::Viewer if number % 2 > 0 => hang_up(),
            Manners::Stranger | Manners::Viewer => {
                ask(Path::new(SOCKET), "status").and_then(|it| {
                    let taken = it.verdict != Verdict::Refused;
                    taken.then_some(()).ok_or_else(|| io::Error::other(it.text))
                })
            }
        };
        match done {
            Ok(()) => answers.answered += 1,
            Err(_) => answers.refused += 1,
        }
    }
    answers
}

/// Says nothing, until it is hung up on.
fn say_nothing(end: Instant) -> io::Result<()> {
    let mut stream = UnixStream::connect(SOCKET)?;
    stream.set_read_timeout(Some(end.saturating_duration_since(Instant::now()).max(SHORT)))?;
    // What comes is the end, one way or the other.
    let _ = stream.read(&mut [0]);
    Ok(())
}

/// Asks, and never reads the answer.
fn say_and_ignore(end: Instant) -> io::Result<()> {
    let mut stream = UnixStream::connect(SOCKET)?;
    stream.write_all(b"status json\n")?;
    thread::sleep(end.saturating_duration_since(Instant::now()));
    Ok(())
}

/// Asks, and is gone before the answer.
fn hang_up() -> io::Result<()> {
    let socket = format!("{SOCKET}.viewers");
    UnixStream::connect(socket)?.write_all(b"status\n")?;
    Err(io::ErrorKind::Interrupted.into())
}

/// Those who may ask, and those who may not.
pub const VIEWERS: u32 = 424_243;
const STRANGERS: u32 = 424_244;

const RHYTHM: Duration = Duration::from_millis(10);
const SHORT: Duration = Duration::from_millis(1);
