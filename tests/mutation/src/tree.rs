//! Keeps a copy of the project with every mutant in it, and builds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::catalogue::{Catalogue, Mutant};
use crate::schemata::Schemata;

/// A copy of the project. It is kept from run to run, so that only what has changed is built.
pub struct Tree {
    root: PathBuf,
    pub folder: PathBuf,
}

/// What a build has come to.
pub struct Built {
    pub catalogue: Catalogue,
    /// The mutants that can run.
    pub viable: BTreeSet<u32>,
    /// The mutants that the compiler refuses.
    pub unviable: BTreeSet<u32>,
    /// The test binaries, by their names.
    pub binaries: BTreeMap<String, PathBuf>,
}

impl Tree {
    /// The copy in `folder` of the project in `root`.
    pub fn new(root: &Path, folder: &Path) -> Self {
        Self { root: root.to_owned(), folder: folder.to_owned() }
    }

    /// Builds the copy with every mutant but those that the compiler refuses.
    pub fn build(&self) -> Built {
        self.copy();
        let mut constant = BTreeSet::new();
        let mut refused = BTreeSet::new();
        let mut quick = true;
        loop {
            let catalogue = Catalogue::of(&self.root, &constant);
            let runs = |number: &u32| !catalogue.get(*number).is_const;
            let tried: BTreeSet<u32> = catalogue.numbers().filter(runs).collect();
            let viable: BTreeSet<u32> = tried.difference(&refused).copied().collect();
            let schemata = self.write(&catalogue, &viable);
            let (succeeded, messages) = self.cargo(if quick { CHECK } else { BUILD });
            if !succeeded {
                let errors: Vec<&Value> = messages.iter().filter_map(error).collect();
                let before = (constant.len(), refused.len());
                for error in &errors {
                    match needs_const(error) {
                        Some(name) => drop(constant.insert(name)),
                        None => refused.extend(blamed(error, &schemata)),
                    }
                }
                let told = || {
                    errors.iter().filter_map(|error| error["rendered"].as_str()).collect::<String>()
                };
                assert!(
                    before != (constant.len(), refused.len()),
                    "the copy does not build:\n{}",
                    told()
                );
            } else if quick {
                quick = false;
            } else {
                let binaries = messages.iter().filter_map(binary).collect();
                return Built { catalogue, viable, unviable: refused, binaries };
            }
        }
    }

    /// Makes the copy of everything that belongs to the project, but for the sources of the core.
    fn copy(&self) {
        let mut paths = BTreeSet::new();
        self.find(&self.root, &mut paths);
        for path in paths.iter().filter(|path| !path.starts_with("firmware-agnostic/src/")) {
            if let Ok(content) = fs::read(self.root.join(path)) {
                put(&self.folder.join(path), &content);
            }
        }
        self.remove_others(&self.folder, &paths);
    }

    /// The files below `folder`, but for what was built and what is hidden.
    fn find(&self, folder: &Path, paths: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("the project can be read").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if path.is_dir() {
                if name != "target" && !(name.starts_with('.') && name != ".cargo") {
                    self.find(&path, paths);
                }
            } else if let Ok(path) = path.strip_prefix(&self.root) {
                paths.insert(path.to_string_lossy().into_owned());
            }
        }
    }

    fn remove_others(&self, folder: &Path, paths: &BTreeSet<String>) {
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.strip_prefix(&self.folder).unwrap_or(&path).to_string_lossy();
            if path.is_dir() {
                self.remove_others(&path, paths);
            } else if !paths.contains(&*name) && *name != *SWITCH_FILE {
                fs::remove_file(&path).expect("the copy belongs to this program");
            }
        }
    }

    fn write(&self, catalogue: &Catalogue, viable: &BTreeSet<u32>) -> BTreeMap<PathBuf, Schemata> {
        let mut numbers: BTreeMap<(usize, (usize, usize)), u32> = BTreeMap::new();
        for number in viable {
            let Mutant { file, place, .. } = catalogue.get(*number);
            numbers.insert((*file, *place), *number);
        }
        put(&self.folder.join(SWITCH_FILE), SWITCH.as_bytes());
        let files = catalogue.files.iter().enumerate().map(|(at, file)| {
            let number = |place, mutant| numbers.get(&(at, (place, mutant))).copied();
            let mut schemata = Schemata::write(&file.source, &file.found, &number);
            if file.path.ends_with("lib.rs") {
                schemata.source.push_str("mod mutant;\n");
            }
            put(&self.folder.join(&file.path), schemata.source.as_bytes());
            (file.path.clone(), schemata)
        });
        files.collect()
    }

    fn cargo(&self, arguments: &[&str]) -> (bool, Vec<Value>) {
        let mut cargo = Command::new("cargo");
        cargo.args(arguments).args([
            "--locked",
            "--quiet",
            "--message-format=json",
            "--config",
            LEAN,
        ]);
        cargo.arg("--target-dir").arg(target(&self.root)).current_dir(&self.folder);
        let output = cargo.stderr(Stdio::null()).output().expect("cargo runs");
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let messages = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (output.status.success(), messages)
    }
}

/// The folder of what is built, which is shared with the project's own builds.
pub fn target(root: &Path) -> PathBuf {
    let chosen =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root.join(chosen)
}

/// Writes a file that is not the same already: cargo builds again what is newer.
fn put(path: &Path, content: &[u8]) {
    if fs::read(path).is_ok_and(|known| known == content) {
        return;
    }
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn error(message: &Value) -> Option<&Value> {
    let message = message.get("message")?;
    (message["level"] == "error").then_some(message)
}

/// The function that this error wants to be `const`: a constant is made with it.
fn needs_const(error: &Value) -> Option<String> {
    if error["code"]["code"] != "E0015" {
        return None;
    }
    let path = error["message"].as_str()?.split('`').nth(1)?;
    let mut words = path.rsplit("::");
    let (name, owner) = (words.next()?, words.next());
    let owner = owner.filter(|owner| owner.starts_with(char::is_uppercase));
    Some(owner.map_or_else(|| name.to_owned(), |owner| format!("{owner}::{name}")))
}

/// The mutants because of which this error is there.
fn blamed(error: &Value, schemata: &BTreeMap<PathBuf, Schemata>) -> Vec<u32> {
    let spans: Vec<_> = error["spans"].as_array().into_iter().flatten().collect();
    let place = |span: &Value| -> Option<(&Schemata, Range<usize>)> {
        let schemata = schemata.get(Path::new(span["file_name"].as_str()?))?;
        let byte = |name: &str| usize::try_from(span[name].as_u64()?).ok();
        Some((schemata, byte("byte_start")?..byte("byte_end")?))
    };
    let mut places: Vec<_> = Vec::new();
    for primary in [true, false] {
        let chosen = spans.iter().filter(|span| span["is_primary"] == primary);
        places.extend(chosen.filter_map(|span| place(span)));
    }
    let mutant = places.iter().find_map(|(schemata, at)| schemata.mutant_at(at));
    if let Some(number) = mutant {
        return vec![number];
    }
    let around = places.iter().find_map(|(schemata, at)| schemata.mutants_around(at));
    around.map(<[u32]>::to_vec).unwrap_or_default()
}

fn binary(message: &Value) -> Option<(String, PathBuf)> {
    let path = message["executable"].as_str()?;
    let is_test = message["profile"]["test"] == true;
    is_test.then(|| Some((message["target"]["name"].as_str()?.to_owned(), path.into())))?
}

const SWITCH: &str = include_str!("switch.rs");
const SWITCH_FILE: &str = "firmware-agnostic/src/mutant.rs";
const CHECK: &[&str] = &["check", "--package", "firmware-agnostic"];
const BUILD: &[&str] = &[
    "test",
    "--no-run",
    "--package",
    "firmware-agnostic",
    "--package",
    "simulation",
    "--lib",
    "--test",
    "node_rules",
    "--test",
    "orders",
    "--test",
    "recordings",
    "--test",
    "reloads",
    "--test",
    "wire",
    "--test",
    "shots",
    "--test",
    "time_shift",
    "--test",
    "troubles",
    "--test",
    "hostile",
    "--test",
    "cut_moves",
    "--test",
    "stories",
    "--test",
    "boot",
    "--test",
    "letters",
    "--test",
    "failures",
    "--test",
    "simulation",
    "--test",
    "model",
];
/// Mutants want no debugger.
const LEAN: &str = "profile.dev.package.firmware-agnostic.debug=false";
