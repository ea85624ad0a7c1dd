//! Holds one measured value: of which program it is, and whether it is good enough. One cell of the table.

use std::fmt;

/// Measured values of one kind, or what was seen in their place. The median is compared with the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is about: the name of a line of the table.
    pub what: String,
    unit: String,
    values: Vec<f64>,
    said: String,
    target: Option<Target>,
}

/// What is wanted of the median.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
}

impl Row {
    /// A row without a target.
    pub fn new(what: &str, unit: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (what, unit) = (what.to_owned(), unit.to_owned());
        Self { what, unit, values, said: String::new(), target: None }
    }

    /// A row whose cell is words.
    pub fn said(what: &str, said: &str) -> Self {
        Self { said: said.to_owned(), ..Self::new(what, "", []) }
    }

    /// The same with a target.
    #[must_use]
    pub const fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// The same with a most, if there is one.
    #[must_use]
    pub fn at_most(self, most: Option<f64>) -> Self {
        Self { target: most.map(Target::AtMost), ..self }
    }

    /// The name of its line, with the unit.
    pub fn label(&self) -> String {
        if self.unit.is_empty() {
            self.what.clone()
        } else {
            format!("{}, {}", self.what, self.unit)
        }
    }

    /// What is wanted.
    pub fn wanted(&self) -> String {
        self.target.map(|target| target.to_string()).unwrap_or_default()
    }

    /// The row as a line of text that [`Row::from_line`] reads.
    pub fn to_line(&self) -> String {
        let target = self.wanted();
        let values: Vec<_> = self.values.iter().map(f64::to_string).collect();
        [&self.what, &self.unit, &target, &self.said, &values.join(" ")]
            .map(String::as_str)
            .join("\t")
    }

    /// Reads such a line; `None` if it is none.
    pub fn from_line(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split('\t').collect();
        let [what, unit, target, said, values] = fields[..] else { return None };
        let values = values.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>();
        let row = Self { said: said.to_owned(), ..Self::new(what, unit, values.ok()?) };
        Some(Self { target: Target::read(target), ..row })
    }

    fn median(&self) -> Option<f64> {
        let upper = self.values.get(self.values.len() / 2)?;
        let lower = self.values.get((self.values.len().checked_sub(1)?) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    }
}

/// The cell: the median, from the least to the most, of so many; or what was said.
impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(median) = self.median() else {
            let said = if self.said.is_empty() { "nothing was measured" } else { &self.said };
            return formatter.write_str(said);
        };
        formatter.write_str(&number(median))?;
        if let ([least, .., most], count) = (self.values.as_slice(), self.values.len()) {
            write!(formatter, " ({} to {}, of {count})", number(*least), number(*most))?;
        }
        match self.target {
            Some(target) if !target.is_met(median) => formatter.write_str(" MISSED"),
            _ => Ok(()),
        }
    }
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (sign, value) = text.split_once(' ')?;
        let value = value.parse().ok()?;
        match sign {
            "<=" => Some(Self::AtMost(value)),
            ">=" => Some(Self::AtLeast(value)),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(formatter, "<= {most}"),
            Self::AtLeast(least) => write!(formatter, ">= {least}"),
        }
    }
}

/// Three digits that mean something are enough.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..10.0 if value.fract() != 0.0 => format!("{value:.2}"),
        ..100.0 if value.fract() != 0.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides() {
        let row = Row::new("planned switch", "ms", [90.0, 10.5, 20.5]).target(Target::AtMost(30.0));
        assert_eq!(row.to_string(), "20.5 (10.5 to 90, of 3)");
        let even = Row::new("speed", "x", [1.0, 2.0]).target(Target::AtLeast(2.0));
        assert_eq!(even.to_string(), "1.50 (1 to 2, of 2) MISSED");
    }

    #[test]
    fn nothing_measured_is_no_success() {
        let row = Row::new("planned switch", "ms", []).target(Target::AtMost(30.0));
        assert_eq!(row.to_string(), "nothing was measured");
    }

    #[test]
    fn a_row_survives_the_way_between_two_processes() {
        let measured = Row::new("a", "ms", [0.1, 2.0]).target(Target::AtMost(0.5));
        for row in [measured, Row::said("b", "not installed"), Row::new("c", "", [])] {
            assert_eq!(Row::from_line(&row.to_line()), Some(row));
        }
        assert_eq!(Row::from_line("something else"), None);
    }
}
