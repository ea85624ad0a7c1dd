//! Records what a user of the service notices.
//!
//! A client in a network of its own asks every few milliseconds, and notes which box answered when. The longest
//! silence between two answers is the outage that a user would see.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::stage::kernel::{Interfaces, Tap};
use crate::stage::service;

/// The client, which asks all the time.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

/// How the client asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question {
    /// By a datagram, which the lab's own service answers with the name of its box.
    Echo,
    /// By an anonymous LDAP bind (RFC 4511, 4.2), over a new connection each time.
    Ldap,
}

/// What the client saw in a stretch of time.
#[derive(Clone, Debug)]
pub struct Window {
    /// The longest time without an answer.
    pub silence: Duration,
    /// The longest time in which the client itself did not ask: on a busy machine it waits for its turn too.
    pub pause: Duration,
    /// Who answered, in order; a new entry whenever it was another box than before.
    pub answers: Vec<(String, usize)>,
    /// The datagrams that could have been answered by now, and those of them that were not.
    pub asked: usize,
    /// See `asked`.
    pub lost: usize,
}

impl Window {
    /// How many answers came from a box.
    pub fn from(&self, name: &str) -> usize {
        self.answers.iter().filter(|(who, _)| who == name).map(|(_, count)| count).sum()
    }
}

impl Client {
    /// A client of the service at `target`, and the port of its Ethernet cable.
    ///
    /// # Errors
    ///
    /// When the calling thread may not set up its network namespace, which must be a new one.
    pub(crate) fn new(
        own: Ipv4Addr,
        prefix: u8,
        target: Ipv4Addr,
        question: Question,
    ) -> io::Result<(Self, Tap)> {
        let tap = Tap::new("eth0")?;
        let interfaces = Interfaces::new()?;
        interfaces.set_hardware("eth0", [2, 0, 0, 0, 0, 100])?;
        interfaces.up("lo")?;
        interfaces.up("eth0")?;
        interfaces.set_address("eth0", own, prefix)?;
        let socket = UdpSocket::bind(SocketAddrV4::new(own, 0))?;
        let shared =
            Arc::new(Shared { socket, target, answers: Mutex::default(), asked: Mutex::default() });
        let works: &[fn(&Shared)] = match question {
            Question::Echo => &[Shared::ask, Shared::listen],
            Question::Ldap => &[Shared::bind],
        };
        for work in works {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("client".to_owned()).spawn(move || work(&shared))?;
        }
        Ok((Self(shared), tap))
    }

    /// What was seen since `start`, until now.
    pub fn since(&self, start: Instant) -> Window {
        let now = Instant::now();
        let all = self.0.answers();
        let asked = self.0.asked();
        let ripe = asked.iter().filter(|(at, _)| *at >= start && now - *at > ANSWER);
        let moments = asked.iter().map(|(at, _)| *at).filter(|at| *at >= start);
        let pauses = moments.clone().zip(moments.skip(1)).map(|(before, after)| after - before);
        let mut window = Window {
            silence: Duration::ZERO,
            pause: pauses.max().unwrap_or_default(),
            answers: Vec::new(),
            asked: ripe.clone().count(),
            lost: ripe.filter(|(_, answered)| !answered).count(),
        };
        let mut last = start;
        for (when, who) in all.iter().filter(|(when, _)| *when >= start) {
            window.silence = window.silence.max(*when - last);
            last = *when;
            match window.answers.last_mut() {
                Some((name, count)) if name == who => *count += 1,
                _ => window.answers.push((who.clone(), 1)),
            }
        }
        window.silence = window.silence.max(now.saturating_duration_since(last));
        window
    }

    /// Who answered last, and how long ago.
    pub fn last(&self) -> Option<(String, Duration)> {
        self.0.answers().last().map(|(when, who)| (who.clone(), when.elapsed()))
    }
}

#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    target: Ipv4Addr,
    answers: Mutex<Vec<(Instant, String)>>,
    /// When each datagram was sent, and whether it was answered; the place of each is its number.
    asked: Mutex<Vec<(Instant, bool)>>,
}

impl Shared {
    fn answers(&self) -> MutexGuard<'_, Vec<(Instant, String)>> {
        self.answers.lock().expect("no thread panics while it holds the answers")
    }

    fn asked(&self) -> MutexGuard<'_, Vec<(Instant, bool)>> {
        self.asked.lock().expect("no thread panics while it holds the questions")
    }

    fn ask(&self) {
        let target = SocketAddrV4::new(self.target, service::PORT);
        let mut next = Instant::now();
        for number in 0u64.. {
            self.asked().push((Instant::now(), false));
            // Nobody there is an answer too: silence.
            let _ = self.socket.send_to(&number.to_be_bytes(), target);
            next = Instant::now().max(next + RHYTHM);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn listen(&self) {
        let mut packet = [0u8; 512];
        loop {
            let Ok((length, from)) = self.socket.recv_from(&mut packet) else { continue };
            let answer = packet.get(..length).and_then(|it| it.split_first_chunk());
            let Some((number, name)) = answer else { continue };
            if from.ip() == self.target {
                let place = u64::from_be_bytes(*number) as usize;
                if let Some((_, answered)) = self.asked().get_mut(place) {
                    *answered = true;
                }
                let name = String::from_utf8_lossy(name).into_owned();
                self.answers().push((Instant::now(), name));
            }
        }
    }

    fn bind(&self) {
        let target = SocketAddrV4::new(self.target, LDAP).into();
        let bind = || -> io::Result<bool> {
            let mut server = TcpStream::connect_timeout(&target, PATIENCE)?;
            server.set_read_timeout(Some(PATIENCE))?;
            server.write_all(&BIND)?;
            let mut answer = [0u8; BOUND.len()];
            server.read_exact(&mut answer)?;
            Ok(answer == BOUND)
        };
        loop {
            if bind().unwrap_or(false) {
                self.answers().push((Instant::now(), "slapd".to_owned()));
            }
            std::thread::sleep(RHYTHM);
        }
    }
}

/// How often the client asks.
pub(crate) const RHYTHM: Duration = Duration::from_millis(5);

/// An answer that takes longer does not come.
const ANSWER: Duration = Duration::from_millis(500);

/// The port of LDAP.
const LDAP: u16 = 389;

/// How long one bind may take: the outage is measured no finer than this.
const PATIENCE: Duration = Duration::from_millis(50);

/// The anonymous bind, version 3, without a password, as message 1.
const BIND: [u8; 14] = *b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00";

/// Its answer: success.
const BOUND: [u8; 14] = *b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";
