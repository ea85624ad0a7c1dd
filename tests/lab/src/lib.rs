//! Runs the pair as real processes, to see whether it does what it promises.
//!
//! Two boxes, each with its own network, processes, host name and disk; two Ethernet links, a null-modem cable, a
//! power switch for each box; a service behind a floating address, and a client that measures what its user would
//! see. All of it lives in namespaces, and needs no root where the kernel allows that.
//!
//! ```text
//!                      client 192.0.2.100
//!                            |
//!             ===============+=============== eth0, a switch: 192.0.2.0/24, floating 192.0.2.10
//!              |                           |
//!          server1 ======== eth1 ======= server2      198.51.100.0/30
//!              |  \======= ttyS1 ======/   |          null modem
//!            power                       power        /run/demo switch NAME on|off|status
//! ```
//!
//! | room | what is in it |
//! |---|---|
//! | [`stage`] | the namespaces, boxes, cables, power switches and BMCs, and the service |
//! | [`faults`] | cut cables, a dead disk, a flood, many clients at once |
//! | [`observers`] | the client, the watch over the floating address, what is expected of a pair |
//! | [`scenarios`] | the stories, and what a person can watch |

// Each error is a failed expectation or a lab that cannot be built, and says so itself.
#![allow(clippy::missing_errors_doc)]

pub mod faults;
pub mod observers;
pub mod scenarios;
pub mod stage;

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId;
use rustix::thread::UnshareFlags;

use observers::client::{Client, Question};
use observers::watch::{Double, Watch};
use stage::bmc::Bmc;
use stage::config::{self, Choices};
use stage::ethernet::{Ethernet, Segment, Station};
use stage::init::{self, Order};
use stage::machine::{self, Installation, Machine, Surroundings};
use stage::null_modem::NullModem;
use stage::power_switch::Switches;
use stage::{kernel, management};

pub use faults::cables::{Cable, Way};
pub use stage::machine::name;

/// Two boxes and everything around them. It ends with the process that made it.
#[derive(Debug)]
pub struct Lab {
    boxes: [Machine; 2],
    ethernet: Ethernet,
    null_modem: NullModem,
    switches: Switches,
    watch: Watch,
    client: Client,
    /// There are none where the switches do their work.
    bmcs: Vec<Bmc>,
}

impl Lab {
    /// A lab whose boxes run the supervisor, without power. Needs the world that [`stage::isolation::run`] makes.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a namespace, a port or a process.
    pub fn new(choices: &Choices) -> io::Result<Self> {
        let program = match &choices.program {
            Some(program) => {
                std::fs::copy(program, machine::PRODUCT)?;
                ["/run/twobox"].as_slice()
            }
            None => &[&[init::PROGRAM], choices.guise, &["twobox"]].concat(),
        };
        let program = [program, &["run", "--config", "/run/twobox.toml"]].concat();
        let mut files = choices.files.clone();
        files.push(("twobox.toml".to_owned(), config::text(choices)));
        files.push(("twobox.key".to_owned(), config::KEY.to_owned()));
        let program = program.into_iter().map(str::to_owned).collect();
        if choices.bmcs {
            files.push(("bmc.pw".to_owned(), "secret\n".to_owned()));
        }
        let installation = Installation { program, files, watchdog: choices.watchdog };
        let mut lab = Self::with(&installation, choices.baud, choices.question)?;
        if choices.bmcs {
            lab.bmcs = management::serve(&lab.ethernet, &lab.boxes)?.into();
        }
        Ok(lab)
    }

    /// A lab whose boxes run another program than the supervisor, with `files` in `/run`, without power.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a namespace, a port or a process.
    pub fn running(program: &[&str], files: &[(&str, &str)]) -> io::Result<Self> {
        let installation = Installation {
            program: program.iter().copied().map(str::to_owned).collect(),
            files: files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect(),
            watchdog: None,
        };
        Self::with(&installation, Choices::default().baud, Question::Echo)
    }

    fn with(installation: &Installation, baud: u32, question: Question) -> io::Result<Self> {
        let ethernet = Ethernet::new()?;
        let null_modem = NullModem::new(baud)?;
        let watch = Watch::new(FLOATING)?;
        let surroundings = Surroundings {
            ethernet: ethernet.clone(),
            null_modem: null_modem.clone(),
            watch: watch.clone(),
        };
        let [first, second] =
            BoxId::BOTH.map(|id| Machine::new(id, surroundings.clone(), installation.clone()));
        let boxes = [first?, second?];
        let switches = Switches::default();
        switches.serve(boxes.clone())?;
        // The client is a thread with a network of its own, and the threads that it makes there.
        let start = || {
            kernel::unshare(UnshareFlags::NEWNET)?;
            Client::new(CLIENT, CLIENT_PREFIX, FLOATING, question)
        };
        let (client, tap) = std::thread::scope(|scope| scope.spawn(start).join())
            .map_err(|_| io::Error::other("the thread that starts the client has panicked"))??;
        ethernet.plug(Segment::Lan, Station::Client, tap)?;
        Ok(Self { boxes, ethernet, null_modem, switches, watch, client, bmcs: Vec::new() })
    }

    /// Gives a box its power; it boots.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a namespace, a port or a process.
    pub fn power_on(&self, id: BoxId) -> io::Result<()> {
        self.machine(id).power_on()
    }

    /// Cuts the power of a box: when this returns, nothing of it lives.
    pub fn power_off(&self, id: BoxId) {
        self.machine(id).power_off();
    }

    /// Whether a box has power.
    pub fn is_on(&self, id: BoxId) -> bool {
        self.machine(id).is_on()
    }

    /// How often a box has booted.
    pub fn boots(&self, id: BoxId) -> u32 {
        self.machine(id).boots()
    }

    /// Asks the supervisor of a box to end, after which the box switches itself off.
    ///
    /// # Errors
    ///
    /// When the box has no power.
    pub fn shut_down(&self, id: BoxId) -> io::Result<()> {
        self.machine(id).order(Order::ShutDown)
    }

    /// Resets a box, as its own hardware would: it is down and booting before anybody can say so.
    ///
    /// # Errors
    ///
    /// When the box has no power.
    pub fn reset(&self, id: BoxId) -> io::Result<()> {
        // The one who asks dies with the box, and has nothing to report.
        self.machine(id).demo(&["reset"]).map(drop)
    }

    /// Kills the supervisor of a box; its init starts it again.
    ///
    /// # Errors
    ///
    /// When the box has no power.
    pub fn crash_supervisor(&self, id: BoxId) -> io::Result<()> {
        self.machine(id).order(Order::Crash)
    }

    /// Kills the supervisor of a box, which nobody starts again.
    ///
    /// # Errors
    ///
    /// When the box has no power.
    pub fn abandon(&self, id: BoxId) -> io::Result<()> {
        self.machine(id).order(Order::Abandon)
    }

    /// Kills every process of a box that has `word` on its command line.
    ///
    /// # Errors
    ///
    /// When the box has no power.
    pub fn kill(&self, id: BoxId, word: &str) -> io::Result<()> {
        self.machine(id).demo(&["kill", word]).map(drop)
    }

    /// The numbers of the processes of a box that have `word` on their command line.
    ///
    /// # Errors
    ///
    /// When the box has no power, or no such process.
    pub fn find(&self, id: BoxId, word: &str) -> io::Result<String> {
        let output = self.machine(id).demo(&["find", word])?;
        if !output.status.success() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Stops the supervisor of a box in its tracks for a while. Returns after that.
    ///
    /// # Errors
    ///
    /// When the box has no power, or loses it meanwhile.
    pub fn stall(&self, id: BoxId, time: Duration) -> io::Result<()> {
        self.machine(id).order(Order::Stall)?;
        std::thread::sleep(time);
        self.machine(id).order(Order::Resume)
    }

    /// Stops everything that runs on a box in its tracks, for ever; it keeps what it has.
    ///
    /// # Errors
    ///
    /// When the box has no power.
    pub fn hang(&self, id: BoxId) -> io::Result<()> {
        self.machine(id).demo(&["freeze"]).map(drop)
    }

    /// Makes everything that is done with a file in `/run` of a box hang, as on a disk that has died.
    ///
    /// # Errors
    ///
    /// When it cannot be put in the file's place.
    pub fn stick(&self, id: BoxId, file: &str) -> io::Result<()> {
        self.machine(id).stick(file)
    }

    /// The BMCs of the boxes, in their order, where there are any.
    pub fn bmcs(&self) -> &[Bmc] {
        &self.bmcs
    }

    /// The client, which asks for the service all the time.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Every time that both boxes had the floating address.
    pub fn doubles(&self) -> Vec<Double> {
        self.watch.doubles()
    }

    /// The boxes that have the floating address now.
    pub fn holders(&self) -> Vec<BoxId> {
        self.watch.holders()
    }

    /// Runs `twobox` with `arguments` on a box.
    ///
    /// # Errors
    ///
    /// When the box has no power.
    pub fn twobox(&self, id: BoxId, arguments: &[&str]) -> io::Result<Output> {
        let mut words = vec!["twobox"];
        words.extend(arguments);
        self.machine(id).demo(&words)
    }

    /// Runs a program of the machine on a box.
    ///
    /// # Errors
    ///
    /// When the box has no power, or there is no such program.
    pub fn enter(&self, id: BoxId, program: &str, arguments: &[&str]) -> io::Result<Output> {
        self.machine(id).enter(program, arguments)
    }

    /// The role that a box says it is in; `None` while it says nothing.
    pub fn role(&self, id: BoxId) -> Option<String> {
        // The first role of the text is the box's own.
        let status = self.status(id)?;
        let (_, rest) = status.split_once("\"role\"")?;
        rest.split('"').nth(1).map(str::to_owned)
    }

    /// Whether a box hears the other one.
    pub fn hears(&self, id: BoxId) -> bool {
        self.status(id).is_some_and(|status| status.contains("\"heard\":true"))
    }

    fn status(&self, id: BoxId) -> Option<String> {
        let output = self.twobox(id, &["status", "--json"]).ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The box that serves: the client has an answer from just now, and one box alone has the address.
    pub fn serving(&self) -> Option<BoxId> {
        let answered = self.client.last().is_some_and(|(_, ago)| ago < PRESENT);
        match self.holders().as_slice() {
            [holder] if answered => Some(*holder),
            _ => None,
        }
    }

    /// Everything that the processes of a box have written since the lab began.
    pub fn log(&self, id: BoxId) -> String {
        self.machine(id).log()
    }

    /// The disk of a box, `/var/lib` to it. It stays over reboots.
    pub fn disk(&self, id: BoxId) -> PathBuf {
        self.machine(id).disk()
    }

    /// Waits until something is so, and says whether it came to be in time.
    pub fn wait_for(&self, patience: Duration, mut so: impl FnMut(&Self) -> bool) -> bool {
        let start = Instant::now();
        loop {
            if so(self) {
                return true;
            }
            if start.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn machine(&self, id: BoxId) -> &Machine {
        let [first, second] = &self.boxes;
        match id {
            BoxId::First => first,
            BoxId::Second => second,
        }
    }
}

/// The address of the service, on any box (RFC 5737, as all addresses of the lab).
pub const FLOATING: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// The address of the client.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);

/// An answer that is younger than this is one of just now.
const PRESENT: Duration = Duration::from_millis(100);

/// The network of the floating address and the client.
pub const CLIENT_PREFIX: u8 = 24;
