//! Lists the mutants of the core, with a number and a description of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::places::{self, Found};

/// Every mutant of the core.
pub struct Catalogue {
    pub files: Vec<File>,
    pub mutants: Vec<Mutant>,
}

/// A source file of the core.
pub struct File {
    /// Relative to the root of the project.
    pub path: PathBuf,
    pub source: String,
    pub found: Found,
}

/// A mutant of the core. Its number is its place in the list, from 1.
pub struct Mutant {
    pub file: usize,
    pub line: usize,
    /// Where it is and what it does, without a line number, so that it survives an edit elsewhere.
    pub description: String,
    /// It is in a function that the compiler runs.
    pub is_const: bool,
    /// Its place in the file, and its index there.
    pub place: (usize, usize),
}

impl Catalogue {
    /// Lists the mutants of the crate in `root`. The functions in `constant` stay `const`.
    pub fn of(root: &Path, constant: &BTreeSet<String>) -> Self {
        let mut paths = Vec::new();
        sources(&root.join(CORE), &mut paths);
        paths.sort();
        let files: Vec<File> =
            paths.into_iter().map(|path| File::read(root, &path, constant)).collect();
        let mut catalogue = Self { files, mutants: Vec::new() };
        catalogue.number();
        catalogue
    }

    fn number(&mut self) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (file, File { path, found, .. }) in self.files.iter().enumerate() {
            let name = path.strip_prefix(CORE).unwrap_or(path).display();
            for (at, place) in found.places.iter().enumerate() {
                for (index, (what, _)) in place.mutants.iter().enumerate() {
                    let mut description = format!("{name}: {}: {what}", place.function);
                    let times = seen.entry(description.clone()).or_default();
                    *times += 1;
                    if *times > 1 {
                        description = format!("{description}, no. {times}");
                    }
                    let (line, is_const) = (place.line, place.is_const);
                    let place = (at, index);
                    self.mutants.push(Mutant { file, line, description, is_const, place });
                }
            }
        }
    }

    /// The mutant that has this number.
    pub fn get(&self, number: u32) -> &Mutant {
        &self.mutants[number as usize - 1]
    }

    /// The numbers of all mutants.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        (1..).zip(&self.mutants).map(|(number, _)| number)
    }

    /// Where it is and what it does, for a person.
    pub fn show(&self, number: u32) -> String {
        let Mutant { file, line, description, .. } = self.get(number);
        let (_, what) = description.split_once(": ").unwrap_or_default();
        format!("{}:{line}: {what}", self.files[*file].path.display())
    }
}

impl File {
    fn read(root: &Path, path: &Path, constant: &BTreeSet<String>) -> Self {
        let source =
            fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let found = places::find(&source, &|name| constant.contains(name))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let path = path.strip_prefix(root).unwrap_or(path).to_owned();
        Self { path, source, found }
    }
}

fn sources(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            sources(&path, paths);
        } else if path.extension().is_some_and(|it| it == "rs") {
            paths.push(path);
        }
    }
}

const CORE: &str = "firmware-agnostic/src";
