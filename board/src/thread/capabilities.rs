//! Limits a thread to the rights that its work takes (`capabilities(7)`).
//!
//! The kernel keeps the capabilities of each thread for itself. A device says what it takes ([`Rights`]), and the
//! thread that uses it drops all others, for good.
//!
//! | | effective | permitted |
//! |---|---|---|
//! | a thread that starts no programs | what its devices take | the same |
//! | one that does | what its devices take | all that init gave, for the programs |
//!
//! A program of root's gets everything at its start, as it always did, but with `no_new_privs` no more than the
//! thread is permitted; and with less permitted than it gets, the kernel would forget that it is to die with us
//! (`commit_creds` of the kernel takes the death signal back).
//!
//! Against somebody who can run code of their own in here this is little: threads share their memory. It is against
//! what can be talked into a wrong file, address or signal.

use std::ops::BitOr;

use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, no_new_privs, set_capabilities};

/// What a device takes of the rights of root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rights {
    uses: CapabilitySet,
    starts: bool,
}

impl Rights {
    /// None of them.
    pub const NONE: Self = Self::to_use(CapabilitySet::empty());
    /// To add and remove addresses, and to ask and tell the neighbours.
    pub const ADDRESSES: Self =
        Self::to_use(CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW));
    /// To ask a host whether it is there.
    pub const PING: Self = Self::to_use(CapabilitySet::NET_RAW);
    /// To take a port below 1024, and a card for a socket's own (before Linux 5.7).
    pub const SOCKETS: Self =
        Self::to_use(CapabilitySet::NET_BIND_SERVICE.union(CapabilitySet::NET_RAW));
    /// To reset this box.
    pub const RESET: Self = Self::to_use(CapabilitySet::SYS_BOOT);
    /// To read a secret of any owner.
    pub const SECRETS: Self = Self::to_use(CapabilitySet::DAC_READ_SEARCH);
    /// To read and write a file of any owner in any folder, and to make another one like it.
    pub const FILES: Self = Self::to_use(
        CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::CHOWN).union(CapabilitySet::FOWNER),
    );
    /// To give a file of its own to a group.
    pub const GROUPS: Self = Self::to_use(CapabilitySet::CHOWN);
    /// To see what other processes have open.
    pub const SEARCH: Self = Self::to_use(CapabilitySet::SYS_PTRACE);
    /// To come before other threads.
    pub const REAL_TIME: Self = Self::to_use(CapabilitySet::SYS_NICE);
    /// To start programs, with all the rights that init gave, and to signal them under any account.
    pub const PROGRAMS: Self = Self { uses: CapabilitySet::KILL, starts: true };
    /// The same, and to find those of an earlier life, to see that they are ready, and to give them their output,
    /// if they run as another user.
    pub const SERVICES: Self = Self {
        uses: CapabilitySet::KILL
            .union(CapabilitySet::SYS_PTRACE)
            .union(CapabilitySet::DAC_READ_SEARCH)
            .union(CapabilitySet::CHOWN),
        starts: true,
    };
    /// To mount the cgroups, and to make one below the root, which nobody may write.
    pub const CGROUPS: Self =
        Self::to_use(CapabilitySet::SYS_ADMIN.union(CapabilitySet::DAC_OVERRIDE));

    const fn to_use(set: CapabilitySet) -> Self {
        Self { uses: set, starts: false }
    }

    /// Makes the calling thread do with these from now on. Another call may widen that again.
    pub fn set_effective(self) {
        self.set(|has| has.permitted);
    }

    /// Does `work` with these too, as far as the calling thread may take them, and gives them back.
    pub fn lend<T>(self, work: impl FnOnce() -> T) -> T {
        let before = capabilities(None).ok().filter(|_| geteuid().is_root());
        if let Some(has) = before {
            let effective = has.effective.union(self.of(&has));
            // Without them the work fails, and says so.
            let _ = set_capabilities(None, CapabilitySets { effective, ..has });
        }
        let done = work();
        if let Some(has) = before {
            let _ = set_capabilities(None, has);
        }
        done
    }

    /// Drops all others from the calling thread, for good; but where nobody can gain rights any more, by executing a
    /// program neither, only until they are wanted again: a guard or a successor would lack them.
    pub fn drop_others(self) {
        let keeps = self.starts || no_new_privs().unwrap_or(false);
        self.set(|has| if keeps { has.permitted } else { self.of(has) });
    }

    fn set(self, permitted: impl FnOnce(&CapabilitySets) -> CapabilitySet) {
        // A process with other capabilities was given exactly those, and gets none back when a guard or a successor
        // is executed.
        if !geteuid().is_root() {
            return;
        }
        let done = capabilities(None).and_then(|has| {
            let permitted = permitted(&has);
            set_capabilities(None, CapabilitySets { effective: self.of(&has), permitted, ..has })
        });
        if let Err(error) = done {
            log::warn!("this thread cannot drop the rights that it does not need: {error}");
        }
    }

    /// Those of them that there are. With `CAP_IPC_LOCK` memory that is locked can grow, in any thread.
    fn of(self, has: &CapabilitySets) -> CapabilitySet {
        has.permitted.intersection(self.uses.union(CapabilitySet::IPC_LOCK))
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self { uses: self.uses.union(other.uses), starts: self.starts || other.starts }
    }
}

impl FromIterator<Self> for Rights {
    fn from_iter<T: IntoIterator<Item = Self>>(all: T) -> Self {
        all.into_iter().fold(Self::NONE, Self::bitor)
    }
}
