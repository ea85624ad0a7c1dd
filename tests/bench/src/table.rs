//! Compares the programs: one line for each question, one column for each program.

use std::fmt;

use super::row::Row;

/// Everything that was measured, in the order in which it came, with the program that it is about.
#[derive(Debug, Default)]
pub struct Table(Vec<(String, Row)>);

impl Table {
    /// Notes what was measured of a program.
    pub fn add(&mut self, program: &str, row: Row) {
        self.0.push((program.to_owned(), row));
    }

    fn programs(&self) -> Vec<&str> {
        distinct(self.0.iter().map(|(program, _)| program.as_str()))
    }

    fn lines(&self) -> Vec<&str> {
        distinct(self.0.iter().map(|(_, row)| row.what.as_str()))
    }

    fn cell(&self, what: &str, program: &str) -> String {
        let found = self.0.iter().find(|(owner, row)| owner == program && row.what == what);
        found.map(|(_, row)| row.to_string()).unwrap_or_default()
    }

    /// The words at the beginning of a line: its name, and what is wanted.
    fn head(&self, what: &str) -> [String; 2] {
        let rows = || self.0.iter().map(|(_, row)| row).filter(|row| row.what == what);
        // Who has only words for it has no unit.
        let label = rows().map(Row::label).max_by_key(String::len).unwrap_or_default();
        let wanted = rows().map(Row::wanted).find(|wanted| !wanted.is_empty()).unwrap_or_default();
        [label, wanted]
    }
}

/// A table as Markdown has it, its columns aligned for a person who reads it as it is.
impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let programs = self.programs();
        let title = ["what", "target"].iter().chain(&programs).map(|it| (*it).to_owned()).collect();
        let mut lines: Vec<Vec<String>> = vec![title];
        for what in self.lines() {
            let cells = programs.iter().map(|program| self.cell(what, program));
            lines.push(self.head(what).into_iter().chain(cells).collect());
        }
        let widths: Vec<usize> = (0..programs.len() + 2)
            .map(|place| lines.iter().filter_map(|line| Some(line.get(place)?.len())).max())
            .map(Option::unwrap_or_default)
            .collect();
        for (place, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(&widths) {
                write!(formatter, "| {cell:<width$} ")?;
            }
            writeln!(formatter, "|")?;
            if place == 0 {
                let rules = widths.iter().map(|width| "-".repeat(width + 2));
                writeln!(formatter, "|{}|", rules.collect::<Vec<_>>().join("|"))?;
            }
        }
        Ok(())
    }
}

fn distinct<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for word in words {
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Target;

    #[test]
    fn programs_stand_side_by_side() {
        let mut table = Table::default();
        table.add("twobox", Row::new("switch", "ms", [17.0]).target(Target::AtMost(30.0)));
        table.add("twobox", Row::new("step", "us", [0.125]));
        table.add("other", Row::said("switch", "not installed"));
        let lines: Vec<_> = table.to_string().lines().map(str::to_owned).collect();
        let [_, _, switch, step] = &lines[..] else { panic!("{lines:?}") };
        let cells =
            |line: &str| line.split('|').map(str::trim).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cells(switch), ["", "switch, ms", "<= 30", "17", "not installed", ""]);
        assert_eq!(cells(step), ["", "step, us", "", "0.12", "", ""]);
    }
}
