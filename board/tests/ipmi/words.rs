//! The words of a BMC in the configuration, right and wrong.

use std::fs;

use board::config::table::{Complaint, Source};
use board::fence::Config;

use super::scene::Scene;

#[test]
fn mistakes_are_told_with_their_remedy() {
    for (said, instead, told) in [
        ("host = \"198.51.100.11\"\n", "", "is missing"),
        ("198.51.100.11", "bmc1", "IPv4 or IPv6"),
        ("user = \"twobox\"\n", "", "is missing"),
        ("\"twobox\"", "\"a name that is too long\"", "longer than the 16 bytes"),
        ("password_file = \"/etc/twobox.bmc\"\n", "", "is missing"),
        ("/etc/twobox.bmc", "twobox.bmc", "not a full path"),
        ("port = 623", "port = 70000", "between 0 and 65535"),
        ("cipher_suite = 17", "cipher_suite = 8", "none of 17, 3"),
        ("cipher_suite = 17", "cipher_suite = 17\nauth = \"md5\"", "take one of them out"),
        ("cipher_suite = 17", "auth = \"md2\"", "none of md5, password, none"),
        ("\"operator\"", "\"user\"", "none of operator, administrator"),
        ("kg_file", "key_file", "did you mean kg_file?"),
        ("00112233-4455-6677-8899-aabbccddeeff", "anyone", "or \"any\""),
    ] {
        let text = WORDS.replace(said, instead);
        assert_ne!(text, WORDS, "{said}");
        let complaints = read(&text).1;
        let found = complaints.iter().any(|complaint| complaint.reason.contains(told));
        assert!(found, "{text}\n{complaints:?}");
    }
    assert!(read(WORDS).1.is_empty());
    let any = WORDS.replace("00112233-4455-6677-8899-aabbccddeeff", "any");
    assert!(read(&any).1.is_empty());
}

#[test]
fn one_bmc_is_one_device_for_every_asker() {
    let config = read(WORDS).0.unwrap();
    let other = |said, instead| read(&WORDS.replace(said, instead)).0.unwrap();
    assert!(config.is_same_as(&other("\"twobox\"", "\"another\"")));
    assert!(!config.is_same_as(&other("100.11", "100.12")));
    assert!(!config.is_same_as(&other("port = 623", "port = 624")));
}

#[test]
fn a_secret_that_others_can_read_is_missed_before_it_is_used() {
    let scene = Scene::new();
    let file = scene.write("bmc", "secret\n", 0o644);
    let text = WORDS.replace("/etc/twobox.bmc", &file.display().to_string());
    let text = text.replace("/etc/twobox.kg", &file.display().to_string());
    let missing = || -> Vec<String> {
        let needs = read(&text).0.unwrap().needs();
        needs.iter().filter_map(board::config::requirement::Requirement::missing).collect()
    };
    assert_eq!(missing().len(), 2);
    assert!(missing().iter().all(|reason| reason.contains("chmod 0600")), "{:?}", missing());
    scene.write("bmc", "secret\n", 0o600);
    assert_eq!(missing(), [""; 0]);
    fs::remove_file(file).unwrap();
    assert_eq!(missing().len(), 2);
}

#[test]
fn the_example_that_ships_is_right() {
    let sample = include_str!("../../../images/dist/twobox.toml");
    let said = sample.lines().map(|line| line.trim_start_matches("# ").trim());
    let said: Vec<&str> = said.skip_while(|line| !line.starts_with("{ kind = \"ipmi\"")).collect();
    let end = said.iter().position(|line| line.ends_with('}')).unwrap();
    let words = said[..=end].join(" ");
    let words = words.trim_start_matches('{').trim_end_matches('}').replace(", ", "\n");
    assert!(read(&words).1.is_empty(), "{words}: {:?}", read(&words).1);
}

fn read(text: &str) -> (Option<Config>, Vec<Complaint>) {
    let source = Source::new(text);
    let mut table = source.parse();
    let config = Config::read(&mut table);
    table.finish();
    (config, source.into_complaints())
}

const WORDS: &str = "kind = \"ipmi\"
host = \"198.51.100.11\"
port = 623
user = \"twobox\"
password_file = \"/etc/twobox.bmc\"
kg_file = \"/etc/twobox.kg\"
cipher_suite = 17
privilege = \"operator\"
guid = \"00112233-4455-6677-8899-aabbccddeeff\"
";
