//! Limits the rights of a program to those that init gave to the supervisor, unless the configuration says otherwise.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
};
use toml::de::DeValue;

use crate::config::table::{Source, Table, Value, nearest};
use crate::process::account::Account;

/// The rights of a program. By default it has those of whom it runs as, and can get no others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Privileges {
    /// Whether it may gain rights by executing a program that has its own (`PR_SET_NO_NEW_PRIVS`, `prctl(2)`).
    new: bool,
    /// What it has of the rights of root under any account, and all that it can ever have.
    only: Option<CapabilitySet>,
}

impl Privileges {
    /// Reads `new_privileges`.
    pub fn read(table: &mut Table<'_>) -> Self {
        Self { new: table.get_or("new_privileges", false), only: None }
    }

    /// Reads `capabilities` too.
    pub fn read_all(table: &mut Table<'_>) -> Self {
        let only = table.take("capabilities");
        let only = only.map(|names: Vec<Capability>| names.into_iter().map(|it| it.0).collect());
        Self { only, ..Self::read(table) }
    }

    /// What the configuration says, in numbers that stay the same: whether it may gain rights, and the bits of
    /// those that it has.
    pub(crate) fn numbers(self) -> (bool, Option<u64>) {
        (self.new, self.only.map(|only| only.bits()))
    }

    /// Takes back for the calling thread what it is permitted to have. Allocates nothing, as all of these.
    pub(crate) fn take_back() -> rustix::io::Result<()> {
        let has = capabilities(None)?;
        set_capabilities(None, CapabilitySets { effective: has.permitted, ..has })
    }

    /// Makes the calling thread `account`, with these rights from its next exec on.
    pub(crate) fn apply(self, account: Option<&Account>) -> rustix::io::Result<()> {
        if let Some(only) = self.only {
            bound(only)?;
            set_keep_capabilities(true)?;
        }
        if let Some(account) = account {
            account.become_it()?;
        }
        if let Some(only) = self.only {
            let sets = CapabilitySets { effective: only, permitted: only, inheritable: only };
            set_capabilities(None, sets)?;
            for capability in only.iter() {
                configure_capability_in_ambient_set(capability, true)?;
            }
        }
        if self.new { Ok(()) } else { set_no_new_privs(true) }
    }
}

/// Leaves no others than `only` to be had by any program that is executed.
fn bound(only: CapabilitySet) -> rustix::io::Result<()> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if only.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // This kernel has no more of them.
            Err(Errno::INVAL) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `"net_bind_service"`: the names of `capabilities(7)`, with or without `cap_` in front.
struct Capability(CapabilitySet);

impl Value for Capability {
    const EXAMPLE: &'static str = "a name such as \"net_bind_service\"";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        let name = String::read(value, source)?;
        let upper = name.to_uppercase();
        let upper = upper.strip_prefix("CAP_").unwrap_or(&upper);
        CapabilitySet::from_name(upper)
            .filter(|set| set.bits().is_power_of_two())
            .map(Self)
            .ok_or_else(|| {
                let known: Vec<_> =
                    CapabilitySet::all().iter_names().map(|it| it.0.to_lowercase()).collect();
                let hint = nearest(&name, known.iter().map(String::as_str));
                format!("{name:?} is none of capabilities(7){hint}")
            })
    }
}
