//! The secrets of a BMC, in files of their own: the user's password, and the key of the BMC (Kg) where it has one.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::config::secret::Secret;

/// What a login is signed with.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Secrets {
    pub(super) password: Zeroizing<Vec<u8>>,
    pub(super) key: Option<Zeroizing<Vec<u8>>>,
}

impl Secrets {
    /// What stands in the files now.
    pub(super) fn read(password: &Path, key: Option<&Path>) -> io::Result<Self> {
        let key = key.map(read_key).transpose()?;
        Ok(Self { password: read_secret(password)?, key })
    }
}

fn read_secret(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let secret = Secret::read_line(path).map_err(|error| {
        io::Error::new(error.kind(), format!("the secret in {}: {error}", path.display()))
    })?;
    Ok(Zeroizing::new(secret.expose().as_bytes().to_vec()))
}

/// A key is a text, or its bytes in hexadecimal digits after `0x`.
fn read_key(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let text = read_secret(path)?;
    let key = match text.strip_prefix(b"0x") {
        None => Some(text.clone()),
        Some(digits) => from_hex(digits),
    };
    key.filter(|key| !key.is_empty() && key.len() <= KEY_MAX).ok_or_else(|| {
        io::Error::other(format!(
            "{}: is no key: write at most {KEY_MAX} bytes, as text or as 0x and digits",
            path.display()
        ))
    })
}

fn from_hex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let value = |digit: &u8| char::from(*digit).to_digit(16).map(|value| value as u8);
    // With room for all of it, so that no piece stays behind where it grew.
    let mut key = Zeroizing::new(Vec::with_capacity(digits.len()));
    for pair in digits.chunks(2) {
        let [high, low] = pair else { return None };
        key.push(value(high)? << 4 | value(low)?);
    }
    Some(key)
}

/// The key of a BMC is as long as the longest password (section 13.33).
const KEY_MAX: usize = 20;
