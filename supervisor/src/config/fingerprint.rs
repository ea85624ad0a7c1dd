//! Computes the number by which both boxes compare their configurations.
//!
//! Each box says the first bytes of a hash over its file, and hears those of the other. What makes no difference makes
//! none here: comments, blanks, and the order of the words in a table.

use std::fmt::{self, Write};

use firmware_agnostic::heartbeat::Fingerprint;
use toml::de::{DeTable, DeValue};

/// The fingerprint of a configuration file.
pub(super) fn of(text: &str) -> Fingerprint {
    let (table, _) = DeTable::parse_recoverable(text);
    let mut canon = String::new();
    write_table(table.get_ref(), &mut canon).expect("a String takes all that is written");
    Fingerprint::of(canon.as_bytes())
}

/// The fingerprint of `text`, as people read it.
pub(crate) fn mark(text: &str) -> String {
    let Fingerprint([a, b, c, d]) = of(text);
    format!("{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// What two values have in common that mean the same.
pub(super) fn canon(value: &DeValue<'_>) -> String {
    let mut canon = String::new();
    write_value(value, &mut canon).expect("a String takes all that is written");
    canon
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
}
