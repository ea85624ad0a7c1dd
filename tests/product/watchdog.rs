//! Checks that a real watchdog of a real kernel resets a box that is stuck, and no other.
//!
//! The kernel's `softdog` counts in a virtual machine, whose end the test sees from outside. It needs the packages
//! `qemu-system-x86`, `busybox-static` and `cpio`, and a kernel in `kernel/` of the target directory, where `tests/run`
//! puts it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

#[test]
fn a_supervisor_that_is_stopped_in_its_tracks_is_reset_and_one_that_is_well_is_not() {
    let said = boot(
        "supervise & P=$!; sleep 7; say well: $(twobox status | grep watchdog)
        twobox run --box server1 --socket /run/other.sock; say the second one ended with $?
        kill -TERM $P; wait $P; sleep 7; say it has left in order
        supervise & P=$!; sleep 2; kill -KILL $P; sleep 1; supervise & P=$!; sleep 6; say it lives again
        kill -STOP $P",
    );
    expect(
        &said,
        &[
            "watchdog /dev/watchdog (Software Watchdog): waits 5s",
            "== well: watchdog: fed",
            "another program feeds it",
            "== the second one ended with 1",
            "== it has left in order",
            "== it lives again",
            "softdog: Initiating system reboot",
        ],
    );
}

#[test]
fn a_watchdog_that_can_never_be_stopped_is_told_before_it_resets_a_box_that_was_left_in_order() {
    let said = boot(
        "rmmod softdog; insmod /softdog.ko nowayout=1
        twobox check --here --box server1 | grep nowayout
        supervise & P=$!; sleep 7; kill -TERM $P; wait $P; say it has left with $?",
    );
    expect(
        &said,
        &[
            "warning: watchdog /dev/watchdog can never be stopped (nowayout)",
            "waits 5s for each feeding",
            "warning: watchdog /dev/watchdog can never be stopped",
            "watchdog /dev/watchdog: can never be stopped (nowayout): it is going to reset this box",
            "== it has left with 0",
            "softdog: Initiating system reboot",
        ],
    );
}

#[test]
fn a_box_whose_disk_is_stuck_is_reset() {
    // It does not serve before the end: it would ask for its own.
    let said = boot(
        "sed -i s/11s/60s/ /etc/twobox.toml
        supervise & sleep 7; say stuck; demo stick /var/lib/twobox.journal.probe &",
    );
    expect(
        &said,
        &["== stuck", "the disk has not answered for", "softdog: Initiating system reboot"],
    );
}

#[test]
fn a_box_that_may_not_reset_itself_is_reset_all_the_same() {
    // Neither reboot(2) nor the key works, and the supervisor lives on.
    let said = boot("touch /key; mount -o bind /key /proc/sysrq-trigger; unarmed &");
    expect(
        &said,
        &[
            "this box cannot reset itself: reboot(2): Operation not permitted",
            "softdog: Initiating system reboot",
        ],
    );
    let [refused, reset] =
        ["this box cannot reset itself", "softdog: Initiating"].map(|word| at(&said, word));
    assert!(reset - refused < 3.0, "its patience of 5 s was not shortened:\n{said}");
}

/// Boots a machine that does what `script` says and then waits, and tells what it wrote until it was reset.
fn boot(script: &str) -> String {
    let room = TempDir::new().unwrap();
    let initrd = furnish(room.path(), script);
    let mut machine = Command::new("qemu-system-x86_64");
    machine
        .args(
            "-accel tcg -M q35 -m 256 -nodefaults -display none -no-reboot -serial stdio"
                .split(' '),
        )
        .args(["-append", "console=ttyS0 quiet panic=1", "-kernel"])
        .arg(kernel().join("vmlinuz"))
        .arg("-initrd")
        .arg(initrd)
        .stdin(Stdio::null());
    let output = machine.output().expect("qemu-system-x86_64, of the package qemu-system-x86");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Everything must have been said, in this order, and the box must not have been left alone.
fn expect(said: &str, words: &[&str]) {
    assert!(!said.contains(LEFT_ALONE), "it was not reset:\n{said}");
    let mut rest = said;
    for word in words {
        let Some((_, after)) = rest.split_once(word) else { panic!("no {word:?}:\n{said}") };
        rest = after;
    }
}

/// The seconds since boot at which `word` was said, by the kernel's clock.
fn at(said: &str, word: &str) -> f64 {
    let line = said.lines().find(|line| line.contains(word)).expect("it was said");
    let (_, time) = line.split_once('[').expect("it has a time since boot");
    let (time, _) = time.split_once(']').expect("it has a time since boot");
    time.trim().parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Makes the file system that the machine has in memory.
fn furnish(directory: &Path, script: &str) -> PathBuf {
    let root = directory.join("root");
    for place in ["bin", "proc", "sys", "dev", "etc", "run", "var/lib"] {
        fs::create_dir_all(root.join(place)).unwrap();
    }
    let demo = env!("CARGO_BIN_EXE_demo");
    let stripped = Command::new("strip").arg("-o").arg(root.join("bin/demo")).arg(demo).status();
    assert!(stripped.expect("strip, of the package binutils").success());
    let libraries = Command::new("ldd").arg(demo).output().expect("ldd").stdout;
    let libraries = String::from_utf8(libraries).unwrap();
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        let copy = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(library, copy).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("the package busybox-static");
    for module in ["watchdog.ko", "softdog.ko", "fuse.ko"] {
        fs::copy(kernel().join(module), root.join(module)).unwrap();
    }
    write(&root.join("etc/twobox.toml"), CONFIG, 0o644);
    write(&root.join("etc/twobox.key"), "1 nobody-else-is-in-this-machine\n", 0o600);
    write(&root.join("init"), &INIT.replace("SCRIPT", script), 0o755);
    let initrd = directory.join("initrd");
    let mut cpio = Command::new("cpio")
        .args(["--create", "--format=newc", "--owner=0:0", "--quiet"])
        .current_dir(&root)
        .stdin(Stdio::piped())
        .stdout(fs::File::create(&initrd).unwrap())
        .spawn()
        .expect("cpio");
    let found = Command::new("find").arg(".").current_dir(&root).output().expect("find");
    cpio.stdin.take().unwrap().write_all(&found.stdout).unwrap();
    assert!(cpio.wait().unwrap().success());
    initrd
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Where the kernel is, with its modules.
fn kernel() -> PathBuf {
    let kernel = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("kernel");
    assert!(kernel.join("vmlinuz").exists(), "{}: run tests/run, which gets it", kernel.display());
    kernel
}

const LEFT_ALONE: &str = "== left alone";

const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev
ip link set lo up; ip addr add 127.0.0.2/8 dev lo
insmod /watchdog.ko; insmod /softdog.ko; insmod /fuse.ko
say() { echo \"== $*\" > /dev/console; }
twobox() { demo twobox \"$@\"; }
supervise() { exec demo twobox run --box server1 > /dev/console 2>&1; }
unarmed() { exec demo unarmed twobox run --box server1 > /dev/console 2>&1; }
exec > /dev/console 2>&1
SCRIPT
sleep 40; say left alone; poweroff -f
";

/// It serves soon, and asks for its end as soon as it does.
const CONFIG: &str = r#"
[pair]
name = "machine"
key_file = "/etc/twobox.key"
[timing]
deadtime = "7s"
initdead = "11s"
[takeover]
require = "silence"
[box.server1]
priority = 100
[box.server2]
priority = 50
[[link]]
kind = "udp"
interface = "lo"
address = { server1 = "127.0.0.2", server2 = "127.0.0.3" }
[[resource]]
kind = "process"
name = "short"
command = ["/bin/busybox", "sleep", "1"]
on_failure = "fence"
threshold = 1
[watchdog]
device = "/dev/watchdog"
timeout = "5s"
disk_timeout = "3s"
"#;
