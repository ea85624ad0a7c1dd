//! What was measured, and is it good enough? One line of the table.

use std::fmt;

/// Measured values of one kind. The median is compared with the target.
#[derive(Clone, Debug)]
pub struct Row {
    what: String,
    unit: &'static str,
    values: Vec<f64>,
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
    pub fn new(what: &str, unit: &'static str, values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self { what: what.to_owned(), unit, values, target: None }
    }

    /// The same with a target.
    #[must_use]
    pub const fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// Prints it now, so that a person sees how it goes on.
    pub fn print(&self) {
        println!("{self}");
    }

    fn median(&self) -> Option<f64> {
        let upper = self.values.get(self.values.len() / 2)?;
        let lower = self.values.get((self.values.len() - 1) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    }

    fn verdict(&self, median: f64) -> &'static str {
        match self.target {
            None => "",
            Some(target) if target.is_met(median) => "ok",
            Some(_) => "missed",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(median), Some(least), Some(most)) =
            (self.median(), self.values.first(), self.values.last())
        else {
            return write!(formatter, "{:<36} nothing was measured", self.what);
        };
        let target = self.target.map(|target| target.to_string()).unwrap_or_default();
        let line = format!(
            "{:<36} {:>3} {:>8} {:>8} {:>8} {:<5} {:>8} {}",
            self.what,
            self.values.len(),
            number(median),
            number(*least),
            number(*most),
            self.unit,
            target,
            self.verdict(median),
        );
        formatter.write_str(line.trim_end())
    }
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
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

/// Prints what the columns are.
pub fn head() {
    println!(
        "{:<36} {:>3} {:>8} {:>8} {:>8} {:<5} {:>8}\n{:-<89}",
        "what", "n", "median", "min", "max", "", "target", ""
    );
}

/// Three digits that mean something are enough.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides() {
        let row = Row::new("planned switch", "ms", [90.0, 10.0, 20.0]).target(Target::AtMost(30.0));
        let line = row.to_string();
        assert!(line.contains(" 20.0 ") && line.ends_with(" ok"), "{line}");
        let even = Row::new("speed", "x", [1.0, 2.0]).target(Target::AtLeast(2.0)).to_string();
        assert!(even.contains(" 1.50 ") && even.ends_with(" missed"), "{even}");
    }

    #[test]
    fn nothing_measured_is_no_success() {
        let line = Row::new("planned switch", "ms", []).target(Target::AtMost(30.0)).to_string();
        assert!(line.ends_with("nothing was measured"), "{line}");
    }
}
