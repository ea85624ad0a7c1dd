//! What the tests share: a directory with the box that is shot and the secrets, and the device of a configuration.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use board::config::table::Source;
use board::fence::ipmi::{self, Ipmi};
use board::thread::deadline::Deadline;
use tempfile::TempDir;

/// A box, and the place where everything about it stands.
pub(crate) struct Scene {
    pub(crate) directory: TempDir,
}

impl Scene {
    /// A box whose power is on.
    pub(crate) fn new() -> Self {
        let scene = Self { directory: TempDir::new().unwrap() };
        scene.write("power", "1\n", 0o644);
        scene.write("orders", "", 0o644);
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    pub(crate) fn is_on(&self) -> bool {
        fs::read_to_string(self.path("power")).unwrap().trim() == "1"
    }

    /// What was ordered of the chassis.
    pub(crate) fn orders(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("orders")).unwrap();
        text.lines().filter(|line| !line.starts_with("get")).map(str::to_owned).collect()
    }

    /// The BMC at `to`, as `user` whose password is `password`.
    pub(crate) fn device(&self, to: SocketAddr, user: &str, password: &str, words: &str) -> Ipmi {
        self.write("password", password, 0o600);
        let text = format!(
            "host = \"{}\"\nport = {}\nuser = \"{user}\"\npassword_file = \"{}\"\n{words}\n",
            to.ip(),
            to.port(),
            self.path("password").display()
        );
        let source = Source::new(&text);
        let mut table = source.parse();
        let config = ipmi::Config::read(&mut table);
        table.finish();
        let complaints = source.into_complaints();
        assert!(complaints.is_empty(), "{complaints:?}");
        config.unwrap().open()
    }
}

/// An address of this machine where nobody listens.
pub(crate) fn free(ip: impl Into<IpAddr>) -> SocketAddr {
    UdpSocket::bind((ip.into(), 0)).unwrap().local_addr().unwrap()
}

pub(crate) fn loopback() -> SocketAddr {
    free(Ipv4Addr::LOCALHOST)
}

pub(crate) fn seconds(seconds: u64) -> Deadline {
    Deadline::new(Duration::from_secs(seconds))
}
