//! Fencing by Redfish, against a BMC that nobody here wrote: `sushy-emulator` of `sushy-tools` (`PyPI`), with
//! TLS. Its system takes up to eleven seconds to do as it is told.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use board::config::table::Source;
use board::fence::{self, Fence, Fenced, Power, fence, is_silent};
use board::thread::deadline::{CancelToken, Deadline};
use tempfile::TempDir;

#[test]
fn a_bmc_is_known_by_its_certificate_and_does_as_it_is_told() {
    let room = Room::new();
    let bmc = Bmc::new(&room);
    let pinned = format!("certificate = \"{}\"", room.fingerprint("cert.pem"));
    let mut device = bmc.device(&room, "secret", &pinned);
    assert_eq!(device.power(&patience()).unwrap(), Power::On);
    let guid = device.guid(&patience()).unwrap().expect("every system has a UUID");
    assert!(guid.is_same_box(GUID.parse().unwrap()));
    assert_eq!(fence(&mut *device, &patience()).unwrap(), Fenced::Shot);
    assert_eq!(device.power(&patience()).unwrap(), Power::Off);
    assert_eq!(fence(&mut *device, &patience()).unwrap(), Fenced::Already);
    device.set_power(Power::On, &patience()).unwrap();
    let waits = patience();
    while device.power(&patience()).unwrap() == Power::Off {
        waits.sleep(Duration::from_millis(200)).expect("it comes up again");
    }

    let signed = format!("ca_file = \"{}\"", room.path("ca.pem").display());
    let mut device = bmc.device(&room, "secret", &signed);
    assert_eq!(device.power(&patience()).unwrap(), Power::On);

    let mut device = bmc.device(&room, "secret", &format!("{signed}\nsystem = \"nobody\""));
    let told = device.power(&patience()).unwrap_err().to_string();
    assert!(told.contains("HTTP 404"), "{told}");

    // A stranger is not told the password.
    for (trust, reason) in [
        (format!("certificate = \"{}\"", room.fingerprint("ca.pem")), "another certificate"),
        (format!("ca_file = \"{}\"", room.path("other.pem").display()), "invalid peer certificate"),
    ] {
        let seen = bmc.requests();
        let told = bmc.device(&room, "secret", &trust).power(&patience()).unwrap_err().to_string();
        assert!(told.contains(reason), "{told}");
        assert_eq!(bmc.requests(), seen, "a request went to a stranger");
    }
    let stranger = format!("certificate = \"{}\"", room.fingerprint("ca.pem"));
    let told = bmc.device(&room, "secret", &stranger).power(&patience()).unwrap_err().to_string();
    assert!(told.contains(&room.fingerprint("cert.pem")), "{told}");

    let mut device = bmc.device(&room, "wrong", &pinned);
    let seen = bmc.requests();
    for _ in 0..5 {
        let told = device.power(&patience()).unwrap_err().to_string();
        assert!(told.contains("wrong user or password") && !told.contains("wrong\""), "{told}");
    }
    assert_eq!(bmc.requests(), seen + 1, "a wrong password was said again and again");
    room.secret("secret");
    fs::copy(room.path("secret"), room.path("wrong")).unwrap();
    assert_eq!(device.power(&patience()).unwrap(), Power::On, "a corrected one is tried at once");
}

#[test]
fn a_bmc_that_hangs_is_given_up_in_time_or_when_it_is_called_off() {
    let room = Room::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut device = device(&room, listener.local_addr().unwrap().port(), "secret", PIN);
    let error = device.power(&Deadline::new(Duration::from_millis(300))).unwrap_err();
    // Somebody has taken the connection, which is a sign of life.
    assert!(!is_silent(&error) && error.to_string().contains("timed out"), "{error}");
    let token = CancelToken::new().unwrap();
    token.cancel();
    let error = device.power(&Deadline::with_cord(Duration::from_secs(60), &token)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "{error}");
}

#[test]
fn what_speaks_no_tls_is_no_bmc() {
    let room = Room::new();
    let plain = b"HTTP/1.1 200 OK\r\n\r\n{\"PowerState\": \"Off\"}".to_vec();
    for rubbish in [plain, vec![0x16; 70_000], Vec::new()] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let talker = thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let _ = peer.read(&mut [0; 4096]);
            let _ = peer.write_all(&rubbish);
        });
        assert!(device(&room, port, "secret", PIN).power(&patience()).is_err());
        talker.join().unwrap();
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let told = device(&room, closed, "secret", PIN).power(&patience()).unwrap_err().to_string();
    assert!(told.contains("cannot be reached"), "{told}");
}

#[test]
fn mistakes_are_told() {
    let good = "host = \"192.0.2.1\"\nuser = \"u\"\npassword_file = \"/p\"\n";
    for (words, told) in [
        (String::new(), "is missing"),
        (good.to_owned(), "say one of them"),
        (format!("{good}{PIN}\nca_file = \"/x\""), "say one of them"),
        (format!("{good}certificate = \"AB:CD\""), "is no fingerprint"),
        (format!("{good}{PIN}\nsystem = \"a b\""), "is no name or path"),
        (format!("{}{PIN}", good.replace("192.0.2.1", "bmc.example")), "is not an IPv4 or IPv6"),
        (format!("{}{PIN}", good.replace("\"u\"", "\"u:v\"")), "has a colon"),
    ] {
        let text = format!("kind = \"redfish\"\n{words}\n");
        let source = Source::new(&text);
        fence::Config::read(&mut source.parse());
        let complaints = source.into_complaints();
        assert!(complaints.iter().any(|it| it.reason.contains(told)), "{words}: {complaints:?}");
    }
}

/// The emulator, with one system that is on.
struct Bmc {
    port: u16,
    process: Child,
    log: PathBuf,
}

impl Bmc {
    fn new(room: &Room) -> Self {
        room.certify();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = room.path("log");
        room.write("htpasswd", USER);
        let settings = format!(
            "SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'\nSUSHY_EMULATOR_LISTEN_PORT = {port}\n\
             SUSHY_EMULATOR_SSL_CERT = '{room}/cert.pem'\nSUSHY_EMULATOR_SSL_KEY = '{room}/key.pem'\n\
             SUSHY_EMULATOR_AUTH_FILE = '{room}/htpasswd'\nSUSHY_EMULATOR_STATE_DIR = '{room}'\n\
             SUSHY_EMULATOR_FAKE_SYSTEMS = [{{'uuid': '{GUID}', 'name': 'box', 'power_state': 'On', 'nics': []}}]\n",
            room = room.0.path().display()
        );
        let process = Command::new("sushy-emulator")
            .arg("--config")
            .arg(room.write("settings", &settings))
            .arg("--fake")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .expect("sushy-emulator, of the Python package sushy-tools");
        let bmc = Self { port, process, log };
        let start = Instant::now();
        while !bmc.said().contains("Running on") {
            assert!(start.elapsed() < Duration::from_secs(60), "{}", bmc.said());
            thread::sleep(Duration::from_millis(50));
        }
        bmc
    }

    fn device(&self, room: &Room, password: &str, trust: &str) -> Box<dyn Fence> {
        device(room, self.port, password, trust)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// How many requests have come. It notes them after it has answered.
    fn requests(&self) -> usize {
        let count = || self.said().matches(" HTTP/1.1").count();
        let mut seen = count();
        loop {
            thread::sleep(Duration::from_millis(500));
            if seen == count() {
                return seen;
            }
            seen = count();
        }
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

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// A file called as the secret that is in it.
    fn secret(&self, secret: &str) -> PathBuf {
        let path = self.write(secret, secret);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Makes two authorities, and a certificate that the first one has signed.
    fn certify(&self) {
        let authority = "-addext basicConstraints=critical,CA:TRUE";
        self.openssl(&format!("-keyout ca.key -out ca.pem -subj /CN=ca {authority}"));
        self.openssl(&format!("-keyout other.key -out other.pem -subj /CN=other {authority}"));
        self.openssl(
            "-keyout key.pem -out cert.pem -subj /CN=bmc -CA ca.pem -CAkey ca.key \
             -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE",
        );
    }

    fn openssl(&self, words: &str) {
        let output = Command::new("openssl")
            .args("req -x509 -newkey rsa:2048 -nodes -days 2".split_whitespace())
            .args(words.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn fingerprint(&self, certificate: &str) -> String {
        let output = Command::new("openssl")
            .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
            .arg(self.path(certificate))
            .output()
            .expect("openssl");
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().split_once('=').unwrap().1.to_owned()
    }
}

fn device(room: &Room, port: u16, password: &str, trust: &str) -> Box<dyn Fence> {
    let password = room.secret(password).display().to_string();
    let text = format!(
        "kind = \"redfish\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"admin\"\n\
         password_file = \"{password}\"\n{trust}\n"
    );
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

/// `htpasswd -bnBC 4 admin secret`
const USER: &str = "admin:$2b$04$OoLN4tivCjwnGbUj3GoXcOI9m2Vz3npR1MlgZDfYB52nibqpmAyPi\n";

const GUID: &str = "27946b59-9e44-4fa7-8e91-f3527a1ef094";

const PIN: &str =
    "certificate = \"0000000000000000000000000000000000000000000000000000000000000000\"";
