//! Lists what another file says differently.
//!
//! The two files are compared as they are written, word by word, so that no word can be forgotten, and the
//! difference is empty exactly when the fingerprints are the same. A text or number is told as it was and as it is;
//! of a longer value only that it has changed, for it may hold what is not for everybody's eyes.

use std::collections::BTreeSet;
use std::fmt;

use board::host::plain_text::plain;
use toml::de::{DeArray, DeTable, DeValue};

use super::{Config, fingerprint};

/// All that differs, in words for people.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Difference(Vec<ConfigChange>);

/// One thing that differs.
#[derive(Clone, Debug, Eq, PartialEq)]
struct ConfigChange {
    /// The word, with where it stands: `timing.keepalive`, `[[resource]] slapd: command`.
    word: String,
    /// How.
    what: String,
    /// Whether the other box may change it: it decides neither what runs as root, nor which files are opened.
    peers: bool,
}

impl Difference {
    /// What `new` says differently from `old`.
    pub fn between(old: &Config, new: &Config) -> Self {
        let (before, _) = DeTable::parse_recoverable(&old.text);
        let (after, _) = DeTable::parse_recoverable(&new.text);
        let (before, after) = (before.get_ref(), after.get_ref());
        let mut difference = Self::default();
        for word in words(before, after) {
            let (was, is) = (value(before, word), value(after, word));
            match word {
                "box" => difference.boxes(was, is),
                "link" => {
                    let names = [old, new].map(|it| {
                        it.links.iter().map(|link| link.name.clone()).collect::<Vec<_>>()
                    });
                    difference.list(word, &names, [was, is], |_| "it is opened anew");
                }
                "resource" => {
                    let names = [old, new].map(|it| {
                        it.resources.iter().map(|resource| resource.name.clone()).collect()
                    });
                    difference.list(word, &names, [was, is], |name| {
                        let find = |it: &'_ Config| {
                            it.resources.iter().find(|resource| resource.name == name).cloned()
                        };
                        let runs_on =
                            find(new).zip(find(old)).is_some_and(|(it, old)| it.runs_like(&old));
                        if runs_on {
                            "what runs is not touched"
                        } else {
                            "it is started anew where it runs"
                        }
                    });
                }
                _ => difference.section(word, was, is),
            }
        }
        difference
    }

    /// Notes that something differs that stands in another file.
    pub fn add(&mut self, word: &str, what: &str) {
        self.note(word, what, false);
    }

    fn note(&mut self, word: &str, what: &str, peers: bool) {
        self.0.push(ConfigChange { word: plain(word), what: plain(what), peers });
    }

    /// What of it only an operator of this box may change: all but the words that are known to be harmless.
    pub fn beyond_the_peer(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|change| !change.peers).map(|change| &*change.word)
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something differs in what is called `word`.
    pub fn touches(&self, word: &str) -> bool {
        self.0.iter().any(|change| change.is_in(word))
    }

    /// What of it cannot change while the supervisor runs, each with what to do.
    pub fn fixed(&self) -> Vec<String> {
        let fixed = self.0.iter().filter_map(|change| {
            let (_, remedy) = FIXED.iter().find(|(word, _)| change.is_in(word))?;
            Some(format!("{}: {remedy}", change.word))
        });
        let boxes = self.0.iter().filter(|change| change.word.starts_with("[box."));
        fixed.chain(boxes.map(|change| format!("{}: {RESTART_BOTH}", change.word))).collect()
    }

    fn section(&mut self, word: &str, was: Option<&DeValue<'_>>, is: Option<&DeValue<'_>>) {
        let empty = DeTable::new();
        let table = |value: Option<&DeValue<'_>>| value.is_none_or(DeValue::is_table);
        if !table(was) || !table(is) {
            if !same(was, is) {
                self.add(&format!("[[{word}]]"), "changed");
            }
            return;
        }
        let was = was.and_then(DeValue::as_table).unwrap_or(&empty);
        let is = is.and_then(DeValue::as_table).unwrap_or(&empty);
        self.table(&format!("{word}."), was, is, peers(word));
    }

    fn table(&mut self, before: &str, was: &DeTable<'_>, is: &DeTable<'_>, peers: &[&str]) {
        for word in words(was, is) {
            let (was, is) = (value(was, word), value(is, word));
            if !same(was, is) {
                self.note(&format!("{before}{word}"), &told(was, is), peers.contains(&word));
            }
        }
    }

    fn boxes(&mut self, was: Option<&DeValue<'_>>, is: Option<&DeValue<'_>>) {
        let empty = DeTable::new();
        let was = was.and_then(DeValue::as_table).unwrap_or(&empty);
        let is = is.and_then(DeValue::as_table).unwrap_or(&empty);
        for name in words(was, is) {
            let table = |table| value(table, name).and_then(DeValue::as_table);
            match (table(was), table(is)) {
                (Some(was), Some(is)) => {
                    self.table(&format!("box.{name}."), was, is, peers("box"));
                }
                (None, _) => self.add(&format!("[box.{name}]"), "added"),
                (_, None) => self.add(&format!("[box.{name}]"), "removed"),
            }
        }
    }

    /// Things in a list, which have names; `fate` tells what becomes of one that has changed.
    fn list(
        &mut self,
        word: &str,
        names: &[Vec<String>; 2],
        lists: [Option<&DeValue<'_>>; 2],
        fate: impl Fn(&str) -> &'static str,
    ) {
        let [was, is] = lists.map(|list| list.and_then(DeValue::as_array));
        let [old, new] = names;
        for name in old.iter().filter(|name| !new.contains(name)) {
            self.add(&format!("[[{word}]] {name}"), "removed");
        }
        for (place, name) in new.iter().enumerate() {
            let before = old.iter().position(|it| it == name).and_then(|place| row(was?, place));
            match (before, is.and_then(|is| row(is, place))) {
                (Some(was), Some(is)) => {
                    let first = self.0.len();
                    self.table(&format!("[[{word}]] {name}: "), was, is, peers(word));
                    if self.0.len() > first {
                        // The words that have changed are judged, each by itself.
                        self.note(&format!("[[{word}]] {name}"), fate(name), true);
                    }
                }
                _ => self.add(&format!("[[{word}]] {name}"), "added"),
            }
        }
        let stay = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|name| those.contains(name)).cloned().collect()
        };
        if stay(old, new) != stay(new, old) {
            self.note(&format!("[[{word}]]"), "in another order", true);
        }
    }
}

impl ConfigChange {
    fn is_in(&self, word: &str) -> bool {
        let rest = self.word.strip_prefix(word);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ', ':']))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|ConfigChange { word, what, .. }| writeln!(f, "{word}: {what}"))
    }
}

fn words<'a>(one: &'a DeTable<'_>, other: &'a DeTable<'_>) -> BTreeSet<&'a str> {
    one.keys().chain(other.keys()).map(|word| word.get_ref().as_ref()).collect()
}

fn value<'a, 'i>(table: &'a DeTable<'i>, word: &str) -> Option<&'a DeValue<'i>> {
    table.get(word).map(toml::Spanned::get_ref)
}

fn row<'a, 'i>(list: &'a DeArray<'i>, place: usize) -> Option<&'a DeTable<'i>> {
    list.get(place)?.get_ref().as_table()
}

fn same(was: Option<&DeValue<'_>>, is: Option<&DeValue<'_>>) -> bool {
    was.map(fingerprint::canon) == is.map(fingerprint::canon)
}

fn told(was: Option<&DeValue<'_>>, is: Option<&DeValue<'_>>) -> String {
    let text = |value: Option<&DeValue<'_>>| match value {
        None => Some("not said".to_owned()),
        Some(DeValue::String(text)) => Some(text.to_string()),
        Some(DeValue::Integer(number)) => Some(number.to_string()),
        Some(DeValue::Float(number)) => Some(number.to_string()),
        Some(DeValue::Boolean(said)) => Some(said.to_string()),
        Some(DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_)) => None,
    };
    match (text(was), text(is)) {
        (Some(was), Some(is)) => format!("{was} -> {is}"),
        _ => "changed".to_owned(),
    }
}

/// The words of `section` that the other box may change where the file lets it. Each other word, a new one too, is for
/// an operator of this box: it names a program, an account, a file, or a device.
fn peers(section: &str) -> &'static [&'static str] {
    match section {
        "box" => &["priority"],
        "fencing" => &["at_boot"],
        "link" => {
            &["interface", "address", "broadcast", "multicast", "ttl", "port", "direct", "baud"]
        }
        "log" => &["level"],
        "pair" => &["auto_failback", "failback_hold", "restart_time"],
        "resource" => &[
            "address",
            "interface",
            "probe",
            "refresh",
            "start_timeout",
            "stop_timeout",
            "kill_after",
            "on_failure",
            "threshold",
            "forget_after",
        ],
        "takeover" => &["require", "dark_time"],
        "timing" => &["keepalive", "warntime", "deadtime", "initdead"],
        _ => &[],
    }
}

/// What is opened once, or known to both boxes by heart.
const FIXED: [(&str, &str); 6] = [
    ("pair.name", RESTART_BOTH),
    ("journal", RESTART),
    ("control", RESTART),
    ("watchdog", RESTART),
    ("log.to", UPGRADE),
    ("realtime", UPGRADE),
];

const RESTART: &str =
    "cannot change while twobox runs: say twobox standby, restart twobox, then twobox resume";
const UPGRADE: &str =
    "cannot change while twobox runs: say twobox upgrade instead, and the services run on";
const RESTART_BOTH: &str =
    "cannot change while twobox runs: stop twobox on both boxes, then start it";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Identity;

    #[test]
    fn every_change_is_told_in_the_words_of_the_file() {
        for (from, to, told) in [
            (
                "#keepalive = \"200ms\"",
                "keepalive = \"100ms\"",
                "timing.keepalive: not said -> 100ms",
            ),
            ("priority = 100", "priority = 90", "box.server1.priority: 100 -> 90"),
            ("name = \"slapd\"", "name = \"ldapd\"", "[[resource]] slapd: removed"),
            ("name = \"cable\"", "name = \"wire\"", "[[link]] wire: added"),
        ] {
            let difference = difference(from, to);
            assert!(difference.to_string().lines().any(|line| line == told), "{difference}");
            assert_eq!(difference.fixed(), [""; 0], "{difference}");
        }
        assert!(difference("# 0 to 255", "# any comment").is_empty());
    }

    #[test]
    fn the_peer_changes_neither_programs_nor_accounts_nor_files() {
        for (from, to, beyond) in [
            ("#keepalive = \"200ms\"", "keepalive = \"100ms\"", &[][..]),
            ("priority = 100", "priority = 90", &[]),
            (
                "#peer_may_configure = false",
                "peer_may_configure = true",
                &["pair.peer_may_configure"],
            ),
            ("key_file = \"/etc/twobox.key\"", "key_file = \"/etc/other\"", &["pair.key_file"]),
            ("outlet1", "outlet7", &["box.server1.fence"]),
            ("/usr/sbin/slapd", "/usr/sbin/other", &["[[resource]] slapd: command"]),
            (
                "name = \"slapd\"",
                "name = \"slapd: threshold\"",
                &["[[resource]] slapd", "[[resource]] slapd: threshold"],
            ),
            (
                "name = \"slapd\"",
                "name = \"slapd\"\nuser = \"root\"\nthreshold = 4",
                &["[[resource]] slapd: user"],
            ),
            ("#file = \"/run/twobox.prom\"", "file = \"/etc/passwd\"", &["metrics.file"]),
            ("/usr/bin/logger", "/bin/sh", &["[[hook]]"]),
        ] {
            let difference = difference(from, to);
            assert!(!difference.is_empty(), "{from} -> {to}");
            assert_eq!(difference.beyond_the_peer().collect::<Vec<_>>(), beyond, "{difference}");
        }
    }

    #[test]
    fn what_cannot_change_is_named() {
        for (from, to, word) in [
            ("name = \"example\"", "name = \"another\"", "pair.name"),
            ("server1", "server0", "[box.server0]"),
        ] {
            let fixed = difference(from, to).fixed();
            assert!(fixed.iter().any(|line| line.starts_with(word)), "{fixed:?}");
        }
    }

    fn difference(from: &str, to: &str) -> Difference {
        let sample = include_str!("../../../images/dist/twobox.toml");
        assert!(sample.contains(from), "{from}");
        let identity = Identity { told: Some("server2".to_owned()), ..Identity::default() };
        let read = |text: &str| Config::read(text, &identity).expect("the sample is right");
        Difference::between(&read(sample), &read(&sample.replace(from, to)))
    }
}
