//! Which processes belong to a service: real ones, with strangers that say they do, in cgroups and without. Wants root.

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::{Duration, Instant};

use board::process::child::Child;
use board::process::{orphans, procfs};
use board::thread::deadline::Deadline;

use room::{AGAIN, Room, alive, another_supervisor, child, seconds, until};

mod room;

// Each of these runs twice: where a cgroup can be made, and where none can.

/// nginx, redis and `PostgreSQL` write over theirs.
#[test]
fn a_service_that_wipes_its_environment_is_adopted_and_stopped() {
    let script = "echo $$ > pid; exec env -i /bin/sh -c 'trap \"exit 0\" TERM; echo > up; while :; do sleep 0.05; done'";
    let test = "a_service_that_wipes_its_environment_is_adopted_and_stopped";
    let (room, other) = another_supervisor(test, script, "", &["pid", "up"]);
    drop(other);
    let mut process = room.process(script, "");
    assert!(process.adopt().unwrap());
    process.monitor().unwrap();
    assert!(alive(room.group()));
    process.stop(&seconds(60)).unwrap();
    assert!(!alive(room.group()));
    assert!(!room.process(script, "").adopt().unwrap(), "there is nothing left to adopt");
}

/// If no next life comes, the guard stops it, which has not started it either.
#[test]
fn a_service_that_wipes_its_environment_is_stopped_with_all_that_it_started() {
    let script = "echo $$ > pid; (setsid env -i sh -c 'echo $$ > stray; exec sleep 641' &)
        exec env -i /bin/sh -c 'sleep 642; :'";
    let test = "a_service_that_wipes_its_environment_is_stopped_with_all_that_it_started";
    let (room, other) = another_supervisor(test, script, "", &["pid", "stray"]);
    let stray = room.read("stray").trim().parse().unwrap();
    until(|| room.knows(stray), "a note of what it started");
    drop(other);
    room.process(script, "").stop(&seconds(60)).unwrap();
    assert!(!alive(room.group()), "the leader");
    assert!(!alive(stray), "what has left it");
}

#[test]
fn what_one_service_has_started_is_none_of_another() {
    let (one, other) = (Room::new(), Room::new());
    let script =
        "(setsid sh -c 'echo $$ > stray; exec sleep 655' &); echo $$ > pid; exec sleep 656";
    let mut both = [&one, &other].map(|room| room.process(script, ""));
    for (process, room) in both.iter_mut().zip([&one, &other]) {
        process.start(&seconds(60)).unwrap();
        room.wait_for("pid");
        room.wait_for("stray");
    }
    let stray = |room: &Room| alive(room.read("stray").trim().parse().unwrap());
    both[0].stop(&seconds(60)).unwrap();
    assert!(!stray(&one) && stray(&other) && alive(other.group()));
    both[1].monitor().unwrap();
    both[1].stop(&seconds(60)).unwrap();
    assert!(!stray(&other));
}

#[test]
fn a_stranger_with_the_mark_is_neither_adopted_nor_killed() {
    let room = Room::new();
    let words = "user = \"12345\"\ngroups = [\"12345\"]";
    let service = || room.process("echo $$ > pid; exec sleep 643", words);
    let mut process = service();
    process.start(&seconds(60)).unwrap();
    room.wait_for("pid");
    // One of another user, and one of the same.
    for user in [23456, 12345] {
        let strangers = Strangers::new(&room, user, 1, 0);
        process.stop(&seconds(60)).unwrap();
        assert_eq!(strangers.count(), 1, "a stranger of user {user} was killed");
        assert!(!service().adopt().unwrap());
        fs::remove_file(room.path("pid")).unwrap();
        process.start(&seconds(60)).unwrap();
        room.wait_for("pid");
    }
    process.stop(&seconds(60)).unwrap();
}

/// Eight loops that fork, and many processes that say they are the service.
#[test]
fn a_stop_keeps_its_time_beside_loops_that_fork() {
    let room = Room::new();
    let mut process = room.process("echo $$ > pid; exec sleep 646", "");
    process.start(&seconds(60)).unwrap();
    room.wait_for("pid");
    let strangers = Strangers::new(&room, 23457, 60, 8);
    let begun = Instant::now();
    process.stop(&seconds(15)).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(!alive(room.group()));
    assert_eq!(strangers.count(), 60, "strangers were killed");
}

/// Processes that carry the mark of the service in `room`, and are none of it.
struct Strangers {
    name: String,
    _all: Child,
}

impl Strangers {
    /// So many that do nothing as `user`, and so many loops that fork.
    fn new(room: &Room, user: u32, sleepers: usize, loops: usize) -> Self {
        let name = format!("stranger-{}", room.name);
        let print = fs::read(format!("/proc/{}/environ", room.group())).unwrap();
        let mark = print.split(|byte| *byte == 0).filter(|word| word.starts_with(b"TWOBOX_"));
        let mark: Vec<_> = mark.map(|word| String::from_utf8_lossy(word)).collect();
        let script = format!(
            "as() {{ setpriv --reuid {user} --regid {user} --clear-groups env {} \"$@\" & }}
            for n in $(seq {loops}); do as sh -c 'while :; do (exec true); done'; done
            for n in $(seq {sleepers}); do as sh -c 'kill -STOP $$' {name}; done; wait",
            mark.join(" ")
        );
        let all = child(&["/bin/sh", "-c", &script], &[]);
        let strangers = Self { name, _all: all };
        until(|| strangers.count() == sleepers, "a crowd");
        strangers
    }

    fn count(&self) -> usize {
        let all = procfs::take().unwrap().into_iter().filter(|it| it.name == "sh" && it.alive());
        let words = all.filter_map(|it| fs::read(format!("/proc/{}/cmdline", it.pid)).ok());
        words.filter(|it| it.split(|byte| *byte == 0).any(|it| it == self.name.as_bytes())).count()
    }
}

// A stop that fails.

#[test]
fn a_status_that_says_so_fails_the_stop_for_good() {
    let room = Room::new();
    let script =
        "trap 'echo target is busy; exit 1' TERM; echo $$ > pid; while :; do sleep 0.02; done";
    let mut process = room.process(script, "");
    process.start(&seconds(60)).unwrap();
    room.wait_for("pid");
    let error = process.stop(&seconds(60)).unwrap_err().to_string();
    assert!(error.contains("ended with status 1 when SIGTERM told it to end"), "{error}");
    assert!(error.contains("say stop_exit = [1]"), "{error}");
    assert!(!alive(room.group()));
    // Neither does another try, nor the next life, nor a start.
    process.stop(&seconds(60)).unwrap_err();
    let mut next = room.process(script, "");
    assert!(!next.adopt().unwrap());
    next.stop(&seconds(60)).unwrap_err();
    next.start(&seconds(60)).unwrap_err();
    // A person who has looked removes what the message names.
    let error = next.stop(&seconds(60)).unwrap_err().to_string();
    let note = error.rsplit(' ').next().unwrap();
    fs::remove_file(note).unwrap();
    next.stop(&seconds(60)).unwrap();
    process.stop(&seconds(60)).unwrap();
}

/// Where the kernel tells it (Linux 6.15); elsewhere only the parent learns the status, which is init by then.
#[test]
fn a_status_that_says_so_fails_the_stop_of_the_next_life() {
    let script = "trap 'exit 1' TERM; echo $$ > pid; while :; do sleep 0.02; done";
    let test = "a_status_that_says_so_fails_the_stop_of_the_next_life";
    let (room, other) = another_supervisor(test, script, "", &["pid"]);
    drop(other);
    let mut process = room.process(script, "");
    assert!(process.adopt().unwrap());
    let stopped = process.stop(&seconds(60));
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let release = (numbers.next().unwrap(), numbers.next().unwrap());
    assert!(stopped.is_err() || release < (6, 15), "{release:?}");
    assert!(!alive(room.group()));
}

/// Its status is about the start that it did not finish.
#[test]
fn one_that_was_not_ready_may_end_as_it_likes() {
    let room = Room::new();
    let script = "trap 'exit 1' TERM; echo $$ > pid; while :; do sleep 0.02; done";
    for (words, stops) in [("", true), ("\nkill_after = \"never\"", false)] {
        let mut process = room.process(script, &format!("ready = \"notify\"{words}"));
        let error = process.start(&Deadline::new(Duration::from_millis(500))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert!(!alive(room.group()));
        assert_eq!(process.stop(&seconds(60)).is_ok(), stops, "{error}");
    }
}

/// Or else a box on which an account is missing would reset itself.
#[test]
fn one_whose_user_is_not_known_has_nothing_to_stop() {
    let room = Room::new();
    let mut process = room.process("exec sleep 657", "user = \"nobody-of-this-name\"");
    process.start(&seconds(60)).unwrap_err();
    process.stop(&seconds(60)).unwrap();
    assert!(!process.adopt().unwrap());
}

#[test]
fn a_status_that_is_its_way_to_end_is_none() {
    for (ends, words) in
        [("exit 1", "stop_exit = [1, 7]"), ("exit 143", ""), ("trap - TERM; kill $$", "")]
    {
        let room = Room::new();
        let script = format!("trap '{ends}' TERM; echo $$ > pid; while :; do sleep 0.02; done");
        let mut process = room.process(&script, words);
        process.start(&seconds(60)).unwrap();
        room.wait_for("pid");
        process.stop(&seconds(60)).unwrap();
    }
}

/// How it ended when nobody told it to is not about a stop.
#[test]
fn one_that_was_dead_before_has_stopped() {
    let room = Room::new();
    let mut process = room.process("echo $$ > pid; exit 1", "");
    process.start(&seconds(60)).unwrap();
    room.wait_for("pid");
    let alarm = process.alarm().unwrap();
    seconds(60).readable(&[alarm]).unwrap();
    assert!(process.monitor().unwrap_err().to_string().contains("status 1"));
    process.stop(&seconds(60)).unwrap();
}

#[test]
fn one_that_is_never_to_be_killed_is_not() {
    let room = Room::new();
    let script = "trap 'test -e busy || exit 0' TERM; echo > busy; echo $$ > pid; while :; do sleep 0.02; done";
    let mut process = room.process(script, "kill_after = \"never\"");
    process.start(&seconds(60)).unwrap();
    room.wait_for("pid");
    let error = process.stop(&Deadline::new(Duration::from_millis(300))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    assert!(alive(room.group()), "{error}");
    fs::remove_file(room.path("busy")).unwrap();
    process.stop(&seconds(60)).unwrap();
}

// What is not known.

#[test]
fn what_is_not_known_is_not_absent() {
    let room = Room::new();
    let script = "echo $$ > pid; exec sleep 648";
    let mut process = room.process(script, "");
    process.start(&seconds(60)).unwrap();
    room.wait_for("pid");
    let note = fs::read_dir(room.path("notes")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&note).unwrap();
    fs::write(&note, &whole[..whole.len() - 2]).unwrap();
    let mut next = room.process(script, "");
    for error in [
        next.adopt().unwrap_err(),
        next.stop(&seconds(60)).unwrap_err(),
        next.start(&seconds(60)).unwrap_err(),
    ] {
        assert!(error.to_string().contains("what runs of it is not known"), "{error}");
    }
    assert!(alive(room.group()));
    // The life that has started it knows it without, and writes it again.
    fs::remove_file(&note).unwrap();
    process.monitor().unwrap();
    assert!(note.exists());
    process.stop(&seconds(60)).unwrap();
    assert!(!note.exists());
}

// What it says.

/// By a process that it has started, after it has become another program, with a barrier (`sd_notify_barrier(3)`).
#[test]
fn any_process_of_it_may_speak_at_any_time_and_nobody_waits_in_vain() {
    let room = Room::new();
    fs::write(room.path("say.py"), SAY).unwrap();
    let script = "set -e; echo $$ > pid; python3 say.py READY=1; (setsid python3 say.py STATUS=one; echo > one)
        exec sh -c 'set -e; python3 say.py READY=1 WATCHDOG=1; echo > two; exec sleep 649'";
    let mut process =
        room.process(script, "ready = \"notify\"\nuser = \"12345\"\ngroups = [\"12345\"]");
    process.start(&seconds(60)).unwrap();
    room.wait_for("two");
    assert!(room.has("one"));
    process.monitor().unwrap();
    process.stop(&seconds(60)).unwrap();
}

#[test]
fn it_may_speak_again_after_its_supervisor_was_killed() {
    let script = "echo $$ > pid; echo $NOTIFY_SOCKET > address; python3 say.py READY=1
        while ! test -e adopted; do sleep 0.02; done; python3 say.py STATUS=still && echo > said; exec sleep 650";
    let test = "it_may_speak_again_after_its_supervisor_was_killed";
    let words = "ready = \"notify\"";
    let (room, other) = another_supervisor(
        test,
        &format!("cat > say.py <<'END'\n{SAY}\nEND\n{script}"),
        words,
        &["pid"],
    );
    drop(other);
    let mut process = room.process(&room.read("script"), words);
    assert!(process.adopt().unwrap());
    fs::write(room.path("adopted"), "").unwrap();
    room.wait_for("said");
    process.stop(&seconds(60)).unwrap();
}

#[test]
fn a_stranger_is_not_believed() {
    let room = Room::new();
    let script =
        "echo $NOTIFY_SOCKET > address; echo $$ > pid; while ! test -e go; do sleep 0.02; done
        echo > ready; python3 say.py READY=1; exec sleep 651";
    fs::write(room.path("say.py"), SAY).unwrap();
    let mut process = room.process(script, "ready = \"notify\"");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            room.wait_for("pid");
            let address = room.read("address");
            let address = address.trim().trim_start_matches('@');
            let address = SocketAddr::from_abstract_name(address).unwrap();
            // As root, who may do anything but be this service.
            let stranger = UnixDatagram::unbound().unwrap();
            for _ in 0..100 {
                stranger.send_to_addr(b"READY=1", &address).unwrap();
            }
            // Time enough for one who believes it to say so.
            std::thread::sleep(Duration::from_millis(200));
            fs::write(room.path("go"), "").unwrap();
        });
        process.start(&seconds(60)).unwrap();
        assert!(room.has("ready"), "a stranger was believed");
    });
    process.stop(&seconds(60)).unwrap();
}

#[test]
fn one_with_a_user_can_open_its_output() {
    let room = Room::new();
    let script = "set -e; echo a > /dev/stdout; echo b > /dev/stderr; echo c > /proc/self/fd/1; echo > done; exec sleep 652";
    let mut process = room.process(script, "user = \"12345\"\ngroups = [\"12345\"]");
    process.start(&seconds(60)).unwrap();
    room.wait_for("done");
    process.stop(&seconds(60)).unwrap();
}

/// All of the above once more, in a process that can make no cgroup.
#[test]
fn the_same_where_no_cgroup_can_be_made() {
    let hidden = "mount -t tmpfs none /sys/fs/cgroup
        exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin \"$@\"";
    let again = Command::new("unshare")
        .args(["--mount", "sh", "-ec", hidden, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--skip", "cgroup", "--skip", "proc_is_missing", "--skip", "process_1"])
        .env_remove(AGAIN)
        .output()
        .expect("this test must run as root, with unshare(1) and setpriv(1)");
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && said.contains("17 passed"), "{said}");
}

#[test]
fn where_a_cgroup_can_be_made_the_service_is_in_one() {
    let room = Room::new();
    let mut process = room.process("echo $$ > pid; exec sleep 653", "");
    process.start(&seconds(60)).unwrap();
    room.wait_for("pid");
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", room.group())).unwrap();
    assert!(cgroup.contains("/twobox."), "{cgroup}");
    process.stop(&seconds(60)).unwrap();
}

/// Without cgroups and without `/proc` nobody knows what a service has started, and nobody says that it has stopped.
#[test]
fn a_stop_where_proc_is_missing_as_well_is_no_stop() {
    if std::env::var_os(AGAIN).is_some() {
        let room = Room::new();
        let mut process = room.process("echo $$ > pid; exec sleep 654", "");
        process.start(&seconds(60)).unwrap();
        let error = process.stop(&seconds(60)).unwrap_err();
        assert!(error.to_string().contains("/proc is not mounted"), "{error}");
        return;
    }
    let hidden = "mount -t tmpfs none /sys/fs/cgroup
        exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin \"$@\"";
    let again = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "sh", "-ec", hidden, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_stop_where_proc_is_missing_as_well_is_no_stop"])
        .env(AGAIN, "yes")
        .output()
        .expect("this test must run as root, with unshare(1) and setpriv(1)");
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
}

/// In a container that has no other init.
#[test]
fn process_1_buries_orphans_and_no_children_of_its_own() {
    if std::env::var_os(AGAIN).is_none() {
        let again = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "process_1_buries_orphans_and_no_children_of_its_own"])
            .env(AGAIN, "yes")
            .output()
            .expect("this test must run as root, with unshare(1)");
        let said = String::from_utf8_lossy(&again.stdout);
        assert!(again.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    assert!(orphans::come_here());
    let room = Room::new();
    let mut process =
        room.process("(sleep 0.01 &); (sleep 0.01 &); echo $$ > pid; sleep 0.3; exit 3", "");
    process.start(&seconds(60)).unwrap();
    let buried = Cell::new(0);
    until(
        || {
            buried.set(buried.get() + orphans::bury());
            buried.get() == 2
        },
        "two dead orphans",
    );
    let alarm = process.alarm().unwrap();
    seconds(60).readable(&[alarm]).unwrap();
    assert_eq!(orphans::bury(), 0);
    let error = process.monitor().unwrap_err().to_string();
    assert!(error.contains("ended with status 3"), "{error}");
    process.stop(&seconds(60)).unwrap();
}

/// Says its words, and waits until they were taken.
const SAY: &str = "import os, socket, sys\n\
service = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
service.connect(os.environ['NOTIFY_SOCKET'].replace('@', '\\0', 1))\n\
service.send('\\n'.join(sys.argv[1:]).encode())\n\
end, other = os.pipe()\n\
socket.send_fds(service, [b'BARRIER=1'], [other])\n\
os.close(other)\n\
assert os.read(end, 1) == b''\n";
