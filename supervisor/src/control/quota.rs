//! Bounds how many are served at once, and how often each user is: a user who floods the socket keeps nobody else
//! from it, and the loop is not kept from its heartbeats.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use board::time::clock::Clock;
use firmware_agnostic::time::Instant;
use rustix::process::Uid;

use super::CLIENTS_MAX;

/// All seats. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<(Mutex<SeatsTaken>, Condvar)>);

#[derive(Default)]
struct SeatsTaken {
    all: usize,
    /// Of those, by others than root.
    others: usize,
    users: BTreeMap<u32, User>,
}

/// What a user has taken who is not root.
#[derive(Default)]
struct User {
    seats: usize,
    /// How many may still be served in the second that has begun.
    left: u32,
    second: Option<Instant>,
}

/// The place of one client, free again when this is dropped.
pub(super) struct Seat {
    seats: Seats,
    /// Unless it is root's.
    user: Option<u32>,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Full {
    /// All are taken that this user could have.
    All,
    /// This user has taken as many as one may.
    Mine,
    /// This user has asked as often as one may within a second.
    Often,
}

impl Seats {
    /// Takes a seat for the user `uid`. Who is `trusted` has no bound but that for all.
    pub(super) fn take(&self, uid: Uid, trusted: bool) -> Result<Seat, Full> {
        let user = (!trusted).then_some(uid.as_raw());
        self.taken().take(user, Clock.now())?;
        Ok(Seat { seats: self.clone(), user })
    }

    /// Waits until a seat was given back, for `time` at most.
    pub(super) fn wait(&self, time: Duration) {
        let (_, given_back) = &*self.0;
        drop(given_back.wait_timeout(self.taken(), time));
    }

    /// Waits until every seat was given back.
    pub(super) fn wait_for_all(&self) {
        while self.taken().all > 0 {
            self.wait(Duration::from_secs(1));
        }
    }

    fn taken(&self) -> MutexGuard<'_, SeatsTaken> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SeatsTaken {
    fn take(&mut self, user: Option<u32>, now: Instant) -> Result<(), Full> {
        if self.all >= CLIENTS_MAX {
            return Err(Full::All);
        }
        if let Some(uid) = user {
            // Who has not come for a second is as one who has never come.
            self.users.retain(|_, user| user.seats > 0 || user.is_limited(now));
            if self.others >= OTHERS_MAX {
                return Err(Full::All);
            }
            self.users.entry(uid).or_default().take(now)?;
            self.others += 1;
        }
        self.all += 1;
        Ok(())
    }

    fn give_back(&mut self, user: Option<u32>) {
        self.all -= 1;
        if let Some(uid) = user {
            self.others -= 1;
            if let Some(user) = self.users.get_mut(&uid) {
                user.seats -= 1;
            }
        }
    }
}

impl User {
    fn is_limited(&self, now: Instant) -> bool {
        self.second.is_some_and(|begun| now - begun < SECOND)
    }

    fn take(&mut self, now: Instant) -> Result<(), Full> {
        if self.seats >= SEATS_MAX {
            return Err(Full::Mine);
        }
        if !self.is_limited(now) {
            (self.second, self.left) = (Some(now), OFTEN_MAX);
        }
        self.left = self.left.checked_sub(1).ok_or(Full::Often)?;
        self.seats += 1;
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().give_back(self.user);
        self.seats.0.1.notify_all();
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("too many ask at once: try again"),
            Self::Mine => {
                write!(f, "{SEATS_MAX} commands of yours are being answered: wait for one of them")
            }
            Self::Often => {
                write!(f, "you have asked {OFTEN_MAX} times within a second: ask less often")
            }
        }
    }
}

/// There is always one for root.
const OTHERS_MAX: usize = CLIENTS_MAX * 3 / 4;
/// More than a person, or the monitoring of a site, has under way at once.
const SEATS_MAX: usize = 8;
/// An answer takes the loop less than a thousandth of a second.
const OFTEN_MAX: u32 = 50;
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_seats_for_others_and_all_leave_some_for_root() {
        let mut taken = SeatsTaken::default();
        let now = Instant::from_millis(5);
        for _ in 0..SEATS_MAX {
            taken.take(Some(1), now).unwrap();
        }
        assert_eq!(taken.take(Some(1), now), Err(Full::Mine));
        for _ in SEATS_MAX..OTHERS_MAX {
            taken.take(Some(2), now).unwrap();
        }
        assert_eq!(taken.take(Some(3), now), Err(Full::All));
        for _ in OTHERS_MAX..CLIENTS_MAX {
            taken.take(None, now).unwrap();
        }
        assert_eq!(taken.take(None, now), Err(Full::All));
        taken.give_back(Some(1));
        taken.take(Some(3), now).unwrap();
    }

    #[test]
    fn nobody_but_root_asks_again_and_again() {
        let mut taken = SeatsTaken::default();
        let mut request = |user, millis| {
            let asked = taken.take(user, Instant::from_millis(millis));
            asked.map(|()| taken.give_back(user))
        };
        for at in [0, 1_000] {
            for _ in 0..OFTEN_MAX {
                request(Some(1), at).unwrap();
                request(None, at).unwrap();
            }
            assert_eq!(request(Some(1), at + 999), Err(Full::Often));
            request(Some(2), at + 999).unwrap();
            request(None, at + 999).unwrap();
        }
        assert!(taken.users.len() <= 2);
        taken.take(Some(3), Instant::from_millis(9_000)).unwrap();
        assert_eq!(taken.users.len(), 1, "those who have gone are remembered");
    }
}
