//! Measures the time from the order until the power is seen off, for our client and for `fence_ipmilan`.
//!
//! Both shoot the same box at the same simulator of a BMC, `ipmi_sim` on loopback, in turn: a file with a 0 or a 1
//! in it, so that all the time is the client's and the simulator's.

use std::fs::{self, File, Permissions};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use board::config::table::Source;
use board::fence::{Config, Fence, Fenced, Power, fence};
use board::thread::deadline::Deadline;

use super::row::{Row, Target};
use lab::observers::failure::{Failure, expect};

/// The times of a shot.
///
/// # Errors
///
/// When the simulator or `fence_ipmilan` is not there, or somebody did not shoot.
pub fn run() -> Result<Vec<Row>, Failure> {
    let bmc = Simulator::start()?;
    let mut warm = bmc.device()?;
    let (mut kept, mut opened, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SHOTS {
        warm.set_power(Power::On, &patience())?;
        kept.push(bmc.shot(|| Ok(fence(&mut *warm, &patience())? == Fenced::Shot))?);
        warm.set_power(Power::On, &patience())?;
        let mut cold = bmc.device()?;
        opened.push(bmc.shot(|| Ok(fence(&mut *cold, &patience())? == Fenced::Shot))?);
        warm.set_power(Power::On, &patience())?;
        theirs.push(bmc.shot(|| Ok(bmc.fence_ipmilan()?.success()))?);
    }
    let ratio = median(&theirs) / median(&kept);
    Ok(vec![
        Row::new("order to seen off, session kept", "ms", kept).at_most(Some(50.0)),
        Row::new("order to seen off, session opened for it", "ms", opened),
        Row::new("the same by fence_ipmilan, in turn", "ms", theirs),
        Row::new("as many times as fast as that, session kept", "", [ratio])
            .target(Target::AtLeast(10.0)),
    ])
}

/// A BMC that is a process, with all that belongs to it in a folder.
struct Simulator {
    folder: PathBuf,
    address: SocketAddr,
    process: Child,
}

impl Simulator {
    fn start() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("twobox-bmc-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let here = folder.display();
        let address = UdpSocket::bind(("127.0.0.1", 0))?.local_addr()?;
        let port = address.port();
        let write = |name: &str, text: String, mode| {
            let path = folder.join(name);
            fs::write(&path, text)?;
            fs::set_permissions(path, Permissions::from_mode(mode))
        };
        write("power", "1\n".to_owned(), 0o644)?;
        write("password", "secret\n".to_owned(), 0o600)?;
        write(
            "chassis",
            format!(
                "#!/bin/sh\ncase \"$*\" in 'get power') read power < {here}/power; echo power:$power;; \
                 'set power '*) echo $3 > {here}/power;; esac\n"
            ),
            0o755,
        )?;
        write(
            "lan.conf",
            format!(
                "name \"box\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {port}\npriv_limit admin\n\
                 allowed_auths_operator md5\nallowed_auths_admin md5\n\
                 guid 00112233445566778899aabbccddeeff\nendlan\nchassis_control \"{here}/chassis\"\n\
                 user 2 true \"twobox\" \"secret\" admin 10 md5\n"
            ),
            0o644,
        )?;
        write(
            "commands",
            "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n"
                .to_owned(),
            0o644,
        )?;
        let said = File::create(folder.join("said"))?;
        let process = Command::new("ipmi_sim")
            .args(["-n", "-c", "lan.conf", "-f", "commands", "-s", "."])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .map_err(|error| Failure(format!("ipmi_sim (package openipmi): {error}")))?;
        let simulator = Self { folder, address, process };
        // It is up when it answers.
        simulator.device()?.power(&patience())?;
        Ok(simulator)
    }

    fn device(&self) -> Result<Box<dyn Fence>, Failure> {
        let text = format!(
            "kind = \"ipmi\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"twobox\"\n\
             password_file = \"{}/password\"\ncipher_suite = 3\n",
            self.address.port(),
            self.folder.display()
        );
        let source = Source::new(&text);
        let config = Config::read(&mut source.parse());
        config.map(|config| config.open()).ok_or_else(|| Failure(text.clone()))
    }

    /// The milliseconds that a shot takes.
    fn shot(&self, shoot: impl FnOnce() -> Result<bool, Failure>) -> Result<f64, Failure> {
        let start = Instant::now();
        let done = shoot()?;
        let took = start.elapsed().as_secs_f64() * 1000.0;
        let power = fs::read_to_string(self.folder.join("power"))?;
        expect(done && power.trim() == "0", "the box was not shot")?;
        Ok(took)
    }

    fn fence_ipmilan(&self) -> io::Result<std::process::ExitStatus> {
        let port = self.address.port().to_string();
        let agent = Path::new("/usr/sbin/fence_ipmilan");
        Command::new(agent)
            .args(["-a", "127.0.0.1", "-u", &port, "-P", "-C", "3", "-l", "twobox", "-p", "secret"])
            .args(["-o", "off"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("fence_ipmilan (package fence-agents): {error}"),
                )
            })
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // What is left of it is in the folder for temporary files.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn patience() -> Deadline {
    Deadline::new(Duration::from_secs(20))
}

const SHOTS: usize = 10;
