//! Opens, reads and writes files that are safe, and tries those that are not.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, mknodat};
use rustix::process::Uid;
use tempfile::TempDir;

use super::*;
use crate::process::account::Account;

#[test]
fn a_file_of_ours_is_opened() {
    let room = Room::new();
    let path = room.file("file", 0o644);
    assert_eq!(read(&path).unwrap(), b"content");
    SafeFile::own(&path).unwrap().replace(0o600, b"new").unwrap();
    assert_eq!(read(&path).unwrap(), b"new");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    // What was left of a power cut is in nobody's way.
    symlink("/nowhere", beside(&path, NEW)).unwrap();
    SafeFile::own(&path).unwrap().replace(0o600, b"newer").unwrap();
    assert_eq!(read(&path).unwrap(), b"newer");
    assert!(!beside(&path, NEW).is_symlink());
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let room = Room::new();
    let [folder, fifo, socket, link] = ["folder", "fifo", "socket", "link"].map(|it| room.at(it));
    fs::create_dir(&folder).unwrap();
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    symlink(&link, &link).unwrap();
    for (path, reason) in [
        (folder, "is a folder"),
        (fifo, "is a FIFO"),
        (socket, "is a socket"),
        (link.clone(), "is a link that leads to itself"),
        ("/dev/full".into(), "is a device"),
        ("/".into(), "is a folder"),
        (room.at("file/x"), "Not a directory"),
        (room.at("nothing"), "No such file"),
        (room.at("nowhere/x"), "No such file"),
    ] {
        room.file("file", 0o600);
        expect(read(&path), reason);
        if !path.is_symlink() {
            expect(look(&path, 9), reason);
        }
        let own = SafeFile::own(&path);
        let opened = own.and_then(|own| own.open_or_make(OFlags::WRONLY, 0o600));
        let refused = opened.map(|(_, made)| assert!(made && path.ends_with("nothing")));
        if let Err(error) = refused {
            let error = error.to_string();
            let own = if path == link { "is a link: name the file" } else { reason };
            assert!(error.contains(own), "{}: {error}", path.display());
        }
    }
    assert!(look(&link, 9).unwrap_err().to_string().contains("symbolic links"));
}

#[test]
fn what_is_longer_than_it_may_be_is_refused() {
    let room = Room::new();
    let path = room.file("file", 0o600);
    assert_eq!(look(&path, 7).unwrap(), b"content");
    expect(look(&path, 6), "is longer than the 6 bytes");
}

#[test]
fn what_others_own_or_may_write_is_refused() {
    let room = Room::new();
    let path = room.file("file", 0o622);
    expect(read(&path), "can be changed by others (mode 0622): run chmod go-w");
    let path = room.file("file", 0o620);
    expect(read(&path), "(mode 0620)");
    let path = room.file("file", 0o600);
    chown(&path, Some(NOBODY), None).unwrap();
    expect(read(&path), "belongs to user 65534: run chown root");
    // It is only shown, and anybody may have it.
    assert_eq!(look(&path, 9).unwrap(), b"content");
    expect(SafeFile::own(&path).unwrap().open_or_make(OFlags::WRONLY, 0o600), "belongs to user");
}

#[test]
fn a_second_name_is_refused_where_it_is_written() {
    let room = Room::new();
    let path = room.file("file", 0o600);
    fs::hard_link(&path, room.at("other")).unwrap();
    assert_eq!(read(&path).unwrap(), b"content");
    let own = SafeFile::own(&path).unwrap();
    expect(own.open(OFlags::WRONLY), "has another name too");
    own.replace(0o600, b"new").unwrap();
    assert_eq!(fs::read(room.at("other")).unwrap(), b"content");
}

#[test]
fn a_folder_that_others_may_write_leads_nowhere() {
    let room = Room::new();
    let folder = room.at("folder");
    fs::create_dir_all(folder.join("below")).unwrap();
    let path = room.file("folder/below/file", 0o600);
    let way = "is reached through";
    for (mode, reason) in [(0o777, "0777): run chmod go-w"), (0o770, "0770)"), (0o2775, "2775)")] {
        set_mode(&folder, mode);
        expect(read(&path), reason);
        expect(SafeFile::own(&path), way);
        expect(expect_safe(&path, Trust::default()), way);
        // Nor by a detour.
        expect(read(&room.at("folder/below/../below/file")), reason);
    }
    set_mode(&folder, 0o755);
    chown(&folder, Some(NOBODY), None).unwrap();
    expect(read(&path), "folder, which belongs to user 65534");
    chown(&folder, Some(0), None).unwrap();
    // As /tmp: nobody can rename what is not theirs.
    set_mode(&folder, 0o1777);
    assert_eq!(read(&path).unwrap(), b"content");
    let theirs = room.file("folder/theirs", 0o600);
    chown(&theirs, Some(NOBODY), None).unwrap();
    expect(read(&theirs), "belongs to user");
}

#[test]
fn a_link_is_followed_if_root_has_made_it() {
    let room = Room::new();
    let path = room.file("file", 0o600);
    let [link, folder, chain] = ["link", "folder", "chain"].map(|it| room.at(it));
    symlink("file", &link).unwrap();
    symlink(room.path(), &folder).unwrap();
    symlink("folder/link", &chain).unwrap();
    for way in [&link, &chain, &folder.join("file"), &folder.join("link")] {
        assert_eq!(read(way).unwrap(), b"content", "{}", way.display());
        assert_eq!(SafeFile::of(way, Trust::default()).unwrap().path(), path);
    }
    // What is written lies where it is named, be it by way of a folder elsewhere.
    SafeFile::own(&folder.join("file")).unwrap().replace(0o600, b"new").unwrap();
    let own = SafeFile::own(&link).unwrap();
    expect(own.replace(0o600, b"newer"), "is a link: name the file");
    expect(own.open(OFlags::WRONLY), "is a link: name the file");
    assert_eq!(fs::read(&path).unwrap(), b"new");
    for theirs in [&link, &folder] {
        chownat(CWD, theirs, Some(Uid::from_raw(NOBODY)), None, NO_LINK).unwrap();
        expect(read(&folder.join("link")), "link");
        expect(read(&chain), "which belongs to user 65534: name the file that is meant");
    }
}

#[test]
fn what_runs_as_a_user_may_be_that_users() {
    let room = Room::new();
    let path = room.file("program", 0o775);
    chown(&path, Some(12_345), Some(23_456)).unwrap();
    let account = |user, group: &str| Account::find(Some(user), Some(&[group.to_owned()])).unwrap();
    let may = |account: Option<&Account>| expect_safe(&path, Trust::of_program(account));
    may(Some(&account("12345", "23456"))).unwrap();
    expect(may(Some(&account("12345", "23457"))), "can be changed by others");
    expect(may(Some(&account("12346", "23456"))), "belongs to user 12345");
    expect(may(None), "belongs to user 12345");
    set_mode(&path, 0o757);
    expect(may(Some(&account("12345", "23456"))), "can be changed by others");
    // Root is no such user, and its group no friend.
    chown(&path, Some(0), Some(0)).unwrap();
    set_mode(&path, 0o775);
    expect(may(Some(&account("0", "0"))), "can be changed by others");
}

#[test]
fn a_file_that_was_replaced_is_another_one() {
    let room = Room::new();
    let own = SafeFile::own(&room.at("file")).unwrap();
    let (first, made) = own.open_or_make(OFlags::WRONLY, 0o600).unwrap();
    assert!(made && own.is(&first));
    fs::remove_file(own.path()).unwrap();
    assert!(!own.is(&first));
    let (second, made) = own.open_or_make(OFlags::WRONLY, 0o600).unwrap();
    assert!(made && own.is(&second) && !own.is(&first));
    assert!(!own.open_or_make(OFlags::WRONLY, 0o600).unwrap().1);
}

/// A folder with files.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test wants root, to give files away");
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, "content").unwrap();
        set_mode(&path, mode);
        path
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    SafeFile::of(path, Trust::default())?.read(99)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn expect<T>(result: io::Result<T>, reason: &str) {
    let error = result.err().expect(reason).to_string();
    assert!(error.contains(reason), "{reason}: {error}");
}

const NO_LINK: AtFlags = AtFlags::SYMLINK_NOFOLLOW;
const NOBODY: u32 = 65_534;
