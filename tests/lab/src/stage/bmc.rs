//! A BMC that does as it is told, or does not: the other end of the IPMI client, with a character.
//!
//! It speaks IPMI 2.0 by suites 17 and 3 and IPMI 1.5, well enough for `ipmitool` and `FreeIPMI`, which is how it is
//! verified itself. The box that it holds is a [`Chassis`]; what it does wrong is a [`Character`], which may change
//! while it runs, and in which [`Quirks`] others than this one are wrong.
//!
//! | module | what it has |
//! |---|---|
//! | `login` | who is let in |
//! | `commands` | what is answered to one who is in |
//! | `sealing` | how that is signed and numbered |
//! | `quirks` | what BMCs of the field do differently |

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use board::fence::Guid;
use board::fence::ipmi::command::Privilege;
use board::fence::ipmi::suite::Suite;
use board::time::clock::Clock;
use firmware_agnostic::time::Instant as Moment;

use login::Logins;

pub use quirks::{Habit, Identity, Numbers, Quirks, Work};

mod commands;
mod login;
mod quirks;
mod sealing;

/// The box that a BMC holds.
pub trait Chassis: Send {
    /// Whether it has power.
    fn is_on(&mut self) -> bool;

    /// Gives it power, or takes it.
    fn set(&mut self, on: bool);
}

/// One who may come in.
#[derive(Clone, Debug)]
pub struct User {
    /// Its name, at most 16 bytes.
    pub name: String,
    /// Its password.
    pub password: String,
    /// The most that it may do.
    pub privilege: Privilege,
}

/// How a BMC is, and what it does wrong.
#[derive(Clone, Debug)]
pub struct Character {
    /// Who may come in.
    pub users: Vec<User>,
    /// The key of its own (Kg), if it has one.
    pub key: Option<Vec<u8>>,
    /// The suites that it speaks.
    pub suites: Vec<Suite>,
    /// Whether it speaks IPMI 1.5.
    pub old: bool,
    /// What it says the box is.
    pub guid: Guid,
    /// How many sessions it has room for.
    pub sessions_max: usize,
    /// How long it takes to answer anything.
    pub latency: Duration,
    /// It answers every so many packets, 1 being all of them.
    pub answers_every: u32,
    /// How long the power takes to go.
    pub off_takes: Duration,
    /// It takes orders, and does nothing.
    pub idle: bool,
    /// It says that the power is off once that was ordered, and the box runs on.
    pub lies: bool,
    /// It forgets its sessions after so many packets: their ids are others from then on.
    pub forgets_after: Option<u32>,
    /// It is too busy for the next so many commands.
    pub busy: u32,
    /// It locks a user out after so many wrong passwords.
    pub locks_after: u32,
    /// What others than this one do.
    pub quirks: Quirks,
}

impl Default for Character {
    fn default() -> Self {
        let user = |name: &str, privilege| User {
            name: name.to_owned(),
            password: "secret".to_owned(),
            privilege,
        };
        Self {
            users: vec![user("twobox", Privilege::Administrator), user("viewer", Privilege::User)],
            key: None,
            suites: vec![Suite::Sha1, Suite::Sha256],
            old: true,
            guid: Guid(*b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"),
            sessions_max: 8,
            latency: Duration::ZERO,
            answers_every: 1,
            off_takes: Duration::ZERO,
            idle: false,
            lies: false,
            forgets_after: None,
            busy: 0,
            locks_after: u32::MAX,
            quirks: Quirks::default(),
        }
    }
}

/// A BMC that listens on a socket, until it is dropped.
pub struct Bmc {
    /// Where it listens.
    pub address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a BMC is made of.
struct Inside {
    character: Character,
    chassis: Box<dyn Chassis>,
    logins: Logins,
    /// The power goes off then.
    off_at: Option<Instant>,
    /// Power off was ordered, and nothing since.
    told_off: bool,
    orders: Vec<u8>,
    cuts: Vec<Moment>,
    /// The lines that were added to its log.
    notes: u32,
    /// For how many seconds its light was last told to blink.
    blinks: u8,
    packets: u32,
    /// The box was on or off before the last change, which was then.
    before: Option<(bool, Instant)>,
    /// Nothing goes in or out until then.
    gone_until: Option<Instant>,
    /// What the packet that is served costs beside the latency of all.
    cost: Duration,
}

impl Bmc {
    /// Begins to serve.
    ///
    /// # Errors
    ///
    /// When the socket cannot be used.
    pub fn serve(
        socket: UdpSocket,
        character: Character,
        chassis: Box<dyn Chassis>,
    ) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let inside = Arc::new(Mutex::new(Inside {
            character,
            chassis,
            logins: Logins::default(),
            off_at: None,
            told_off: false,
            orders: Vec::new(),
            cuts: Vec::new(),
            notes: 0,
            blinks: 0,
            packets: 0,
            before: None,
            gone_until: None,
            cost: Duration::ZERO,
        }));
        let ended = Arc::new(AtomicBool::new(false));
        let (mine, end) = (inside.clone(), ended.clone());
        let thread = thread::Builder::new().name("bmc".to_owned()).spawn(move || {
            while !end.load(Ordering::Relaxed) {
                serve(&socket, &mine, &end);
            }
        })?;
        Ok(Self { address, inside, ended, thread: Some(thread) })
    }

    /// Changes what it does wrong.
    pub fn set(&self, change: impl FnOnce(&mut Character)) {
        change(&mut lock(&self.inside).character);
    }

    /// The orders of Chassis Control that it took, in their order.
    pub fn orders(&self) -> Vec<u8> {
        lock(&self.inside).orders.clone()
    }

    /// When it cut the power, each time.
    pub fn cuts(&self) -> Vec<Moment> {
        lock(&self.inside).cuts.clone()
    }

    /// How many lines were added to its log.
    pub fn notes(&self) -> u32 {
        lock(&self.inside).notes
    }

    /// For how many seconds its light was last told to blink.
    pub fn blinks(&self) -> u8 {
        lock(&self.inside).blinks
    }

    /// How many packets came.
    pub fn packets(&self) -> u32 {
        lock(&self.inside).packets
    }

    /// How many logins it has refused for a wrong password.
    pub fn refusals(&self) -> u32 {
        lock(&self.inside).logins.wrong()
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        lock(&self.inside).logins.count()
    }

    /// How many places are taken, by sessions and by what may become one.
    pub fn places(&self) -> usize {
        lock(&self.inside).logins.places()
    }

    /// How many logins have begun, and how many of them were let in.
    pub fn logins(&self) -> (u32, u32) {
        lock(&self.inside).logins.begun_and_done()
    }

    /// Forgets all sessions, as after a restart.
    pub fn restart(&self) {
        lock(&self.inside).logins.forget();
    }

    /// Whether the box has power.
    pub fn is_on(&self) -> bool {
        lock(&self.inside).chassis.is_on()
    }
}

impl std::fmt::Debug for Bmc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bmc").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Bmc {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell.
            let _ = thread.join();
        }
    }
}

/// Answers, and cuts the power when it is time, until it is to end. What takes its time is waited for beside what
/// comes meanwhile.
fn serve(socket: &UdpSocket, inside: &Mutex<Inside>, end: &AtomicBool) {
    let mut late: Vec<(Instant, SocketAddr, Vec<u8>)> = Vec::new();
    let mut buffer = [0; 1024];
    while !end.load(Ordering::Relaxed) {
        let now = Instant::now();
        for (_, to, answer) in late.extract_if(.., |(due, ..)| *due <= now) {
            // One who has gone needs no answer.
            let _ = socket.send_to(&answer, to);
        }
        let off_at = lock(inside).pass();
        let next = late.iter().map(|(due, ..)| *due).chain(off_at).min();
        let next = next.map_or(TICK, |due| due.saturating_duration_since(now));
        let pause = next.clamp(Duration::from_micros(100), TICK);
        let heard =
            socket.set_read_timeout(Some(pause)).and_then(|()| socket.recv_from(&mut buffer));
        let Ok((length, from)) = heard else { continue };
        let (answer, takes, serial) = {
            let mut inside = lock(inside);
            let answer = inside.take(&buffer[..length]);
            let takes = inside.character.latency + std::mem::take(&mut inside.cost);
            (answer, takes, inside.character.quirks.has(Habit::Serial))
        };
        let due = now + takes;
        if serial {
            rest(inside, Instant::now() + takes);
        }
        late.extend(answer.map(|answer| (due, from, answer)));
    }
}

/// Hears nothing until `end`; the power goes meanwhile, if it is time.
fn rest(inside: &Mutex<Inside>, end: Instant) {
    loop {
        let next = lock(inside).pass().map_or(end, |off_at| off_at.min(end));
        let left = next.saturating_duration_since(Instant::now());
        if left.is_zero() && next == end {
            return;
        }
        thread::sleep(left);
    }
}

impl Inside {
    fn take(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        self.packets += 1;
        self.pass();
        if let Some(after) = self.character.forgets_after
            && self.packets.is_multiple_of(after)
        {
            self.logins.forget();
        }
        if !self.packets.is_multiple_of(self.character.answers_every) || self.is_gone() {
            return None;
        }
        // What comes while it is away, and what it says itself, is lost.
        self.answer(datagram).filter(|_| !self.is_gone())
    }

    fn is_gone(&self) -> bool {
        self.gone_until.is_some_and(|until| Instant::now() < until)
    }

    /// Cuts the power if it is time, and tells when it will be.
    fn pass(&mut self) -> Option<Instant> {
        if self.off_at.take_if(|at| *at <= Instant::now()).is_some() {
            self.switch(false);
        }
        self.off_at
    }

    fn switch(&mut self, on: bool) {
        let was = self.chassis.is_on();
        if !on {
            self.cuts.push(Clock.now());
        }
        self.chassis.set(on);
        self.before = Some((was, Instant::now()));
    }

    /// Notes that something is done that may take its time.
    fn works(&mut self, work: Work) {
        let slow = self.character.quirks.slow.iter().filter(|(slow, _)| *slow == work);
        self.cost += slow.map(|(_, takes)| *takes).sum::<Duration>();
    }
}

fn lock(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How soon an end is noticed.
const TICK: Duration = Duration::from_millis(20);
