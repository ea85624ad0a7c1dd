//! Fence agents, as real programs: scripts that play one, and two of the collection (packages `fence-agents`,
//! `openipmi` and `ipmitool`), of which one cuts the power of a simulated BMC.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use board::config::table::Source;
use board::fence::{self, Fence, Fenced, Power, fence};
use board::thread::deadline::Deadline;
use tempfile::TempDir;

#[test]
fn an_agent_is_told_on_its_input_and_never_on_its_command_line() {
    let room = Room::new();
    let agent = room.script("agent", "echo \"$# $*\" > arguments; cat > input; echo Status: ON");
    let password = room.secret("hush=hush");
    let words =
        format!("options = {{ ip = \"192.0.2.1\", plug = \"a b\" }}\npassword_file = {password:?}");
    let mut device = open(&agent, &words);
    assert_eq!(device.power(&patience()).unwrap(), Power::On);
    let input = room.read("input");
    assert_eq!(input, "action=status\nip=192.0.2.1\nplug=a b\npassword=hush=hush\n");
    assert_eq!(room.read("arguments"), "0 \n");
}

#[test]
fn off_is_believed_only_from_an_agent_that_says_the_word() {
    let room = Room::new();
    for (script, power) in [
        ("echo Status: OFF; exit 2", Some(Power::Off)),
        ("echo Status: ON", Some(Power::On)),
        ("exit 2", None),
        ("echo off >&2; exit 2", None),
        ("echo offline; exit 2", None),
        ("if; fi", None),
        ("echo Status: OFF; exit 1", None),
        ("echo Status: OFF; kill -9 $$", None),
    ] {
        let agent = room.script("agent", script);
        assert_eq!(open(&agent, "").power(&patience()).ok(), power, "{script}");
    }
}

#[test]
fn a_secret_that_an_agent_repeats_is_not_told() {
    let room = Room::new();
    let agent =
        room.script("agent", "read -r x; read -r y; echo \"login with $y failed\" >&2; exit 1");
    let password = room.secret("correct-horse");
    let mut device = open(&agent, &format!("password_file = {password:?}"));
    let told = device.set_power(Power::Off, &patience()).unwrap_err().to_string();
    assert!(
        told.contains("action=off ended with status 1: login with password=(secret) failed"),
        "{told}"
    );
}

#[test]
fn a_password_that_others_can_read_is_not_used() {
    let room = Room::new();
    let agent = room.script("agent", "cat > input; echo Status: ON");
    let password = room.secret("hush");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
    let mut device = open(&agent, &format!("password_file = {password:?}"));
    assert!(device.power(&patience()).unwrap_err().to_string().contains("chmod 0600"));
    assert!(!room.0.path().join("input").exists(), "the agent was run");
}

#[test]
fn mistakes_are_told() {
    for (words, told) in [
        ("", "is missing"),
        ("program = \"fence_x\"", "is not a full path"),
        ("program = \"/x\"\noptions = { password = \"secret\" }", "say password_file"),
        ("program = \"/x\"\noptions = { passwd = \"secret\" }", "say password_file"),
        ("program = \"/x\"\noptions = { action = \"on\" }", "cannot be said"),
        ("program = \"/x\"\noptions = { \"ip=1\\naction\" = \"on\" }", "cannot be said"),
        ("program = \"/x\"\noptions = { ip = \"a\\naction=on\" }", "cannot be said"),
    ] {
        let text = format!("kind = \"agent\"\n{words}\n");
        let source = Source::new(&text);
        fence::Config::read(&mut source.parse());
        let complaints = source.into_complaints();
        assert!(complaints.iter().any(|it| it.reason.contains(told)), "{words}: {complaints:?}");
    }
}

#[test]
fn the_real_fence_dummy_works() {
    let room = Room::new();
    let status = room.0.path().join("status");
    let words = format!("options = {{ type = \"file\", status_file = {status:?} }}");
    let mut device = open("/usr/sbin/fence_dummy".as_ref(), &words);
    device.set_power(Power::On, &patience()).unwrap();
    assert_eq!(device.power(&patience()).unwrap(), Power::On);
    assert_eq!(fence(&mut *device, &patience()).unwrap(), Fenced::Shot);
    assert_eq!(device.power(&patience()).unwrap(), Power::Off);
    assert_eq!(fence(&mut *device, &patience()).unwrap(), Fenced::Already);
}

#[test]
fn the_real_fence_ipmilan_cuts_the_power_of_a_simulated_bmc() {
    let room = Room::new();
    let bmc = Bmc::new(&room);
    let [right, wrong] = ["secret", "wrong"].map(|password| {
        let words = format!(
            "password_file = {:?}\noptions = {{ ip = \"127.0.0.1\", ipport = \"{}\", lanplus = \"1\", cipher = \"3\", \
             username = \"ADMIN\" }}",
            room.secret(password),
            bmc.port
        );
        move || open("/usr/sbin/fence_ipmilan".as_ref(), &words)
    });
    let start = Instant::now();
    while right().power(&patience()).is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", right().power(&patience()));
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(right().power(&patience()).unwrap(), Power::On);
    let told = wrong().power(&patience()).unwrap_err().to_string();
    assert!(told.contains("action=status ended with status 1: "), "{told}");
    assert_eq!(fence(&mut *right(), &patience()).unwrap(), Fenced::Shot);
    assert!(room.0.path().join("off").exists(), "the BMC was not told");
    assert!(wrong().power(&patience()).is_err(), "who may not log in knows nothing");
    right().set_power(Power::On, &patience()).unwrap();
    assert_eq!(right().power(&patience()).unwrap(), Power::On);
}

/// The simulator of `OpenIPMI`, with one BMC that speaks RMCP+.
struct Bmc {
    port: u16,
    process: Child,
}

impl Bmc {
    fn new(room: &Room) -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let chassis = room.script(
            "chassis",
            "case \"$*\" in
                *\"get power\"*) test -e off && echo power:0 || echo power:1;;
                *\"set power 0\"*) : > off;;
                *\"set power 1\"*) rm -f off;;
            esac",
        );
        let chassis = chassis.display();
        let lan = format!(
            "name \"box\"\nset_working_mc 0x20\nstartlan 1\n  addr 127.0.0.1 {port}\n  priv_limit admin\n  guid a123456789abcdefa123456789abcdef\n  \
             allowed_auths_admin none md2 md5 straight\nendlan\nchassis_control \"{chassis}\"\n\
             user 2 true \"ADMIN\" \"secret\" admin 10 md5 md2 straight\n"
        );
        room.write("lan.conf", &lan);
        let commands = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n";
        room.write("commands", commands);
        let process = Command::new("ipmi_sim")
            .args(["-n", "-c", "lan.conf", "-f", "commands", "-s", "."])
            .current_dir(room.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("ipmi_sim, of the package openipmi");
        Self { port, process }
    }
}

impl Drop for Bmc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A directory for what a test needs.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn script(&self, name: &str, script: &str) -> PathBuf {
        let directory = self.0.path().display();
        let path = self.write(name, &format!("#!/bin/sh\ncd {directory}\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn secret(&self, secret: &str) -> PathBuf {
        let path = self.write(&format!("{}.password", secret.len()), secret);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }
}

fn open(program: &Path, words: &str) -> Box<dyn Fence> {
    let program = program.display();
    let text = format!("kind = \"agent\"\nprogram = \"{program}\"\n{words}\n");
    let source = Source::new(&text);
    let mut table = source.parse();
    let config = fence::Config::read(&mut table);
    table.finish();
    let complaints = source.into_complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
    config.unwrap().open()
}

fn patience() -> Deadline {
    Deadline::new(Duration::from_secs(60))
}
