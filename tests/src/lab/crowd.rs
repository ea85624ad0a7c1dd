//! Has many clients ask the supervisor of a box at once, some of them rudely.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId;
use supervisor::client::ask;
use supervisor::config::SOCKET;

use super::Lab;
use super::failure::Failure;

/// How each of the crowd behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manners {
    /// Asks for the status, a hundred times a second, and reads the answer.
    Good,
    /// Gives an order that changes nothing, and is logged.
    Bossy,
    /// Says nothing.
    Silent,
    /// Asks, and never reads the answer.
    Deaf,
}

/// What became of those with good manners.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    pub(crate) longest: Duration,
}

impl Lab {
    /// Lets `many` ask the supervisor of a box for `time`.
    pub(crate) fn crowd(
        &self,
        id: BoxId,
        manners: Manners,
        many: u32,
        time: Duration,
    ) -> Result<Answers, Failure> {
        let (many, time) = (many.to_string(), time.as_millis().to_string());
        let words = ["crowd", manners.word(), &many, &time];
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
    const ALL: [Self; 4] = [Self::Good, Self::Bossy, Self::Silent, Self::Deaf];

    const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bossy => "bossy",
            Self::Silent => "silent",
            Self::Deaf => "deaf",
        }
    }
}

/// Is the crowd, in a box: prints how many were answered, how many not, and the longest wait in microseconds.
pub(super) fn play(words: &[&str]) -> Result<(), String> {
    let [manners, many, time] = words else { return Err("crowd MANNERS MANY MILLISECONDS".into()) };
    let manners = Manners::ALL.into_iter().find(|it| it.word() == *manners);
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
    while Instant::now() < end {
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

const RHYTHM: Duration = Duration::from_millis(10);
const SHORT: Duration = Duration::from_millis(1);
