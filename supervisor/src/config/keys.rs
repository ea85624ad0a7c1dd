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

use board::secret::Secret;
use firmware_agnostic::frame::{KEYS_MAX, Key, Keys};

/// Reads the key file. No error has a secret in it.
pub(super) fn read(path: &Path) -> io::Result<Keys> {
    let said = |kind, reason: String| io::Error::new(kind, format!("{}{reason}", path.display()));
    let secret = Secret::read(path).map_err(|error| said(error.kind(), format!(": {error}")))?;
    parse(secret.expose()).map_err(|reason| said(io::ErrorKind::InvalidData, reason))
}

fn parse(text: &str) -> Result<Keys, String> {
    let mut keys: Vec<Key> = Vec::new();
    let mut ids = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (id, key) = parse_line(line).map_err(|reason| format!(":{}: {reason}", place + 1))?;
        if ids.contains(&id) {
            return Err(format!(":{}: there is a key {id} already: give it another id", place + 1));
        }
        ids.push(id);
        keys.push(key);
    }
    match keys.len() {
        0 => Err(format!(": has no key in it: {REMEDY}")),
        1..=KEYS_MAX => Keys::new(keys).ok_or_else(|| ": two keys have one id".to_owned()),
        many => Err(format!(
            ": has {many} keys, the most is {KEYS_MAX}: take out those that neither box signs with"
        )),
    }
}

fn parse_line(line: &str) -> Result<(u8, Key), String> {
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
    Ok((id, Key::new(id, secret.as_bytes())))
}

/// Eight random bytes in hexadecimal; the remedy makes twice as much.
const SECRET_MIN: usize = 16;

const REMEDY: &str =
    "write \"1 SECRET\", the secret from `head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \\n'`";

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
