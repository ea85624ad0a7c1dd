//! Against the server of pyghmi, that of `virtualbmc`: suite 3, and suite 17 by a few lines in `server.py`.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use board::fence::ipmi::Ipmi;
use board::fence::ipmi::command;
use board::fence::{Fence, Fenced, Guid, Power, fence};

use super::scene::{Scene, loopback, seconds};

#[test]
fn a_box_is_shot_and_seen_off_by_both_suites() {
    for (suite, words) in [(17, ""), (17, "cipher_suite = 17"), (3, "cipher_suite = 3")] {
        let bmc = Bmc::new(suite);
        let mut device = bmc.device("secret", words);
        assert_eq!(fence(&mut device, &seconds(5)).unwrap(), Fenced::Shot, "{suite}: {words}");
        assert!(!bmc.scene.is_on());
        device.set_power(Power::On, &seconds(5)).unwrap();
        assert_eq!(device.power(&seconds(5)).unwrap(), Power::On);
        assert_eq!(bmc.scene.orders(), ["set power 0", "set power 1"]);
        let found = command::device(&device.ask(command::device_id(), &seconds(5)).unwrap());
        assert_eq!(found.unwrap().firmware, (1, 0));
    }
}

#[test]
fn a_bmc_that_does_not_speak_the_first_suite_is_asked_by_the_next() {
    let bmc = Bmc::new(3);
    assert_eq!(bmc.device("secret", "").power(&seconds(5)).unwrap(), Power::On);
    let text = bmc.device("secret", "cipher_suite = 17").power(&seconds(5)).unwrap_err();
    assert!(text.to_string().contains("does not speak cipher suite 17"), "{text}");
}

#[test]
fn a_wrong_password_is_found_out_before_the_bmc_counts_it() {
    for suite in [17, 3] {
        let text = Bmc::new(suite).device("wrong", "").power(&seconds(5)).unwrap_err();
        assert!(text.to_string().contains("wrong password"), "{text}");
    }
}

#[test]
fn a_guid_is_that_of_the_box_in_any_byte_order() {
    let bmc = Bmc::new(3);
    let found = bmc.device("secret", "").guid(&seconds(5)).unwrap().unwrap();
    let right: Guid = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
    assert!(found != right && found.is_same_box(right), "{found}");
}

#[test]
fn a_bmc_that_knows_no_ipmi_1_5_says_nothing_about_it() {
    let text = Bmc::new(3).device("secret", "auth = \"md5\"").power(&seconds(2)).unwrap_err();
    assert!(text.to_string().contains("BMC"), "{text}");
}

pub(crate) struct Bmc {
    scene: Scene,
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Bmc {
    pub(crate) fn new(suite: u8) -> Self {
        let (scene, address) = (Scene::new(), loopback());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ipmi/server.py");
        let mut process = Command::new(python())
            .arg(script)
            .args([address.port().to_string(), suite.to_string()])
            .arg(scene.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n");
        Self { scene, address, process }
    }

    fn device(&self, password: &str, words: &str) -> Ipmi {
        self.scene.device(self.address, "twobox", password, words)
    }
}

impl Drop for Bmc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A Python that has pyghmi, made once.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pyghmi-{VERSION}"));
        let (python, done) = (home.join("bin/python"), home.join("done"));
        if !done.exists() {
            run(Command::new("python3").args(["-m", "venv"]).arg(&home));
            let package = format!("pyghmi=={VERSION}");
            run(Command::new(&python).args(["-m", "pip", "install", "--quiet", &package]));
            fs::write(done, "").unwrap();
        }
        python
    })
}

fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?}");
}

const VERSION: &str = "1.6.19";
