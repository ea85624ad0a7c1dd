//! One table of the configuration file, read word by word.
//!
//! Every reader of the house takes the words it knows out of its table and says what it misses; the words that are
//! left at the end are unknown. Nothing stops at the first mistake: each becomes a [`Complaint`] with its place,
//! and the person sees all of them at once. One mistake gives one complaint: a word that is missing and one that
//! nearly is it are one, and nothing is said of what would follow from a value that could not be read.
//!
//! ```text
//! let every = table.get_or("every", Duration::from_secs(5));     // absent: the default
//! let Some(url) = table.require::<String>("url") else { .. };   // absent: a complaint
//! table.finish();                                            // what is left is unknown
//! ```
//!
//! A table that is dropped is finished as well.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use firmware_agnostic::identity::BoxId;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::host::plain_text::is_plain;

/// A mistake in the configuration file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Complaint {
    /// Line, the first being 1.
    pub line: usize,
    /// Column in characters, the first being 1.
    pub column: usize,
    /// The word it is about, empty for a mistake of syntax.
    pub word: String,
    /// What is wrong, and what to do about it.
    pub reason: String,
}

impl Complaint {
    /// One about the file itself.
    pub const fn of_file(reason: String) -> Self {
        Self { line: 1, column: 1, word: String::new(), reason }
    }
}

/// The text that is being read, and the complaints about it.
pub struct Source<'a> {
    text: &'a str,
    complaints: RefCell<Vec<Complaint>>,
    boxes: RefCell<Vec<String>>,
    /// The text is no TOML: what is missing may be there.
    broken: Cell<bool>,
    /// A value could not be read, and has its default meanwhile.
    misread: Cell<bool>,
}

impl<'a> Source<'a> {
    /// A source that nothing has been read from.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            complaints: RefCell::default(),
            boxes: RefCell::default(),
            broken: Cell::default(),
            misread: Cell::default(),
        }
    }

    /// The table that the whole text is. Mistakes of syntax become complaints; the rest is read all the same.
    pub fn parse(&'a self) -> Table<'a> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        self.broken.set(!errors.is_empty());
        for error in errors {
            let remedy = match error.message() {
                "duplicate key" => ": it stands above already, take one of the two out",
                _ => " (TOML v1.0, toml.io)",
            };
            let reason = format!("{}{remedy}", error.message());
            self.error(error.span().unwrap_or(0..0), "", reason);
        }
        let span = table.span();
        Table::new(self, String::new(), table.into_inner(), span)
    }

    /// Tells the names of the two boxes, in alphabetical order, for values that differ between them.
    pub fn set_boxes(&self, names: Vec<String>) {
        *self.boxes.borrow_mut() = names;
    }

    /// Notes a mistake at `span`, a range of bytes of the text.
    pub fn error(&self, span: Range<usize>, word: &str, reason: String) {
        let mut complaints = self.complaints.borrow_mut();
        if complaints.len() < COMPLAINTS_MAX {
            let (line, column) = self.place(span.start);
            complaints.push(Complaint { line, column, word: word.to_owned(), reason });
        }
    }

    /// Line and column of a byte of the text.
    fn place(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        (line, column)
    }

    /// All complaints, in the order of the file.
    pub fn into_complaints(self) -> Vec<Complaint> {
        let mut complaints = self.complaints.into_inner();
        complaints.sort_by_key(|complaint| (complaint.line, complaint.column));
        complaints.dedup();
        complaints
    }
}

/// A table whose words are taken out one by one.
pub struct Table<'a> {
    source: &'a Source<'a>,
    path: String,
    words: DeTable<'a>,
    span: Range<usize>,
    taken: Vec<(&'static str, Range<usize>)>,
    /// Words that must be there and are not, each with what is said of that.
    missed: Vec<(&'static str, String)>,
    /// It is not known what kind of thing this describes, and so which words it has.
    unknowable: bool,
}

impl<'a> Table<'a> {
    fn new(source: &'a Source<'a>, path: String, words: DeTable<'a>, span: Range<usize>) -> Self {
        Self { source, path, words, span, taken: Vec::new(), missed: Vec::new(), unknowable: false }
    }

    /// The value of `word`, or `None` where it is absent or wrong (which is complained about).
    pub fn take<T: Value>(&mut self, word: &'static str) -> Option<T> {
        let value = self.item(word)?;
        match T::read(value.get_ref(), self.source) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.source.misread.set(true);
                self.source.error(value.span(), &self.full(word), reason);
                None
            }
        }
    }

    /// The value of `word`, whose absence is complained about.
    pub fn require<T: Value>(&mut self, word: &'static str) -> Option<T> {
        if !self.has(word) {
            self.miss(word, format!("is missing: say {}", T::EXAMPLE));
        }
        self.take(word)
    }

    /// Complains that `word` is not there, unless a word is that nearly is it.
    pub fn miss(&mut self, word: &'static str, reason: impl Into<String>) {
        self.missed.push((word, reason.into()));
    }

    /// The value of `word`, or `default` where it is absent.
    pub fn get_or<T: Value>(&mut self, word: &'static str, default: T) -> T {
        self.take(word).unwrap_or(default)
    }

    /// The value of `word` as one of `choices`, or `None` where it is absent or none of them.
    pub fn choose<T: Copy>(&mut self, word: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let said: String = self.take(word)?;
        let found = choices.iter().find(|(name, _)| *name == said).map(|(_, choice)| *choice);
        if found.is_none() {
            self.source.misread.set(true);
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            let hint = nearest(&said, names.iter().copied());
            self.error(word, format!("{said:?} is none of {}{hint}", names.join(", ")));
        }
        found
    }

    /// What kind of thing the table describes: its word `kind`, whose absence is complained about.
    pub fn kind<T: Copy>(&mut self, kinds: &[(&str, T)]) -> Option<T> {
        if !self.has("kind") {
            let names: Vec<_> = kinds.iter().map(|(name, _)| *name).collect();
            self.miss("kind", format!("is missing: say one of {}", names.join(", ")));
        }
        let kind = self.choose("kind", kinds);
        self.unknowable |= kind.is_none();
        kind
    }

    /// Complains about none of the words that nobody takes: which ones this table has is not known.
    pub const fn forgive(&mut self) {
        self.unknowable = true;
    }

    /// The table called `word`.
    pub fn table(&mut self, word: &'static str) -> Option<Table<'a>> {
        let value = self.item(word)?;
        let path = self.full(word);
        self.enter(value, path)
    }

    /// The table called `word`, or an empty one in its place, whose words all have their defaults.
    #[must_use]
    pub fn section(&mut self, word: &'static str) -> Table<'a> {
        let found = self.table(word);
        found.unwrap_or_else(|| {
            Table::new(self.source, self.full(word), DeTable::new(), self.span.clone())
        })
    }

    /// The list of tables called `word` (`[[word]]`, or `word = [{..}]`); empty where there is none.
    pub fn tables(&mut self, word: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.item(word) else { return Vec::new() };
        let path = self.full(word);
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            let reason = format!("is no list of tables: write [[{path}]]");
            self.source.error(span, &path, reason);
            return Vec::new();
        };
        let places = items.into_iter().enumerate();
        places.filter_map(|(place, item)| self.enter(item, format!("{path}[{place}]"))).collect()
    }

    /// Every table in this one, by name: for words that the user chooses (`[box.NAME]`).
    pub fn named_tables(&mut self) -> Vec<(String, Table<'a>)> {
        let words = std::mem::take(&mut self.words);
        words
            .into_iter()
            .filter_map(|(name, value)| {
                let name = name.into_inner().into_owned();
                let path = self.full(&name);
                Some((name, self.enter(value, path)?))
            })
            .collect()
    }

    /// Whether `word` is there, and has not been taken.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|(name, _)| name.get_ref() == word)
    }

    /// Complains about the value of `word`, which was taken before, or about the table.
    pub fn error(&self, word: &str, reason: impl Into<String>) {
        self.source.error(self.span_of(word).clone(), &self.full(word), reason.into());
    }

    /// Line and column of the value of `word`, which was taken before, or of the table.
    pub fn place(&self, word: &str) -> (usize, usize) {
        self.source.place(self.span_of(word).start)
    }

    /// Complains about what follows from the value of `word` and from others; not if one of them could not be read,
    /// for the default is none that somebody has chosen.
    pub fn error_if_read(&self, word: &str, reason: impl Into<String>) {
        if !self.source.misread.get() {
            self.error(word, reason);
        }
    }

    /// Complains about every word that nobody took, and about those that are missing.
    pub fn finish(self) {}

    fn judge(&mut self) {
        for name in self.words.keys() {
            let said = name.get_ref();
            let meant = closest(said, self.taken.iter().map(|(word, _)| *word));
            let missed = self.missed.iter().position(|(word, _)| Some(*word) == meant);
            if self.unknowable && missed.is_none() {
                continue;
            }
            if let Some(place) = missed {
                self.missed.remove(place);
            }
            let reason = format!("is no word of this table{}", hint(meant));
            self.source.error(name.span(), &self.full(said), reason);
        }
        if self.source.broken.get() {
            return;
        }
        for (word, reason) in &self.missed {
            self.source.error(self.span.clone(), &self.full(word), reason.clone());
        }
    }

    fn item(&mut self, word: &'static str) -> Option<Spanned<DeValue<'a>>> {
        let value = self.words.remove(word);
        let span = value.as_ref().map_or_else(|| self.span.clone(), Spanned::span);
        self.taken.push((word, span));
        value
    }

    fn span_of(&self, word: &str) -> &Range<usize> {
        self.taken.iter().find(|(name, _)| *name == word).map_or(&self.span, |(_, span)| span)
    }

    fn enter(&self, value: Spanned<DeValue<'a>>, path: String) -> Option<Table<'a>> {
        let span = value.span();
        if let DeValue::Table(words) = value.into_inner() {
            Some(Table::new(self.source, path, words, span))
        } else {
            self.source.error(span, &path, "is no table".to_owned());
            None
        }
    }

    fn full(&self, word: &str) -> String {
        match (self.path.as_str(), word) {
            (path, "") => path.to_owned(),
            ("", word) => word.to_owned(),
            (path, word) => format!("{path}.{word}"),
        }
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        self.judge();
    }
}

/// What a word of the configuration can stand for.
pub trait Value: Sized {
    /// What to write, for a person who left it out.
    const EXAMPLE: &'static str;

    /// Reads the value, or says what is wrong with it.
    ///
    /// # Errors
    ///
    /// A reason with its remedy, in the words of the person who wrote the file.
    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String>;
}

/// What people call a thing: a text that can be shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name(pub String);

impl Value for Name {
    const EXAMPLE: &'static str = String::EXAMPLE;

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        let name = String::read(value, source)?;
        if name.is_empty() || !is_plain(&name) {
            return Err("is empty, or cannot be shown".to_owned());
        }
        Ok(Self(name))
    }
}

impl Value for String {
    const EXAMPLE: &'static str = "a text in quotes";

    fn read(value: &DeValue<'_>, _: &Source<'_>) -> Result<Self, String> {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("is {}, not a text in quotes", value.type_str()))
    }
}

impl Value for bool {
    const EXAMPLE: &'static str = "true or false";

    fn read(value: &DeValue<'_>, _: &Source<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| format!("is {}, not true or false", value.type_str()))
    }
}

macro_rules! whole_number {
    ($($kind:ty),*) => {$(
        impl Value for $kind {
            const EXAMPLE: &'static str = "a whole number";

            fn read(value: &DeValue<'_>, _: &Source<'_>) -> Result<Self, String> {
                let number = value.as_integer().ok_or_else(|| format!("is {}, not a whole number", value.type_str()))?;
                Self::from_str_radix(number.as_str(), number.radix())
                    .map_err(|_| format!("is not between {} and {}", Self::MIN, Self::MAX))
            }
        }
    )*};
}

whole_number!(u8, u16, u32, u64, i32);

impl Value for Duration {
    const EXAMPLE: &'static str = "a time with its unit, such as \"200ms\", \"1s\" or \"15min\"";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        if value.is_integer() {
            return Err(format!("has no unit: say {}", Self::EXAMPLE));
        }
        duration(&String::read(value, source)?)
    }
}

/// A time, or `"never"`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Never(pub Option<Duration>);

impl Value for Never {
    const EXAMPLE: &'static str = "a time such as \"90s\", or \"never\"";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("never") => Ok(Self(None)),
            _ => Duration::read(value, source)
                .map(|time| Self(Some(time)))
                .map_err(|reason| format!("{reason}, or \"never\"")),
        }
    }
}

impl Value for PathBuf {
    const EXAMPLE: &'static str = "a full path, such as \"/etc/twobox.key\"";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        let path = Self::from(String::read(value, source)?);
        if path.is_absolute() {
            Ok(path)
        } else {
            Err(format!("{} is not a full path", path.display()))
        }
    }
}

impl Value for IpAddr {
    const EXAMPLE: &'static str = "an address, such as \"192.0.2.1\" or \"2001:db8::1\"";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        let text = String::read(value, source)?;
        text.parse().map_err(|_| format!("{text:?} is not an IPv4 or IPv6 address"))
    }
}

impl<T: Value> Value for Vec<T> {
    const EXAMPLE: &'static str = "a list in brackets";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        let items = value
            .as_array()
            .ok_or_else(|| format!("is {}, not a list in brackets", value.type_str()))?;
        items.iter().map(|item| T::read(item.get_ref(), source)).collect()
    }
}

/// A list of names with a value each, such as the environment of a process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Map<T>(pub Vec<(String, T)>);

impl<T: Value> Value for Map<T> {
    const EXAMPLE: &'static str = "a table such as { NAME = \"value\" }";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        let words = value
            .as_table()
            .ok_or_else(|| format!("is {}: say {}", value.type_str(), Self::EXAMPLE))?;
        words
            .iter()
            .map(|(name, value)| {
                Ok((name.get_ref().to_string(), T::read(value.get_ref(), source)?))
            })
            .collect::<Result<_, String>>()
            .map(Self)
    }
}

/// A value that may differ between the boxes: `"eth1"` for both, or `{ server1 = "bond0", server2 = "eth0" }`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PerBox<T>([T; 2]);

impl<T> PerBox<T> {
    /// The same value for both boxes.
    pub fn both(value: T) -> Self
    where
        T: Clone,
    {
        Self([value.clone(), value])
    }

    /// The value for one of the boxes.
    pub const fn of(&self, id: BoxId) -> &T {
        match id {
            BoxId::First => &self.0[0],
            BoxId::Second => &self.0[1],
        }
    }
}

impl<T: Value + Clone> Value for PerBox<T> {
    const EXAMPLE: &'static str = "a value for both boxes, or a table with one for each";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        let Some(words) = value.as_table() else {
            return T::read(value, source).map(Self::both);
        };
        let boxes = source.boxes.borrow();
        let [first, second] = boxes.as_slice() else {
            return Err("cannot be told for each box: the file has no two [box.NAME]".to_owned());
        };
        if let Some(stranger) =
            words.keys().find(|name| **name.get_ref() != **first && **name.get_ref() != **second)
        {
            return Err(format!(
                "names {}, which is no box: they are {first} and {second}",
                stranger.get_ref()
            ));
        }
        let of = |name: &str| {
            let value = words.get(name).ok_or_else(|| format!("says nothing for {name}"))?;
            T::read(value.get_ref(), source)
        };
        Ok(Self([of(first)?, of(second)?]))
    }
}

/// Reads a time with its unit, as `ha.cf` writes it: `us`, `ms`, `s`, `min` (or `m`), `h`, `d`.
///
/// # Errors
///
/// When it is none, with an example.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("{text:?} is no time: say {}", Duration::EXAMPLE);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let micros = match unit.trim() {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" | "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(micros).map(Duration::from_micros).ok_or_else(wrong)
}

/// `; did you mean X?`, where one of `words` is near to `said`.
pub fn nearest<'w>(said: &str, words: impl Iterator<Item = &'w str>) -> String {
    hint(closest(said, words))
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |word| format!("; did you mean {word}?"))
}

/// The one of `words` that is near to `said`.
fn closest<'w>(said: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let far = |word: &str| word.len().max(3) / 3;
    words
        .filter(|word| said.len().abs_diff(word.len()) <= 4 * far(word))
        .map(|word| (distance(said, word), word))
        .filter(|(distance, word)| *distance <= far(word))
        .min()
        .map(|(_, word)| word)
}

/// How many letters must be put in, taken out, changed, or exchanged with the one beside them to turn one word into the
/// other (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let [one, other] = [one, other].map(|word| word.chars().collect::<Vec<_>>());
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    let at = |rows: &[Vec<usize>], i: usize, j: usize| {
        rows.get(i).and_then(|row| row.get(j)).copied().unwrap_or(usize::MAX / 2)
    };
    for (i, a) in one.iter().enumerate() {
        rows.push(vec![i + 1]);
        for (j, b) in other.iter().enumerate() {
            let changed = at(&rows, i, j) + usize::from(a != b);
            let mut least = changed.min(at(&rows, i, j + 1) + 1).min(at(&rows, i + 1, j) + 1);
            if i > 0 && j > 0 && one.get(i - 1) == Some(b) && other.get(j - 1) == Some(a) {
                least = least.min(at(&rows, i - 1, j - 1) + 1);
            }
            if let Some(row) = rows.last_mut() {
                row.push(least);
            }
        }
    }
    at(&rows, one.len(), other.len())
}

/// Nobody reads more at once; the wrong file, read as a configuration, has a mistake in every line.
const COMPLAINTS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let source = Source::new("name = \"ldap\"\nkepalive = \"1s\"\ndeadtime = 5\n");
        {
            let mut table = source.parse();
            assert_eq!(table.require::<String>("name").as_deref(), Some("ldap"));
            assert_eq!(
                table.get_or("keepalive", Duration::from_millis(200)),
                Duration::from_millis(200)
            );
            assert_eq!(table.take::<Duration>("deadtime"), None);
            table.finish();
        }
        let complaints = source.into_complaints();
        let told: Vec<_> =
            complaints.iter().map(|c| (c.line, c.column, c.reason.as_str())).collect();
        assert_eq!(told[0], (2, 1, "is no word of this table; did you mean keepalive?"));
        assert_eq!((told[1].0, told[1].1), (3, 12));
        assert!(told[1].2.starts_with("has no unit"), "{}", told[1].2);
    }

    #[test]
    fn one_mistake_gives_one_complaint() {
        let told = |text: &str, read: fn(&mut Table<'_>)| {
            let source = Source::new(text);
            read(&mut source.parse());
            let told = source.into_complaints();
            told.iter().map(|it| format!("{}: {}", it.word, it.reason)).collect::<Vec<_>>()
        };
        let needs = |table: &mut Table<'_>| {
            let _ = table.require::<String>("password_file");
            let _ = table.require::<String>("host");
        };
        let unknown = "pasword_file: is no word of this table; did you mean password_file?";
        assert_eq!(told("pasword_file = \"/x\"\nhost = \"a\"", needs), [unknown]);
        assert_eq!(
            told("hsot = \"a\"\npassword_file = \"/x\"", needs),
            ["hsot: is no word of this table; did you mean host?"]
        );
        let missing = "host: is missing: say a text in quotes";
        assert_eq!(told("password_file = \"/x\"", needs), [missing]);
        assert_eq!(told("pasword_file = \"/x\"", needs), [unknown, missing]);
        // What else is there may be of the kind that is meant.
        let kind = |table: &mut Table<'_>| {
            let _ = table.kind(&[("udp", ()), ("serial", ())]);
        };
        assert_eq!(
            told("knid = \"udp\"\nport = 1", kind),
            ["knid: is no word of this table; did you mean kind?"]
        );
        assert_eq!(told("port = 1", kind), ["kind: is missing: say one of udp, serial"]);
        assert_eq!(
            told("kind = \"icmp\"\nport = 1", kind),
            ["kind: \"icmp\" is none of udp, serial"]
        );
        // What is not TOML may say what seems to be missing.
        let broken = told("host = \"a\npassword_file = \"/x\"", needs);
        assert!(broken.iter().all(|reason| !reason.contains("is missing")), "{broken:?}");
        let follows = |table: &mut Table<'_>| {
            let time = table.get_or("time", Duration::from_secs(1));
            if time < Duration::from_secs(5) {
                table.error_if_read("time", "is too short");
            }
        };
        assert_eq!(told("time = \"2s\"", follows), ["time: is too short"]);
        let [unit] = told("time = 9", follows).try_into().unwrap();
        assert!(unit.starts_with("time: has no unit"), "{unit}");
    }

    #[test]
    fn a_value_is_for_both_boxes_or_for_each() {
        let source = Source::new(
            "one = \"eth1\"\ntwo = { a = \"bond0\", b = \"eth0\" }\nbad = { a = \"x\" }\n",
        );
        source.set_boxes(vec!["a".to_owned(), "b".to_owned()]);
        let mut table = source.parse();
        assert_eq!(table.take::<PerBox<String>>("one").unwrap().of(BoxId::Second), "eth1");
        assert_eq!(table.take::<PerBox<String>>("two").unwrap().of(BoxId::Second), "eth0");
        assert_eq!(table.take::<PerBox<String>>("bad"), None);
        drop(table);
        assert_eq!(source.into_complaints()[0].reason, "says nothing for b");
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("15 min"), Ok(Duration::from_secs(900)));
        for wrong in
            ["", "ms", "10", "1.5s", "-1s", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
