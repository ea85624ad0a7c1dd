//! Words what is wrong in a configuration file.

use std::fmt;
use std::io;
use std::path::PathBuf;

use board::config::table::Complaint;
use board::host::plain_text::Plain;

/// Why there is no configuration.
#[derive(Debug)]
pub enum Error {
    /// The file could not be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Something is wrong in it.
    Wrong {
        /// Which file.
        path: PathBuf,
        /// All that is wrong.
        complaints: Vec<Complaint>,
    },
}

/// One line for each mistake: `FILE:LINE:COLUMN: WORD: REASON`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(f, "{}: cannot read the configuration: {error}", path.display())
            }
            Self::Wrong { path, complaints } => {
                for (place, complaint) in complaints.iter().enumerate() {
                    let Complaint { line, column, word, reason } = complaint;
                    let end = if place == 0 { "" } else { "\n" };
                    write!(f, "{end}{}:{line}:{column}: ", path.display())?;
                    if !word.is_empty() {
                        write!(f, "{}: ", Plain(word))?;
                    }
                    Plain(reason).fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {}
