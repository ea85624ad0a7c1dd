//! Why there is no answer that helps, in words for a person.

use std::fmt;
use std::io;

use super::command;
use super::message::IpmiRequest;
use super::suite::Suite;

/// Why a BMC could not be asked, or would not answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Error {
    /// It does not answer; it has given another sign of life, such as the answer to a ping.
    Silent(bool),
    /// It answers, and is not done in time.
    Slow,
    /// The user's password is another one.
    Password,
    /// It has kept only the beginning of the password.
    CutOff,
    /// It does not answer a login by IPMI 1.5, as it does when the password is another one.
    NotLetIn,
    /// Its own key (Kg) is another one, or ours is missing.
    Key,
    /// It has no such user, or none that may come over the network.
    User,
    /// The user may not do that.
    Privilege,
    /// All its sessions are taken.
    Full,
    /// It does not speak that suite.
    Suite(Suite),
    /// It does not speak that suite any more, by which it was asked before.
    Weaker(Suite),
    /// It does not speak IPMI 2.0.
    OldOnly,
    /// It does not let anybody in by that kind of IPMI 1.5.
    Kind,
    /// The BMC does not sign what it says in an IPMI 1.5 session.
    Unsigned,
    /// It does not know the command.
    Unknown,
    /// It cannot do that as things are.
    State,
    /// It is busy, and stays so.
    Busy,
    /// It refused the login with that status, which says nothing of the password.
    Login(u8),
    /// It refused the command, with that completion code.
    Refused(u8),
    /// Another BMC has come to its address.
    Another,
    /// Its answer is too short, or is none to the question.
    Nonsense,
}

impl Error {
    /// By the status of an Open Session Response (table 13-15). Which user it is for is not known yet, so that a
    /// refusal is one of the suite: some BMCs have another for a suite that was switched off (Supermicro X8DTG
    /// 0x0a, MSI MS-91D2 0x12).
    pub const fn of_opening(status: u8, suite: Suite) -> Self {
        match status {
            0x01 => Self::Full,
            _ => Self::Suite(suite),
        }
    }

    /// By the status of RAKP Message 2 (table 13-15).
    pub const fn of_status(status: u8) -> Self {
        match status {
            0x01 | 0x0b => Self::Full,
            0x09 | 0x0a => Self::Privilege,
            0x0c | 0x0d => Self::User,
            other => Self::Login(other),
        }
    }

    /// By the status of RAKP Message 4. The password is right by then, also where the status speaks of a wrong
    /// signature: one of several first messages was answered that the BMC counts as the last.
    pub const fn of_proof(status: u8) -> Self {
        match Self::of_status(status) {
            Self::User => Self::Login(status),
            other => other,
        }
    }

    /// By a completion code that is not the command's own (table 5-2).
    pub const fn of_code(code: u8) -> Self {
        match code {
            0xc0 | 0xc3 | 0xce | 0xd1 | 0xd2 => Self::Busy,
            0xc1 | 0xc2 => Self::Unknown,
            0xd4 => Self::Privilege,
            0xd3 | 0xd5 | 0xd6 => Self::State,
            other => Self::Refused(other),
        }
    }

    /// Whether it may answer later what it did not answer now. Some BMCs say 0xff to everything while they boot
    /// (openbmc issue 1810).
    pub const fn may_pass(self, request: &IpmiRequest) -> bool {
        match self {
            Self::Busy => true,
            Self::Refused(0xff) => command::is_basic(request),
            _ => false,
        }
    }

    /// Whether it may be that what was ordered is so already, or that it can be done in a moment: some BMCs refuse
    /// to switch a box off that is off (Dell; bmclib issue 382), and some while it is switched on (op-test issue
    /// 363).
    pub const fn is_of_state(self) -> bool {
        matches!(self, Self::State | Self::Refused(0xff))
    }

    /// Whether it has understood the question, and says no to it.
    pub const fn is_no(self) -> bool {
        matches!(
            self,
            Self::Unknown | Self::State | Self::Privilege | Self::Refused(_) | Self::Nonsense
        )
    }

    /// Whether to ask again does harm: BMCs lock the account of a user who has often come with a wrong password.
    pub const fn locks_out(self) -> bool {
        matches!(self, Self::Password | Self::CutOff | Self::NotLetIn | Self::Key | Self::User)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent(false) => {
                "the BMC does not answer: look at its address, its cable, and whether IPMI over LAN is switched on"
            }
            Self::Silent(true) => {
                "the BMC answers a ping and not this question: see whether IPMI over LAN is switched on in it"
            }
            Self::Password => "wrong password: correct password_file, or set the user's password in the BMC",
            Self::CutOff => {
                "the BMC has kept only the first 16 bytes of the password: give it all of it (ipmitool user set password ID \
                 PASSWORD 20), or write only these into password_file"
            }
            Self::NotLetIn => {
                "the BMC does not answer the login: wrong password, or a packet was lost; correct password_file, or set the \
                 user's password in the BMC"
            }
            Self::Key => "wrong BMC key (Kg): write it into the file of kg_file, or clear it in the BMC",
            Self::Slow => "the BMC is there, and takes longer than it may: give it a longer timeout",
            Self::User => {
                "the BMC lets no such user in over the network: correct user, or enable it in the BMC; some BMCs say so of a \
                 user that is locked for a while"
            }
            Self::Privilege => {
                "the user may not do that: give it the operator privilege in the BMC, for the LAN channel too"
            }
            Self::Full => {
                "all sessions of the BMC are taken: end other programs that ask it, wait a minute until it forgets them, or \
                 reset the BMC"
            }
            Self::Suite(suite) => {
                return write!(
                    f,
                    "the BMC does not speak cipher suite {}: say another cipher_suite, or allow it in the BMC",
                    suite.number()
                );
            }
            Self::Weaker(suite) => {
                return write!(
                    f,
                    "the BMC spoke cipher suite {0} before, and refuses it now: something on the way may have removed it; \
                     allow suite {0} in the BMC, or say cipher_suite for what it speaks now",
                    suite.number()
                );
            }
            Self::OldOnly => "the BMC does not speak IPMI 2.0: say auth = \"md5\" for IPMI 1.5",
            Self::Unsigned => {
                "the BMC wants to go on without signatures, so that anybody could answer for it: switch its per-message \
                 authentication on, or say auth = \"none\" if its network is yours alone"
            }
            Self::Kind => "the BMC lets nobody in by this auth: say another, or leave the word out for IPMI 2.0",
            Self::Unknown => "the BMC does not know the command",
            Self::State => "the BMC cannot do that in its present state",
            Self::Busy => "the BMC is busy and does not get round to it",
            Self::Login(status) => {
                return write!(
                    f,
                    "the BMC refused the login with status {status:#04x}, which says nothing of the password: it is tried \
                     again; reset the BMC if that does not end"
                );
            }
            Self::Refused(code) => return write!(f, "the BMC refused with completion code {code:#04x}"),
            Self::Another => "another BMC answers at its address than before: see which box it is in",
            Self::Nonsense => "the BMC's answer makes no sense",
        })
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            // A BMC that answers a ping is not silent, nor is one that is busy.
            Error::Silent(false) => io::ErrorKind::TimedOut,
            Error::Busy => io::ErrorKind::ResourceBusy,
            Error::Password
            | Error::CutOff
            | Error::NotLetIn
            | Error::Key
            | Error::User
            | Error::Privilege => io::ErrorKind::PermissionDenied,
            Error::Unknown => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error.to_string())
    }
}
