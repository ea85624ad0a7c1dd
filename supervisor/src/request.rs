//! What do the command line and the running supervisor say to each other?
//!
//! Over a Unix socket, one question for each connection: a line of words goes in; out come one word for what became
//! of it, and the rest is text for the person who asked.
//!
//! ```text
//! > confirm server1
//! < refused
//! < the peer is heard on a link: it is alive, and there is nothing to confirm
//! ```
//!
//! Both ends read and write it here.

use std::fmt;

use log::LevelFilter;

use crate::config::LEVELS;

/// What a person asks of the supervisor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// `status`: how the pair is, for a person.
    Status,
    /// `status json`: how the pair is, for a program.
    StatusJson,
    /// `standby`: give up the resources.
    Standby,
    /// `takeover`: take the resources.
    Takeover,
    /// `resume`: let priority and `auto_failback` decide again.
    Resume,
    /// `clear`: forget the failures of the resources.
    Clear,
    /// `confirm NAME`: that box holds nothing, somebody has looked.
    Confirm(String),
    /// `log LEVEL`: tell this level and the graver ones.
    Log(LevelFilter),
}

impl Request {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the person who said it.
    pub fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["status"] => Self::Status,
            ["status", "json"] => Self::StatusJson,
            ["standby"] => Self::Standby,
            ["takeover"] => Self::Takeover,
            ["resume"] => Self::Resume,
            ["clear"] => Self::Clear,
            ["confirm", name] => Self::Confirm((*name).to_owned()),
            ["log", level] => Self::Log(parse_level(level)?),
            _ => return Err(format!("{line:?} is nothing that the supervisor can be asked")),
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::StatusJson => f.write_str("status json"),
            Self::Standby => f.write_str("standby"),
            Self::Takeover => f.write_str("takeover"),
            Self::Resume => f.write_str("resume"),
            Self::Clear => f.write_str("clear"),
            Self::Confirm(name) => write!(f, "confirm {name}"),
            Self::Log(level) => write!(f, "log {}", level.as_str().to_lowercase()),
        }
    }
}

/// Reads a level as `[log]` has it.
fn parse_level(said: &str) -> Result<LevelFilter, String> {
    LEVELS.iter().find(|(word, _)| *word == said).map(|(_, level)| *level).ok_or_else(|| {
        let words = LEVELS.map(|(word, _)| word).join(", ");
        format!("{said:?} is no level: they are {words}")
    })
}

/// What the supervisor says to that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// What became of the request.
    pub verdict: Verdict,
    /// The text to show.
    pub text: String,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// `ok`: it was done, or taken up.
    Ok,
    /// `degraded`: the status is told, and one more failure may end the service.
    Degraded,
    /// `refused`: nothing was done, the text says why.
    Refused,
}

impl Answer {
    /// Reads all that the supervisor said; `None` when it is not the supervisor that speaks.
    pub fn parse(said: &str) -> Option<Self> {
        let (first, text) = said.split_once('\n')?;
        let (_, verdict) = VERDICTS.iter().find(|(word, _)| *word == first)?;
        Some(Self { verdict: *verdict, text: text.to_owned() })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = VERDICTS.iter().find(|(_, verdict)| *verdict == self.verdict);
        writeln!(f, "{}", word.map_or("refused", |(word, _)| word))?;
        f.write_str(&self.text)
    }
}

const VERDICTS: [(&str, Verdict); 3] =
    [("ok", Verdict::Ok), ("degraded", Verdict::Degraded), ("refused", Verdict::Refused)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let requests = [
            Request::Status,
            Request::StatusJson,
            Request::Standby,
            Request::Takeover,
            Request::Resume,
            Request::Clear,
            Request::Confirm("server1".to_owned()),
            Request::Log(LevelFilter::Debug),
        ];
        for request in requests {
            assert_eq!(Request::parse(&request.to_string()), Ok(request));
        }
        for wrong in ["", "status xml", "confirm", "confirm a b", "log loud", "log off", "reboot"] {
            assert!(Request::parse(wrong).is_err(), "{wrong}");
        }
        for (_, verdict) in VERDICTS {
            let answer = Answer { verdict, text: "one\ntwo\n".to_owned() };
            assert_eq!(Answer::parse(&answer.to_string()), Some(answer));
        }
        assert_eq!(Answer::parse("okay\n"), None);
    }
}
