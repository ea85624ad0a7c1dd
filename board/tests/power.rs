//! The reset, in a PID namespace that stands for the box.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use board::host::reset;

#[test]
fn a_reset_brings_down_the_box_and_nothing_else() {
    if let Ok(machine) = std::env::var("MACHINE") {
        reset_this_box(&machine);
    }
    let me = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["--pid", "--fork"])
        .arg(me)
        .args(["--exact", "a_reset_brings_down_the_box_and_nothing_else"])
        .env("MACHINE", namespace())
        .stdout(Stdio::null())
        .status()
        .expect("this test must run as root, with unshare(1)");
    // What a namespace's init dies of when its box restarts (pid_namespaces(7)).
    assert_eq!(status.signal(), Some(libc::SIGHUP), "{status}");
}

/// The same test once more, as the init of its own namespace.
fn reset_this_box(machine: &str) -> ! {
    assert_ne!(namespace(), machine, "the machine itself must not be reset");
    assert_eq!(std::process::id(), 1, "the machine itself must not be reset");
    let Err(error) = reset::reset();
    panic!("{error}");
}

fn namespace() -> String {
    fs::read_link("/proc/self/ns/pid").unwrap().to_str().unwrap().to_owned()
}
