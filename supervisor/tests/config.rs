//! What does a person read who made a mistake in the configuration?

use std::path::Path;
use std::time::Duration;

use firmware_agnostic::evidence::Require;
use firmware_agnostic::failback::AutoFailback;
use firmware_agnostic::heartbeat::Priority;
use firmware_agnostic::identity::BoxId;
use supervisor::config::{Config, Identity, LogTo};

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
    // (what is replaced, by what, LINE:COLUMN of the complaint, its word, what its reason says)
    let mistakes = [
        ("key_file", "keyfile", "3:1", "pair.keyfile", "did you mean key_file?"),
        ("[timing]", "[timming]", "5:2", "timming", "did you mean timing?"),
        ("\"200ms\"", "200", "6:13", "timing.keepalive", "has no unit: say a time with its unit"),
        ("\"200ms\"", "\"200 parsecs\"", "6:13", "timing.keepalive", "such as \"200ms\""),
        ("\"500ms\"", "\"300ms\"", "7:12", "timing.warntime", "400ms < 300ms does not hold: raise"),
        ("\"1s\"", "\"500ms\"", "8:12", "timing.deadtime", "500ms < 500ms does not hold: raise"),
        ("\"15s\"", "\"5s\"", "9:12", "timing.initdead", "does not hold: raise initdead"),
        ("\"200ms\"", "\"0ms\"", "6:13", "timing.keepalive", "raise keepalive"),
        ("115200", "9600", "6:13", "timing.keepalive", "raise baud or keepalive"),
        ("priority = 50", "priority = 100", "17:12", "box.server2.priority", "must differ"),
        ("priority = 50", "priority = 256", "17:12", "box.server2.priority", "between 0 and 255"),
        ("[box.server2]", "[box.server1]", "16:6", "", "duplicate key"),
        ("[box.server2]", "[box.\"serv er\"]", "16:1", "box.serv er", "is no name for a box"),
        ("[box.server2]", "[box.a]\n[box.b]", "11:2", "box", "here is a, b, server1: say"),
        ("fence = []\n", "", "16:1", "box.server2.fence", "or fence = [] to wait for"),
        ("fence = []", "fence = [1]", "19:10", "box.server2.fence[0]", "is no table"),
        ("\"/usr/sbin/cut\"", "\"cut\"", "14:40", "box.server1.fence[0].command", "full path"),
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

fn read(text: &str) -> Result<Config, Vec<board::table::Complaint>> {
    Config::read(text, &told("server1"))
}

fn told(name: &str) -> Identity {
    Identity { told: Some(name.to_owned()), ..Identity::default() }
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
fence = [{ kind = "command", command = ["/usr/sbin/cut", "1"], timeout = "3s" }]

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
