//! What lies beside a file, under its name with an ending, until it takes its place.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where that lies.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Puts what lies beside the file at `path` in its place.
///
/// # Errors
///
/// When there is nothing, or the disk does not take it.
pub fn put(path: &Path, ending: &str) -> io::Result<()> {
    fs::rename(beside(path, ending), path)?;
    // The name is written with its directory (fsync(2)).
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// Writes a file anew, with this mode under any umask: a reader finds the old one or the new one, also after
/// a power cut.
///
/// # Errors
///
/// When the disk does not take it; the old one stays.
pub fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let fresh = beside(path, NEW);
    let written = File::create(&fresh).and_then(|mut file| {
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_data()
    });
    written.and_then(|()| put(path, NEW)).inspect_err(|_| {
        let _ = fs::remove_file(&fresh);
    })
}

/// What is to take the place of a file.
pub const NEW: &str = ".new";
