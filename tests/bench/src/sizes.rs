//! Measures what must be installed. `tests/size` knows it of the pair; its limits are the targets. Of the others
//! Debian's own books know it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use super::row::{Row, Target};
use lab::observers::failure::Failure;

/// The sizes of the pair's binary, linked dynamically and statically.
///
/// # Errors
///
/// When it cannot be built.
pub fn ours() -> Result<Vec<Row>, Failure> {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../size")).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut rows: Vec<_> = said.lines().filter_map(row).collect();
    if rows.is_empty() {
        return Err(Failure(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    // One program, and one file of settings; linked statically it needs nothing else.
    rows.extend([Row::new(PACKAGES, "", [0.0]), Row::new(FILES, "", [1.0])]);
    Ok(rows)
}

/// What a Debian package needs on a machine that has what every Debian has: the packages whose priority is
/// `required`, and what those depend on.
///
/// # Errors
///
/// When this is no Debian.
pub fn theirs(package: &str, program: &str) -> Result<Vec<Row>, Failure> {
    let installed = Installed::read()?;
    let base = installed.needs(installed.required());
    let all = installed.needs(BTreeSet::from([package]));
    let own: Vec<_> = all.difference(&base).copied().collect();
    let size: f64 = own.iter().filter_map(|name| installed.0.get(*name)).map(|it| it.size).sum();
    let files: usize = own.iter().map(|name| files(name)).sum();
    let binary = fs::metadata(program)?.len() as f64 / 1024.0;
    Ok(vec![
        Row::new("binary, dynamic", "KiB", [binary]),
        Row::new(PACKAGES, "", [own.len() as f64]),
        Row::new(FILES, "", [files as f64]),
        Row::new("all of these", "KiB", [size]),
    ])
}

/// `dynamic  654321 bytes, at most  900000`
fn row(line: &str) -> Option<Row> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [what, size, "bytes,", "at", "most", most] = words[..] else { return None };
    let kib = |bytes: &str| bytes.parse::<f64>().ok().map(|bytes| bytes / 1024.0);
    let target = Target::AtMost(kib(most)?.floor());
    Some(Row::new(&format!("binary, {what}"), "KiB", [kib(size)?]).target(target))
}

/// What dpkg has in its books, by package.
struct Installed(BTreeMap<String, Package>);

struct Package {
    required: bool,
    /// In KiB.
    size: f64,
    /// Each of them must be there, in one of its alternatives.
    depends: Vec<Vec<String>>,
    provides: Vec<String>,
}

impl Installed {
    fn read() -> Result<Self, Failure> {
        let format =
            "${Package}\t${Priority}\t${Installed-Size}\t${Pre-Depends},${Depends}\t${Provides}\n";
        let output = Command::new("dpkg-query").args(["-W", "-f", format]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Self(text.lines().filter_map(package).collect()))
    }

    fn required(&self) -> BTreeSet<&str> {
        self.0.iter().filter(|(_, it)| it.required).map(|(name, _)| name.as_str()).collect()
    }

    /// The installed packages that `wanted` need, and themselves.
    fn needs<'a>(&'a self, wanted: BTreeSet<&'a str>) -> BTreeSet<&'a str> {
        let (mut all, mut open) = (BTreeSet::new(), Vec::from_iter(wanted));
        while let Some(name) = open.pop() {
            let Some(package) = self.0.get(name) else { continue };
            if all.insert(name) {
                let chosen = package.depends.iter().filter_map(|choice| self.chosen(choice));
                open.extend(chosen);
            }
        }
        all
    }

    /// The first of the alternatives that is there.
    fn chosen(&self, alternatives: &[String]) -> Option<&str> {
        alternatives.iter().find_map(|wanted| {
            let named = self.0.get_key_value(wanted).map(|(name, _)| name.as_str());
            let provides = |(_, it): &(&String, &Package)| it.provides.contains(wanted);
            named.or_else(|| self.0.iter().find(provides).map(|(name, _)| name.as_str()))
        })
    }
}

fn package(line: &str) -> Option<(String, Package)> {
    let fields: Vec<_> = line.split('\t').collect();
    let [name, priority, size, depends, provides] = fields[..] else { return None };
    let names = |text: &str, by: char| -> Vec<String> {
        let words = text.split(by).filter_map(|it| it.split_whitespace().next());
        words.map(|word| word.split(':').next().unwrap_or_default().to_owned()).collect()
    };
    let package = Package {
        required: priority == "required",
        size: size.parse().unwrap_or(0.0),
        depends: depends.split(',').map(|choice| names(choice, '|')).collect(),
        provides: names(provides, ','),
    };
    Some((name.to_owned(), package))
}

/// How many files, not counting directories, a package has brought.
fn files(package: &str) -> usize {
    let output = Command::new("dpkg-query").args(["-L", package]).output();
    let text = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    let is_file = |path: &&str| fs::symlink_metadata(path).is_ok_and(|it| !it.is_dir());
    text.unwrap_or_default().lines().filter(is_file).count()
}

const PACKAGES: &str = "packages beside Debian's base";
const FILES: &str = "files in them";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_script_is_understood() {
        let row = row("dynamic                102400 bytes, at most   204800").unwrap();
        assert_eq!((row.to_string(), row.wanted()), ("100".to_owned(), "<= 200".to_owned()));
    }

    #[test]
    fn what_a_package_needs_is_followed() {
        let book = "a\toptional\t10\t,b (>= 1) | x, c:any\t\nb\toptional\t20\t,\t\n\
                    d\toptional\t30\t,base\tc (= 1)\nbase\trequired\t5\t,\t\n";
        let installed = Installed(book.lines().filter_map(package).collect());
        let all = installed.needs(BTreeSet::from(["a"]));
        assert_eq!(Vec::from_iter(all), ["a", "b", "base", "d"]);
        assert_eq!(Vec::from_iter(installed.required()), ["base"]);
    }
}
