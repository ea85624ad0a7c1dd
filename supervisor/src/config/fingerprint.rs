//! Do both boxes have the same configuration?
//!
//! Each box says the first bytes of a hash over its file, and hears those of the other. What makes no difference makes
//! none here: comments, blanks, and the order of the words in a table.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use firmware_agnostic::heartbeat::Fingerprint;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The fingerprint of a configuration file.
pub(super) fn of(text: &str) -> Fingerprint {
    let (table, _) = DeTable::parse_recoverable(text);
    let mut canon = String::new();
    write_table(table.get_ref(), &mut canon).expect("a String takes whatever is written");
    Fingerprint::of(canon.as_bytes())
}

/// The fingerprint of `text`, as people read it.
pub(crate) fn mark(text: &str) -> String {
    let Fingerprint([a, b, c, d]) = of(text);
    format!("{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// Where `one` and `other` say something different: the word, and what each of them says, if it says anything.
pub(crate) fn differences(one: &str, other: &str) -> Vec<Difference> {
    let (first, _) = DeTable::parse_recoverable(one);
    let (second, _) = DeTable::parse_recoverable(other);
    let mut found = Vec::new();
    let pair = [Some((first.get_ref(), one)), Some((second.get_ref(), other))];
    compare_tables("", pair, &mut found);
    found
}

/// A word that two files do not say alike, and what they say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Difference {
    pub(crate) word: String,
    pub(crate) said: [Option<String>; 2],
}

/// What stands somewhere in a file, and the file.
type Place<'a, T> = Option<(&'a T, &'a str)>;

fn compare_tables(word: &str, tables: [Place<'_, DeTable<'_>>; 2], found: &mut Vec<Difference>) {
    let words = tables.iter().flatten().flat_map(|(table, _)| table.keys());
    let words: BTreeSet<_> = words.map(|key| key.get_ref().as_ref()).collect();
    for key in words {
        let values = tables.map(|it| it.and_then(|(table, text)| Some((table.get(key)?, text))));
        let dot = if word.is_empty() { "" } else { "." };
        compare(&format!("{word}{dot}{key}"), values, found);
    }
}

fn compare(word: &str, values: [Place<'_, Spanned<DeValue<'_>>>; 2], found: &mut Vec<Difference>) {
    let canon = values.map(|it| {
        let mut canon = String::new();
        it.map(|(value, _)| write_value(value.get_ref(), &mut canon).map(|()| canon))
    });
    if canon[0] == canon[1] {
        return;
    }
    let tables =
        values.map(|it| it.and_then(|(value, text)| Some((value.get_ref().as_table()?, text))));
    if let [Some(_), Some(_)] = tables {
        return compare_tables(word, tables, found);
    }
    let lists = values.map(|it| it.and_then(|(value, _)| value.get_ref().as_array()));
    if let [Some(one), Some(other)] = lists
        && [one, other].iter().all(|list| list.iter().all(|it| it.get_ref().is_table()))
    {
        for place in 0..one.len().max(other.len()) {
            let items = [0, 1].map(|side| Some((lists[side]?.get(place)?, values[side]?.1)));
            compare(&format!("{word}[{}]", place + 1), items, found);
        }
        return;
    }
    let said = values.map(|it| it.map(|(value, text)| in_one_line(text.get(value.span()))));
    found.push(Difference { word: word.to_owned(), said });
}

fn in_one_line(text: Option<&str>) -> String {
    let line = text.unwrap_or("...").split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SAID_MAX {
        return line;
    }
    line.chars().take(SAID_MAX).chain("...".chars()).collect()
}

fn write_table(table: &DeTable<'_>, canon: &mut String) -> fmt::Result {
    let mut words: Vec<_> = table.iter().collect();
    words.sort_by_key(|(word, _)| word.get_ref());
    canon.write_char('{')?;
    for (word, value) in words {
        write!(canon, "{:?}=", word.get_ref())?;
        write_value(value.get_ref(), canon)?;
    }
    canon.write_char('}')
}

/// Writes the value so that no two different ones look the same.
fn write_value(value: &DeValue<'_>, canon: &mut String) -> fmt::Result {
    match value {
        DeValue::Table(table) => write_table(table, canon),
        DeValue::Array(items) => {
            canon.write_char('[')?;
            items.iter().try_for_each(|item| write_value(item.get_ref(), canon))?;
            canon.write_char(']')
        }
        DeValue::String(text) => write!(canon, "{text:?}"),
        DeValue::Integer(number) => write!(canon, "{}r{},", number.as_str(), number.radix()),
        DeValue::Float(number) => write!(canon, "{},", number.as_str()),
        DeValue::Boolean(said) => write!(canon, "{said},"),
        DeValue::Datetime(date) => write!(canon, "{date},"),
    }
}

/// More tells a person no more.
const SAID_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_difference_makes_none_here() {
        let one = of("[pair]\nname = \"ldap\"\nhold = '90s'\n");
        assert_eq!(one, of("# ours\n[pair]\n  hold = \"90s\" # long\nname='ldap'"));
        for other in [
            "[pair]\nname = \"ldap\"\nhold = '9s'\n",
            "name = \"ldap\"\nhold = '90s'\n",
            "[pair]\nname = \"ldap\"\n",
            "",
        ] {
            assert_ne!(one, of(other), "{other}");
        }
        assert_ne!(of("a = [['x'], 'y']"), of("a = [['x', 'y']]"));
    }

    #[test]
    fn what_differs_is_told_with_its_place() {
        let one = "a = 1\nsame = [1, 2]\n[timing]\nkeepalive = '200ms'\n[[link]]\nbaud = 9600\n";
        let other = "same = [ 1,2 ]\n[[link]]\nbaud = 9_600\nname = 'x'\n[[link]]\n[timing]\nkeepalive = '1s'";
        let told = differences(one, other).into_iter().map(|it| {
            let [one, other] = it.said.map(|said| said.unwrap_or("nothing".to_owned()));
            format!("{}: {one}, {other}", it.word)
        });
        let told: Vec<_> = told.collect();
        assert_eq!(told[..2], ["a: 1, nothing", "link[1].name: nothing, 'x'"]);
        assert!(told[2].starts_with("link[2]: nothing, "), "{told:?}");
        assert_eq!(told[3], "timing.keepalive: '200ms', '1s'");
        assert_eq!(told.len(), 4);
        assert_eq!(differences(one, one), []);
        let long = format!("a = '{}'", "x".repeat(99));
        assert_eq!(differences("", &long)[0].said[1].as_ref().unwrap().len(), 53);
    }
}
