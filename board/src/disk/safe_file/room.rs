//! Tells whether a file could be written, without writing, and what to do where it could not.

use std::io;
use std::path::Path;

use rustix::fs::{Access, AtFlags, OFlags, StatVfsMountFlags, accessat, fstatvfs};
use rustix::io::Errno;

use super::SafeFile;

/// Why not even `more` bytes could be written to the file at `path`, which `section` of the configuration names;
/// with what to do about it.
pub fn unwritable(path: &Path, more: u64, section: &str) -> Option<String> {
    let error = try_to_write(path, more).err()?;
    Some(format!("{} cannot be written: {error}{}", path.display(), remedy(&error, section)))
}

/// What a person can do about a file that could not be written, `; ` in front, where the error does not say it itself.
/// `section` of the configuration names the file.
pub fn remedy(error: &io::Error, section: &str) -> String {
    use io::ErrorKind::{NotFound, QuotaExceeded, StorageFull};
    match error.kind() {
        _ if error.raw_os_error().is_none() => String::new(),
        StorageFull | QuotaExceeded => "; make room on that disk".to_owned(),
        NotFound => format!("; make its folder, or name another file in [{section}]"),
        _ => format!("; name a file that can be written in [{section}]"),
    }
}

/// The same as far as everybody can tell, also those who may not write it themselves: what is wrong with its folder
/// or disk.
pub fn no_room(path: &Path, more: u64, section: &str) -> Option<String> {
    let error = SafeFile::own(path).and_then(|file| expect_room(&file, more)).err()?;
    Some(format!("{} cannot be written: {error}{}", path.display(), remedy(&error, section)))
}

fn try_to_write(path: &Path, more: u64) -> io::Result<()> {
    let file = SafeFile::own(path)?;
    if file.stat()?.is_some() {
        file.open(OFlags::WRONLY)?;
    } else {
        accessat(&*file.folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
    }
    expect_room(&file, more)
}

fn expect_room(file: &SafeFile, more: u64) -> io::Result<()> {
    let there = file.stat()?.is_some();
    let disk = fstatvfs(&*file.folder)?;
    if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(Errno::ROFS.into());
    }
    // A part of many disks is kept for root, who runs the supervisor as a rule.
    let free = disk.f_bfree;
    // A file system that does not count its files says 0 of 0.
    let no_name = !there && disk.f_files > 0 && disk.f_ffree == 0;
    // One that does not count its blocks either, such as that of a container, may have room.
    if no_name || (disk.f_blocks > 0 && free.saturating_mul(disk.f_frsize) < more) {
        return Err(Errno::NOSPC.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change, mount_remount};
    use rustix::thread::UnshareFlags;

    use super::*;

    #[test]
    fn a_disk_without_room_and_one_that_can_only_be_read_are_told_apart() {
        let room = tempfile::tempdir().unwrap();
        let disk = room.path().to_owned();
        // The disk is there for this thread alone.
        let look = move || {
            // SAFETY: descriptors stay shared.
            #[allow(unsafe_code)]
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
                .expect("this test wants root, to mount a disk");
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            mount("disk", &disk, "tmpfs", MountFlags::empty(), c"size=16k,mode=0755").unwrap();
            let [old, new] = ["old", "new"].map(|name| disk.join(name));
            fs::write(&old, "x").unwrap();
            let told = || {
                let told = [&old, &new].map(|path| unwritable(path, 4_096, "history"));
                assert_eq!(told, [&old, &new].map(|path| no_room(path, 4_096, "history")));
                told
            };
            assert_eq!(told(), [None, None]);
            fs::write(disk.join("filling"), [0; 12 * 1024]).unwrap();
            for reason in told() {
                let reason = reason.unwrap();
                assert!(
                    reason.contains("No space left")
                        && reason.ends_with("; make room on that disk"),
                    "{reason}"
                );
            }
            assert_eq!(unwritable(&old, 0, "journal"), None, "it has its place");
            mount_remount(&disk, MountFlags::RDONLY, c"").unwrap();
            for reason in told() {
                let reason = reason.unwrap();
                assert!(
                    reason.contains("Read-only")
                        && reason.ends_with("; name a file that can be written in [history]"),
                    "{reason}"
                );
            }
        };
        thread::spawn(look).join().unwrap();
    }
}
