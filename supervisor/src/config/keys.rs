//! Reads the keys that sign and open the heartbeats.
//!
//! ```text
//! # the first key signs, all of them open
//! 2 a7c06b5cb82f0b7c4c1c9a0f52c1d1ab
//! 1 c0ffee0ddba11c0ffee0ddba11c0ffee
//! ```
//!
//! To change the key without losing a heartbeat: add the new one below the old one on both boxes, then put it first
//! on both, then take the old one out.

use std::io;
use std::path::Path;

use board::config::secret::Secret;
use firmware_agnostic::frame::{KEYS_MAX, Key, Keys};
use firmware_agnostic::heartbeat::Fingerprint;

/// Reads the key file. No error has a secret in it.
pub(super) fn read(path: &Path) -> io::Result<Keys> {
    with_entries(path, |entries| {
        let keys = entries.iter().map(|(id, secret)| Key::new(*id, secret.as_bytes()));
        Keys::new(keys).ok_or_else(|| ": two keys have one id".to_owned())
    })
}

/// One line for each key of the file, with what two people can compare: no line has a secret in it.
///
/// # Errors
///
/// As for the keys themselves.
pub(crate) fn show(path: &Path) -> io::Result<String> {
    with_entries(path, |entries| {
        let line = |(place, (id, secret)): (usize, &(u8, &str))| {
            let signs = if place == 0 { ", signs" } else { "" };
            let Fingerprint([a, b, c, d]) = Fingerprint::of(secret.as_bytes());
            format!("key {id}: fingerprint {a:02x}{b:02x} {c:02x}{d:02x}{signs}\n")
        };
        Ok(entries.iter().enumerate().map(line).collect())
    })
}

/// Makes a key file with one random key.
///
/// # Errors
///
/// When there is a file already, or the disk does not take it.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    let made = Secret::random::<SECRET_BYTES>().and_then(|key| key.write_new(path, "1 "));
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => said(path, error.kind(), EXISTS),
        kind => said(path, kind, &format!(": {error}")),
    })
}

/// What becomes of the entries of the key file.
fn with_entries<T>(
    path: &Path,
    of: impl FnOnce(&[(u8, &str)]) -> Result<T, String>,
) -> io::Result<T> {
    let secret = Secret::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            said(path, error.kind(), &format!(": there is no such file: {REMEDY}"))
        }
        kind => said(path, kind, &format!(": {error}")),
    })?;
    let read = parse(secret.expose()).and_then(|entries| of(&entries));
    read.map_err(|reason| said(path, io::ErrorKind::InvalidData, &reason))
}

fn said(path: &Path, kind: io::ErrorKind, reason: &str) -> io::Error {
    io::Error::new(kind, format!("{}{reason}", path.display()))
}

/// The id and the secret of each key.
fn parse(text: &str) -> Result<Vec<(u8, &str)>, String> {
    let mut entries: Vec<(u8, &str)> = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = parse_line(line).map_err(|reason| format!(":{}: {reason}", place + 1))?;
        let (id, _) = entry;
        if entries.iter().any(|(earlier, _)| *earlier == id) {
            return Err(format!(":{}: there is a key {id} already: give it another id", place + 1));
        }
        entries.push(entry);
    }
    match entries.len() {
        0 => Err(format!(": has no key in it: {REMEDY}")),
        1..=KEYS_MAX => Ok(entries),
        many => Err(format!(
            ": has {many} keys, the most is {KEYS_MAX}: take out those that neither box signs with"
        )),
    }
}

fn parse_line(line: &str) -> Result<(u8, &str), String> {
    let mut words = line.split_whitespace();
    let (Some(id), Some(secret), None) = (words.next(), words.next(), words.next()) else {
        return Err(format!("is no key: {REMEDY}"));
    };
    let id = id.parse().map_err(|_| "the id of the key is no number from 0 to 255".to_owned())?;
    if secret.len() < SECRET_MIN {
        return Err(format!(
            "the secret of key {id} has {} characters, the least is {SECRET_MIN}: {REMEDY}",
            secret.len()
        ));
    }
    Ok((id, secret))
}

/// Eight random bytes in hexadecimal.
const SECRET_MIN: usize = 16;

/// As many as the hash that signs has (RFC 2104, section 3): more would not be stronger.
const SECRET_BYTES: usize = 32;

const REMEDY: &str = "`twobox key --new FILE` makes a file with a key";

const EXISTS: &str = ": there is a file already, and it stays as it is: name another one";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_keys_has_one_in_each_line() {
        assert!(parse("# ours\n\n 2 0123456789abcdef\r\n1\tfedcba9876543210").is_ok());
    }

    #[test]
    fn an_error_names_the_line_and_never_the_secret() {
        let long = "a".repeat(40);
        let five = [0, 1, 2, 3, 4].map(|id| format!("{id} {long}")).join("\n");
        let wrong = [
            (String::new(), ": has no key in it"),
            (format!("# 1\n{long}"), ":2: is no key"),
            (format!("1 {long} {long}"), ":1: is no key"),
            (format!("{long} 1"), ":1: the id"),
            (format!("256 {long}"), ":1: the id"),
            ("1 aaaaaaaaaaaaaaa".to_owned(), ":1: the secret of key 1 has 15 characters"),
            (format!("1 {long}\n1 {long}"), ":2: there is a key 1 already"),
            (five, ": has 5 keys"),
        ];
        for (text, begin) in wrong {
            let reason = parse(&text).err().unwrap_or_default();
            assert!(reason.starts_with(begin), "{text}: {reason}");
            assert!(!reason.contains("aaaaa"), "{reason}");
        }
    }
}
