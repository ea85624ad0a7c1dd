//! Checks that a secret stays where it belongs. Another process looks through the memory of this one, and a crash
//! leaves no copy of it. Wants root, and python3.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::Duration;

use board::config::secret::Secret;
use supervisor::config::{Config, Identity};
use tempfile::TempDir;

#[test]
fn a_secret_is_in_one_place_and_then_in_none() {
    let (_room, path) = secret();
    let secret = Secret::read(&path).unwrap();
    assert_eq!(copies(&path), 1, "while it is there");
    drop(secret);
    assert_eq!(copies(&path), 0, "when it is gone");
}

#[test]
fn of_the_keys_their_text_is_not_kept() {
    let (_room, path) = secret();
    let sample = include_str!("../../images/dist/twobox.toml");
    let text = sample.replace("/etc/twobox.key", path.to_str().unwrap());
    let identity = Identity { told: Some("server1".to_owned()), ..Identity::default() };
    let keys = Config::read(&text, &identity).unwrap().keys().unwrap();
    assert_eq!(copies(&path), 0);
    drop(keys);
}

#[test]
fn a_crash_leaves_no_memory_behind() {
    let room = TempDir::new().unwrap();
    let socket = room.path().join("socket");
    let deaf = UnixListener::bind(&socket).unwrap();
    let twobox = env!("CARGO_BIN_EXE_twobox");
    let mut asked = Vec::new();
    // A client that has connected waits for an answer, and gets none.
    let mut crash =
        |command: &str| crashed(&room, command, || asked.push(deaf.accept().unwrap().0));
    let status = crash(&format!("{twobox} status --socket {}", socket.display()));
    assert!(!status.core_dumped(), "the memory of twobox was dumped");
    let status = crash(
        "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"socket\"); s.recv(1)'",
    );
    assert!(status.core_dumped(), "nothing is ever dumped here: a test of nothing");
}

/// How a program ended that was aborted in the middle of its work, when `works` had seen it there, with no limit to
/// what it may dump.
fn crashed(room: &TempDir, command: &str, works: impl FnOnce()) -> ExitStatus {
    let script = format!("ulimit -c unlimited && cd {} && exec {command}", room.path().display());
    let mut child = Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap();
    let comm = format!("/proc/{}/comm", child.id());
    while fs::read_to_string(&comm).unwrap().trim() == "sh" {
        thread::sleep(Duration::from_millis(5));
    }
    works();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(6), "{status}");
    status
}

/// A file with a random secret that this process does not know: a key file with one key.
fn secret() -> (TempDir, std::path::PathBuf) {
    let room = TempDir::new().unwrap();
    let path = room.path().join("secret");
    let script = "{ printf '1 '; od -An -v -tx1 -N200 /dev/urandom | tr -d ' \\n'; } > \"$1\"";
    let made = Command::new("/bin/sh").args(["-c", script, "sh"]).arg(&path).status().unwrap();
    assert!(made.success());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    (room, path)
}

/// How many copies of the secret, or of a piece of it, are in the memory of this process.
fn copies(path: &Path) -> usize {
    let output = Command::new("python3").args(["-c", LOOK]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// The most copies of any sixteen letters of it. The numbers of a key in front are no secret.
const LOOK: &str = r"
import os, re, sys
secret = open(sys.argv[1], 'rb').read()[2:]
pieces = [secret[at:at + 16] for at in range(0, len(secret) - 16, 16)]
parent = os.getppid()
counts = [0] * len(pieces)
looked = 0
with open(f'/proc/{parent}/mem', 'rb', 0) as memory:
    for line in open(f'/proc/{parent}/maps'):
        begin, end, rights = re.match(r'([0-9a-f]+)-([0-9a-f]+) (\S+)', line).groups()
        if not rights.startswith('rw'):
            continue
        try:
            memory.seek(int(begin, 16))
            text = memory.read(int(end, 16) - int(begin, 16))
        except (OSError, OverflowError):
            continue
        looked += len(text)
        counts = [count + text.count(piece) for count, piece in zip(counts, pieces)]
assert looked > 100_000, 'nothing was looked at'
print(max(counts))
";
