//! One table of the configuration file, read word by word.
//!
//! Every reader of the house takes the words it knows out of its table and says what it misses; the
//! words that are left at the end are unknown. Nothing stops at the first mistake: each becomes a
//! [`Complaint`] with its place, and the person sees all of them at once.
//!
//! ```text
//! let every = table.or("every", Duration::from_secs(5));     // absent: the default
//! let Some(url) = table.need::<String>("url") else { .. };   // absent: a complaint
//! table.finish();                                            // what is left is unknown
//! ```

use std::cell::RefCell;
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use firmware_agnostic::identity::BoxId;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::plain::is_plain;

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
}

impl<'a> Source<'a> {
    /// A source that nothing has been read from.
    pub fn new(text: &'a str) -> Self {
        Self { text, complaints: RefCell::default(), boxes: RefCell::default() }
    }

    /// The table that the whole text is. Mistakes of syntax become complaints; the rest is read all the same.
    pub fn parse(&'a self) -> Table<'a> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let remedy = match error.message() {
                "duplicate key" => ": it stands above already, take one of the two out",
                _ => " (TOML v1.0, toml.io)",
            };
            let reason = format!("{}{remedy}", error.message());
            self.complain(error.span().unwrap_or(0..0), "", reason);
        }
        let span = table.span();
        Table {
            source: self,
            path: String::new(),
            words: table.into_inner(),
            span,
            taken: Vec::new(),
        }
    }

    /// Tells the names of the two boxes, in alphabetical order, for values that differ between them.
    pub fn set_boxes(&self, names: Vec<String>) {
        *self.boxes.borrow_mut() = names;
    }

    /// Notes a mistake at `span`, a range of bytes of the text.
    pub fn complain(&self, span: Range<usize>, word: &str, reason: String) {
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
}

impl<'a> Table<'a> {
    /// The value of `word`, or `None` where it is absent or wrong (which is complained about).
    pub fn take<T: Value>(&mut self, word: &'static str) -> Option<T> {
        let value = self.item(word)?;
        match T::read(value.get_ref(), self.source) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.source.complain(value.span(), &self.full(word), reason);
                None
            }
        }
    }

    /// The value of `word`, whose absence is complained about.
    pub fn need<T: Value>(&mut self, word: &'static str) -> Option<T> {
        if !self.has(word) {
            let path = self.full(word);
            self.source.complain(
                self.span.clone(),
                &path,
                format!("is missing: say {}", T::EXAMPLE),
            );
        }
        self.take(word)
    }

    /// The value of `word`, or `default` where it is absent.
    pub fn or<T: Value>(&mut self, word: &'static str, default: T) -> T {
        self.take(word).unwrap_or(default)
    }

    /// The value of `word` as one of `choices`, or `None` where it is absent or none of them.
    pub fn choose<T: Copy>(&mut self, word: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let said: String = self.take(word)?;
        let found = choices.iter().find(|(name, _)| *name == said).map(|(_, choice)| *choice);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            let hint = nearest(&said, names.iter().copied());
            self.complain(word, format!("{said:?} is none of {}{hint}", names.join(", ")));
        }
        found
    }

    /// What kind of thing the table describes: its word `kind`, whose absence is complained about.
    pub fn kind<T: Copy>(&mut self, kinds: &[(&str, T)]) -> Option<T> {
        if !self.has("kind") {
            let names: Vec<_> = kinds.iter().map(|(name, _)| *name).collect();
            self.complain("", format!("has no kind: say one of {}", names.join(", ")));
        }
        self.choose("kind", kinds)
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
        let absent = Table {
            source: self.source,
            path: self.full(word),
            words: DeTable::new(),
            span: self.span.clone(),
            taken: Vec::new(),
        };
        self.table(word).unwrap_or(absent)
    }

    /// The list of tables called `word` (`[[word]]`, or `word = [{..}]`); empty where there is none.
    pub fn tables(&mut self, word: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.item(word) else { return Vec::new() };
        let path = self.full(word);
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            let reason = format!("is no list of tables: write [[{path}]]");
            self.source.complain(span, &path, reason);
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
    pub fn complain(&self, word: &str, reason: impl Into<String>) {
        self.source.complain(self.span_of(word).clone(), &self.full(word), reason.into());
    }

    /// Line and column of the value of `word`, which was taken before, or of the table.
    pub fn place(&self, word: &str) -> (usize, usize) {
        self.source.place(self.span_of(word).start)
    }

    /// Complains about every word that nobody took.
    pub fn finish(self) {
        for name in self.words.keys() {
            let hint = nearest(name.get_ref(), self.taken.iter().map(|(word, _)| *word));
            self.source.complain(
                name.span(),
                &self.full(name.get_ref()),
                format!("is no word of this table{hint}"),
            );
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
            Some(Table { source: self.source, path, words, span, taken: Vec::new() })
        } else {
            self.source.complain(span, &path, "is no table".to_owned());
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
    words
        .map(|word| (distance(said, word), word))
        .filter(|(distance, word)| *distance <= word.len().max(3) / 3)
        .min()
        .map_or_else(String::new, |(_, word)| format!("; did you mean {word}?"))
}

/// How many letters must be put in, taken out or changed to turn one word into the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(other.chars()) {
            let cost = usize::from(a != b);
            let value = (corner + cost).min(*cell + 1).min(left + 1);
            corner = std::mem::replace(cell, value);
            left = value;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
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
            assert_eq!(table.need::<String>("name").as_deref(), Some("ldap"));
            assert_eq!(
                table.or("keepalive", Duration::from_millis(200)),
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
