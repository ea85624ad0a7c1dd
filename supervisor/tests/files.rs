//! Spoils each file that twobox reads or writes at its start: it says so, and waits for nothing.
//! Wants root, to give files away, and `unshare(1)`, for a network of its own.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use supervisor::config::validation::{Look, load};
use supervisor::control::client::{Verdict, ask};
use tempfile::TempDir;

#[test]
fn what_is_no_file_of_roots_is_told_by_check_and_keeps_twobox_from_starting() {
    let bench = Bench::new();
    assert_eq!(bench.check(), Ok(()));
    for name in ["twobox.toml", "key", "password", "id", "cut", "hook"] {
        for (spoil, told) in SPOILERS {
            let kept = bench.spoil(name, *spoil);
            for command in ["check --here", "run"] {
                let said = bench.end(command).expect_err(name);
                let (path, case) = (bench.at(name), format!("{name}, {told}: {said}"));
                assert!(said.contains(path.to_str().unwrap()), "{case}");
                assert!(said.contains(told), "{case}");
                assert!(!said.contains("panicked"), "{case}");
            }
            bench.mend(name, kept);
        }
    }
    assert_eq!(bench.check(), Ok(()));
}

#[test]
fn a_folder_that_others_may_write_is_told() {
    let bench = Bench::new();
    let mode = |mode| fs::set_permissions(bench.room.path(), Permissions::from_mode(mode)).unwrap();
    mode(0o775);
    // The file that says which box it is is not believed either.
    let said = bench.end("check --here --box a").unwrap_err();
    for name in ["twobox.toml", "key", "password", "cut", "hook", "journal", "history"] {
        let line =
            |line: &&str| line.contains(&format!("/{name}")) && line.contains("is reached through");
        assert!(said.lines().any(|it| line(&it)), "{name}: {said}");
    }
    // As /tmp.
    mode(0o1777);
    assert_eq!(bench.check(), Ok(()));
}

#[test]
fn links_that_root_has_made_are_followed() {
    let bench = Bench::new();
    for name in ["twobox.toml", "key", "password", "id", "cut", "hook"] {
        let real = bench.at(&format!("real-{name}"));
        fs::rename(bench.at(name), &real).unwrap();
        symlink(real.file_name().unwrap(), bench.at(name)).unwrap();
    }
    assert_eq!(bench.check(), Ok(()));
}

#[test]
fn a_file_that_ends_too_soon_is_told() {
    let bench = Bench::new();
    for name in ["twobox.toml", "key"] {
        let whole = fs::read(bench.at(name)).unwrap();
        for end in 0..whole.len() {
            fs::write(bench.at(name), &whole[..end]).unwrap();
            // What is left may be right as well.
            if let Err(error) = load(&bench.at("twobox.toml"), Some("a"), Look::Here) {
                let error = error.to_string();
                let place = format!("{}:", bench.at("twobox.toml").display());
                assert!(
                    error.lines().all(|line| line.starts_with(&place)),
                    "{name} {end}: {error}"
                );
            }
        }
        fs::write(bench.at(name), whole).unwrap();
    }
    for end in [0, 1, 20, 100] {
        let whole = fs::read(bench.at("twobox.toml")).unwrap();
        fs::write(bench.at("twobox.toml"), &whole[..end]).unwrap();
        assert!(bench.end("run").unwrap_err().contains("twobox.toml:"), "{end}");
        fs::write(bench.at("twobox.toml"), whole).unwrap();
    }
}

#[test]
fn what_twobox_keeps_is_told_when_it_is_no_file_of_its_own() {
    let bench = Bench::new();
    // What it can do without, and what it cannot.
    for (name, starts) in [
        ("journal", true),
        ("history", true),
        ("figures", true),
        ("sock.lease.note", true),
        ("sock.lease", false),
        ("sock.lock", false),
    ] {
        for (spoil, told) in SPOILERS {
            fs::write(bench.at(name), "").unwrap();
            let kept = bench.spoil(name, *spoil);
            // What is written anew each time is somebody else's once.
            if name == "figures" && matches!(spoil, Spoil::Owner | Spoil::Writable) {
                continue;
            }
            // Nobody follows a link in the place of what is written.
            let told = told.replace("leads to itself", "name the file that it leads to");
            let mut running = bench.start();
            let case = |said: &str| format!("{name}, {told}: {said}");
            let said = if starts {
                // What it says comes by a thread of its own.
                running.until(|said| said.contains(&told))
            } else {
                running.ended()
            };
            assert!(said.contains(&told) && !said.contains("panicked"), "{}", case(&said));
            assert_eq!(running.is_alive(), starts, "{}", case(&said));
            if starts {
                bench.answers();
            }
            drop(running);
            bench.mend(name, kept);
            bench.clear();
        }
    }
}

#[test]
fn an_upgrade_executes_only_what_is_roots() {
    let bench = Bench::new();
    let own = bench.at("twobox");
    fs::copy(env!("CARGO_BIN_EXE_twobox"), &own).unwrap();
    let _running = bench.run(&own, "run");
    bench.answers();
    let upgrade = || ask(&bench.at("sock"), "upgrade").unwrap();
    for (spoil, told) in [(Spoil::Owner, "belongs to user 65534"), (Spoil::Writable, "(mode 0777)")]
    {
        let kept = bench.spoil("twobox", spoil);
        let answer = upgrade();
        assert_eq!(answer.verdict, Verdict::Refused);
        let program = format!("the program {} ", own.display());
        assert!(answer.text.contains(&program) && answer.text.contains(told), "{}", answer.text);
        let mut check = Command::new(&own);
        check.args(["check", "--here", "--all", "--config"]).arg(bench.at("twobox.toml"));
        let report = String::from_utf8(check.output().unwrap().stdout).unwrap();
        let warns = report
            .lines()
            .any(|line| line.starts_with(&format!("warning: {program}")) && line.contains(told));
        assert!(warns, "{report}");
        bench.mend("twobox", kept);
    }
}

/// A change for the worse, and what must be said of it.
type Spoiler = (Spoil, &'static str);

#[derive(Clone, Copy, Debug)]
enum Spoil {
    Folder,
    Fifo,
    Socket,
    LinkToItself,
    Owner,
    Writable,
}

const SPOILERS: &[Spoiler] = &[
    (Spoil::Folder, "is a folder"),
    (Spoil::Fifo, "is a FIFO"),
    (Spoil::Socket, "is a socket"),
    (Spoil::LinkToItself, "leads to itself"),
    (Spoil::Owner, "belongs to user 65534"),
    (Spoil::Writable, "can be"),
];

/// A box with all that its configuration speaks of, whose other box is silent.
struct Bench {
    room: TempDir,
}

impl Bench {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test wants root, to give files away");
        let bench = Self { room: TempDir::new().unwrap() };
        fs::set_permissions(bench.room.path(), Permissions::from_mode(0o755)).unwrap();
        let room = bench.room.path().display();
        let text = format!(
            "[pair]\nname = \"p\"\nkey_file = \"{room}/key\"\n[timing]\ninitdead = \"5s\"\n\
             [box.a]\npriority = 2\nid_file = \"{room}/id\"\nid = \"left\"\n\
             fence = [{{ kind = \"command\", command = [\"{room}/cut\", \"a\"], timeout = \"1s\" }}]\n\
             [box.b]\npriority = 1\nid_file = \"{room}/id\"\nid = \"right\"\n\
             fence = [{{ kind = \"agent\", program = \"{room}/cut\", password_file = \"{room}/password\", timeout = \"1s\" }}]\n\
             [[link]]\nkind = \"udp\"\ninterface = \"lo\"\naddress = {{ a = \"127.0.0.2\", b = \"127.0.0.3\" }}\n\
             [[resource]]\nkind = \"process\"\ncommand = [\"/bin/sleep\", \"600\"]\n\
             [[hook]]\ncommand = [\"{room}/hook\"]\n\
             [control]\nsocket = \"{room}/sock\"\n[journal]\nfile = \"{room}/journal\"\n\
             [history]\nfile = \"{room}/history\"\n[metrics]\nfile = \"{room}/figures\"\nevery = \"1s\"\n"
        );
        bench.file("twobox.toml", &text, 0o644);
        bench.file("key", "1 0123456789abcdef\n", 0o600);
        bench.file("password", "secret\n", 0o600);
        bench.file("id", "left\n", 0o644);
        bench.file("cut", "#!/bin/sh\nexit 1\n", 0o755);
        bench.file("hook", "#!/bin/sh\nexit 0\n", 0o755);
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    fn file(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.at(name), text).unwrap();
        fs::set_permissions(self.at(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Makes it worse, and gives what was there.
    fn spoil(&self, name: &str, spoil: Spoil) -> (Vec<u8>, Permissions) {
        let path = self.at(name);
        let kept = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().permissions());
        if !matches!(spoil, Spoil::Owner | Spoil::Writable) {
            fs::remove_file(&path).unwrap();
        }
        match spoil {
            Spoil::Folder => fs::create_dir(&path).unwrap(),
            Spoil::Fifo => {
                mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            }
            Spoil::Socket => drop(UnixListener::bind(&path).unwrap()),
            Spoil::LinkToItself => symlink(&path, &path).unwrap(),
            Spoil::Owner => chown(&path, Some(65_534), None).unwrap(),
            Spoil::Writable => fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap(),
        }
        kept
    }

    fn mend(&self, name: &str, (content, permissions): (Vec<u8>, Permissions)) {
        let path = self.at(name);
        let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, permissions).unwrap();
    }

    /// Takes away what a run has left.
    fn clear(&self) {
        for name in
            ["journal", "history", "figures", "sock", "sock.lock", "sock.lease", "sock.lease.note"]
        {
            let _ = fs::remove_file(self.at(name));
        }
    }

    fn check(&self) -> Result<(), String> {
        self.end("check --here")
    }

    /// Says `command`, and waits for its end: what it complains of, if it fails.
    fn end(&self, command: &str) -> Result<(), String> {
        let mut running = self.say(command);
        let said = running.ended();
        if running.0.wait().unwrap().success() { Ok(()) } else { Err(said) }
    }

    fn start(&self) -> Running {
        self.say("run")
    }

    fn say(&self, command: &str) -> Running {
        self.run(env!("CARGO_BIN_EXE_twobox").as_ref(), command)
    }

    fn run(&self, program: &Path, command: &str) -> Running {
        let script = format!(
            "ip link set lo up && exec {} {command} --config {}",
            program.display(),
            self.at("twobox.toml").display()
        );
        let errors = fs::File::create(self.room.path().with_extension("said")).unwrap();
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "/bin/sh", "-c", &script]).stdin(Stdio::null());
        let child = unshare.stdout(Stdio::null()).stderr(errors).spawn().unwrap();
        Running(child, self.room.path().with_extension("said"))
    }

    fn answers(&self) {
        let begun = Instant::now();
        while ask(&self.at("sock"), "status").is_err() {
            assert!(begun.elapsed() < PATIENCE, "it does not answer");
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.room.path().with_extension("said"));
    }
}

/// A command, killed when this is dropped, and where it complains.
struct Running(Child, PathBuf);

impl Running {
    fn said(path: &Path) -> String {
        let mut said = String::new();
        let _ = fs::File::open(path).and_then(|mut file| file.read_to_string(&mut said));
        said
    }

    /// What it has said when that is enough, or when it has ended, or does not come.
    fn until(&mut self, enough: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let (over, said) = (!self.is_alive(), Self::said(&self.1));
            if over || enough(&said) || begun.elapsed() > PATIENCE {
                return said;
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// What it has said when it has ended.
    fn ended(&mut self) -> String {
        let said = self.until(|_| false);
        assert!(!self.is_alive(), "it hangs: {said}");
        said
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its guard has nothing to stop then.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let begun = Instant::now();
        while self.is_alive() && begun.elapsed() < PATIENCE {
            sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// For a machine that is busy; waited out only when something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
