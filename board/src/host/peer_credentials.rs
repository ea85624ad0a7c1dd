//! Reads who connected to a Unix socket. The kernel noted it when they connected, so that it says who called, also
//! when the caller has become of that process since (`SO_PEERCRED`, `SO_PEERGROUPS`, unix(7)).

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use rustix::process::{Gid, Uid};

/// A user, with the groups of the process that called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The user.
    pub uid: Uid,
    groups: Vec<Gid>,
}

impl Caller {
    /// Who has connected to the other end of `stream`. It may be a process that this one cannot see, of a PID namespace
    /// around it.
    ///
    /// # Errors
    ///
    /// When the kernel does not say: it is older than Linux 4.13.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let (uid, gid) = user(stream)?;
        let mut groups = groups(stream)?;
        groups.push(gid);
        Ok(Self { uid, groups })
    }

    /// Whether they are of this group.
    pub fn is_in(&self, group: Gid) -> bool {
        self.groups.contains(&group)
    }
}

/// The user, and the first group. By hand, because `rustix` has no answer whose process has the number 0, as one
/// has that this process cannot see.
#[allow(unsafe_code)]
fn user(stream: &UnixStream) -> io::Result<(Uid, Gid)> {
    let mut user = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: libc::gid_t::MAX };
    let mut length = size_of_val(&user) as libc::socklen_t;
    // SAFETY: the kernel writes a `ucred`, of no more than `length` bytes, to `user`, and how many bytes it has to
    // `length`; both outlive the call.
    let got = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut user).cast(),
            &raw mut length,
        )
    };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((Uid::from_raw(user.uid), Gid::from_raw(user.gid)))
}

/// The supplementary groups.
#[allow(unsafe_code)]
fn groups(stream: &UnixStream) -> io::Result<Vec<Gid>> {
    let mut groups: Vec<libc::gid_t> = vec![0; GROUPS_MAX];
    let mut length = size_of_val(groups.as_slice()) as libc::socklen_t;
    // SAFETY: the kernel writes numbers of groups to the list, of no more than `length` bytes, and how many bytes they
    // have to `length`; both outlive the call.
    let got = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(length as usize / size_of::<libc::gid_t>());
    Ok(groups.into_iter().map(Gid::from_raw).collect())
}

/// `asm-generic/socket.h`; sparc, mips and parisc have another, and no twobox.
const SO_PEERGROUPS: libc::c_int = 59;

/// Of a person; the kernel allows 65536, and refuses to tell of more than asked for.
const GROUPS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_is_this_very_process() {
        let (ours, _its) = UnixStream::pair().unwrap();
        let caller = Caller::of(&ours).unwrap();
        assert_eq!(caller.uid, rustix::process::geteuid());
        assert!(caller.is_in(rustix::process::getegid()));
        assert!(rustix::process::getgroups().unwrap().into_iter().all(|group| caller.is_in(group)));
        assert!(!caller.is_in(Gid::from_raw(54_321)));
    }
}
