//! Reads `tests/mutants.accepted`: mutants that nothing kills, and why that is no fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::catalogue::Catalogue;

/// The descriptions of mutants that may survive, with the lines of the file.
pub struct Accepted(BTreeMap<String, usize>);

impl Accepted {
    /// Reads the file: descriptions, each on a line of its own, and below them the indented reason that they share.
    ///
    /// # Errors
    ///
    /// Descriptions without a reason, and any that stands there twice.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut accepted = BTreeMap::new();
        let mut unreasoned = None;
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with(' ') {
                unreasoned = None;
            } else if accepted.insert(line.to_owned(), number).is_some() {
                return Err(format!("{}:{number}: {line}: stands there twice", path.display()));
            } else {
                unreasoned = Some(number);
            }
        }
        match unreasoned {
            Some(number) => {
                Err(format!("{}:{number}: no reason, on an indented line", path.display()))
            }
            None => Ok(Self(accepted)),
        }
    }

    /// Whether this mutant may survive.
    pub fn has(&self, description: &str) -> bool {
        self.0.contains_key(description)
    }

    /// The descriptions that no mutant has.
    pub fn strangers(&self, catalogue: &Catalogue) -> Vec<String> {
        let known: BTreeSet<&str> =
            catalogue.mutants.iter().map(|it| it.description.as_str()).collect();
        let strangers =
            self.0.iter().filter(|(description, _)| !known.contains(description.as_str()));
        strangers.map(|(description, line)| format!("line {line}: {description}")).collect()
    }
}
