//! Fencing by the BMC of the box, over the network: IPMI 2.0 (RMCP+) and 1.5.
//!
//! The session is opened at the first question and kept, so that the shot itself is one packet there and one back.
//! It is asked for the power more often than a BMC forgets a session. What is said and understood is decided in
//! [`exchange`], which knows neither sockets nor clocks.
//!
//! | module | what it has |
//! |---|---|
//! | [`config`], `secrets` | the words of the configuration, and the files that they name |
//! | `line` | the socket, and what is ended when it closes |
//! | [`exchange`] | the conversation: questions, logins, time |
//! | [`session`], [`rakp`], [`suite`] | who may have said that |
//! | [`command`], [`message`], [`packet`], [`error`] | what was said |
//!
//! # Wrong passwords
//!
//! A wrong password is not tried again and again, because BMCs lock accounts: a login is tried once, and each
//! refusal doubles the time until the next. IPMI 1.5 does not tell a refusal from a packet that was lost; where
//! this password was let in before, the first silence is taken for a loss.
//!
//! # What strangers can do
//!
//! By IPMI 2.0 with suite 17 or 3 both ends show that they know the password before anything counts, and every
//! answer is signed and new. So a machine that has taken the BMC's address, and does not know the password, learns
//! the name of the user and makes us believe nothing; it can keep us from asking, which counts as a device that
//! fails, and never as *off*. It can refuse suite 17: then suite 3 is spoken, which is told once, unless the BMC
//! was asked by suite 17 before, or `cipher_suite = 17` says so. After a restart of this program that is forgotten,
//! and the word in the file is not.
//!
//! IPMI itself has a hole that no client can close: a BMC gives a signature made with the user's password to
//! everybody who sends the name of the user (RAKP 2; CVE-2013-4786), and a listener sees two of them in each login.
//! Both can then guess the password at leisure. Against that there is a password of 20 random bytes, a user for
//! this alone with the operator privilege, and a network of their own for the BMCs. One who knows the password can
//! switch the box, and as the BMC can say that it is off while it serves: two boxes serve then. The way out is
//! Redfish, where the BMC is known by its certificate.
//!
//! IPMI 1.5 and suite 0 are weaker, and are spoken only where the file says `auth` or `cipher_suite = 0`. By `auth
//! = "md5"` a machine at the BMC's address learns what it takes to guess the password, and an answer is signed with
//! the password alone; by `auth = "password"` it learns the password; by suite 0 and `auth = "none"` everybody on
//! the way can say that a box is off.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use firmware_agnostic::node::fencing::LastLoss;

use self::command::{ChassisControl, Restart};
pub use self::config::Config;
use self::error::Error;
use self::exchange::AuthMethod;
pub use self::line::hang_up;
use self::line::{BmcSocket, ShownAddress};
use self::message::IpmiRequest;
use self::secrets::Secrets;
use self::suite::Suite;
use super::{Fence, Guid, Power};
use crate::thread::deadline::Deadline;
use crate::time::clock::Clock;

pub mod command;
pub mod config;
pub mod error;
pub mod exchange;
mod line;
pub mod message;
pub mod packet;
pub mod rakp;
mod secrets;
pub mod session;
pub mod suite;

/// A BMC that holds the power of a box.
pub struct Ipmi {
    config: Config,
    line: Option<Arc<BmcSocket>>,
    identity: BmcIdentity,
    /// The suite of the last session.
    suite: Option<Suite>,
    /// The BMC has let these secrets in, and has not been silent to them since.
    known: bool,
    refused: Option<LoginRefusal>,
}

/// The box that a BMC says it is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BmcIdentity {
    /// It was not asked yet, in this session.
    Unknown,
    /// It cannot tell.
    Untold,
    /// This one.
    Told(Guid),
}

/// A login that was refused, and until when there is no other by the same secrets.
struct LoginRefusal {
    error: Error,
    secrets: Secrets,
    pause: Duration,
    until: Deadline,
}

/// Why there is no answer.
enum Failure {
    /// The BMC's reason, or what is known of it.
    Bmc(Error),
    /// That of this box, or of the network.
    Own(io::Error),
}

impl Ipmi {
    pub(super) const fn new(config: Config) -> Self {
        Self {
            config,
            line: None,
            identity: BmcIdentity::Unknown,
            suite: None,
            known: false,
            refused: None,
        }
    }

    /// Asks the BMC, or tells it, and returns the data of its answer.
    ///
    /// # Errors
    ///
    /// When it does not answer in time, or refuses; with what a person can do about it.
    pub fn ask(&mut self, request: IpmiRequest, patience: &Deadline) -> io::Result<Vec<u8>> {
        self.converse(request, patience).map_err(|failure| self.told(failure))
    }

    fn told(&self, failure: Failure) -> io::Error {
        let error = match failure {
            Failure::Bmc(error) => self.config.reach.blame(error.into()),
            Failure::Own(error) => self.config.reach.blame(error),
        };
        let bmc = ShownAddress(self.config.reach.to);
        io::Error::new(error.kind(), format!("BMC {bmc}: {error}"))
    }

    fn converse(&mut self, request: IpmiRequest, patience: &Deadline) -> Result<Vec<u8>, Failure> {
        self.may_log_in()?;
        let line = self.line()?;
        match line.ask(request, patience).map_err(Failure::Own)? {
            Ok(data) => {
                (self.known, self.refused) = (true, None);
                self.suite = line.suite().or(self.suite);
                Ok(data)
            }
            Err(error) => {
                self.note(error, &line);
                Err(Failure::Bmc(error))
            }
        }
    }

    /// Looks whether the BMC would lock the user out.
    fn may_log_in(&self) -> Result<(), Failure> {
        let Some(refused) = &self.refused else { return Ok(()) };
        let left = refused.until.left();
        if left.is_zero() || !self.config.secrets().is_ok_and(|now| now == refused.secrets) {
            return Ok(());
        }
        let (error, wait) = (refused.error, left.as_secs() + 1);
        Err(Failure::Own(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{error}; the next login is in {wait} s, so that the BMC does not lock the user out"
            ),
        )))
    }

    /// The line that is kept, unless a login on its way is signed with what is not in the files any more.
    fn line(&mut self) -> Result<Arc<BmcSocket>, Failure> {
        if let Some(line) = &self.line {
            let changed = || self.config.secrets().is_ok_and(|now| now != *line.secrets());
            if line.session().is_some() || !changed() {
                return Ok(line.clone());
            }
        }
        let line = BmcSocket::open(&self.config, self.suite).map_err(Failure::Own)?;
        Ok(self.line.insert(line).clone())
    }

    fn note(&mut self, error: Error, line: &BmcSocket) {
        let lost = error == Error::NotLetIn && self.known;
        self.known &= error != Error::NotLetIn;
        if error.locks_out() && !lost {
            let pause = self.refused.as_ref().map_or(REFUSED, |last| last.pause * 2);
            let pause = pause.min(REFUSED_MAX);
            let (until, secrets) = (Deadline::new(pause), line.secrets().clone());
            self.refused = Some(LoginRefusal { error, secrets, pause, until });
        }
        if error == Error::Another {
            self.identity = BmcIdentity::Unknown;
        }
        if !line.is_kept() {
            self.line = None;
            // The BMC behind the address may be another one by the next session. That one could not tell is no news
            // then.
            if matches!(self.identity, BmcIdentity::Told(_)) {
                self.identity = BmcIdentity::Unknown;
            }
        }
    }

    /// Asks which box the BMC is in. Any refusal means that it cannot tell: the question is optional (section 22.14).
    /// So is silence to this question alone, when the same session answers the next one at once.
    fn identify(&mut self, patience: &Deadline) -> io::Result<BmcIdentity> {
        if self.session().is_none() {
            self.power(patience)?;
        }
        let session = self.session();
        let time = (patience.left() / 2).min(GUID_TIME);
        let asked = self.converse(command::system_guid(), &patience.at_most(time));
        match asked {
            Ok(answer) => {
                return Ok(command::guid(&answer).map_or(BmcIdentity::Untold, BmcIdentity::Told));
            }
            Err(Failure::Bmc(error)) if error.is_no() && self.session().is_some() => {
                return Ok(BmcIdentity::Untold);
            }
            Err(Failure::Bmc(Error::Silent(_))) => {}
            Err(failure) => {
                let error = self.told(failure);
                return Err(io::Error::new(error.kind(), format!("{WHICH_BOX}: {error}")));
            }
        }
        let begun = Clock.now();
        self.power(patience)?;
        let took = Clock.now() - begun;
        if session.is_some() && self.session() == session && took * 2 < time {
            return Ok(BmcIdentity::Untold);
        }
        let bmc = ShownAddress(self.config.reach.to);
        Err(io::Error::other(format!(
            "{WHICH_BOX}: BMC {bmc}: the BMC does not answer that in time; give it a longer timeout, or say guid = \"any\""
        )))
    }

    fn session(&self) -> Option<u32> {
        self.line.as_ref()?.session()
    }
}

impl Fence for Ipmi {
    /// A BMC that says that it cannot do that now may have done it already, or be in the middle of something else.
    fn set_power(&mut self, power: Power, patience: &Deadline) -> io::Result<()> {
        let control = match power {
            Power::Off => ChassisControl::Off,
            Power::On => ChassisControl::On,
        };
        loop {
            let Err(failure) = self.converse(command::chassis_control(control), patience) else {
                return Ok(());
            };
            let passes = matches!(&failure, Failure::Bmc(error) if error.is_of_state());
            if !passes {
                return Err(self.told(failure));
            }
            if self.power(patience).is_ok_and(|now| now == power) {
                return Ok(());
            }
            match patience.sleep(STATE_PAUSE) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(_) => return Err(self.told(failure)),
                Ok(()) => {}
            }
        }
    }

    fn power(&mut self, patience: &Deadline) -> io::Result<Power> {
        let answer = self.ask(command::chassis_status(), patience)?;
        command::power(&answer).ok_or_else(|| Error::Nonsense.into())
    }

    fn guid(&mut self, patience: &Deadline) -> io::Result<Option<Guid>> {
        if self.identity == BmcIdentity::Unknown {
            self.identity = self.identify(patience)?;
        }
        Ok(match self.identity {
            BmcIdentity::Told(guid) => Some(guid),
            BmcIdentity::Unknown | BmcIdentity::Untold => None,
        })
    }

    fn last_loss(&mut self, patience: &Deadline) -> io::Result<Option<LastLoss>> {
        let answer = self.ask(command::restart_cause(), patience)?;
        Ok(command::restart(&answer).and_then(Restart::last_loss))
    }

    fn note_shot(&mut self, patience: &Deadline) -> io::Result<()> {
        self.ask(command::add_to_log(*b"TB"), patience).map(drop)
    }

    fn blink(&mut self, patience: &Deadline) -> io::Result<bool> {
        match self.ask(command::identify(BLINKS), patience) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn caution(&self) -> Option<String> {
        let (AuthMethod::New([best, ..]), Some(spoken)) = (self.config.way, self.suite) else {
            return None;
        };
        (spoken < *best).then(|| {
            let (best, spoken) = (best.number(), spoken.number());
            let bmc = ShownAddress(self.config.reach.to);
            format!(
                "BMC {bmc} refuses cipher suite {best}, and is asked by suite {spoken}: allow {best} in the BMC, or say \
                 cipher_suite = {spoken} if that is all it speaks"
            )
        })
    }

    fn rest(&self) -> Duration {
        REST
    }
}

/// What was asked, for people.
const WHICH_BOX: &str = "asked which box it holds (Get System GUID)";

/// RMCP (ASF 2.0 section 3.2.1).
const PORT: u16 = 623;
/// A BMC forgets a session after a minute without a question (section 6.12.15).
const REST: Duration = Duration::from_secs(20);
/// Its light, for so many seconds.
const BLINKS: u8 = 15;
/// BMCs that lock users out do so after some three wrong passwords in some minutes.
const REFUSED: Duration = Duration::from_secs(60);
const REFUSED_MAX: Duration = Duration::from_secs(15 * 60);
/// A question that the BMC need not know is asked twice in this time.
const GUID_TIME: Duration = Duration::from_millis(2500);
/// A box that is switched on or off has done so in some seconds.
const STATE_PAUSE: Duration = Duration::from_millis(500);
