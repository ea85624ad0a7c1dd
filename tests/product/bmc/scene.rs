//! What the tests share: a box, the place of the secrets, and the device of a configuration.

use std::io;
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use board::config::table::Source;
use board::fence::ipmi::{self, Ipmi};
use board::fence::{self, Fence, Guid, Power};
use board::thread::deadline::Deadline;
use lab::stage::bmc::{Bmc, Character, Chassis, Quirks};
use tempfile::TempDir;

/// A box without anything in it.
struct Lamp(bool);

impl Chassis for Lamp {
    fn is_on(&mut self) -> bool {
        self.0
    }

    fn set(&mut self, on: bool) {
        self.0 = on;
    }
}

pub(super) fn bmc(character: Character) -> Bmc {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    Bmc::serve(socket, character, Box::new(Lamp(true))).unwrap()
}

/// The same, with the quirks of others.
pub(super) fn odd(quirks: Quirks) -> Bmc {
    bmc(Character { quirks, ..Character::default() })
}

/// Where the secrets stand.
pub(super) struct Scene(TempDir);

impl Scene {
    pub(super) fn new() -> Self {
        let scene = Self(TempDir::new().unwrap());
        scene.secret("password", "secret\n");
        scene
    }

    pub(super) fn secret(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    }

    fn text(&self, port: u16, words: &str) -> String {
        format!(
            "host = \"127.0.0.1\"\nport = {port}\nuser = \"twobox\"\npassword_file = \"{}\"\n{words}\n",
            self.0.path().join("password").display()
        )
    }

    pub(super) fn device(&self, bmc: &Bmc, words: &str) -> Ipmi {
        self.device_at(bmc.address.port(), words)
    }

    pub(super) fn device_at(&self, port: u16, words: &str) -> Ipmi {
        let text = self.text(port, words);
        let source = Source::new(&text);
        let config = ipmi::Config::read(&mut source.parse());
        assert!(source.into_complaints().is_empty(), "{text}");
        config.unwrap().open()
    }

    pub(super) fn config(&self, bmc: &Bmc, words: &str) -> fence::Config {
        let text = self.text(bmc.address.port(), &format!("kind = \"ipmi\"\n{words}"));
        let source = Source::new(&text);
        let config = fence::Config::read(&mut source.parse());
        assert!(source.into_complaints().is_empty(), "{text}");
        config.unwrap()
    }
}

/// The device of a scene that is gone: the password was read when the first question was asked.
pub(super) fn device(bmc: &Bmc, words: &str) -> Kept {
    let scene = Scene::new();
    Kept { device: scene.device(bmc, words), _scene: scene }
}

pub(super) struct Kept {
    device: Ipmi,
    _scene: Scene,
}

impl Fence for Kept {
    fn set_power(&mut self, power: Power, patience: &Deadline) -> io::Result<()> {
        self.device.set_power(power, patience)
    }

    fn power(&mut self, patience: &Deadline) -> io::Result<Power> {
        self.device.power(patience)
    }

    fn guid(&mut self, patience: &Deadline) -> io::Result<Option<Guid>> {
        self.device.guid(patience)
    }

    fn caution(&self) -> Option<String> {
        self.device.caution()
    }
}

/// Tries all of them at once: most of the time of such a test is waiting.
pub(super) fn at_once<T: Sync>(cases: &[T], test: impl Fn(&T) + Sync) {
    thread::scope(|scope| {
        let test = &test;
        for case in cases {
            scope.spawn(move || test(case));
        }
    });
}

pub(super) fn seconds(seconds: u64) -> Deadline {
    Deadline::new(Duration::from_secs(seconds))
}

/// A farewell is not waited for.
pub(super) fn until(bmc: &Bmc, places: usize) {
    let begun = Instant::now();
    while bmc.places() != places {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} places are taken", bmc.places());
        thread::sleep(Duration::from_millis(5));
    }
}
