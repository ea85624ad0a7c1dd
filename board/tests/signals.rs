//! Signals come, however this process was started.

use std::fs;
use std::process::Command;

use board::process::signals::let_come;

/// As under a shell with `trap '' CHLD`, or in a program that waits for signals on one thread and starts others
/// (github.com/acassen/keepalived/pull/432).
#[test]
fn signals_come_where_they_were_blocked_or_ignored() {
    if std::env::var_os(AGAIN).is_some() {
        return they_come();
    }
    let me = std::env::current_exe().unwrap();
    let test = Command::new("env")
        .args(["--ignore-signal=CHLD", "--block-signal=TERM,HUP,CHLD"])
        .arg(me)
        .args(["--exact", "signals_come_where_they_were_blocked_or_ignored"])
        .env(AGAIN, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&test.stdout);
    assert!(test.status.success() && said.contains("1 passed"), "{said}");
}

fn they_come() {
    let has = |set: &str, signal: i32| {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(set)).unwrap().trim();
        u64::from_str_radix(line, 16).unwrap() & 1 << (signal - 1) != 0
    };
    let (term, chld) = (15, 17);
    assert!(has("SigBlk:", term) && has("SigIgn:", chld), "the scene is another one");
    let_come();
    assert!(!has("SigBlk:", term) && !has("SigBlk:", chld) && !has("SigIgn:", chld));
    assert!(Command::new("/bin/true").status().unwrap().success());
}

/// In the environment of a test that runs once more.
const AGAIN: &str = "TWOBOX_TEST_AGAIN";
