//! Processes as resources: real programs, started, watched, killed.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, Once};
use std::thread;
use std::time::Duration;

use board::process::account::Account;
use board::process::child::Program;
use board::process::procfs;
use board::thread::deadline::{CancelToken, Deadline};
use rustix::process::Signal;

use room::{AGAIN, Room, alive, another_supervisor, members, seconds, until};

mod room;

// How it becomes ready.

#[test]
fn without_a_word_about_it_a_process_is_ready_when_it_runs() {
    let room = Room::new();
    let mut process = room.process("exec sleep 600", "");
    process.start(&seconds(10)).unwrap();
    process.monitor().unwrap();
    process.start(&seconds(10)).expect("starting what runs is no error");
    process.stop(&seconds(10)).unwrap();
    assert!(process.monitor().is_err());
    process.stop(&seconds(10)).expect("stopping what does not run is no error");
}

#[test]
fn a_process_is_ready_when_it_says_so_on_its_notify_socket() {
    let room = Room::new();
    let say = r#"python3 - <<'END'
import os, socket, time
name = os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1)
service = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
service.sendto(b"STATUS=loading", name)
time.sleep(0.2)
open("said", "w").close()
service.sendto(b"STATUS=up\nREADY=1\n", name)
time.sleep(600)
END"#;
    let mut process = room.process(say, "ready = \"notify\"");
    process.start(&seconds(60)).unwrap();
    assert!(room.has("said"));
    process.stop(&seconds(10)).unwrap();
}

#[test]
fn a_process_is_ready_when_its_file_is_new() {
    let room = Room::new();
    fs::write(room.path("pid"), "1\n").unwrap();
    let ready = format!("ready = {{ file = {:?} }}", room.path("pid"));
    let mut process = room.process("sleep 0.2; echo > told; echo $$ > pid; exec sleep 600", &ready);
    process.start(&seconds(60)).unwrap();
    assert!(room.has("told"), "the file of before the start was taken for the new one");
    process.stop(&seconds(10)).unwrap();
}

#[test]
fn a_process_is_ready_when_the_command_succeeds() {
    let room = Room::new();
    let ready = format!(
        "ready = {{ command = [\"/bin/sh\", \"-c\", \"echo >> asked; test -e {}\"], every = \"10ms\" }}",
        room.path("up").display()
    );
    let mut process = room.process("sleep 0.3; echo > up; exec sleep 600", &ready);
    process.start(&seconds(60)).unwrap();
    assert!(room.has("up"));
    assert!(room.read("asked").lines().count() > 1);
    process.stop(&seconds(10)).unwrap();
}

// Starts that fail.

#[test]
fn a_start_that_never_becomes_ready_leaves_nothing() {
    let room = Room::new();
    for ready in [
        "ready = \"notify\"".to_owned(),
        "ready = { file = \"/nowhere/pid\" }".to_owned(),
        "ready = { command = [\"/bin/false\"] }".to_owned(),
        "ready = { command = [\"/bin/sleep\", \"600\"] }".to_owned(),
    ] {
        let words = format!("{ready}\nkill_after = \"100ms\"");
        let mut process = room.process("trap '' TERM; sleep 601 & echo $$ > pid; wait", &words);
        let error = process.start(&Deadline::new(Duration::from_millis(300))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert!(process.alarm().is_none() && process.monitor().is_err());
        assert_eq!(room.members(), [] as [String; 0], "{ready}");
    }
}

#[test]
fn a_start_that_is_called_off_ends_at_once_and_leaves_nothing() {
    let room = Room::new();
    let token = CancelToken::new().unwrap();
    let mut process = room.process("echo $$ > pid; sleep 601; true", "ready = \"notify\"");
    let patience = Deadline::with_cord(Duration::from_secs(600), &token);
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            room.wait_for("pid");
            token.cancel();
        });
        process.start(&patience).unwrap_err()
    });
    assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    assert_eq!(room.members(), [] as [String; 0]);
}

#[test]
fn a_death_during_the_start_ends_it_at_once() {
    let room = Room::new();
    for (script, told) in [
        ("exit 3", "ended with status 3"),
        ("kill -ABRT $$", "was killed by SIGABRT"),
        ("exit 0", "must stay in the foreground"),
    ] {
        let mut process = room.process(script, "ready = \"notify\"");
        let error = process.start(&seconds(600)).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_told_with_its_path() {
    let room = Room::new();
    let mut process = room.resource("command = [\"/nowhere/program\"]");
    let error = process.start(&seconds(10)).unwrap_err();
    assert!(error.to_string().contains("/nowhere/program"), "{error}");
    let mut process = room.process("exec sleep 600", "user = \"nobody-of-this-name\"");
    let error = process.start(&seconds(10)).unwrap_err();
    assert!(error.to_string().contains("nobody-of-this-name"), "{error}");
}

// Death.

#[test]
fn death_is_seen_through_the_alarm_and_told_once() {
    let room = Room::new();
    let mut process = room.process("echo $$ > pid; exec sleep 600", "");
    process.start(&seconds(10)).unwrap();
    assert!(!rings(process.alarm(), Duration::ZERO));
    room.kill(Signal::SEGV);
    assert!(rings(process.alarm(), Duration::from_secs(60)));
    let error = process.monitor().unwrap_err();
    assert!(error.to_string().ends_with("was killed by SIGSEGV"), "{error}");
    assert!(process.alarm().is_none(), "an alarm that was answered must not ring for ever");

    process.start(&seconds(10)).unwrap();
    process.monitor().unwrap();
    assert!(!rings(process.alarm(), Duration::ZERO));
    process.stop(&seconds(10)).unwrap();
}

#[test]
fn what_a_dead_process_left_in_its_group_is_gone_before_it_starts_again() {
    let room = Room::new();
    let mut process = room.process("sleep 602 & echo $$ > pid; wait", "");
    process.start(&seconds(10)).unwrap();
    room.wait_for("pid");
    let first = room.group();
    room.kill(Signal::KILL);
    assert!(rings(process.alarm(), Duration::from_secs(60)));
    assert!(process.monitor().is_err());
    process.start(&seconds(10)).unwrap();
    assert_eq!(members(first), [] as [String; 0]);
}

// Stops.

#[test]
fn a_process_that_ignores_the_signal_is_killed() {
    let room = Room::new();
    let script = "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done";
    let mut process = room.process(script, "kill_after = \"200ms\"");
    process.start(&seconds(10)).unwrap();
    room.wait_for("pid");
    process.stop(&seconds(10)).unwrap();
    assert_eq!(room.members(), [] as [String; 0]);
}

#[test]
fn a_stop_without_patience_kills_at_once() {
    let room = Room::new();
    let mut process = room.process("trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done", "");
    process.start(&seconds(10)).unwrap();
    room.wait_for("pid");
    process.stop(&Deadline::new(Duration::ZERO)).unwrap();
    assert_eq!(room.members(), [] as [String; 0]);
}

#[test]
fn the_signal_is_the_one_that_was_said_and_there_is_time_to_obey() {
    let room = Room::new();
    let script =
        "trap 'sleep 0.3; echo > saved; exit' USR1; echo $$ > pid; while :; do sleep 0.05; done";
    let mut process = room.process(script, "stop_signal = \"USR1\"");
    process.start(&seconds(10)).unwrap();
    room.wait_for("pid");
    process.stop(&seconds(60)).unwrap();
    assert!(room.has("saved"));
}

#[test]
fn a_wrapper_that_dies_first_does_not_shorten_the_time_of_the_program() {
    let room = Room::new();
    let script =
        "(trap 'sleep 0.3; echo > saved; exit' TERM; echo > up; while :; do sleep 0.05; done) &
        echo $$ > pid; wait";
    let mut process = room.process(script, "");
    process.start(&seconds(10)).unwrap();
    room.wait_for("up");
    room.wait_for("pid");
    process.stop(&seconds(60)).unwrap();
    assert!(room.has("saved"));
    assert_eq!(room.members(), [] as [String; 0]);
}

#[test]
fn grandchildren_are_gone_even_those_that_left_the_group() {
    let room = Room::new();
    let script = "trap '' TERM; sleep 603 & setsid sleep 604 & (setsid sh -c 'echo $$ > stray; exec sleep 605' &)
        echo $$ > pid; wait; wait; wait";
    let mut process = room.process(script, "kill_after = \"100ms\"");
    process.start(&seconds(10)).unwrap();
    room.wait_for("pid");
    room.wait_for("stray");
    process.stop(&seconds(10)).unwrap();
    assert_eq!(room.members(), [] as [String; 0]);
    assert!(!alive(room.read("stray").trim().parse().unwrap()));
}

#[test]
fn grandchildren_are_gone_where_proc_shows_other_processes() {
    if std::env::var_os(AGAIN).is_some() {
        return without_proc();
    }
    let me = std::env::current_exe().unwrap();
    let test = Command::new("unshare")
        .args(["--pid", "--fork"])
        .arg(me)
        .args(["--exact", "grandchildren_are_gone_where_proc_shows_other_processes"])
        .env(AGAIN, "yes")
        .output()
        .expect("this test must run as root, with unshare(1)");
    let said = String::from_utf8_lossy(&test.stdout);
    assert!(test.status.success() && said.contains("1 passed"), "{said}");
}

/// The same test once more, in a PID namespace whose /proc is not its own.
fn without_proc() {
    assert!(procfs::take().is_err());
    let room = Room::new();
    let script =
        "(trap '' TERM; while :; do echo >> beats; sleep 0.01; done) & echo $$ > pid; wait";
    let mut process = room.process(script, "");
    process.start(&seconds(10)).unwrap();
    room.wait_for("beats");
    process.stop(&seconds(10)).unwrap();
    let beats = room.read("beats");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(room.read("beats"), beats);
}

#[test]
fn what_a_killed_supervisor_left_is_stopped_and_what_a_living_one_has_is_not() {
    let script = "sleep 608 & echo $! > worker
        (setsid sh -c 'echo $$ > stray; exec sleep 609' &)
        echo $$ > pid; wait";
    let test = "what_a_killed_supervisor_left_is_stopped_and_what_a_living_one_has_is_not";
    let (room, other) = another_supervisor(test, script, "", &["worker", "stray", "pid"]);
    let [worker, stray] = ["worker", "stray"].map(|file| room.read(file).trim().parse().unwrap());

    let error = room.resource("command = [\"/bin/true\"]").stop(&seconds(10)).unwrap_err();
    assert!(error.to_string().contains("runs it"), "{error}");
    assert!(alive(worker) && alive(stray), "those are another supervisor's");
    drop(other);
    assert!(alive(worker) && alive(stray), "what is to be found must be there");
    room.resource("command = [\"/bin/true\"]").stop(&seconds(10)).unwrap();
    assert!(!alive(worker) && !alive(stray) && !alive(room.group()));
}

#[test]
fn a_service_that_talks_all_the_time_is_adopted_from_a_killed_supervisor() {
    let log = Log::get();
    let script = "echo $$ > pid; echo $$ >> starts
        trap 'echo > saved; exit' TERM
        while echo line $((n += 1)); do echo $n > said; sleep 0.001; done";
    let test = "a_service_that_talks_all_the_time_is_adopted_from_a_killed_supervisor";
    let (room, other) = another_supervisor(test, script, "", &["pid", "said"]);
    let pid = room.group();
    let mut process = room.process(script, "");
    assert!(process.adopt().is_err(), "one whose supervisor lives is not adopted");
    drop(other);
    let said = room.read("said");
    until(|| room.read("said") != said, "a word while nobody listens");

    assert!(process.adopt().unwrap());
    process.monitor().unwrap();
    log.wait_for(&room.name, "line ");
    process.start(&seconds(10)).expect("starting what runs is no error");
    assert_eq!(room.read("starts").lines().count(), 1);
    assert!(!rings(process.alarm(), Duration::ZERO));

    process.stop(&seconds(60)).unwrap();
    assert!(room.has("saved") && !alive(pid), "it is stopped in order");
    assert!(!process.adopt().unwrap(), "there is nothing left to adopt");
}

#[test]
fn the_death_of_an_adopted_service_is_seen_and_its_group_is_cleared() {
    let script = "sleep 611 & (trap '' TERM; setsid sleep 612) & echo $$ > pid; wait; wait; wait";
    let test = "the_death_of_an_adopted_service_is_seen_and_its_group_is_cleared";
    let (room, other) = another_supervisor(test, script, "", &["pid"]);
    drop(other);
    let mut process = room.process(script, "");
    assert!(process.adopt().unwrap());
    let first = room.group();
    room.kill(Signal::KILL);
    assert!(rings(process.alarm(), Duration::from_secs(60)));
    let error = process.monitor().unwrap_err().to_string();
    // How, only its parent learns, which may be this process if orphans come to it.
    assert!(error.contains("nobody knows how") || error.contains("SIGKILL"), "{error}");
    process.start(&seconds(10)).unwrap();
    assert_eq!(members(first), [] as [String; 0]);
    process.stop(&seconds(10)).unwrap();
}

#[test]
fn what_is_to_be_run_in_another_way_now_is_not_adopted_but_stopped_in_order() {
    let script = "trap 'echo > saved; exit' TERM; echo $$ > pid; while :; do sleep 0.05; done";
    let test = "what_is_to_be_run_in_another_way_now_is_not_adopted_but_stopped_in_order";
    let (room, other) = another_supervisor(test, script, "", &["pid"]);
    drop(other);
    let mut process = room.process(script, "environment = { NEW = \"yes\" }");
    assert!(!process.adopt().unwrap());
    process.stop(&seconds(60)).unwrap();
    assert!(room.has("saved") && !alive(room.group()));
}

#[test]
fn a_process_that_was_dropped_is_killed() {
    let room = Room::new();
    let mut process = room.process("echo $$ > pid; sleep 606; true", "");
    process.start(&seconds(10)).unwrap();
    room.wait_for("pid");
    drop(process);
    assert_eq!(room.members(), [] as [String; 0]);
}

#[test]
fn what_is_no_service_does_not_outlive_the_thread_that_started_it() {
    let command = ["/bin/sleep", "607"].map(str::to_owned).to_vec();
    // A change of user takes the death signal back.
    let account = Account::find(Some("12345"), Some(&["23456".to_owned()])).unwrap();
    for account in [None, Some(account)] {
        let program = Program { command: command.clone(), account, ..Program::default() };
        let spawn = || program.spawn(Stdio::null(), Stdio::null()).unwrap();
        let child = thread::scope(|scope| scope.spawn(spawn).join().unwrap());
        assert!(rings(Some(child.as_fd()), Duration::from_secs(60)));
        let program = Program { outlives: true, ..program };
        let spawn = || program.spawn(Stdio::null(), Stdio::null()).unwrap();
        let child = thread::scope(|scope| scope.spawn(spawn).join().unwrap());
        assert!(!rings(Some(child.as_fd()), Duration::from_millis(100)));
    }
}

// What it finds.

#[test]
fn the_environment_is_clean_and_what_was_said() {
    let room = Room::new();
    let words = "environment = { LANG = \"C\", DATA = \"a b\" }\numask = \"027\"";
    let mut process =
        room.process("umask > umask; pwd > pwd; env > env; echo > done; exec sleep 600", words);
    process.start(&seconds(10)).unwrap();
    room.wait_for("done");
    process.stop(&seconds(10)).unwrap();
    let environment = room.read("env");
    assert!(environment.lines().any(|line| line == "LANG=C"), "{environment}");
    assert!(environment.lines().any(|line| line == "DATA=a b"), "{environment}");
    assert!(environment.lines().any(|line| line.starts_with("PATH=/")), "{environment}");
    assert!(!environment.contains("CARGO"), "{environment}");
    assert_eq!(room.read("umask").trim(), "0027");
    assert_eq!(Path::new(room.read("pwd").trim()), room.path);
}

#[test]
fn signals_that_the_supervisor_ignores_are_fresh_for_its_children() {
    if std::env::var_os(AGAIN).is_some() {
        return signals_are_fresh();
    }
    // A shell that starts us by nohup has us ignore SIGHUP, and that is inherited.
    let again = "trap '' HUP USR1; exec \"$0\" --exact signals_that_the_supervisor_ignores_are_fresh_for_its_children";
    let me = std::env::current_exe().unwrap();
    let test =
        Command::new("/bin/sh").args(["-c", again]).arg(me).env(AGAIN, "yes").output().unwrap();
    let said = String::from_utf8_lossy(&test.stdout);
    assert!(test.status.success() && said.contains("1 passed"), "{said}");
}

/// The same test once more, with signals ignored.
fn signals_are_fresh() {
    let ignored = |status: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        let bits = u64::from_str_radix(line.trim(), 16).unwrap();
        // 32 to 34 belong to the C library.
        bits & !(0b111 << 31)
    };
    assert_ne!(ignored(&fs::read_to_string("/proc/self/status").unwrap()), 0);
    let room = Room::new();
    let mut process =
        room.process("cat /proc/self/status > status; echo > done; exec sleep 600", "");
    process.start(&seconds(10)).unwrap();
    room.wait_for("done");
    assert_eq!(ignored(&room.read("status")), 0);
    process.stop(&seconds(10)).unwrap();
}

#[test]
fn no_file_of_ours_is_open_in_a_child() {
    let room = Room::new();
    let ours = fs::File::create(room.path("ours")).unwrap();
    rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::empty()).unwrap();
    let mut process = room.process("ls -l /proc/self/fd > fd; echo > done; exec sleep 600", "");
    process.start(&seconds(10)).unwrap();
    room.wait_for("done");
    process.stop(&seconds(10)).unwrap();
    // Input, output, errors, and the directory that is listed.
    let open = room.read("fd").lines().filter(|line| line.contains("->")).count();
    assert_eq!(open, 4, "{}", room.read("fd"));
}

#[test]
fn limits_are_those_that_were_said() {
    let room = Room::new();
    let limits = "limits = { open_files = 77, core = 4096, file_size = \"unlimited\" }";
    let script =
        "ulimit -n > files; ulimit -c > core; ulimit -f > size; echo > done; exec sleep 600";
    let mut process = room.process(script, limits);
    process.start(&seconds(10)).unwrap();
    room.wait_for("done");
    process.stop(&seconds(10)).unwrap();
    assert_eq!((room.read("files").trim(), room.read("core").trim()), ("77", "8"));
    assert_eq!(room.read("size").trim(), "unlimited");
}

#[test]
fn a_process_runs_as_the_user_that_was_said() {
    assert!(rustix::process::geteuid().is_root(), "this test must run as root");
    let room = Room::new();
    let words = "user = \"12345\"\ngroups = [\"23456\", \"34567\"]";
    let script = "id -u > uid; id -g > gid; id -G > groups; echo $$ > pid; exec sleep 600";
    let mut process = room.process(script, words);
    process.start(&seconds(10)).unwrap();
    room.wait_for("pid");
    assert_eq!((room.read("uid").trim(), room.read("gid").trim()), ("12345", "23456"));
    assert_eq!(room.read("groups").trim(), "23456 34567");
    process.stop(&seconds(10)).unwrap();
}

// Output.

#[test]
fn output_and_errors_go_to_the_log_under_the_name() {
    let log = Log::get();
    let room = Room::new();
    let mut process = room.process("echo to be seen; echo to be heard >&2; exec sleep 600", "");
    process.start(&seconds(10)).unwrap();
    log.wait_for(&room.name, "to be seen");
    log.wait_for(&room.name, "to be heard");
    process.stop(&seconds(10)).unwrap();
}

#[test]
fn a_flood_of_output_stops_neither_the_process_nor_us() {
    let log = Log::get();
    let room = Room::new();
    let flood = "yes flood | head -c 20000000; echo > through; exec sleep 600";
    let mut process = room.process(flood, "");
    process.start(&seconds(10)).unwrap();
    room.wait_for("through");
    process.monitor().unwrap();
    process.stop(&seconds(10)).unwrap();
    log.wait_for(&room.name, "left out");
    assert!(log.count(&room.name) < 100_000);
}

fn rings(alarm: Option<BorrowedFd<'_>>, within: Duration) -> bool {
    Deadline::new(within).readable(&[alarm.expect("there is an alarm")]).is_ok()
}

/// Keeps what is logged, for the tests to look at.
struct Log(Mutex<Vec<(String, String)>>);

static LOG: Log = Log(Mutex::new(Vec::new()));

impl Log {
    fn get() -> &'static Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            log::set_logger(&LOG).unwrap();
            log::set_max_level(log::LevelFilter::Info);
        });
        &LOG
    }

    fn wait_for(&self, name: &str, text: &str) {
        let said = || {
            let lines = self.0.lock().unwrap();
            lines.iter().any(|(target, line)| target == name && line.contains(text))
        };
        until(said, text);
    }

    fn count(&self, name: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|(target, _)| target == name).count()
    }
}

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push((record.target().to_owned(), record.args().to_string()));
    }

    fn flush(&self) {}
}
