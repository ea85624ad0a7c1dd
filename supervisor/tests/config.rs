//! Checks what a person reads who made a mistake in the configuration.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use board::config::table::Complaint;
use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::Priority;
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::settings::AutoFailback;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use supervisor::config::validation::{Look, bounds, check, check_in_short, load};
use supervisor::config::{Config, Identity, LogTo};
use tempfile::TempDir;

#[test]
fn what_is_not_said_has_its_default() {
    let config = read(GOOD).unwrap();
    assert_eq!(config.boxes, ["server1", "server2"]);
    assert_eq!((config.settings.me, config.settings.priority), (BoxId::First, Priority(100)));
    assert_eq!(config.settings.auto_failback, AutoFailback::On);
    assert_eq!(config.settings.failback_hold, Duration::from_secs(90));
    assert_eq!(config.settings.require, Require::Fenced);
    assert_eq!(config.settings.timing.fence_time(), Duration::from_secs(3));
    assert_eq!(config.settings.links, 2);
    assert_eq!(config.settings.resources.len(), 2);
    assert_eq!(config.control.socket, Path::new("/run/twobox.sock"));
    assert_eq!((config.log.level, config.log.to), (log::LevelFilter::Info, LogTo::Stderr));
    assert_eq!(config.ready_file, None);
    assert_eq!(config.id("server2"), Some(BoxId::Second));
}

#[test]
fn one_file_serves_both_boxes() {
    let [one, two] = ["server1", "server2"].map(|name| Config::read(GOOD, &told(name)).unwrap());
    assert_eq!(two.settings.me, BoxId::Second);
    assert_eq!(two.settings.priority, Priority(50));
    assert_eq!(one.settings.timing, two.settings.timing);
    assert_eq!(one.settings.config, two.settings.config);
    let other = read(&GOOD.replace("203.0.113.10", "203.0.113.11")).unwrap();
    assert_ne!(one.settings.config, other.settings.config);
}

#[test]
fn each_mistake_is_told_with_its_place_and_remedy() {
    let mistakes = [
        ("key_file", "keyfile", "3:1", "pair.keyfile", "did you mean key_file?"),
        ("[timing]", "[timming]", "5:2", "timming", "did you mean timing?"),
        ("\"200ms\"", "200", "6:13", "timing.keepalive", "has no unit: say a time with its unit"),
        ("\"200ms\"", "\"200 parsecs\"", "6:13", "timing.keepalive", "such as \"200ms\""),
        ("\"500ms\"", "\"300ms\"", "7:12", "timing.warntime", "400ms < 300ms does not hold: raise"),
        ("\"1s\"", "\"500ms\"", "8:12", "timing.deadtime", "700ms < 500ms does not hold: raise"),
        ("\"15s\"", "\"5s\"", "9:12", "timing.initdead", "does not hold: raise initdead"),
        ("\"200ms\"", "\"0ms\"", "6:13", "timing.keepalive", "raise keepalive"),
        ("115200", "9600", "6:13", "timing.keepalive", "raise baud or keepalive"),
        ("priority = 50", "priority = 100", "17:12", "box.server2.priority", "must differ"),
        ("priority = 50", "priority = 256", "17:12", "box.server2.priority", "between 0 and 255"),
        ("[box.server2]", "[box.server1]", "16:6", "", "duplicate key"),
        ("[box.server2]", "[box.\"serv er\"]", "16:1", "box.serv er", "is no name for a box"),
        ("[box.server2]", "[box.a]\n[box.b]", "11:2", "box", "here is a, b, server1: say"),
        ("fence = []\n", "", "16:1", "box.server2.fence", "or fence = [] to wait for"),
        (
            "fence = []",
            "fence = [{ kind = \"command\", command = [\"/nowhere/cut\", \"1\"], timeout = \"9s\" }]",
            "19:9",
            "box.server2.fence",
            "the very device of server1",
        ),
        (
            "[takeover]",
            "[[link]]\nkind = \"serial\"\ndevice = \"/dev/ttyS1\"\nname = \"b\"\n[takeover]",
            "31:1",
            "link[2]",
            "the cable of ttyS1 once more",
        ),
        ("fence = []", "fence = [1]", "19:10", "box.server2.fence[0]", "is no table"),
        ("\"/nowhere/cut\"", "\"cut\"", "14:40", "box.server1.fence[0].command", "full path"),
        ("\"eth1\"", "{ server1 = \"a\" }", "23:13", "link[0].interface", "nothing for server2"),
        ("\"eth1\"", "{ left = \"a\" }", "23:13", "link[0].interface", "they are server1 and"),
        ("\"/dev/ttyS1\"", "\"ttyS1\"", "28:10", "link[1].device", "is not a full path"),
        ("\"serial\"", "\"cereal\"", "27:8", "link[1].kind", "did you mean serial?"),
        ("\"fenced\"", "\"fence\"", "32:11", "takeover.require", "did you mean fenced?"),
        (
            "threshold = 3",
            "on_failure = \"restart\"\nthreshold = 3",
            "44:13",
            "resource[1].threshold",
            "never reached",
        ),
        ("threshold = 3", "threshold = 0", "43:13", "resource[1].threshold", "1 for the first"),
        (
            "threshold = 3",
            "treshold = 3",
            "43:1",
            "resource[1].treshold",
            "did you mean threshold?",
        ),
        (
            "[control]",
            "[[resource]]\nkind = \"address\"\nname = \"b\"\naddress = \"203.0.113.10/32\"\ninterface = \"eth1\"",
            "48:11",
            "resource[2].address",
            "203.0.113.10 is the address of resource 203.0.113.10/24 already",
        ),
        (
            "203.0.113.10/24",
            "192.0.2.2/24",
            "36:11",
            "resource[0].address",
            "192.0.2.2 is an address of link",
        ),
        (
            "[takeover]",
            "[[link]]\nkind = \"udp\"\ninterface = \"eth9\"\naddress = { server1 = \"192.0.2.9\", server2 = \"192.0.2.2\" }\n[takeover]",
            "34:11",
            "link[2].address",
            "192.0.2.2 is an address of link",
        ),
        (
            "name = \"slapd\"",
            "name = \"203.0.113.10/24\"",
            "41:8",
            "resource[1].name",
            "another `name`",
        ),
        (
            "[control]",
            "[control]\nsocket = \"run\"",
            "46:10",
            "control.socket",
            "is not a full path",
        ),
        ("[control]", "[log]\nlevel = \"loud\"", "46:9", "log.level", "none of error, warn, info"),
        ("[control]", "[log]\nto = 1", "46:6", "log.to", "not a text in quotes"),
        ("hostname = \"server1\"", "mac = \"52:54:00\"", "13:7", "box.server1.mac", "such as"),
        (
            "hostname = \"server1\"",
            "id = \"left\"",
            "13:6",
            "box.server1.id",
            "goes with `id_file`",
        ),
        ("name = \"ldap\"", "name = \"ldap", "2:13", "", "invalid"),
    ];
    expect_complaints(&mistakes);
}

#[test]
fn mistakes_about_the_watchdog_are_told() {
    expect_complaints(&[
        (
            "[control]",
            "[watchdog]\ntimeout = \"10s\"",
            "46:11",
            "watchdog.timeout",
            "goes with `device`",
        ),
        (
            "[control]",
            "[watchdog]\ndevice = \"/dev/watchdog\"\ntimeout = \"1500ms\"",
            "47:11",
            "watchdog.timeout",
            "whole number of seconds",
        ),
        (
            "[control]",
            "[watchdog]\ndevice = \"watchdog\"",
            "46:10",
            "watchdog.device",
            "is not a full path",
        ),
        (
            "[control]",
            "[watchdog]\ndisk_timeout = \"10ms\"",
            "46:16",
            "watchdog.disk_timeout",
            "at least 1s",
        ),
        ("[control]", "[watchdog]\ntimout = \"1s\"", "46:1", "watchdog.timout", "mean timeout?"),
    ]);
}

#[test]
fn mistakes_about_who_is_told_are_told() {
    expect_complaints(&[
        (
            "[control]",
            "[history]\nsize = 100",
            "46:8",
            "history.size",
            "not between 16384 and 16777216",
        ),
        ("[control]", "[metrics]\nevery = \"1s\"", "46:9", "metrics.every", "goes with `file`"),
        ("[control]", "[[hook]]\ncommand = [\"logger\"]", "46:11", "hook[0].command", "full path"),
        (
            "[control]",
            "[[hook]]\ncommand = [\"/x\"]\non = [\"rule\"]",
            "47:6",
            "hook[0].on",
            "\"rule\" is none of role, fence, drill, reload, alarm",
        ),
        (
            "[control]",
            "[log]\nto = \"syslog-5425\"",
            "46:6",
            "log.to",
            "none of stderr, syslog, syslog-5424",
        ),
    ]);
}

/// (what is replaced, by what, LINE:COLUMN of the complaint, its word, what its reason says)
fn expect_complaints(mistakes: &[(&str, &str, &str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (old, new, place, word, reason) in mistakes {
        assert!(GOOD.contains(old), "{old}");
        let complaints = read(&GOOD.replacen(old, new, 1)).unwrap_err();
        let told: Vec<_> = complaints
            .iter()
            .map(|c| format!("{}:{}: {}: {}", c.line, c.column, c.word, c.reason))
            .collect();
        let begin = format!("{place}: {word}: ");
        if !told.iter().any(|line| line.starts_with(&begin) && line.contains(reason)) {
            wrong.push(format!("{new:?}: {begin}.. {reason}, but\n    {}", told.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_sample_is_right_for_both_boxes() {
    for name in ["server1", "server2"] {
        let config =
            Config::read(SAMPLE, &told(name)).map_err(|complaints| told_all(&complaints)).unwrap();
        assert_eq!(config.name(config.settings.me), name);
    }
}

/// A word that the sample explains in vain would mislead, and so would a wrong default.
#[test]
fn what_the_sample_leaves_out_is_understood_and_true() {
    let said = SAMPLE.lines().map(|line| line.strip_prefix('#').filter(is_word).unwrap_or(line));
    let said: Vec<_> = said.collect();
    let everything = Config::read(&said.join("\n"), &told("server1"))
        .map_err(|complaints| told_all(&complaints))
        .unwrap();
    let defaults = read(SAMPLE).unwrap();
    assert!(said.iter().filter(|line| is_word(line)).count() > 50);
    assert_eq!(everything.settings.timing, defaults.settings.timing);
    assert_eq!(everything.settings.auto_failback, defaults.settings.auto_failback);
    assert_eq!(everything.settings.failback_hold, defaults.settings.failback_hold);
    assert_eq!(everything.settings.require, defaults.settings.require);
    assert_eq!(everything.settings.dark_time, defaults.settings.dark_time);
    assert_eq!(everything.settings.at_boot, defaults.settings.at_boot);
    let checks = |config: &Config| {
        config.witnesses.iter().map(board::check::Config::time).collect::<Vec<_>>()
    };
    assert_eq!(checks(&everything), checks(&defaults));
    assert_eq!(everything.settings.resources, defaults.settings.resources);
    assert_eq!(everything.links, defaults.links);
    assert_eq!(everything.log, defaults.log);
    assert_eq!(everything.history, defaults.history);
    assert_eq!(everything.hooks, defaults.hooks);
    let every = everything.metrics.map(|metrics| metrics.every);
    assert_eq!(every, Some(Duration::from_secs(15)), "the default of `every`");
    let timeout = everything.watchdog.device.as_ref().map(|device| device.timeout);
    assert_eq!(timeout, Some(Duration::from_secs(10)), "the default of `timeout`");
    assert_eq!(board::watchdog::Config { device: None, ..everything.watchdog }, defaults.watchdog);
    assert_eq!(everything.control.socket, defaults.control.socket);
    for (one, other) in everything.resources.iter().zip(&defaults.resources) {
        assert_eq!(one.place, other.place);
        assert_eq!(one.start_timeout, other.start_timeout);
        assert_eq!(one.stop_timeout, other.stop_timeout);
    }
}

#[test]
fn every_fence_device_of_the_sample_can_be_said() {
    let examples: Vec<_> = SAMPLE
        .split("\n#   { ")
        .skip(1)
        .map(|rest| {
            let more = rest.lines().skip(1).map_while(|line| line.strip_prefix("#     "));
            rest.lines().take(1).chain(more).collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert!(examples.len() >= 5, "{examples:?}");
    let without = board::fence::MISSING;
    for example in examples {
        let device = format!("fence = [{{ {example}]");
        let text = GOOD.replacen("fence = []", &device, 1);
        let complaints = read(&text).err().unwrap_or_default();
        let left_out = complaints.iter().any(|complaint| complaint.reason == without);
        assert!(complaints.is_empty() || left_out, "{device}\n{}", told_all(&complaints));
    }
}

fn is_word(line: &&str) -> bool {
    let word: String = line.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
    !word.is_empty() && line[word.len()..].starts_with(" = ")
}

fn told_all(complaints: &[Complaint]) -> String {
    let line = |c: &Complaint| format!("{}:{}: {}: {}", c.line, c.column, c.word, c.reason);
    complaints.iter().map(line).collect::<Vec<_>>().join("\n")
}

const SAMPLE: &str = include_str!("../../images/dist/twobox.toml");

/// Any file is answered with complaints that have a place and a reason.
#[test]
fn junk_is_complained_about() {
    let junk: String =
        (0_u32..1 << 18).map(|n| char::from((n.wrapping_mul(2_654_435_761) >> 25) as u8)).collect();
    let words =
        (0..20_000).fold(String::new(), |text, n| text + "word" + &n.to_string() + " = 1\n");
    let texts = [
        String::new(),
        "\n# nothing\n".to_owned(),
        "\u{feff}".to_owned(),
        "]".to_owned(),
        "pair".to_owned(),
        "pair = 1\nbox = []\nlink = {}\nresource = \"x\"\ntiming = true\n".to_owned(),
        "[pair".to_owned(),
        "[pair]\nname = \"\u{0}\"\n".to_owned(),
        "a.".repeat(100_000),
        "[".repeat(100_000),
        "x = ".to_owned() + &"[".repeat(100_000),
        "x = ".to_owned() + &"{a=".repeat(50_000),
        "x = \"\"\"".to_owned() + &"\n".repeat(100_000),
        GOOD.replace('=', ""),
        GOOD.replace('\n', "\r"),
        junk,
        words,
    ];
    for text in texts {
        let complaints = read(&text).unwrap_err();
        assert!(!complaints.is_empty());
        let lines = text.lines().count().max(1) + 1;
        for Complaint { line, column, reason, .. } in complaints {
            assert!((1..=lines).contains(&line) && column > 0, "{line}:{column}");
            assert!(!reason.is_empty());
        }
    }
}

/// What is missing or follows is not told where it comes from a mistake that is told.
#[test]
fn one_mistake_gives_one_complaint() {
    let mistakes = [
        (
            "key_file =",
            "key_fiel =",
            "pair.key_fiel: is no word of this table; did you mean key_file?",
        ),
        ("deadtime = \"1s\"", "deadtime = 500", "timing.deadtime: has no unit"),
        (
            "deadtime = \"1s\"",
            "deadtime = \"9 parsecs\"",
            "timing.deadtime: \"9 parsecs\" is no time",
        ),
        ("timeout = \"3s\"", "timeout = 3", "box.server1.fence[0].timeout: has no unit"),
        (
            "fence = []",
            "fense = []",
            "box.server2.fense: is no word of this table; did you mean fence?",
        ),
        ("priority = 50", "prority = 50", "box.server2.prority: is no word of this table; did"),
        ("kind = \"serial\"", "kind = \"cereal\"", "link[1].kind: \"cereal\" is none of"),
        ("kind = \"serial\"", "knid = \"serial\"", "link[1].knid: is no word of this table; did"),
        ("device =", "devise =", "link[1].devise: is no word of this table; did you mean device?"),
        (
            "command = [\"/usr",
            "comand = [\"/usr",
            "resource[1].comand: is no word of this table; did",
        ),
        (
            "command = [\"/nowhere",
            "comand = [\"/nowhere",
            "box.server1.fence[0].comand: is no word",
        ),
        (
            "[control]",
            "[[witness]]\nkind = \"icmp\"\naddress = \"203.0.113.1\"\n[control]",
            "witness[0].kind: \"icmp\" is none of",
        ),
        (
            "[control]",
            "[watchdog]\ndevice = \"/dev/watchdog\"\ntimeout = 10\n[control]",
            "watchdog.timeout: has no unit",
        ),
    ];
    for (from, to, said) in mistakes {
        assert!(GOOD.contains(from), "{from}");
        let told = told_all(&read(&GOOD.replacen(from, to, 1)).unwrap_err());
        assert!(told.lines().count() == 1 && told.contains(said), "{to}:\n{told}");
    }
    // Two mistakes are two, and what follows from values that could be read is told.
    let two = GOOD.replace("key_file =", "keyfile =").replace("\"1s\"", "\"500ms\"");
    assert_eq!(read(&two).unwrap_err().len(), 2);
}

/// A device that is faster than any BMC makes the other box wait no longer than it takes.
#[test]
fn a_fast_device_counts_as_fast() {
    let text = GOOD.replace("timeout = \"3s\"", "timeout = \"300ms\"");
    let time = |text: &str| read(text).unwrap().settings.timing.fence_time();
    assert_eq!(time(&text), Duration::from_millis(300));
    let none =
        "fence = [{ kind = \"command\", command = [\"/nowhere/cut\", \"1\"], timeout = \"3s\" }]";
    assert_eq!(time(&GOOD.replace(none, "fence = []")), Duration::from_secs(1));
}

#[test]
fn a_file_that_is_none_is_told_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("twobox.toml");
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Config::load(&path, Some("server1")).unwrap_err().to_string()
    };
    assert!(load(&vec![b'x'; 1 << 20]).contains("is longer than a configuration can be"));
    assert!(load(b"[pair]\nname = \"\xff\"").contains("twobox.toml:2:9: is no UTF-8"));
    assert!(load(b"").contains("twobox.toml:1:1: pair.name: is missing"));
    let absent = Config::load(Path::new("/nowhere/twobox.toml"), None).unwrap_err().to_string();
    assert!(
        absent.starts_with("/nowhere/twobox.toml: cannot read the configuration: "),
        "{absent}"
    );
}

#[test]
fn a_machine_that_is_neither_box_is_told_what_it_is() {
    let other = Identity { hostname: "server3".to_owned(), ..Identity::default() };
    let complaints = Config::read(GOOD, &other).unwrap_err();
    let [Complaint { line: 11, reason, .. }] = complaints.as_slice() else {
        panic!("{complaints:?}")
    };
    for said in ["hostname \"server3\"", "neither", "server1 (hostname server1)", "--box NAME"] {
        assert!(reason.contains(said), "{reason}");
    }
    let both = GOOD.replace("hostname = \"server2\"", "hostname = \"server1\"");
    let me = Identity { hostname: "server1".to_owned(), ..Identity::default() };
    let complaints = Config::read(&both, &me).unwrap_err();
    assert!(complaints[0].reason.contains("both boxes at once"), "{complaints:?}");
    let complaints = Config::read(GOOD, &told("server3")).unwrap_err();
    assert!(complaints[0].reason.contains("say one of their names"), "{complaints:?}");
}

#[test]
fn check_tells_what_is_missing_and_what_is_promised() {
    let directory = tempfile::tempdir().unwrap();
    let [path, key] = ["twobox.toml", "twobox.key"].map(|name| directory.path().join(name));
    let text = GOOD.replace("/etc/twobox.key", key.to_str().unwrap());
    fs::write(&path, &text).unwrap();
    let say =
        |who: &str, here: bool| check(&path, Some(who), here).map_err(|error| error.to_string());

    let wrong = say("server2", false).unwrap_err();
    assert!(wrong.contains(":3:12: pair.key_file: "), "{wrong}");
    assert!(
        wrong.contains(":14:9: box.server1.fence: the program /nowhere/cut is not here"),
        "{wrong}"
    );

    fs::write(&key, "1 0123456789abcdef\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let wrong = say("server1", false).unwrap_err();
    assert!(wrong.contains("run chmod 0600") && !wrong.contains("0123456789"), "{wrong}");

    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let report = say("server1", false).unwrap();
    for said in [
        "This box is server1, its peer server2.",
        "2 * keepalive < warntime: 400ms < 500ms",
        "heartbeats fill 2.8 % of the serial line at 115200 baud",
        "planned switch or failback: 90.4s\n    = 2 * keepalive 400ms + stop 30s + start 60s",
        "warning: box.server2.fence = []",
    ] {
        assert!(report.contains(said), "{said}\n{report}");
    }

    let short = check_in_short(&path, Some("server1"), false).unwrap();
    for said in [
        "This box is server1, its peer server2.",
        "warning: box.server2.fence = []",
        "  planned switch or failback                               90.4s\n",
        "twobox check --all\n",
    ] {
        assert!(short.contains(said), "{said}\n{short}");
    }
    // With all that there is to be warned of.
    let mut many =
        text.replace("\"fenced\"", "\"dark\"").replace("\"/dev/ttyS1\"", "\"/dev/null\"");
    many = many.replace("timeout = \"3s\"", "timeout = \"300ms\"");
    many.push_str(
        "[[witness]]\nkind = \"ping\"\naddress = \"203.0.113.1\"\n[fencing]\nat_boot = \"fence\"\n",
    );
    fs::write(&path, &many).unwrap();
    for short in [short, check_in_short(&path, Some("server1"), false).unwrap()] {
        assert!(short.lines().count() <= 20, "{short}");
        assert!(short.lines().all(|line| line.chars().count() <= 80), "{short}");
    }

    let text = text
        .replace("[control]", "[watchdog]\ndevice = \"/dev/watchdog77\"\n[control]")
        .replace("/dev/ttyS1", "/dev/ttyS77")
        .replace("\"eth1\"", "\"eth77\"")
        .replace("/usr/sbin/slapd", "/nowhere/slapd")
        .replace("threshold = 3", "threshold = 3\nready = { command = [\"/nowhere/probe\"] }");
    fs::write(&path, text).unwrap();
    let report = say("server1", false).unwrap();
    let dead = "a box that is stuck is dead 10.9s after it was last heard";
    assert!(report.contains("2 * keepalive < watchdog timeout: 400ms < 10s"), "{report}");
    assert!(report.contains(dead), "{report}");
    let wrong = say("server1", true).unwrap_err();
    assert!(wrong.contains("watchdog.device: the device /dev/watchdog77 is not"), "{wrong}");
    assert!(wrong.contains("ttyS77: the device /dev/ttyS77 is not here"), "{wrong}");
    assert!(wrong.contains("eth77: there is no interface eth77 here"), "{wrong}");
    assert!(wrong.contains("slapd: the program /nowhere/slapd is not here"), "{wrong}");
    assert!(wrong.contains("slapd: the program /nowhere/probe is not here"), "{wrong}");
}

#[test]
fn accounts_and_folders_are_looked_for_here_and_not_at_a_start() {
    let (_directory, path, key) = with_key();
    let text = format!(
        "[pair]\nname = \"p\"\nkey_file = {key:?}\n[box.a]\npriority = 2\nfence = []\n\
         [box.b]\npriority = 1\nfence = []\n[[link]]\nkind = \"serial\"\ndevice = \"/dev/null\"\n\
         [[resource]]\nkind = \"process\"\ncommand = [\"/bin/sh\"]\nuser = \"nobody-here\"\n\
         directory = \"/nowhere/home\"\nready = {{ command = [\"/nowhere/probe\"] }}\n[control]\noperators = \"wheel-here\"\nviewers = \"adm-here\"\n\
         [journal]\nfile = \"/nowhere/j\"\n[history]\nfile = \"/nowhere/h\"\n\
         [metrics]\nfile = \"/nowhere/m\"\n[ready]\nfile = \"/nowhere/r\"\n"
    );
    fs::write(&path, text).unwrap();
    let Err(wrong) = load(&path, Some("a"), Look::Here) else { panic!("nothing is missed") };
    let wrong = wrong.to_string();
    for said in [
        ":13:1: resource: sh: user nobody-here is not in /etc/passwd",
        ":13:1: resource: sh: the program /nowhere/probe is not here",
        ":13:1: resource: sh: the folder /nowhere/home is not here",
        ":19:1: control.operators: group wheel-here is not in /etc/group",
        ":19:1: control.viewers: group adm-here is not in /etc/group",
        ":22:1: journal.file: the folder /nowhere is not here",
        ":24:1: history.file: the folder /nowhere is not here",
        ":26:1: metrics.file: the folder /nowhere is not here",
        ":28:1: ready.file: the folder /nowhere is not here",
    ] {
        assert!(wrong.contains(said), "{said}\n{wrong}");
    }
    assert_eq!(wrong.lines().count(), 9, "{wrong}");
    // A service that cannot start here may start on the other box: a supervisor is needed for that.
    load(&path, Some("a"), Look::Start).unwrap();
    // But without its groups the control socket cannot be opened.
    let Err(wrong) = load(&path, Some("a"), Look::DryRun) else { panic!("nothing is missed") };
    let wrong = wrong.to_string();
    assert!(wrong.contains("wheel-here") && wrong.contains("adm-here"), "{wrong}");
}

#[test]
fn cards_and_adapters_may_come_late() {
    let (_directory, path, key) = with_key();
    let text = format!(
        "[pair]\nname = \"p\"\nkey_file = {key:?}\n[box.a]\npriority = 2\nfence = []\n\
         [box.b]\npriority = 1\nfence = [{{ kind = \"serial-reset\", device = \"/dev/ttyUSB76\", \
         line = \"rts\", sense = \"dcd\", pulse = \"1s\" }}]\n\
         [[link]]\nkind = \"serial\"\ndevice = \"/dev/ttyUSB77\"\n\
         [[link]]\nkind = \"udp\"\ninterface = \"eth77\"\nbroadcast = true\n\
         [[resource]]\nkind = \"address\"\naddress = \"203.0.113.10/24\"\ninterface = \"eth78\"\n\
         [[witness]]\nkind = \"ping\"\naddress = \"203.0.113.1\"\ninterface = \"eth79\"\n"
    );
    fs::write(&path, text).unwrap();
    let Err(wrong) = load(&path, Some("a"), Look::Here) else { panic!("nothing is missed") };
    let wrong = wrong.to_string();
    for said in ["/dev/ttyUSB76", "/dev/ttyUSB77", "eth77", "eth78", "eth79"] {
        assert!(wrong.contains(said), "{said}\n{wrong}");
    }
    for look in [Look::Start, Look::DryRun] {
        load(&path, Some("a"), look).unwrap();
    }
}

#[test]
fn a_login_on_the_tty_of_a_link_is_told() {
    let (_directory, path, key) = with_key();
    let hand = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&hand).unwrap();
    let tty = ptsname(&hand, Vec::new()).unwrap().into_string().unwrap();
    let text = format!(
        "[pair]\nname = \"p\"\nkey_file = {key:?}\n[box.a]\npriority = 2\nfence = []\n\
         [box.b]\npriority = 1\nfence = []\n[[link]]\nkind = \"serial\"\ndevice = \"{tty}\"\n\
         [journal]\nfile = {key:?}\n[history]\nfile = {key:?}\n"
    );
    fs::write(&path, text).unwrap();
    let say = |here| check(&path, Some("a"), here).map_err(|error| error.to_string());
    say(true).unwrap();
    let mut login = Command::new("setsid")
        .args(["sh", "-c", "exec <>\"$0\"; echo here; read typed", &tty])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    login.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
    let (wrong, right) = (say(true), say(false));
    let start = load(&path, Some("a"), Look::Start);
    login.kill().unwrap();
    login.wait().unwrap();
    let wrong = wrong.unwrap_err();
    assert!(wrong.contains(":10:1: link: "), "{wrong}");
    assert!(wrong.contains(&format!("{tty} has a login on it (sh")), "{wrong}");
    // The login may end: a start waits for that.
    right.unwrap();
    start.unwrap();
}

#[test]
fn a_bound_is_the_sum_of_what_it_is_made_of() {
    let text = GOOD.replace(
        "fence = []",
        "fence = [{ kind = \"command\", command = [\"/x\"], timeout = \"2s\" }]",
    );
    let worst = |text: &str, what: &str| {
        let config = read(text).map_err(|complaints| told_all(&complaints)).unwrap();
        let bound = bounds(&config).find(|bound| bound.what.contains(what)).unwrap();
        bound.worst.map(|worst| worst.as_millis())
    };
    assert_eq!(worst(&text, "loses its power"), Some(1_000 + 3_000 + 60_000));
    assert_eq!(worst(&text, "hangs"), Some(1_000 + 4_000 + 3_000 + 60_000));
    assert_eq!(worst(&text, "other box off"), Some(30_000 + 1_000 + 3_000 + 60_000));
    assert_eq!(worst(&text, "other box on"), None);
    // Two restarts, the second after a pause.
    assert_eq!(worst(&text, "fails too often"), Some(2 * 30_000 + 200 + 30_000 + 200 + 60_000));
    assert_eq!(worst(GOOD, "hangs"), None);
    let silence = GOOD.replace("\"fenced\"", "\"silence\"");
    assert_eq!(worst(&silence, "hangs"), Some(1_000 + 60_000));
    assert_eq!(worst(&silence, "other box silent"), Some(30_000 + 15_000 + 60_000));
}

/// Where silence is enough, a box that is stuck must be dead before its peer takes over.
#[test]
fn a_watchdog_that_waits_too_long_is_refused_where_silence_is_enough() {
    let with = |require: &str, deadtime: &str, timeout: &str| {
        let device = format!("[watchdog]\ndevice = \"/dev/watchdog\"\ntimeout = \"{timeout}\"");
        GOOD.replace("\"fenced\"", &format!("\"{require}\""))
            .replace("deadtime = \"1s\"", &format!("deadtime = \"{deadtime}\""))
            .replace("[control]", &device)
    };
    let complaints = read(&with("silence", "2s", "2s")).unwrap_err();
    let told = told_all(&complaints);
    let rule = "watchdog timeout + reset + lost heartbeats < deadtime: 2.9s < 2s does not hold";
    assert!(told.starts_with("47:11: watchdog.timeout: ") && told.contains(rule), "{told}");
    assert!(read(&with("silence", "2s", "1s")).is_ok());

    let config = read(&with("fenced", "1s", "10s")).unwrap();
    assert_eq!(config.watchdog.device.unwrap().timeout, Duration::from_secs(10));
    assert_eq!(config.watchdog.disk_timeout, Duration::from_secs(30));
}

fn read(text: &str) -> Result<Config, Vec<Complaint>> {
    Config::read(text, &told("server1"))
}

fn told(name: &str) -> Identity {
    Identity { told: Some(name.to_owned()), ..Identity::default() }
}

/// A folder, and in it the paths of a configuration and of a key, which is there.
fn with_key() -> (TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let [path, key] = ["twobox.toml", "twobox.key"].map(|name| directory.path().join(name));
    fs::write(&key, "1 0123456789abcdef\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    (directory, path, key)
}

/// The line numbers of the mistakes are those of this text.
const GOOD: &str = r#"[pair]
name = "ldap"
key_file = "/etc/twobox.key"

[timing]
keepalive = "200ms"
warntime = "500ms"
deadtime = "1s"
initdead = "15s"

[box.server1]
priority = 100
hostname = "server1"
fence = [{ kind = "command", command = ["/nowhere/cut", "1"], timeout = "3s" }]

[box.server2]
priority = 50
hostname = "server2"
fence = []

[[link]]
kind = "udp"
interface = "eth1"
address = { server1 = "192.0.2.1", server2 = "192.0.2.2" }

[[link]]
kind = "serial"
device = "/dev/ttyS1"
baud = 115200

[takeover]
require = "fenced"

[[resource]]
kind = "address"
address = "203.0.113.10/24"
interface = "eth0"

[[resource]]
kind = "process"
name = "slapd"
command = ["/usr/sbin/slapd", "-d", "0"]
threshold = 3

[control]
"#;
