//! The words of a BMC in the configuration.

use std::io;
use std::path::PathBuf;

use super::command::Privilege;
use super::exchange::AuthMethod;
use super::rakp::Login;
use super::secrets::Secrets;
use super::session::Kind;
use super::suite::Suite;
use super::{Ipmi, PORT};
use crate::config::requirement::Requirement;
use crate::config::table::Table;
use crate::fence::bmc_route::Reach;

/// `kind = "ipmi"`
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) reach: Reach,
    user: String,
    password_file: PathBuf,
    key_file: Option<PathBuf>,
    privilege: Privilege,
    pub(super) way: AuthMethod,
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
        let user: Option<String> = table.require("user");
        if user.as_ref().is_some_and(|user| user.len() > USER_MAX) {
            table.error("user", format!("is longer than the {USER_MAX} bytes of a user"));
        }
        let password_file: Option<PathBuf> = table.require("password_file");
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
    pub fn needs(&self) -> Vec<Requirement> {
        let files = [Some(&self.password_file), self.key_file.as_ref()];
        files.into_iter().flatten().cloned().map(Requirement::Secret).collect()
    }

    /// The device; nothing is asked yet.
    pub fn open(&self) -> Ipmi {
        Ipmi::new(self.clone())
    }

    /// The secrets as they are now.
    pub(super) fn secrets(&self) -> io::Result<Secrets> {
        Secrets::read(&self.password_file, self.key_file.as_deref())
    }

    /// The login by the secrets as they are now: a password that was changed is taken at the next login.
    pub(super) fn login(&self) -> io::Result<Login> {
        let Secrets { password, key } = self.secrets()?;
        let limit =
            if matches!(self.way, AuthMethod::New(_)) { PASSWORD_MAX } else { OLD_PASSWORD_MAX };
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

/// Nothing weaker than suite 3 is spoken unless it stands here.
fn read_way(table: &mut Table<'_>) -> AuthMethod {
    let number: Option<u8> = table.take("cipher_suite");
    let auth = table.choose("auth", &AUTHS);
    if let (Some(_), Some(kind)) = (number, auth) {
        table.error("auth", "is of IPMI 1.5, and cipher_suite of 2.0: take one of them out");
        return AuthMethod::Old(kind);
    }
    if let Some(kind) = auth {
        return AuthMethod::Old(kind);
    }
    let Some(number) = number else { return AuthMethod::New(&[Suite::Sha256, Suite::Sha1]) };
    match Suite::of(number) {
        Some(Suite::Sha256) => AuthMethod::New(&[Suite::Sha256]),
        Some(Suite::Sha1) => AuthMethod::New(&[Suite::Sha1]),
        Some(Suite::Nothing) => AuthMethod::New(&[Suite::Nothing]),
        None => {
            table.error("cipher_suite", "is none of 17, 3, and 0 (which lets everybody in)");
            AuthMethod::New(&[])
        }
    }
}

const PRIVILEGES: [(&str, Privilege); 2] =
    [("operator", Privilege::Operator), ("administrator", Privilege::Administrator)];

const AUTHS: [(&str, Kind); 3] =
    [("md5", Kind::Md5), ("password", Kind::Password), ("none", Kind::Nothing)];

/// Section 22.28.
const USER_MAX: usize = 16;
/// Section 22.30, for IPMI 2.0 and 1.5.
const PASSWORD_MAX: usize = 20;
const OLD_PASSWORD_MAX: usize = 16;
