//! Fencing by the BMC of the box, over the network: IPMI 2.0 (RMCP+) and 1.5.
//!
//! The session is opened at the first question and kept, so that the shot itself is one packet there and one back. It is
//! asked for the power more often than a BMC forgets a session. What is said and understood is decided in [`exchange`],
//! which knows neither sockets nor clocks; here stand the words of the configuration, the socket and the secrets.
//!
//! A wrong password is not tried again and again, because BMCs lock accounts: a login is tried once, and each refusal
//! doubles the time until the next. IPMI 1.5 does not tell a refusal from a packet that was lost; where this password was
//! let in before, the first silence is taken for a loss.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firmware_agnostic::shot::LastLoss;
use zeroize::Zeroizing;

use self::command::{Control, Privilege, Restart};
use self::error::Error;
use self::exchange::{Exchange, Step, Way};
use self::message::Request;
use self::rakp::Login;
use self::session::Kind;
use self::suite::Suite;
use super::reach::Reach;
use super::{Fence, Guid, Power};
use crate::clock::Clock;
use crate::need::Need;
use crate::patience::Patience;
use crate::secret::Secret;
use crate::table::Table;

pub mod command;
pub mod error;
pub mod exchange;
pub mod message;
pub mod packet;
pub mod rakp;
pub mod session;
pub mod suite;

/// `kind = "ipmi"`
#[derive(Clone, Debug)]
pub struct Config {
    reach: Reach,
    user: String,
    password_file: PathBuf,
    key_file: Option<PathBuf>,
    privilege: Privilege,
    way: Way,
}

/// Two users of one BMC cut the same power.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.reach.to == other.reach.to
    }
}

impl Eq for Config {}

impl Config {
    /// Reads the words of a BMC.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let reach = Reach::read(table, PORT);
        let user: Option<String> = table.need("user");
        if user.as_ref().is_some_and(|user| user.len() > USER_MAX) {
            table.complain("user", format!("is longer than the {USER_MAX} bytes of a user"));
        }
        let password_file: Option<PathBuf> = table.need("password_file");
        let key_file = table.take("kg_file");
        let privilege = table.choose("privilege", &PRIVILEGES).unwrap_or(Privilege::Operator);
        let way = read_way(table);
        Some(Self {
            reach: reach?,
            user: user?,
            password_file: password_file?,
            key_file,
            privilege,
            way,
        })
    }

    /// What must be there: the files of the secrets.
    pub fn needs(&self) -> Vec<Need> {
        let files = [Some(&self.password_file), self.key_file.as_ref()];
        files.into_iter().flatten().cloned().map(Need::Secret).collect()
    }

    /// The device; nothing is asked yet.
    pub fn open(&self) -> Ipmi {
        Ipmi { config: self.clone(), line: None, guid: None, known: false, refused: None }
    }

    fn secrets(&self) -> io::Result<Secrets> {
        let key = self.key_file.as_deref().map(read_key).transpose()?;
        Ok((read_secret(&self.password_file)?, key))
    }

    /// The secrets as they are now: a password that was changed is taken at the next login.
    fn login(&self) -> io::Result<Login> {
        let (password, key) = self.secrets()?;
        let limit = if matches!(self.way, Way::New(_)) { PASSWORD_MAX } else { OLD_PASSWORD_MAX };
        if password.len() > limit {
            let file = self.password_file.display();
            return Err(io::Error::other(format!(
                "{file}: is longer than the {limit} bytes of a password: a BMC that takes more cuts it off"
            )));
        }
        let user = self.user.clone().into_bytes();
        Ok(Login { user, password, key, privilege: self.privilege })
    }
}

fn read_way(table: &mut Table<'_>) -> Way {
    let number: Option<u8> = table.take("cipher_suite");
    let auth = table.choose("auth", &AUTHS);
    if let (Some(_), Some(kind)) = (number, auth) {
        table.complain("auth", "is of IPMI 1.5, and cipher_suite of 2.0: take one of them out");
        return Way::Old(kind);
    }
    if let Some(kind) = auth {
        return Way::Old(kind);
    }
    let Some(number) = number else { return Way::New(&[Suite::Sha256, Suite::Sha1]) };
    match Suite::of(number) {
        Some(Suite::Sha256) => Way::New(&[Suite::Sha256]),
        Some(Suite::Sha1) => Way::New(&[Suite::Sha1]),
        Some(Suite::Nothing) => Way::New(&[Suite::Nothing]),
        None => {
            table.complain("cipher_suite", "is none of 17, 3, and 0 (which lets everybody in)");
            Way::New(&[])
        }
    }
}

/// A BMC that holds the power of a box.
pub struct Ipmi {
    config: Config,
    line: Option<Line>,
    /// The box that the BMC of this session says it is in.
    guid: Option<Guid>,
    /// The BMC has let these secrets in, and has not been silent to them since.
    known: bool,
    refused: Option<Refusal>,
}

/// A password, and the key of the BMC.
type Secrets = (Zeroizing<Vec<u8>>, Option<Zeroizing<Vec<u8>>>);

/// What goes to the BMC, and what is said over it.
struct Line {
    socket: UdpSocket,
    exchange: Exchange,
    /// What the network said of a datagram, last.
    trouble: Option<io::Error>,
}

/// A login that was refused, and until when there is no other by the same secrets.
struct Refusal {
    error: Error,
    secrets: Option<Secrets>,
    pause: Duration,
    until: Patience,
}

impl Ipmi {
    /// Asks the BMC, or tells it, and returns the data of its answer.
    ///
    /// # Errors
    ///
    /// When it does not answer in time, or refuses; with what a person can do about it.
    pub fn ask(&mut self, request: Request, patience: &Patience) -> io::Result<Vec<u8>> {
        self.converse(request, patience).map_err(|error| {
            let Reach { to, .. } = self.config.reach;
            let error = self.config.reach.blame(error);
            io::Error::new(error.kind(), format!("BMC {}: {error}", Shown(to)))
        })
    }

    fn converse(&mut self, request: Request, patience: &Patience) -> io::Result<Vec<u8>> {
        if let Some(refused) = &self.refused
            && !refused.until.left().is_zero()
            && refused.secrets == self.config.secrets().ok()
        {
            let (error, wait) = (refused.error, refused.until.left().as_secs() + 1);
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{error}; the next login is in {wait} s, so that the BMC does not lock the user out"
                ),
            ));
        }
        let line = match &mut self.line {
            Some(line) => line,
            None => self.line.insert(Line::open(&self.config)?),
        };
        match line.ask(request, patience)? {
            Ok(data) => {
                (self.known, self.refused) = (true, None);
                Ok(data)
            }
            Err(error) => {
                let lost = error == Error::NotLetIn && self.known;
                self.known &= error != Error::NotLetIn;
                if error.locks_out() && !lost {
                    let pause = self.refused.as_ref().map_or(REFUSED, |last| last.pause * 2);
                    let pause = pause.min(REFUSED_MAX);
                    let (until, secrets) = (Patience::new(pause), self.config.secrets().ok());
                    self.refused = Some(Refusal { error, secrets, pause, until });
                }
                if !line.exchange.is_kept() {
                    // The BMC behind the address may be another one by the next session, and the secrets too.
                    (self.line, self.guid) = (None, None);
                }
                Err(error.into())
            }
        }
    }
}

impl Fence for Ipmi {
    fn set_power(&mut self, power: Power, patience: &Patience) -> io::Result<()> {
        let control = match power {
            Power::Off => Control::Off,
            Power::On => Control::On,
        };
        self.ask(command::chassis_control(control), patience).map(drop)
    }

    fn power(&mut self, patience: &Patience) -> io::Result<Power> {
        let answer = self.ask(command::chassis_status(), patience)?;
        command::power(&answer).ok_or_else(|| Error::Nonsense.into())
    }

    fn guid(&mut self, patience: &Patience) -> io::Result<Option<Guid>> {
        if self.guid.is_none() {
            self.guid = match self.ask(command::system_guid(), patience) {
                Ok(answer) => command::guid(&answer),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
                Err(error) => return Err(error),
            };
        }
        Ok(self.guid)
    }

    fn last_loss(&mut self, patience: &Patience) -> io::Result<Option<LastLoss>> {
        let answer = self.ask(command::restart_cause(), patience)?;
        Ok(command::restart(&answer).and_then(Restart::last_loss))
    }

    fn note_shot(&mut self, patience: &Patience) -> io::Result<()> {
        self.ask(command::add_to_log(*b"TB"), patience).map(drop)
    }

    fn blink(&mut self, patience: &Patience) -> io::Result<bool> {
        match self.ask(command::identify(BLINKS), patience) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rest(&self) -> Duration {
        REST
    }
}

impl Line {
    fn open(config: &Config) -> io::Result<Self> {
        let to = config.reach.to;
        let near = match to {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((near, 0))?;
        // From now on the kernel drops what comes from any other address.
        socket.connect(to).map_err(|error| unreachable(&error))?;
        socket.set_nonblocking(true)?;
        let exchange = Exchange::new(config.login()?, config.way, random);
        Ok(Self { socket, exchange, trouble: None })
    }

    /// The outer error is ours or the network's, the inner one the BMC's.
    fn ask(&mut self, request: Request, patience: &Patience) -> io::Result<Result<Vec<u8>, Error>> {
        let now = Clock.now();
        let mut step = self.exchange.ask(request, now, now + patience.left());
        let mut buffer = [0; DATAGRAM_MAX];
        self.trouble = None;
        loop {
            if let Some(datagram) = step.send {
                // What cannot be sent now is sent again, as what was lost.
                self.trouble = self.socket.send(&datagram).err().or(self.trouble.take());
            }
            match (step.end, self.trouble.take()) {
                (Some(Err(Error::Silent(_))), Some(trouble)) => return Err(unreachable(&trouble)),
                (Some(end), _) => return Ok(end),
                (None, trouble) => self.trouble = trouble,
            }
            step = self.next(&mut buffer, patience)?;
        }
    }

    fn next(&mut self, buffer: &mut [u8], patience: &Patience) -> io::Result<Step> {
        let pause = self.exchange.wake() - Clock.now();
        match patience.at_most(pause).readable(&[self.socket.as_fd()]) {
            Ok(_) => match self.socket.recv(buffer) {
                Ok(length) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    Ok(self.exchange.heard(datagram, Clock.now()))
                }
                // Nobody listens there, yet: a BMC that starts says so too.
                Err(error) => {
                    self.trouble = Some(error);
                    Ok(self.exchange.late(Clock.now()))
                }
            },
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Ok(self.exchange.late(Clock.now()))
            }
            Err(error) => {
                self.exchange.call_off();
                Err(error)
            }
        }
    }
}

impl Drop for Line {
    /// Ends the session, so that its place in the BMC is free.
    fn drop(&mut self) {
        if let Some(farewell) = self.exchange.close() {
            let _ = self.socket.send(&farewell);
        }
    }
}

/// An address as people write it: the port only where it is not the usual one.
struct Shown(SocketAddr);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.port() == PORT { self.0.ip().fmt(f) } else { self.0.fmt(f) }
    }
}

fn unreachable(error: &io::Error) -> io::Error {
    let reason = if error.kind() == io::ErrorKind::ConnectionRefused {
        "nobody listens there: see whether IPMI over LAN is switched on, and at this port"
            .to_owned()
    } else {
        format!("there is no way to it: {error}; look at the network of this box")
    };
    io::Error::new(error.kind(), reason)
}

fn random(bytes: &mut [u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        // Fails only before the kernel has collected enough, and then waits.
        let filled = rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty());
        rest = rest.get_mut(filled.unwrap_or(0)..).unwrap_or_default();
    }
}

fn read_secret(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let secret = Secret::read(path).map_err(|error| {
        io::Error::new(error.kind(), format!("the secret in {}: {error}", path.display()))
    })?;
    Ok(Zeroizing::new(secret.expose().as_bytes().to_vec()))
}

/// A key is a text, or its bytes in hexadecimal digits after `0x`.
fn read_key(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let text = read_secret(path)?;
    let key = match text.strip_prefix(b"0x") {
        None => Some(text.clone()),
        Some(digits) => from_hex(digits),
    };
    key.filter(|key| !key.is_empty() && key.len() <= PASSWORD_MAX).ok_or_else(|| {
        io::Error::other(format!(
            "{}: is no key: write at most {PASSWORD_MAX} bytes, as text or as 0x and digits",
            path.display()
        ))
    })
}

fn from_hex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let value = |digit: &u8| char::from(*digit).to_digit(16).map(|value| value as u8);
    // With room for all of it, so that no piece stays behind where it grew.
    let mut key = Zeroizing::new(Vec::with_capacity(digits.len()));
    for pair in digits.chunks(2) {
        let [high, low] = pair else { return None };
        key.push(value(high)? << 4 | value(low)?);
    }
    Some(key)
}

const PRIVILEGES: [(&str, Privilege); 2] =
    [("operator", Privilege::Operator), ("administrator", Privilege::Administrator)];

const AUTHS: [(&str, Kind); 3] =
    [("md5", Kind::Md5), ("password", Kind::Password), ("none", Kind::Nothing)];

/// RMCP (ASF 2.0 section 3.2.1).
const PORT: u16 = 623;
/// Section 22.28.
const USER_MAX: usize = 16;
/// Section 22.30, for IPMI 2.0 and 1.5.
const PASSWORD_MAX: usize = 20;
const OLD_PASSWORD_MAX: usize = 16;
/// A BMC forgets a session after a minute without a question (section 6.12.15).
const REST: Duration = Duration::from_secs(20);
/// Its light, for so many seconds.
const BLINKS: u8 = 15;
/// BMCs that lock users out do so after some three wrong passwords in some minutes.
const REFUSED: Duration = Duration::from_secs(60);
const REFUSED_MAX: Duration = Duration::from_secs(15 * 60);
/// What is longer than any answer of IPMI is none.
const DATAGRAM_MAX: usize = 1024;
