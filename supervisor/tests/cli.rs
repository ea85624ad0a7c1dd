//! Checks how commands end. Scripts and the site's monitoring count on the numbers.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

#[test]
fn what_the_supervisor_says_decides_the_number() {
    // (what is asked, what comes over the socket, what is answered, number, standard output, standard error)
    let cases = [
        ("status", "status\n", "ok\nserving\n", 0, "serving\n", ""),
        ("status --json", "status json\n", "degraded\n{}\n", 10, "{}\n", ""),
        ("confirm server1", "confirm server1\n", "refused\nit is heard\n", 1, "", "it is heard\n"),
        ("standby", "standby\n", "ok\n", 0, "", ""),
        ("check --peer", "peer check\n", "ok\nit can\n", 0, "it can\n", ""),
        ("check --peer", "peer check\n", "refused\nit cannot\n", 1, "", "it cannot\n"),
        ("check --peer", "peer check\n", "silent\nno answer\n", 5, "", "no answer\n"),
        ("history --both -n 3", "peer history 3\n", "silent\nit is off\n", 5, "", "it is off\n"),
    ];
    for (said, asked, answer, number, out, err) in cases {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            line
        });
        let output = twobox(&path, said).output().unwrap();
        assert_eq!(server.join().unwrap(), asked);
        assert_eq!(told(&output), (Some(number), out.to_owned(), err.to_owned()));
    }
}

#[test]
fn a_supervisor_that_does_not_run_is_3() {
    let (number, out, err) =
        told(&twobox(Path::new("/nowhere/socket"), "status").output().unwrap());
    assert_eq!((number, out.as_str()), (Some(3), ""));
    assert!(err.contains("/nowhere/socket") && err.contains("start it with"), "{err}");
}

#[test]
fn a_person_who_may_not_ask_is_4() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    // Root may always ask. Nobody else gets into a temporary directory of root's.
    let mut command = twobox(&path, "status");
    assert!(rustix::process::geteuid().is_root(), "this test wants root, to be somebody else");
    command.uid(NOBODY).gid(NOBODY);
    let (number, _, err) = told(&command.output().unwrap());
    assert_eq!(number, Some(4), "{err}");
    assert!(err.contains("[control]"), "{err}");
}

#[test]
fn what_is_not_understood_is_2_and_a_wrong_file_1() {
    let nowhere = Path::new("/nowhere/socket");
    let (number, _, err) = told(&twobox(nowhere, "statsu").output().unwrap());
    assert_eq!(number, Some(2));
    assert_eq!(
        err,
        "twobox: \"statsu\" is no command; did you mean status?\ntry `twobox --help`\n"
    );
    for command in ["check /nowhere/twobox.toml", "run --config /nowhere/twobox.toml"] {
        let (number, _, err) = told(&twobox(nowhere, command).output().unwrap());
        assert_eq!(number, Some(1));
        assert!(err.contains("/nowhere/twobox.toml: cannot read"), "{err}");
    }
    assert_eq!(told(&twobox(nowhere, "--help").output().unwrap()).0, Some(0));
}

/// On a terminal a person sees what is known, and types the name.
#[test]
fn a_name_is_typed_after_what_is_known_was_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in ["ok\nwhat is known of server1\n", "ok\n"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            asked.push(line);
        }
        asked
    });
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&person).unwrap();
    let terminal = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
    let terminal = File::options().read(true).write(true).open(terminal).unwrap();
    rustix::io::write(&person, b"server1\n").unwrap();
    let output = twobox(&path, "confirm").stdin(terminal).output().unwrap();
    assert_eq!(server.join().unwrap(), ["evidence\n", "confirm server1\n"]);
    let (number, out, err) = told(&output);
    assert_eq!((number, out.as_str()), (Some(0), "what is known of server1\n"));
    assert_eq!(err, "If you have seen that box off, type its name: ");
    // Where nobody can be asked, nothing is taken for granted.
    for command in ["confirm", "fence", "drill fence"] {
        let output = twobox(&path, command).stdin(Stdio::null()).output().unwrap();
        let (number, _, err) = told(&output);
        assert_eq!(number, Some(2), "{err}");
        assert!(err.contains(&format!("`twobox {command} PEER`")), "{err}");
    }
}

#[test]
fn the_history_is_shown_without_a_supervisor() {
    let directory = tempfile::tempdir().unwrap();
    let room = directory.path();
    let config = room.join("twobox.toml");
    fs::write(&config, format!("[history]\nfile = \"{}/history\"\n", room.display())).unwrap();
    let words = format!("history --config {}", config.display());
    let nowhere = Path::new("/nowhere/socket");
    let (number, _, err) = told(&twobox(nowhere, &words).output().unwrap());
    assert_eq!(number, Some(1));
    assert!(err.contains("nothing was written there yet"), "{err}");
    fs::write(room.join("history"), "what=role torn off").unwrap();
    let (number, out, _) = told(&twobox(nowhere, &words).output().unwrap());
    assert_eq!(number, Some(0));
    assert!(out.starts_with("no records: nothing has happened yet, or it could not be"), "{out}");
    assert!(out.ends_with("\n1 lines are not whole, and left out\n"), "{out}");
}

#[test]
fn what_this_machine_does_not_have_is_told_before_anything_is_begun() {
    let directory = tempfile::tempdir().unwrap();
    let room = directory.path().display().to_string();
    let key = directory.path().join("key");
    fs::write(&key, "1 0123456789abcdef\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "[pair]\nname = \"p\"\nkey_file = \"{room}/key\"\n[box.a]\npriority = 2\nfence = []\n\
         [box.b]\npriority = 1\nfence = [{{ kind = \"command\", command = [\"{room}/cut\"], timeout = \"1s\" }}]\n\
         [[link]]\nkind = \"serial\"\ndevice = \"{room}/ttyS7\"\n\
         [[resource]]\nkind = \"address\"\naddress = \"192.0.2.10/24\"\ninterface = \"eth77\"\n"
    );
    let file = directory.path().join("twobox.toml");
    fs::write(&file, text).unwrap();
    let nowhere = Path::new("/nowhere/socket");
    let run = format!("run --box a --config {}", file.display());
    let (number, _, err) = told(&twobox(nowhere, &run).output().unwrap());
    assert_eq!(number, Some(1));
    for missing in ["cut", "ttyS7", "eth77"] {
        let line = err.lines().find(|line| line.contains(missing)).expect(missing);
        assert!(line.starts_with(&format!("{}:", file.display())), "{line}");
    }
}

#[test]
fn a_key_is_made_once_and_only_its_fingerprint_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    let key = |options: &str| {
        let words = format!("key {options} {}", file.display());
        told(&twobox(Path::new("/nowhere/socket"), &words).output().unwrap())
    };
    let (number, _, err) = key("");
    assert_eq!(number, Some(1), "{err}");
    assert!(err.contains("no such file") && err.contains("`twobox key --new FILE`"), "{err}");
    let (number, made, err) = key("--new");
    assert_eq!((number, err.as_str()), (Some(0), ""));
    assert!(made.starts_with("key 1: fingerprint ") && made.ends_with(", signs\n"), "{made}");
    let text = fs::read_to_string(&file).unwrap();
    let secret = text.strip_prefix("1 ").and_then(|it| it.strip_suffix('\n')).expect("a key line");
    assert_eq!(secret.len(), 64);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(key(""), (Some(0), made.clone(), String::new()));
    let (number, _, err) = key("--new");
    assert_eq!(number, Some(1));
    assert!(err.contains("there is a file already"), "{err}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "the key that was there is gone");
    // The same secret has the same fingerprint in the place of another, and another secret another one.
    fs::write(&file, format!("2 {}\n7 {secret}\n", "a".repeat(64))).unwrap();
    let (_, both, _) = key("");
    let print = made.strip_prefix("key 1: ").unwrap().strip_suffix(", signs\n").unwrap();
    assert!(both.ends_with(&format!("\nkey 7: {print}\n")), "{both}");
    assert!(both.starts_with("key 2: fingerprint ") && both.matches(print).count() == 1, "{both}");
    assert!(!both.contains(secret) && !both.contains("aaaa"), "{both}");
}

fn twobox(socket: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twobox"));
    command.arg("--socket").arg(socket).args(words.split_whitespace());
    command
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned());
    (output.status.code(), out, err)
}

/// The user `nobody` of most systems.
const NOBODY: u32 = 65_534;
