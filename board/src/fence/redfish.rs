//! Fencing by a BMC that speaks Redfish, over HTTPS (DMTF DSP0266; `ComputerSystem` of DSP0268).
//!
//! `ForceOff` and `On` by the action `ComputerSystem.Reset`, the power from `PowerState`, whose power it is from
//! `UUID`. The BMC is known by the fingerprint of its certificate, or by an authority that has signed it; it is
//! never asked without. A fingerprint is the better choice for a box without a clock that runs while it is off: an
//! authority's word has a date. The connection is kept open between two questions, as far as the BMC lets it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use firmware_agnostic::time::Instant;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use zeroize::Zeroizing;

use super::bmc_route::Reach;
use super::{Fence, Guid, Power};
use crate::config::requirement::Requirement;
use crate::config::secret::Secret;
use crate::config::table::Table;
use crate::thread::deadline::Deadline;
use crate::time::clock::Clock;

mod http;
mod tls;
mod trust;

use http::HttpResponse;
use tls::Stream;
use trust::{CertificateFingerprint, CertificateTrust};

/// `kind = "redfish"`
#[derive(Clone, Debug)]
pub struct Config {
    reach: Reach,
    user: String,
    password_file: PathBuf,
    trust: CertificateTrust,
    /// One of several systems behind one BMC.
    system: Option<String>,
}

/// Two users of one system cut the same power.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        (self.reach.to, &self.system) == (other.reach.to, &other.system)
    }
}

impl Eq for Config {}

impl Config {
    /// Reads the words of a BMC.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let reach = Reach::read(table, PORT);
        let user: Option<String> = table.require("user");
        if user.as_ref().is_some_and(|user| user.contains(':')) {
            table.error("user", "has a colon, which no user of HTTP can have");
        }
        let password_file = table.require("password_file");
        let system: Option<String> = table.take("system");
        if system.as_ref().is_some_and(|system| !http::is_path(&path_of(system))) {
            table.error("system", "is no name or path of a system, such as \"1\"");
        }
        let trust = match (
            table.take::<CertificateFingerprint>("certificate"),
            table.take("ca_file"),
        ) {
            (Some(fingerprint), None) => Some(CertificateTrust::Certificate(fingerprint)),
            (None, Some(file)) => Some(CertificateTrust::Authority(file)),
            _ => {
                table.error(
                    "certificate",
                    "says who is believed to be the BMC, or ca_file does, who signed it: say one of them",
                );
                None
            }
        };
        Some(Self {
            reach: reach?,
            user: user?,
            password_file: password_file?,
            trust: trust?,
            system,
        })
    }

    /// What must be there: the file of the password.
    pub fn needs(&self) -> Vec<Requirement> {
        vec![Requirement::Secret(self.password_file.clone())]
    }

    /// The device; nothing is asked yet.
    pub fn open(&self) -> Redfish {
        Redfish {
            config: self.clone(),
            tls: None,
            stream: None,
            system: None,
            guid: None,
            refused: None,
        }
    }
}

/// A BMC that holds the power of a box.
pub struct Redfish {
    config: Config,
    tls: Option<Arc<ClientConfig>>,
    stream: Option<Stream>,
    /// The path of the system, once it is known.
    system: Option<String>,
    guid: Option<Guid>,
    /// A password that was refused, and when: to try it again and again would lock the account.
    refused: Option<(Secret, Instant)>,
}

impl Redfish {
    /// The system as it is now.
    fn look(&mut self, patience: &Deadline) -> io::Result<Value> {
        let path = self.path(patience)?;
        self.ask("GET", &path, None, patience)
    }

    fn path(&mut self, patience: &Deadline) -> io::Result<String> {
        if let Some(path) = &self.system {
            return Ok(path.clone());
        }
        let path = match &self.config.system {
            Some(system) => path_of(system),
            None => only_member(&self.ask("GET", SYSTEMS, None, patience)?)?,
        };
        Ok(self.system.insert(path).clone())
    }

    /// Asks once, or once more over a new connection where the old one was closed meanwhile.
    fn ask(
        &mut self,
        verb: &str,
        path: &str,
        body: Option<&Value>,
        patience: &Deadline,
    ) -> io::Result<Value> {
        let password = Secret::read_line(&self.config.password_file)?;
        if let Some((refused, when)) = &self.refused
            && *refused == password
            && Clock.now() - *when < REFUSED
        {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, WRONG));
        }
        let request = self.request(verb, path, body, &password)?;
        let kept = self.stream.take();
        let answered = kept.and_then(|mut stream| {
            let response = stream.ask(request.as_bytes(), patience).ok()?;
            Some((stream, response))
        });
        let (stream, response) = if let Some(answered) = answered {
            answered
        } else {
            patience.still_wanted()?;
            let mut stream = self.connect(patience)?;
            // It has let us in, so that it is there, also where something else is wrong.
            let response = stream.ask(request.as_bytes(), patience).map_err(|error| {
                if super::is_silent(&error) { io::Error::other(error) } else { error }
            })?;
            (stream, response)
        };
        if response.keeps {
            self.stream = Some(stream);
        }
        self.refused = (response.status == 401).then(|| (password, Clock.now()));
        understood(&response)
    }

    fn connect(&mut self, patience: &Deadline) -> io::Result<Stream> {
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            None => self.tls.insert(self.config.trust.client()?).clone(),
        };
        let Reach { to, .. } = self.config.reach;
        let opened = Stream::open(to, ServerName::from(to.ip()), tls, patience);
        opened.map_err(|error| self.config.reach.blame(error))
    }

    /// The text of a request, which is wiped when it has been sent.
    fn request(
        &self,
        verb: &str,
        path: &str,
        body: Option<&Value>,
        password: &Secret,
    ) -> io::Result<Zeroizing<String>> {
        if !http::is_path(path) {
            return Err(io::Error::other(format!("the BMC names {path:?}, which is no path")));
        }
        let Config { reach: Reach { to, .. }, user, .. } = &self.config;
        let login = Zeroizing::new([user, ":", password.expose()].concat());
        let login = Zeroizing::new(Base64::encode_string(login.as_bytes()));
        let body = body.map(Value::to_string);
        let length = body.as_ref().map_or(0, String::len);
        let content = if body.is_some() { "Content-Type: application/json\r\n" } else { "" };
        let body = body.unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(REQUEST_MAX));
        let parts = [
            &format!("{verb} {path} HTTP/1.1\r\nHost: {to}\r\nAuthorization: Basic "),
            &*login,
            "\r\nAccept: application/json\r\nOData-Version: 4.0\r\n",
            content,
            &format!("Content-Length: {length}\r\n\r\n{body}"),
        ];
        for part in parts {
            text.push_str(part);
        }
        Ok(text)
    }
}

impl Fence for Redfish {
    fn set_power(&mut self, power: Power, patience: &Deadline) -> io::Result<()> {
        let path = self.path(patience)?;
        let kind = match power {
            Power::Off => "ForceOff",
            Power::On => "On",
        };
        // Where the action is stands in the system; where DSP0266 puts it, if the system cannot be read in time.
        let usual = format!("{path}/Actions/ComputerSystem.Reset");
        let said = self.look(&patience.at_most(patience.left() / 4)).ok();
        let target = said.as_ref().and_then(|system| {
            system.pointer("/Actions/#ComputerSystem.Reset/target").and_then(Value::as_str)
        });
        patience.still_wanted()?;
        let body = serde_json::json!({ "ResetType": kind });
        self.ask("POST", target.unwrap_or(&usual), Some(&body), patience).map(drop)
    }

    fn power(&mut self, patience: &Deadline) -> io::Result<Power> {
        let system = self.look(patience)?;
        match system.get("PowerState").and_then(Value::as_str) {
            Some("Off") => Ok(Power::Off),
            Some("On" | "PoweringOn" | "PoweringOff" | "Paused") => Ok(Power::On),
            other => Err(io::Error::other(format!("the BMC says a PowerState of {other:?}"))),
        }
    }

    fn guid(&mut self, patience: &Deadline) -> io::Result<Option<Guid>> {
        if self.guid.is_none() {
            let system = self.look(patience)?;
            let guid = system.get("UUID").and_then(Value::as_str);
            self.guid =
                guid.and_then(|text| text.parse().ok()).filter(|guid: &Guid| !guid.is_blank());
        }
        Ok(self.guid)
    }
}

/// What the BMC has answered, if it has done as it was told.
fn understood(response: &HttpResponse) -> io::Result<Value> {
    let value = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
    match response.status {
        200..=299 => Ok(value),
        401 => Err(io::Error::new(io::ErrorKind::PermissionDenied, WRONG)),
        403 => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the BMC does not let this user do that: give it the role Operator",
        )),
        status => {
            let said = value.pointer("/error/@Message.ExtendedInfo/0/Message");
            let said = said.or_else(|| value.pointer("/error/message")).and_then(Value::as_str);
            let said: String = said.unwrap_or("no reason").chars().take(REASON_MAX).collect();
            Err(io::Error::other(format!("the BMC answers HTTP {status}: {:?}", said.trim())))
        }
    }
}

/// The one system of a collection.
fn only_member(systems: &Value) -> io::Result<String> {
    let members = systems.get("Members").and_then(Value::as_array);
    let paths: Vec<_> = members
        .into_iter()
        .flatten()
        .filter_map(|member| member.get("@odata.id").and_then(Value::as_str))
        .collect();
    match paths.as_slice() {
        [path] => Ok((*path).to_owned()),
        [] => Err(io::Error::other("the BMC names no system")),
        several => Err(io::Error::other(format!(
            "the BMC has several systems: say system = one of {}",
            several.join(", ")
        ))),
    }
}

fn path_of(system: &str) -> String {
    if system.starts_with('/') { system.to_owned() } else { format!("{SYSTEMS}/{system}") }
}

const WRONG: &str =
    "wrong user or password: correct user or password_file, or set the user's password in the BMC";

const SYSTEMS: &str = "/redfish/v1/Systems";

const PORT: u16 = 443;

/// Lines of a head with the longest path and password; what is longer is no secret.
const REQUEST_MAX: usize = 4096;

/// A sentence.
const REASON_MAX: usize = 200;

/// A BMC that locks accounts forgets wrong passwords after a few minutes.
const REFUSED: Duration = Duration::from_secs(600);
