//! Words of the configuration that only a process has: amounts, and file modes.

use toml::de::DeValue;

use crate::config::table::{Source, Value};

/// An amount of a limit: a whole number, or `"unlimited"`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Amount(pub(super) Option<u64>);

impl Value for Amount {
    const EXAMPLE: &'static str = "a whole number, or \"unlimited\"";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("unlimited") => Ok(Self(None)),
            Some(other) => Err(format!("{other:?} is no amount: say {}", Self::EXAMPLE)),
            None => u64::read(value, source).map(|amount| Self(Some(amount))),
        }
    }
}

/// A file mode in octal, as `umask` takes it: `"027"`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mask(pub(super) u32);

impl Value for Mask {
    const EXAMPLE: &'static str = "octal digits in quotes, such as \"027\"";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        let text = String::read(value, source).map_err(|_| format!("say {}", Self::EXAMPLE))?;
        u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mask| *mask <= 0o777)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no file mode: say {}", Self::EXAMPLE))
    }
}
