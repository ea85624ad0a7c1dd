//! What does this box answer when the other one asks?
//!
//! | question | answer |
//! |---|---|
//! | `check`, and a configuration on the lines below | what runs here, with what, and what it says about that configuration |
//! | `history COUNT BYTES` | the clocks of this box, and the last records of its history, so many at the most |
//!
//! The first line of an answer is `ok` or `refused`, as at the control socket. All of this takes its time, and is done on a
//! thread of its own.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use board::clock::Clock;
use firmware_agnostic::frame::Version;

use crate::config::{self, Config};
use crate::history;
use crate::upgrade::Itself;

/// What a thread needs to know for an answer.
pub(crate) struct Answers {
    itself: Itself,
    /// What runs here.
    text: String,
    history: PathBuf,
    /// Where a configuration is put that is only looked at.
    scratch: PathBuf,
}

impl Answers {
    /// The answers of the supervisor that runs with `config`.
    pub(crate) fn new(itself: Itself, config: &Config) -> Self {
        let mut scratch = config.control.socket.clone().into_os_string();
        scratch.push(".peer.toml");
        Self {
            itself,
            text: config.text.clone(),
            history: config.history.file.clone(),
            scratch: scratch.into(),
        }
    }

    /// Answers `question`.
    pub(super) fn answer(&self, question: &str) -> String {
        let (line, body) = question.split_once('\n').unwrap_or((question, ""));
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["check"] => self.check(body),
            ["history", count, bytes] => match (count.parse(), bytes.parse()) {
                (Ok(count), Ok(bytes)) => self.history(count, bytes),
                _ => Err("history wants two numbers".to_owned()),
            },
            _ => Err(format!("twobox {} knows no answer to {line:?}", env!("CARGO_PKG_VERSION"))),
        }
        .map_or_else(|why| format!("refused\n{why}\n"), |text| format!("ok\n{text}"))
    }

    /// How this box is called and what runs there, in one line.
    pub(super) fn itself(&self) -> String {
        let name = &self.itself.name;
        format!("{name} runs {} with configuration {}\n", release(), config::mark(&self.text))
    }

    /// The configuration of this box.
    pub(super) fn config(&self) -> &Path {
        &self.itself.config
    }

    fn check(&self, text: &str) -> Result<String, String> {
        let (mut said, path) = (self.itself(), self.itself.config.display());
        let differences = config::differences(text, &self.text);
        if config::mark(text) == config::mark(&self.text) {
            let _ = writeln!(said, "{path} is what it runs with");
        } else {
            let _ = writeln!(said, "{path} is not what it runs with:");
        }
        for config::Difference { word, said: [file, there] } in differences {
            let [file, there] = [file, there].map(|it| it.unwrap_or_else(|| "nothing".to_owned()));
            let _ = writeln!(said, "  {word}: {file}, and there {there}");
        }
        match self.try_out(text) {
            Ok(None) => {
                let _ = writeln!(said, "{} can run with it", self.itself.name);
                Ok(said)
            }
            Ok(Some(wrong)) => {
                Err(format!("{said}{} cannot run with it:\n{wrong}", self.itself.name))
            }
            Err(error) => Err(format!("{said}{} cannot try it: {error}", self.itself.name)),
        }
    }

    /// What this program says to `text` on this box, if it finds anything wrong.
    fn try_out(&self, text: &str) -> io::Result<Option<String>> {
        let path = Scratch::new(&self.scratch, text)?;
        let said = self.itself.check(&path.0, &["--here"])?;
        let (mine, there) = (path.0.to_string_lossy(), self.itself.config.to_string_lossy());
        Ok((!said.end.success()).then(|| said.errors.trim_end().replace(&*mine, &there)))
    }

    fn history(&self, count: usize, bytes: usize) -> Result<String, String> {
        let now = history::Anchor::now(Clock.now(), Clock.since_1970());
        let lines =
            history::last(&self.history, count, bytes).map_err(|error| error.to_string())?;
        Ok(format!("{now}\n{lines}"))
    }
}

/// What this program is and speaks.
pub(super) fn release() -> String {
    let versions = Version::ALL.map(|version| (version as u8).to_string()).join(" and ");
    format!("twobox {} (protocol {versions}, letters)", env!("CARGO_PKG_VERSION"))
}

/// A file that is there for as long as this is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: &Path, text: &str) -> io::Result<Self> {
        let _ = fs::remove_file(path);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        let scratch = Self(path.to_owned());
        file.write_all(text.as_bytes())?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
