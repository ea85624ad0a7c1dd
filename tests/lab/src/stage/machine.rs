//! Plays one box of the lab.
//!
//! The processes in namespaces of their own: network, process numbers, mounts, host name. Its pid 1 is [`init`];
//! killing that is cutting the power, because the kernel then kills all the others at once. What a box has in memory
//! (`/run`) is new at every boot; its disk (`/var/lib`) stays.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces};

use crate::faults::stuck_disk::{self, Late};
use crate::observers::watch::Watch;
use crate::stage::ethernet::{Ethernet, Segment, Station};
use crate::stage::init::{self, Order};
use crate::stage::isolation::{self, ROOM};
use crate::stage::kernel::{Interfaces, Tap, unshare};
use crate::stage::null_modem::NullModem;
use crate::stage::power_switch;
use crate::stage::watchdog;
use supervisor::config::SOCKET;
use supervisor::control::client::{Reply, ask};

/// A box, with or without power.
#[derive(Clone, Debug)]
pub(crate) struct Machine(Arc<Shared>);

/// What a box is plugged into.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) ethernet: Ethernet,
    pub(crate) null_modem: NullModem,
    pub(crate) watch: Watch,
}

/// What is installed on a box.
#[derive(Clone, Debug, Default)]
pub(crate) struct Installation {
    /// What pid 1 keeps running.
    pub(crate) program: Vec<String>,
    /// Files in `/run`: name and content.
    pub(crate) files: Vec<(String, String)>,
    /// How long pid 1 waits for a sign of life before it resets the box, if it does.
    pub(crate) watchdog: Option<Duration>,
}

impl Machine {
    /// A box without power and with an empty disk.
    ///
    /// # Errors
    ///
    /// When its directories cannot be made.
    pub(crate) fn new(
        id: BoxId,
        surroundings: Surroundings,
        installation: Installation,
    ) -> io::Result<Self> {
        let room = Path::new(ROOM).join(name(id));
        fs::create_dir_all(room.join("disk"))?;
        let state = Mutex::default();
        Ok(Self(Arc::new(Shared { id, room, surroundings, installation, state })))
    }

    /// Gives it power, and boots it. Does nothing if it has power.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a namespace, a port or a process.
    pub(crate) fn power_on(&self) -> io::Result<()> {
        self.boot(&mut self.0.state())
    }

    /// Cuts its power: when this returns, nothing of it lives. Does nothing if it has none.
    pub(crate) fn power_off(&self) {
        let mut state = self.0.state();
        if let Some(running) = state.running.take() {
            self.0.kill(&running);
        }
    }

    /// Whether it has power.
    pub(crate) fn is_on(&self) -> bool {
        self.0.state().running.is_some()
    }

    /// Makes everything that is done with a file of `/run` hang, as on a disk that has died, until the box has no
    /// power.
    ///
    /// # Errors
    ///
    /// When it has no power, or that cannot be put in the file's place.
    pub(crate) fn stick(&self, file: &str) -> io::Result<()> {
        let disk = self.cover(file)?;
        let mut state = self.0.state();
        state.running.as_mut().ok_or_else(no_power)?.stuck = Some(disk);
        Ok(())
    }

    /// Makes a file of `/run` one that has `content`, which comes late.
    ///
    /// # Errors
    ///
    /// When it has no power, or that cannot be put in the file's place.
    pub(crate) fn come_late(&self, file: &str, content: String) -> io::Result<Late> {
        Ok(Late::serve(self.cover(file)?, content))
    }

    /// Shows what lies below what was put over a file of `/run`.
    ///
    /// # Errors
    ///
    /// When it has no power, or nothing was.
    pub(crate) fn uncover(&self, file: &str) -> io::Result<()> {
        let path = Path::new("/run").join(file);
        self.inside(move || Ok(unmount(path, UnmountFlags::DETACH)?))
    }

    fn cover(&self, file: &str) -> io::Result<OwnedFd> {
        let path = Path::new("/run").join(file);
        self.inside(move || stuck_disk::put_over(&path))
    }

    /// Its disk.
    pub(crate) fn disk(&self) -> PathBuf {
        self.0.room.join("disk")
    }

    /// What it has in `/run`.
    pub(crate) fn run(&self) -> PathBuf {
        self.0.run()
    }

    /// How often it has booted.
    pub(crate) fn boots(&self) -> u32 {
        self.0.state().boots
    }

    /// Gives its pid 1 an order.
    ///
    /// # Errors
    ///
    /// When it has no power.
    pub(crate) fn order(&self, order: Order) -> io::Result<()> {
        let mut state = self.0.state();
        let running = state.running.as_mut().ok_or_else(no_power)?;
        writeln!(running.orders, "{order}")
    }

    /// Runs this program in a box, in another character, and waits for it.
    ///
    /// # Errors
    ///
    /// When it has no power.
    pub(crate) fn demo(&self, arguments: &[&str]) -> io::Result<Output> {
        self.enter(init::PROGRAM, arguments)
    }

    /// Runs a program in a box, and waits for it.
    ///
    /// # Errors
    ///
    /// When it has no power, or no such program.
    pub(crate) fn enter(&self, program: &str, arguments: &[&str]) -> io::Result<Output> {
        self.inside(|| Command::new(program).args(arguments).stdin(Stdio::null()).output())
    }

    /// Asks its supervisor, as a process that it cannot see: of the PID namespace around it.
    ///
    /// # Errors
    ///
    /// When it has no power, or does not answer.
    pub(crate) fn ask_from_outside(&self, request: &str) -> io::Result<Reply> {
        self.inside(|| ask(Path::new(SOCKET), request))
    }

    /// Does `work` in a box, on a thread of its own.
    fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let pid = self.0.state().running.as_ref().ok_or_else(no_power)?.pid;
        let inhabitant = pidfd_open(pid, PidfdFlags::empty())?;
        let booted = self.0.run().join(init::BOOTED);
        let begun = Instant::now();
        while !booted.exists() && begun.elapsed() < BOOT {
            std::thread::sleep(Duration::from_millis(1));
        }
        let child = move || {
            // The thread enters the box, and never comes back.
            unshare(UnshareFlags::FS)?;
            let all = ThreadNameSpaceType::NETWORK
                | ThreadNameSpaceType::PROCESS_ID
                | ThreadNameSpaceType::MOUNT
                | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME;
            move_into_thread_name_spaces(inhabitant.as_fd(), all)?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(child).join())
            .map_err(|_| io::Error::other("the thread that enters a box has panicked"))?
    }

    /// Everything that its processes have written since the lab began.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.0.room.join("log")).unwrap_or_default()
    }

    /// Waits for the end of one boot. A box that ended itself boots again, unless it switched itself off.
    fn wait(&self, mut child: Child, boot: u32, tell: &Sender<()>) {
        let status = child.wait();
        // Nobody listens if nobody pulled the plug.
        let _ = tell.send(());
        let mut state = self.0.state();
        if state.running.as_ref().is_none_or(|running| running.boot != boot) {
            return;
        }
        self.0.disconnect();
        state.running = None;
        // Under the same lock, so that nobody who cuts its power comes in between, and is told that it is off.
        if status.is_ok_and(wants_power)
            && let Err(error) = self.boot(&mut state)
        {
            eprintln!("{} does not boot again: {error}", name(self.0.id));
        }
    }

    fn boot(&self, state: &mut State) -> io::Result<()> {
        if state.running.is_some() {
            return Ok(());
        }
        state.boots += 1;
        let boot = state.boots;
        let (mut child, eyes) = self.0.start(boot).inspect_err(|_| self.0.disconnect())?;
        let orders = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let pid = Pid::from_child(&child);
        let (tell, gone) = channel();
        state.running = Some(Running { boot, pid, orders, gone, stuck: None });
        self.0.surroundings.watch.open(self.0.id, Some(eyes));
        self.0.surroundings.null_modem.power(self.0.id, true);
        let machine = self.clone();
        std::thread::spawn(move || machine.wait(child, boot, &tell));
        Ok(())
    }
}

#[derive(Debug)]
struct Shared {
    id: BoxId,
    room: PathBuf,
    surroundings: Surroundings,
    installation: Installation,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    boots: u32,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    boot: u32,
    pid: Pid,
    orders: std::process::ChildStdin,
    /// Says when nothing of this boot lives any more.
    gone: Receiver<()>,
    /// What holds up each process that uses a file.
    #[allow(dead_code, reason = "it is held, and ends with this")]
    stuck: Option<OwnedFd>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the state of a box")
    }

    fn run(&self) -> PathBuf {
        self.room.join("run")
    }

    fn kill(&self, running: &Running) {
        self.disconnect();
        // Fails only for a box that has just ended itself.
        let _ = kill_process(running.pid, Signal::KILL);
        // The sender waits for the process, and is dropped if it cannot.
        let _ = running.gone.recv();
    }

    /// Silences every cable: without power a box says nothing, from the first moment on.
    fn disconnect(&self) {
        self.surroundings.null_modem.power(self.id, false);
        self.surroundings.ethernet.unplug(Station::Box(self.id));
        self.surroundings.watch.open(self.id, None);
    }

    fn start(&self, boot: u32) -> io::Result<(Child, Interfaces)> {
        self.install()?;
        let mut log = OpenOptions::new().create(true).append(true).open(self.room.join("log"))?;
        writeln!(log, "=== boot {boot} of {}", name(self.id))?;
        let mut command = Command::new(isolation::PROGRAM);
        command
            .args([init::CHARACTER, name(self.id)])
            .arg(&self.room)
            .args(&self.installation.program)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(timeout) = self.installation.watchdog {
            command.env(watchdog::TIMEOUT, timeout.as_micros().to_string());
        }
        // A thread of its own, because it leaves the namespaces of the lab and never comes back.
        let start = || -> io::Result<_> {
            unshare(
                UnshareFlags::NEWNET
                    | UnshareFlags::NEWPID
                    | UnshareFlags::NEWNS
                    | UnshareFlags::NEWUTS,
            )?;
            for segment in Segment::ALL {
                let tap = Tap::new(segment.interface())?;
                self.surroundings.ethernet.plug(segment, Station::Box(self.id), tap)?;
            }
            let eyes = Interfaces::new()?;
            Ok((command.spawn()?, eyes))
        };
        std::thread::scope(|scope| scope.spawn(start).join())
            .map_err(|_| io::Error::other("the thread that starts a box has panicked"))?
    }

    /// Empties `/run`, and lays in it what is installed.
    fn install(&self) -> io::Result<()> {
        let run = self.run();
        match fs::remove_dir_all(&run) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&run)?,
        }
        for (file, content) in &self.installation.files {
            if file.ends_with('/') {
                fs::create_dir(run.join(file))?;
                continue;
            }
            // Keys are among them.
            let mut options = OpenOptions::new();
            let mut file = options.create_new(true).write(true).mode(0o600).open(run.join(file))?;
            file.write_all(content.as_bytes())?;
        }
        fs::hard_link(isolation::PROGRAM, run.join("demo"))?;
        if Path::new(PRODUCT).exists() {
            fs::hard_link(PRODUCT, run.join("twobox"))?;
        }
        fs::hard_link(power_switch::SOCKET, run.join("switch.sock"))?;
        symlink(self.surroundings.null_modem.device(self.id), run.join("ttyS1"))
    }
}

/// A copy of the supervisor, where it is another program than this one.
pub(crate) const PRODUCT: &str = "/run/lab/twobox";

fn no_power() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the box has no power")
}

/// The name of a box.
pub fn name(id: BoxId) -> &'static str {
    match id {
        BoxId::First => "server1",
        BoxId::Second => "server2",
    }
}

/// Whether the box has reset itself, rather than switched itself off or failed to boot (`reboot(2)`: in a pid
/// namespace, pid 1 is killed by `SIGHUP` for a restart, by `SIGINT` for a halt).
fn wants_power(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::HUP.as_raw())
}

/// How long a box may take to set itself up, on any machine.
const BOOT: Duration = Duration::from_secs(20);
