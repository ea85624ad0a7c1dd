//! What ipmitool and ipmipower say of the BMC of the lab.

use std::process::Command;

use lab::stage::bmc::{Bmc, Character};

use super::scene::bmc;

#[test]
fn ipmitool_finds_it_sound() {
    let bmc = bmc(Character::default());
    for words in ["-I lanplus -C 3", "-I lanplus -C 17", "-I lan -A MD5", "-I lan -A PASSWORD"] {
        for (order, said) in [
            ("power status", "Power is on"),
            ("power off", "Down/Off"),
            ("power status", "Power is off"),
            ("power on", "Up/On"),
            ("power status", "Power is on"),
            ("mc guid", "00112233"),
            ("mc info", "2.0"),
        ] {
            let told = ipmitool(&bmc, words, "secret", order).unwrap();
            assert!(told.contains(said), "{words} {order}: {told}");
        }
    }
    for words in ["-I lanplus -C 17", "-I lan -A MD5"] {
        assert!(ipmitool(&bmc, words, "wrong", "power off").is_err(), "{words}");
    }
    assert_eq!(bmc.orders(), [0, 1].repeat(4));
    assert_eq!(bmc.sessions(), 0, "ipmitool closes what it opens");
}

#[test]
fn ipmipower_finds_it_sound() {
    let bmc = bmc(Character::default());
    for words in ["-D LAN_2_0 -I 3", "-D LAN_2_0 -I 17", "-D LAN"] {
        for (order, said) in [("--stat", "on"), ("--off", "ok"), ("--stat", "off"), ("--on", "ok")]
        {
            let told = ipmipower(&bmc, words, "secret", order).unwrap();
            assert!(told.trim().ends_with(said), "{words} {order}: {told}");
        }
        let told = ipmipower(&bmc, words, "wrong", "--off");
        let told = told.unwrap_or_else(|told| told);
        assert!(!told.trim().ends_with("ok"), "{words}: {told}");
    }
    assert_eq!(bmc.orders(), [0, 1].repeat(3));
}

pub(super) fn ipmitool(
    bmc: &Bmc,
    words: &str,
    password: &str,
    order: &str,
) -> Result<String, String> {
    let port = bmc.address.port();
    let line = format!("{words} -N 1 -R 2 -H 127.0.0.1 -p {port} -U twobox -P {password} {order}");
    run(Command::new("ipmitool").args(line.split_whitespace()))
}

fn ipmipower(bmc: &Bmc, words: &str, password: &str, order: &str) -> Result<String, String> {
    let port = bmc.address.port();
    let line = format!(
        "{words} -h 127.0.0.1:{port} -u twobox -p {password} -l OPERATOR --session-timeout=2000 {order}"
    );
    run(Command::new("/usr/sbin/ipmipower").args(line.split_whitespace()))
}

/// What it printed, as an error when it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut told = String::from_utf8_lossy(&done.stdout).into_owned();
    told.push_str(&String::from_utf8_lossy(&done.stderr));
    if done.status.success() { Ok(told) } else { Err(told) }
}
