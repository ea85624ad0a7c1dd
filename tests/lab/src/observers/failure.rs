//! Words what is not as it should be.

use std::fmt::{self, Write};

use firmware_agnostic::identity::BoxId;

use crate::{Lab, name};

/// What is wrong, for a person.
#[derive(Debug)]
pub struct Failure(pub String);

impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Goes on if something is so.
///
/// # Errors
///
/// `reason`, if it is not.
pub fn expect(so: bool, reason: impl Into<String>) -> Result<(), Failure> {
    if so { Ok(()) } else { Err(Failure(reason.into())) }
}

impl Failure {
    /// The same, with what both boxes have said last.
    #[must_use]
    pub fn with_logs(self, lab: &Lab) -> Self {
        let Self(mut text) = self;
        for id in BoxId::BOTH {
            let log = lab.log(id);
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES)..];
            // Writing to a text cannot fail.
            let _ = write!(text, "\n--- {} said last:\n{}", name(id), last.join("\n"));
        }
        Self(text)
    }
}

/// As much as fits beside the reason.
const LINES: usize = 40;
