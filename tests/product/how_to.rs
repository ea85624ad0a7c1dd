//! Adds a tiny device of each kind to a copy of the tree, as `board/README.md` says, and builds it.
//!
//! The text promises that the list and the variant are all that must be known, and that the compiler asks for the rest.
//! So it is built twice: without the arms, which the compiler must miss, and with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn a_device_of_each_kind_is_added_as_the_text_says() {
    let tree = Tree::copy();
    for addition in ADDITIONS {
        tree.write(addition.file, addition.source);
        for (before, line) in addition.named {
            tree.insert(addition.parent, before, line);
        }
        let (old, new) = addition.length;
        tree.replace(addition.parent, old, new);
    }
    let missed = tree.check().expect_err("arms are missing");
    for addition in ADDITIONS {
        let arm = format!("Kind::{}(_)` not covered", addition.variant);
        assert!(missed.contains(&arm), "the compiler does not ask for {arm}: {missed}");
        for (model, line) in addition.arms {
            tree.insert(addition.parent, model, line);
        }
    }
    tree.check().unwrap_or_else(|error| panic!("it does not build as the text says: {error}"));
}

/// What the text has somebody do.
struct Addition {
    parent: &'static str,
    file: &'static str,
    source: &'static str,
    variant: &'static str,
    /// Lines that go before others: `mod`, its word, its variant.
    named: &'static [(&'static str, &'static str)],
    /// The length of the list.
    length: (&'static str, &'static str),
    /// What the compiler then asks for, each before the arm of another kind.
    arms: &'static [(&'static str, &'static str)],
}

const ADDITIONS: &[Addition] = &[
    Addition {
        parent: "board/src/fence.rs",
        file: "board/src/fence/lamp.rs",
        source: r"
            use std::io;
            use super::{Fence, Power};
            use crate::config::table::Table;
            use crate::thread::deadline::Deadline;

            /// A lamp.
            #[derive(Clone, Debug, Eq, PartialEq)]
            pub struct Config { on: bool }

            impl Config {
                /// Its words.
                pub fn read(table: &mut Table<'_>) -> Option<Self> {
                    Some(Self { on: table.require(`on`)? })
                }
            }

            impl Fence for Config {
                fn set_power(&mut self, power: Power, _: &Deadline) -> io::Result<()> {
                    self.on = power == Power::On;
                    Ok(())
                }
                fn power(&mut self, _: &Deadline) -> io::Result<Power> {
                    Ok(if self.on { Power::On } else { Power::Off })
                }
            }",
        variant: "Lamp",
        named: &[
            ("pub mod ipmi;", "pub mod lamp;"),
            ("    Command(command::Config),", "    Lamp(lamp::Config),"),
            (
                "    (\"command\", |table| command::Config::read(table)",
                "    (\"lamp\", |table| lamp::Config::read(table).map(Kind::Lamp)),",
            ),
        ],
        length: ("const KINDS: [(&str, Read); 6]", "const KINDS: [(&str, Read); 7]"),
        arms: &[
            (
                "            Kind::Command(config) => config.needs(),",
                "            Kind::Lamp(_) => Vec::new(),",
            ),
            (
                "            Kind::Command(_) => Rights::PROGRAMS,",
                "            Kind::Lamp(_) => Rights::NONE,",
            ),
            (
                "            Kind::Command(config) => Box::new(config.open()),",
                "            Kind::Lamp(config) => Box::new(config.clone()),",
            ),
        ],
    },
    Addition {
        parent: "board/src/link.rs",
        file: "board/src/link/loopback.rs",
        source: r"
            use std::cell::RefCell;
            use std::fs::File;
            use std::io;
            use std::os::fd::{AsFd, BorrowedFd};
            use super::Link;
            use crate::config::table::Table;

            /// Hears what it says.
            #[derive(Clone, Debug, Eq, PartialEq)]
            pub(super) struct Config { pub(super) label: String }

            impl Config {
                pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
                    Some(Self { label: table.require(`label`)? })
                }
                pub(super) fn open(&self) -> io::Result<Loopback> {
                    Ok(Loopback(File::open(`/dev/zero`)?, RefCell::default()))
                }
            }

            pub(super) struct Loopback(File, RefCell<Vec<u8>>);

            impl AsFd for Loopback {
                fn as_fd(&self) -> BorrowedFd<'_> {
                    self.0.as_fd()
                }
            }

            impl Link for Loopback {
                fn send(&self, frame: &[u8]) -> io::Result<()> {
                    *self.1.borrow_mut() = frame.to_vec();
                    Ok(())
                }
                fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
                    let frame = self.1.take();
                    let Some(room) = buffer.get_mut(..frame.len()) else {
                        return Err(io::ErrorKind::WouldBlock.into());
                    };
                    room.copy_from_slice(&frame);
                    Ok(frame.len())
                }
            }",
        variant: "Loopback",
        named: &[
            ("mod serial;", "mod loopback;"),
            ("    Udp(udp::Config),", "    Loopback(loopback::Config),"),
            (
                "    (\"udp\", |table| udp::Config::read(table)",
                "    (\"loopback\", |table| loopback::Config::read(table).map(Kind::Loopback)),",
            ),
        ],
        length: ("", ""),
        arms: &[
            (
                "            Kind::Udp(config) => config.needs(me),",
                "            Kind::Loopback(_) => Vec::new(),",
            ),
            ("            Kind::Udp(_) => None,", "            Kind::Loopback(_) => None,"),
            (
                "            Kind::Udp(config) => Box::new(config.open",
                "            Kind::Loopback(config) => Box::new(config.open()?),",
            ),
            (
                "            Kind::Udp(config) => config.direct,",
                "            Kind::Loopback(_) => false,",
            ),
            (
                "            Kind::Udp(config) => config.addresses(),",
                "            Kind::Loopback(_) => Vec::new(),",
            ),
            (
                "            Self::Udp(config) => config.name(),",
                "            Self::Loopback(config) => config.label.clone(),",
            ),
        ],
    },
    Addition {
        parent: "board/src/check.rs",
        file: "board/src/check/always.rs",
        source: r"
            use std::io;
            use super::Check;
            use crate::config::table::Table;
            use crate::thread::deadline::Deadline;

            /// Always the same answer.
            #[derive(Clone, Debug, Eq, PartialEq)]
            pub struct Config { answer: bool }

            impl Config {
                /// Its words.
                pub fn read(table: &mut Table<'_>) -> Option<Self> {
                    Some(Self { answer: table.require(`answer`)? })
                }
            }

            impl Check for Config {
                fn ask(&mut self, _: &Deadline) -> io::Result<()> {
                    if self.answer { Ok(()) } else { Err(io::Error::other(`no`)) }
                }
            }",
        variant: "Always",
        named: &[
            ("pub mod command;", "pub mod always;"),
            ("    Command(command::Config),", "    Always(always::Config),"),
            (
                "    (\"command\", |table| command::Config::read(table)",
                "    (\"always\", |table| always::Config::read(table).map(Kind::Always)),",
            ),
        ],
        length: ("const KINDS: [(&str, Read); 3]", "const KINDS: [(&str, Read); 4]"),
        arms: &[
            (
                "            Kind::Command(config) => config.needs(),",
                "            Kind::Always(_) => Vec::new(),",
            ),
            (
                "            Kind::Command(_) => Rights::PROGRAMS,",
                "            Kind::Always(_) => Rights::NONE,",
            ),
            (
                "            Kind::Command(config) => Box::new(config.open()),",
                "            Kind::Always(config) => Box::new(config.clone()),",
            ),
        ],
    },
    Addition {
        parent: "board/src/resource.rs",
        file: "board/src/resource/flag.rs",
        source: r"
            use std::io;
            use super::Resource;
            use crate::config::table::Table;
            use crate::thread::deadline::Deadline;

            /// A flag.
            #[derive(Clone, Debug, Eq, PartialEq)]
            pub struct Config { up: bool }

            impl Config {
                /// Its words.
                pub fn read(table: &mut Table<'_>) -> Option<Self> {
                    Some(Self { up: table.require(`up`)? })
                }
            }

            impl Resource for Config {
                fn start(&mut self, _: &Deadline) -> io::Result<()> {
                    self.up = true;
                    Ok(())
                }
                fn stop(&mut self, _: &Deadline) -> io::Result<()> {
                    self.up = false;
                    Ok(())
                }
                fn monitor(&mut self) -> io::Result<()> {
                    Ok(())
                }
            }",
        variant: "Flag",
        named: &[
            ("pub mod process;", "pub mod flag;"),
            ("    Process(process::Config),", "    Flag(flag::Config),"),
            (
                "    (\"process\", |table| process::Config::read(table)",
                "    (\"flag\", |table| flag::Config::read(table).map(Kind::Flag)),",
            ),
        ],
        length: ("const KINDS: [(&str, Read); 2]", "const KINDS: [(&str, Read); 3]"),
        arms: &[
            (
                "            Kind::Process(_) => Subject::Process(&self.name),",
                "            Kind::Flag(_) => Subject::Process(&self.name),",
            ),
            ("            Kind::Process(_) => None,", "            Kind::Flag(_) => None,"),
            (
                "            Kind::Process(config) => config.needs(),",
                "            Kind::Flag(_) => Vec::new(),",
            ),
            (
                "            Kind::Process(_) => Rights::SERVICES,",
                "            Kind::Flag(_) => Rights::NONE,",
            ),
            (
                "            Kind::Process(config) => config.wishes(),",
                "            Kind::Flag(_) => Vec::new(),",
            ),
            (
                "            Kind::Process(config) => Box::new(config.open(&self.name, notes)),",
                "            Kind::Flag(config) => Box::new(config.clone()),",
            ),
            (
                "            Self::Process(config) => config.program().to_owned(),",
                "            Self::Flag(_) => `flag`.to_owned(),",
            ),
        ],
    },
];

/// A copy of the project that may be changed.
struct Tree(PathBuf);

impl Tree {
    fn copy() -> Self {
        let home = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("how-to");
        let _ = fs::remove_dir_all(&copy);
        copy_all(home, &copy);
        Self(copy)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        let text = format!("//! A test.\n{}\n", text.replace('`', "\""));
        fs::write(self.0.join(file), text).unwrap();
    }

    /// Puts `line` before each that begins like `model`.
    fn insert(&self, file: &str, model: &str, line: &str) {
        let mut found = false;
        let lines: Vec<String> = (self.read(file).lines())
            .map(|old| {
                let is_it = old.starts_with(model);
                found |= is_it;
                if is_it { format!("{}\n{old}", line.replace('`', "\"")) } else { old.to_owned() }
            })
            .collect();
        assert!(found, "{file} has no line such as {model:?} any more");
        fs::write(self.0.join(file), lines.join("\n")).unwrap();
    }

    fn replace(&self, file: &str, old: &str, new: &str) {
        let text = self.read(file);
        assert!(text.contains(old), "{file} has no {old:?} any more");
        fs::write(self.0.join(file), text.replace(old, new)).unwrap();
    }

    /// What the compiler says against it.
    fn check(&self) -> Result<(), String> {
        let built = Command::new(env!("CARGO"))
            .args(["check", "--quiet", "--offline", "--locked", "--package", "board"])
            // What the lint has checked of the dependencies need not be checked again.
            .arg("--target-dir")
            .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join(".."))
            .current_dir(&self.0)
            .env_remove("RUSTFLAGS")
            .output()
            .expect("the cargo that runs this test runs");
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        if built.status.success() { Ok(()) } else { Err(said) }
    }
}

/// Copies what is below `from`, but for what was built and what is hidden.
fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.to_string_lossy().starts_with('.');
        if path.is_dir() && name != "target" && (!hidden || name == ".cargo") {
            copy_all(&path, &to.join(name));
        } else if path.is_file() {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
