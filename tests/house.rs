//! Checks the laws of the house. What a reviewer would have to look up each time, a test looks up.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::de::DeTable;

#[test]
fn the_layers_are_kept() {
    assert_eq!(ours_below("firmware-agnostic"), [""; 0]);
    assert_eq!(ours_below("board"), ["firmware-agnostic"]);
    assert_eq!(ours_below("supervisor"), ["board", "firmware-agnostic"]);
    assert_eq!(ours_below("tests/simulation"), ["firmware-agnostic"]);
}

/// A part does not know the whole that it is put into.
#[test]
fn no_room_imports_from_above() {
    for (folder, rooms, above) in ROOMS {
        let modules = Modules::of(folder);
        for (module, file) in &modules.0 {
            let room = module.split("::").next().unwrap_or_default();
            if !rooms.contains(&room) {
                continue;
            }
            let found = file.imports.iter().find(|name| {
                above.iter().any(|above| name.split("::").next().unwrap_or_default() == *above)
            });
            assert_eq!(found, None, "{folder}/{module} is below that");
        }
    }
}

/// Files that only together make sense are read together, so there are few of them. A module and its parts count as
/// one.
#[test]
fn no_circle_is_large() {
    for folder in PRODUCT {
        let modules = Modules::of(folder);
        for module in modules.0.keys() {
            let circle: Vec<_> = (modules.reached_from(module).into_iter())
                .filter(|other| modules.reached_from(other).contains(&**module))
                .collect();
            assert!(circle.len() <= CIRCLE_MAX, "{folder}: {circle:?} know each other");
        }
    }
}

#[test]
fn no_field_of_the_machine_is_seen_outside() {
    let node = read(&home().join("firmware-agnostic/src/node.rs"));
    let (_, fields) = node.split_once("pub struct Node {").expect("the machine stands there");
    let (fields, _) = fields.split_once("\n}").expect("it has an end");
    for line in fields.lines() {
        assert!(!line.trim_start().starts_with("pub"), "{line}");
    }
}

#[test]
fn every_room_has_a_readme() {
    for room in ["", "firmware-agnostic", "board", "supervisor", "images", "tests"] {
        assert!(home().join(room).join("README.md").exists(), "{room} has none");
    }
}

#[test]
fn the_core_knows_neither_std_nor_an_allocator_nor_unsafe_code() {
    let crate_ = read(&home().join("firmware-agnostic/src/lib.rs"));
    assert!(crate_.contains("\n#![no_std]\n"), "the core is no_std");
    assert!(crate_.contains("\n#![forbid(unsafe_code)]\n"), "the core forbids unsafe code");
    for (path, source) in sources("firmware-agnostic/src") {
        let words = [" std::", "(std::", "alloc::", "extern crate alloc", "unsafe"];
        for (number, line) in code(product(&source)) {
            let line = format!(" {line}");
            let found =
                words.iter().find(|word| line.contains(**word) && !line.contains("unsafe_code"));
            assert_eq!(found, None, "{}:{number}", path.display());
        }
    }
}

/// Greps can be fooled, a linker cannot: see `tests/no-std`.
#[test]
fn the_core_links_on_bare_metal() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-std");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--locked", "--target-dir"])
        .arg(target)
        .current_dir(home().join("tests/no-std"))
        .env_remove("RUSTFLAGS")
        .output()
        .expect("the cargo that runs this test runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

#[test]
fn unsafe_code_stands_in_the_board_and_says_why_it_is_sound() {
    for folder in PRODUCT {
        for (path, source) in sources(folder) {
            let lines: Vec<&str> = product(&source).lines().collect();
            for (number, line) in code(product(&source)) {
                if !line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|it| it == "unsafe")
                {
                    continue;
                }
                assert!(*folder == "board/src", "{}:{number}: unsafe", path.display());
                let before = &lines[number.saturating_sub(SAFETY_WITHIN)..number];
                let reason = before.iter().any(|line| line.contains("SAFETY:"));
                assert!(reason, "{}:{number}: unsafe without a SAFETY comment", path.display());
            }
        }
    }
}

#[test]
fn time_comes_in_by_one_door() {
    for folder in PRODUCT {
        for (path, source) in sources(folder) {
            if CLOCKS.iter().any(|clock| path.ends_with(clock)) {
                continue;
            }
            for (number, line) in code(product(&source)) {
                let reads = ["Instant::now", "SystemTime", ".elapsed()"]
                    .iter()
                    .find(|it| line.contains(**it));
                assert_eq!(reads, None, "{}:{number}", path.display());
            }
        }
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for (path, source) in everything() {
        let documented = source.lines().find(|line| !line.starts_with("#![")).unwrap_or_default();
        assert!(documented.starts_with("//!"), "{} does not begin with //!", path.display());
    }
}

/// The noun that a reader looks for comes first; a question keeps it back.
#[test]
fn every_file_begins_with_a_statement() {
    for (path, source) in everything() {
        let first = source.lines().find(|line| line.starts_with("//!")).unwrap_or_default();
        assert!(!first.contains('?'), "{} begins with a question: {first}", path.display());
    }
}

/// A sentence names the part or the person that acts, and a line of comment fits beside the code.
#[test]
fn comments_name_who_acts_and_are_no_wider_than_the_code() {
    for (path, source) in everything() {
        for (number, line) in source.lines().enumerate() {
            let at = format!("{}:{}", path.display(), number + 1);
            let Some((before, comment)) = line.split_once("//") else { continue };
            if !before.trim().is_empty() {
                continue;
            }
            let lower = comment.to_lowercase();
            let vague = ["who", "what", "which", "where"].map(|word| format!("{word}ever"));
            let found = vague.iter().find(|word| lower.contains(word.as_str()));
            assert_eq!(found, None, "{at}: name who or what it is");
            // A row of a table cannot be broken.
            let row = comment.trim_start_matches(['!', '/']).trim_start().starts_with('|');
            assert!(row || line.chars().count() <= COMMENT_MAX, "{at}: break the comment");
        }
    }
}

#[test]
fn no_file_is_a_drawer() {
    for (path, _) in everything() {
        let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        let drawer = ["util", "utils", "common", "helper", "helpers", "misc"].contains(&name);
        assert!(!drawer, "{}: what is in it has a name of its own", path.display());
    }
}

#[test]
fn nothing_is_left_for_later() {
    for (path, source) in everything() {
        for (number, line) in code(&source) {
            let later = ["todo", "unimplemented", "dbg"]
                .into_iter()
                .find(|name| line.contains(&format!("{name}!(")));
            assert_eq!(later, None, "{}:{number}", path.display());
        }
    }
}

/// The columns of a comment.
const COMMENT_MAX: usize = 120;

/// The crates of this house that `name` is built on.
fn ours_below(name: &str) -> Vec<String> {
    let manifest = read(&home().join(name).join("Cargo.toml"));
    let manifest = DeTable::parse(&manifest).expect("cargo has read it").into_inner();
    let mut ours: Vec<String> = ["dependencies", "build-dependencies"]
        .iter()
        .filter_map(|kind| manifest.get(*kind)?.get_ref().as_table())
        .flat_map(|table| table.keys().map(|name| name.get_ref().to_string()))
        .filter(|name| home().join(name).join("Cargo.toml").exists())
        .collect();
    ours.sort();
    ours
}

/// Every file of Rust under `folder`.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![home().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension() == Some(OsStr::new("rs")) {
                let source = read(&path);
                found.push((path, source));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources: a test of nothing");
    found.sort();
    found
}

fn everything() -> Vec<(PathBuf, String)> {
    PRODUCT.iter().chain(TESTS).flat_map(|folder| sources(folder)).collect()
}

/// What stands before the unit tests, which stand last.
fn product(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests").next().unwrap_or(source)
}

/// The lines that are no comments, with their numbers.
fn code(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(source.lines());
    lines
        .map(|(number, line)| (number, line.split_once("//").map_or(line, |(code, _)| code)))
        .filter(|(_, line)| !line.trim().is_empty())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn home() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The modules of a crate, by their paths.
struct Modules(BTreeMap<String, Module>);

struct Module {
    /// The paths in the same crate that its `use` lines name.
    imports: BTreeSet<String>,
}

impl Modules {
    fn of(folder: &str) -> Self {
        let root = home().join(folder);
        let files = sources(folder).into_iter().map(|(path, source)| {
            let path = path.strip_prefix(&root).expect("it was found below").with_extension("");
            let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
            (names.join("::"), source)
        });
        let files: BTreeMap<String, String> = files.filter(|(path, _)| path != "lib").collect();
        let modules = files.iter().map(|(path, source)| {
            let imports =
                uses(product(source)).into_iter().filter_map(|name| absolute(&name, path));
            (path.clone(), Module { imports: imports.collect() })
        });
        Self(modules.collect())
    }

    /// The modules that `module` imports from, but for those that it is a part of, and its own parts.
    fn known_to(&self, module: &str) -> BTreeSet<&str> {
        let imports = self.0.get(module).into_iter().flat_map(|module| &module.imports);
        let modules = imports.filter_map(|name| {
            let ends = name.match_indices("::").map(|(end, _)| end).chain([name.len()]);
            let known = ends.filter_map(|end| self.0.get_key_value(name.get(..end)?));
            known.last().map(|(module, _)| &**module)
        });
        let part = |one: &str, other: &str| {
            one == other || one.strip_prefix(other).is_some_and(|rest| rest.starts_with("::"))
        };
        modules.filter(|other| !part(other, module) && !part(module, other)).collect()
    }

    /// The modules to which imports lead from `module`, step by step.
    fn reached_from(&self, module: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut next = self.known_to(module);
        while let Some(module) = next.pop_first() {
            if reached.insert(module) {
                next.extend(self.known_to(module));
            }
        }
        reached
    }
}

/// The paths that the `use` lines of `source` name, each in full.
fn uses(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = code(source).map(|(_, line)| line.trim());
    while let Some(line) = lines.next() {
        let line = ["pub ", "pub(crate) ", "pub(super) "]
            .iter()
            .find_map(|seen| line.strip_prefix(seen))
            .unwrap_or(line);
        let Some(tree) = line.strip_prefix("use ") else { continue };
        let mut tree = tree.to_owned();
        while !tree.ends_with(';') {
            tree.push_str(lines.next().expect("the compiler has read it to its end"));
        }
        branches("", tree.trim_end_matches(';'), &mut found);
    }
    found
}

/// `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn branches(before: &str, tree: &str, found: &mut Vec<String>) {
    let Some((head, rest)) = tree.split_once('{') else {
        found.push(format!("{before}{}", tree.split(" as ").next().unwrap_or(tree).trim()));
        return;
    };
    let before = format!("{before}{}", head.trim());
    let (mut depth, mut start) = (1, 0);
    for (at, letter) in rest.char_indices() {
        depth = match letter {
            '{' => depth + 1,
            '}' => depth - 1,
            _ => depth,
        };
        if depth == 0 || depth == 1 && letter == ',' {
            let branch = rest[start..at].trim();
            if !branch.is_empty() {
                branches(&before, branch, found);
            }
            start = at + 1;
        }
        if depth == 0 {
            return;
        }
    }
}

/// `crate::`, `super::` and `self::` from the module `path`; nothing for another crate's.
fn absolute(name: &str, path: &str) -> Option<String> {
    let mut module: Vec<&str> = path.split("::").collect();
    let mut names: Vec<&str> = name.split("::").collect();
    match names[0] {
        "crate" => module.clear(),
        "super" => {
            module.pop();
        }
        "self" => {}
        _ => return None,
    }
    names.remove(0);
    while names.first() == Some(&"super") {
        module.pop();
        names.remove(0);
    }
    module.extend(names);
    Some(module.join("::"))
}

/// Of each crate: the rooms that are below, and what is above them.
const ROOMS: &[(&str, &[&str], &[&str])] = &[
    (
        "firmware-agnostic/src",
        &["heartbeat", "identity", "evidence", "settings", "order", "journal", "time"],
        &["node", "peer", "failback", "receiver", "letter"],
    ),
    ("firmware-agnostic/src", &["frame", "receiver", "letter", "peer", "failback"], &["node"]),
    (
        "board/src",
        &["config", "process", "thread", "time", "net", "disk", "host"],
        &["link", "fence", "resource", "check", "watchdog"],
    ),
    (
        "supervisor/src",
        &["workers", "peer", "control", "observe", "config", "guard", "process"],
        &["run", "effects", "requests", "start"],
    ),
];
const CIRCLE_MAX: usize = 3;
/// What is shipped.
const PRODUCT: &[&str] = &["firmware-agnostic/src", "board/src", "supervisor/src"];
/// What tries it out.
const TESTS: &[&str] = &[
    "tests/simulation",
    "tests/lab",
    "tests/bench",
    "tests/core",
    "tests/product",
    "tests/no-std/src",
    "tests/fuzz/src",
    "tests/mutation/src",
];
/// The clock itself; the patience of blocking code; the rhythm of the one worker that looks after the resources.
const CLOCKS: &[&str] = &[
    "board/src/time/clock.rs",
    "board/src/thread/deadline.rs",
    "supervisor/src/workers/resources.rs",
    "supervisor/src/workers/resources/member.rs",
];
/// A reason stands on the lines above, and may fill a few of them.
const SAFETY_WITHIN: usize = 6;
