//! Keeps the last frame that a supervisor has sent where its guard finds it: in memory that both have
//! (`memfd_create(2)`).
//!
//! The supervisor writes and wakes nobody. The guard reads when the supervisor has died. A frame of which one half was
//! written is seen by its signature.

use std::io;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use firmware_agnostic::frame::FRAME_MAX;
use rustix::cmsg_space;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{pread, pwrite};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The last frame, or nothing where the kernel has no such memory.
#[derive(Clone, Debug, Default)]
pub struct LastFrame(Option<Arc<OwnedFd>>);

impl LastFrame {
    /// Room for one frame.
    pub fn new() -> Self {
        // Without it the guard says nothing, and does all else.
        let memory = memfd_create(c"twobox last frame", MemfdFlags::CLOEXEC);
        Self(memory.ok().map(Arc::new))
    }

    /// Keeps `frame` in place of the one before.
    pub fn keep(&self, frame: &[u8]) {
        let Some(memory) = &self.0 else { return };
        let mut bytes = [0; ROOM];
        let (Some(length), Some(room)) =
            (u8::try_from(frame.len()).ok(), bytes.get_mut(1..=frame.len()))
        else {
            return;
        };
        room.copy_from_slice(frame);
        bytes[0] = length;
        let _ = pwrite(memory, &bytes, 0);
    }

    /// The frame that was kept last.
    pub fn read(&self) -> Option<Vec<u8>> {
        let mut bytes = [0; ROOM];
        pread(self.0.as_ref()?, &mut bytes, 0).ok()?;
        let length = usize::from(bytes[0]);
        bytes.get(1..=length).filter(|_| length > 0).map(<[u8]>::to_vec)
    }

    /// Gives it to the guard at the other end of `line`, before anything else is said there (`unix(7)`, `SCM_RIGHTS`).
    ///
    /// # Errors
    ///
    /// When the guard is dead.
    pub fn hand_over(&self, line: &UnixStream) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        let memory = self.0.as_ref().map(|memory| [memory.as_fd()]);
        if let Some(memory) = &memory {
            with.push(SendAncillaryMessage::ScmRights(memory));
        }
        sendmsg(line, &[IoSlice::new(b"+")], &mut with, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Takes what was handed over at the other end of `line`.
    ///
    /// # Errors
    ///
    /// When there is no supervisor.
    pub fn receive(line: &UnixStream) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut with = RecvAncillaryBuffer::new(&mut space);
        let mut mark = [0];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let read = recvmsg(line, &mut [IoSliceMut::new(&mut mark)], &mut with, flags)?;
        if read.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let memory = with.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut all) => all.next(),
            _ => None,
        });
        Ok(Self(memory.map(Arc::new)))
    }
}

/// A frame, and a byte for its length.
const ROOM: usize = FRAME_MAX + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_reads_what_was_kept_after_it_began() {
        let (ours, its) = UnixStream::pair().unwrap();
        let last = LastFrame::new();
        last.hand_over(&ours).unwrap();
        let seen = LastFrame::receive(&its).unwrap();
        assert_eq!(seen.read(), None, "nothing was said yet");
        last.keep(&[7; FRAME_MAX]);
        last.keep(b"short");
        assert_eq!(seen.read().as_deref(), Some(&b"short"[..]));
        last.keep(&[8; FRAME_MAX + 1]);
        assert_eq!(seen.read().as_deref(), Some(&b"short"[..]), "no frame is so long");
        drop((ours, last));
        assert_eq!(seen.read().as_deref(), Some(&b"short"[..]), "its writer is gone");
        assert!(LastFrame::receive(&its).is_err());
    }

    #[test]
    fn a_kernel_without_such_memory_does_without() {
        let (ours, its) = UnixStream::pair().unwrap();
        let none = LastFrame::default();
        none.keep(b"frame");
        none.hand_over(&ours).unwrap();
        assert_eq!(LastFrame::receive(&its).unwrap().read(), None);
    }
}
