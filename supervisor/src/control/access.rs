//! Decides who may ask and who may order at the control socket.
//!
//! | who has called | may |
//! |---|---|
//! | root, and the user that the supervisor runs as | ask and order |
//! | a member of the group `control.operators` | ask and order |
//! | a member of the group `control.viewers` | ask |
//! | anybody else | nothing |

use std::io;

use board::host::peer_credentials::Caller;
use board::process::account::Account;
use rustix::process::{Gid, geteuid};

use crate::config::ControlConfig;
use crate::control::client::way_in;

/// The groups that are let in.
pub(super) struct AccessGroups {
    operators: Option<GroupAccess>,
    viewers: Option<GroupAccess>,
}

/// A group, and how to come in by it.
struct GroupAccess {
    group: Gid,
    way: String,
}

/// What somebody may do who has called.
pub(super) enum Permission {
    /// Ask and order.
    Order,
    /// Ask; who orders is told this.
    Ask(String),
}

impl AccessGroups {
    /// The groups that `control` names.
    ///
    /// # Errors
    ///
    /// When one of them is not there.
    pub(super) fn open(control: &ControlConfig) -> io::Result<Self> {
        Ok(Self {
            operators: GroupAccess::open("operators", control.operators.as_deref())?,
            viewers: GroupAccess::open("viewers", control.viewers.as_deref())?,
        })
    }

    /// The group of those who may order.
    pub(super) fn operators(&self) -> Option<Gid> {
        self.operators.as_ref().map(|door| door.group)
    }

    /// The group of those who may ask.
    pub(super) fn viewers(&self) -> Option<Gid> {
        self.viewers.as_ref().map(|door| door.group)
    }

    /// Whether `caller` is root, or the user that the supervisor runs as.
    pub(super) fn trusts(caller: &Caller) -> bool {
        caller.uid.is_root() || caller.uid == geteuid()
    }

    /// What `caller` may do, or why that is nothing.
    pub(super) fn may(&self, caller: &Caller) -> Result<Permission, String> {
        let enters =
            |door: &Option<GroupAccess>| door.as_ref().is_some_and(|it| caller.is_in(it.group));
        let (operators, viewers) = (self.operators.as_ref(), self.viewers.as_ref());
        if Self::trusts(caller) || enters(&self.operators) {
            Ok(Permission::Order)
        } else if enters(&self.viewers) {
            let ways = ways(operators.into_iter());
            Ok(Permission::Ask(format!("you may ask, and not order: order {ways}")))
        } else {
            let ways = ways(operators.into_iter().chain(viewers));
            Err(format!("you may not ask the supervisor of this box: ask {ways}"))
        }
    }
}

impl GroupAccess {
    fn open(word: &str, name: Option<&str>) -> io::Result<Option<Self>> {
        let Some(name) = name else { return Ok(None) };
        Ok(Some(Self { group: Account::group(name)?, way: way_in(name, word) }))
    }
}

fn ways<'d>(doors: impl Iterator<Item = &'d GroupAccess>) -> String {
    doors.fold("as root".to_owned(), |ways, door| ways + &door.way)
}
