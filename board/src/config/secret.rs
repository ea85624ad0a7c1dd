//! Secrets, and the files that hold them.
//!
//! A secret is read once, from a file that nobody but its owner can read; it is wiped when it is no
//! longer needed, and never shown: its `Debug` says only that it is there.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::{Zeroize, Zeroizing};

use crate::disk::safe_file::{SafeFile, Trust};

/// A text that must not be shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Reads a secret that is one line, such as a password.
    ///
    /// # Errors
    ///
    /// When the file has another number of lines; and as [`Secret::read`].
    pub fn read_line(path: &Path) -> io::Result<Self> {
        let secret = Self::read(path)?;
        let found = match secret.expose().lines().count() {
            1 => return Ok(secret),
            0 => "has nothing in it",
            _ => "has more than one line",
        };
        Err(io::Error::other(format!("{found}: write one line, the secret itself")))
    }

    /// Reads the whole file, without the line ends at its end, and without the mark by which some editors begin a file
    /// (U+FEFF).
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not UTF-8, is longer than 64 KiB, can be read by others than
    /// its owner, or changed by others than root; the text says what to do.
    pub fn read(path: &Path) -> io::Result<Self> {
        let file = SafeFile::of(path, Trust::default())?.open(OFlags::RDONLY)?;
        let mode = file.metadata()?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            let reason = format!(
                "can be read by others (mode {mode:04o}): run chmod 0600 {}",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
        let bytes = read_whole(file)?;
        let text = str::from_utf8(&bytes).map_err(io::Error::other)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ok(Self(text.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// One text of a line `name=value` for each of `words`, of which no copy stays behind.
    pub fn of_lines<'w>(words: impl Iterator<Item = (&'w str, &'w str)> + Clone) -> Self {
        let length = words.clone().map(|(name, value)| name.len() + value.len() + 2).sum();
        let mut text = String::with_capacity(length);
        for part in words.flat_map(|(name, value)| [name, "=", value, "\n"]) {
            text.push_str(part);
        }
        Self(text)
    }

    /// `N` random bytes of the kernel (getrandom(2)), as hexadecimal digits.
    ///
    /// # Errors
    ///
    /// When the kernel gives none.
    pub fn random<const N: usize>() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; N]);
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
        }
        // With room for all of it: a text that grows leaves pieces behind.
        let mut text = String::with_capacity(2 * N);
        for byte in bytes.iter() {
            for digit in [byte >> 4, byte & 0xf] {
                text.extend(char::from_digit(digit.into(), 16));
            }
        }
        Ok(Self(text))
    }

    /// Writes the line `before` + secret to a new file with mode 0600, under any umask.
    ///
    /// # Errors
    ///
    /// When there is a file at `path` already, or the disk does not take it; then no new file stays behind.
    pub fn write_new(&self, path: &Path, before: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let written = file.set_permissions(Permissions::from_mode(0o600)).and_then(|()| {
            // In pieces, so that there is no second copy of the secret.
            [before, self.expose(), "\n"]
                .iter()
                .try_for_each(|it| file.write_all(it.as_bytes()))?;
            file.sync_all()
        });
        written.inspect_err(|_| {
            let _ = fs::remove_file(path);
        })
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// All that is in the file, in one place from the first byte on: what grows leaves pieces behind.
fn read_whole(mut file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = file.metadata()?.len().min(SIZE_MAX);
    let mut bytes = Zeroizing::new(vec![0; length as usize + 1]);
    let mut read = 0;
    loop {
        match file.read(bytes.get_mut(read..).unwrap_or_default()) {
            Ok(0) if read == bytes.len() => {
                return Err(io::Error::other("is longer than a secret can be, or grows"));
            }
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A key file with a few keys is a few hundred bytes; more is the wrong file.
const SIZE_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_others_can_read_holds_no_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "hush\n").unwrap();
        assert_eq!(Secret::read(file.path()).unwrap().expose(), "hush");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let error = Secret::read(file.path()).unwrap_err();
        assert!(error.to_string().contains("chmod 0600"), "{error}");
    }

    #[test]
    fn a_file_from_any_editor_holds_the_same_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in ["hush", "hush\n", "hush\r\n", "\u{feff}hush\r\n", "hush\n\n"] {
            fs::write(&file, text).unwrap();
            assert_eq!(Secret::read_line(file.path()).unwrap().expose(), "hush", "{text:?}");
        }
        for text in ["", "\n", "\u{feff}\r\n", "hush\n# of the BMC\n", "\nhush\n"] {
            fs::write(&file, text).unwrap();
            let error = Secret::read_line(file.path()).unwrap_err().to_string();
            assert!(error.contains("write one line") && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_random_secret_goes_into_a_new_file_of_its_owner() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("key");
        let secret = Secret::random::<32>().unwrap();
        secret.write_new(&path, "1 ").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let line = Secret::read(&path).unwrap();
        assert_eq!(line.expose().strip_prefix("1 "), Some(secret.expose()));
        assert_eq!(secret.expose().len(), 64);
        assert!(secret.expose().bytes().all(|digit| digit.is_ascii_hexdigit()));
        let other = Secret::random::<32>().unwrap();
        assert!(other != secret, "the same secret twice");
        let error = other.write_new(&path, "1 ").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(Secret::read(&path).unwrap() == line, "a file that was there is another now");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "hush").unwrap();
        assert!(!format!("{:?}", Secret::read(file.path())).contains("hush"));
    }
}
