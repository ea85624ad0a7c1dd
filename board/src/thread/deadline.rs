//! How long an operation may wait, and whether somebody has called it off.
//!
//! Devices are written as straight-line blocking code. All that they wait for, they wait for
//! through a [`Deadline`], so that every operation ends in time and a release never queues behind a
//! start that hangs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// The time that an operation has left, and the token by which it can be called off.
#[derive(Clone, Debug)]
pub struct Deadline {
    deadline: Instant,
    token: Option<CancelToken>,
}

impl Deadline {
    /// Ends `time` from now.
    pub fn new(time: Duration) -> Self {
        Self { deadline: Instant::now() + time, token: None }
    }

    /// Ends `time` from now, or as soon as `token` is cancelled.
    pub fn with_cord(time: Duration, token: &CancelToken) -> Self {
        Self { deadline: Instant::now() + time, token: Some(token.clone()) }
    }

    /// The time left; zero when it is over.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Looks once more, right before something that cannot be taken back.
    ///
    /// # Errors
    ///
    /// `TimedOut` when the time is over, `Interrupted` when the token was cancelled.
    pub fn still_wanted(&self) -> io::Result<()> {
        if self.left().is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match self.at_most(Duration::ZERO).readable(&[]) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
            other => other.map(drop),
        }
    }

    /// The same token with at most `time` left.
    #[must_use]
    pub fn at_most(&self, time: Duration) -> Self {
        Self { deadline: self.deadline.min(Instant::now() + time), token: self.token.clone() }
    }

    /// The same time, which nobody can call off.
    #[must_use]
    pub fn to_its_end(&self) -> Self {
        Self { deadline: self.deadline, token: None }
    }

    /// Waits until `token` is cancelled, which is not that of this patience.
    ///
    /// # Errors
    ///
    /// As for [`Deadline::readable`].
    pub fn pulled(&self, token: &CancelToken) -> io::Result<()> {
        self.readable(&[token.as_fd()]).map(drop)
    }

    /// Waits until one of `descriptors` is readable, and says which: its place in the list.
    ///
    /// # Errors
    ///
    /// `TimedOut` when the time is over, `Interrupted` when the token was cancelled.
    pub fn readable(&self, descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.ready(descriptors, PollFlags::IN)
    }

    /// Waits until `descriptor` takes more.
    ///
    /// # Errors
    ///
    /// As for [`Deadline::readable`].
    pub fn writable(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.ready(&[descriptor], PollFlags::OUT).map(drop)
    }

    fn ready(&self, descriptors: &[BorrowedFd<'_>], flags: PollFlags) -> io::Result<usize> {
        loop {
            let mut polled: Vec<_> = descriptors.iter().map(|fd| PollFd::new(fd, flags)).collect();
            if let Some(token) = &self.token {
                polled.push(PollFd::new(&*token.0, PollFlags::IN));
            }
            let left = self.left();
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut polled, Some(&timeout)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            // The token stands last, so that what is ready is taken before the operation is given up.
            match polled.iter().position(|fd| !fd.revents().is_empty()) {
                Some(place) if place < descriptors.len() => return Ok(place),
                Some(_) => return Err(io::ErrorKind::Interrupted.into()),
                None => {}
            }
        }
    }

    /// Waits for `time`.
    ///
    /// # Errors
    ///
    /// `TimedOut` when the time is over before, `Interrupted` when the token was cancelled.
    pub fn sleep(&self, time: Duration) -> io::Result<()> {
        let shorter = self.at_most(time);
        match shorter.readable(&[]) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut && !self.left().is_zero() => {
                Ok(())
            }
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }
}

/// Calls off the operations that wait on it. Clones share it.
#[derive(Clone, Debug)]
pub struct CancelToken(Arc<OwnedFd>);

impl CancelToken {
    /// A token that nobody has cancelled.
    ///
    /// # Errors
    ///
    /// When the kernel has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Calls off what waits on this token, now and until it is reset.
    pub fn cancel(&self) {
        // Fails only when the counter is full, and then it has been pulled.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    /// Takes the call back: what waits from now on waits undisturbed.
    pub fn reset(&self) {
        // Fails only when there is nothing to take back.
        let _ = rustix::io::read(&*self.0, &mut [0u8; 8]);
    }
}

impl AsFd for CancelToken {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_the_cord_is_pulled() {
        let token = CancelToken::new().unwrap();
        let patience = Deadline::with_cord(Duration::from_secs(600), &token);
        token.cancel();
        let error = patience.sleep(Duration::from_secs(300)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        assert!(patience.still_wanted().is_err());
        token.reset();
        assert!(patience.still_wanted().is_ok());
        assert!(patience.sleep(Duration::from_millis(1)).is_ok());
    }

    #[test]
    fn a_wait_ends_when_the_time_is_over() {
        let patience = Deadline::new(Duration::from_millis(5));
        let error = patience.sleep(Duration::from_secs(300)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
