//! The resources of this box, on a thread of their own.
//!
//! There is one way to start and one to stop: the group is *settled* for a [`Position`]. What has no place there is
//! stopped in reverse order, then what has is started in order. The thread lives as long as the supervisor, so that
//! a child can be told to die with it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use board::process::orphans;
use board::resource::{Config, RunsOn};
use board::thread::capabilities::Rights;
use board::thread::deadline::{CancelToken, Deadline};
use board::thread::fd_reserve::{self, Reserve};
use board::thread::spawn;
use firmware_agnostic::identity::ResourceId;
use firmware_agnostic::node::{Answer, Event, Tag};
use smol::channel::Sender;

use crate::input::Input;

mod ahead;
mod lease_record;
mod member;
mod pulse;
mod reload;
mod state;

pub(crate) use lease_record::LeaseRecord;
pub(crate) use member::Member;
use member::Position;
use pulse::{Pulse, Watch};
use reload::{rights, stops};
use state::StatusBoard;
pub(crate) use state::{ResourceState, States};

/// How many files the work on `members` may take.
const fn files(members: &[Member]) -> usize {
    fd_reserve::START + FILES * members.len()
}

/// The other end of the resources' thread.
pub(crate) struct ResourceWorker {
    jobs: mpsc::Sender<Job>,
    bell: CancelToken,
    token: CancelToken,
    done: mpsc::Receiver<bool>,
    watch: Watch,
    states: StatusBoard,
    start_time: Duration,
    stop_time: Duration,
    /// A reload may take until then, and what is given meanwhile waits for it.
    reloads: Instant,
}

impl ResourceWorker {
    /// Starts the thread of the resources `members`. Nothing else is started. What is in `leftovers` is none of
    /// them, and may run all the same.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub(crate) fn open(
        members: Vec<Member>,
        leftovers: Vec<Member>,
        mut lease: LeaseRecord,
        inputs: Sender<Input>,
    ) -> io::Result<Self> {
        let configs: Vec<_> = members.iter().map(|member| member.config.clone()).collect();
        let (jobs, queue) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let (bell, token) = (CancelToken::new()?, CancelToken::new()?);
        let (states, pulse) = (StatusBoard::default(), Pulse::default());
        states.reload(&configs);
        let (start_time, mut stop_time) = times(&configs);
        stop_time += leftovers.iter().map(|it| it.config.stop_timeout).sum::<Duration>();
        lease.patience = stop_time;
        let reserve = Reserve::new("resources", files(&members) + files(&leftovers))?;
        let hands = ResourceThread {
            members,
            leftovers,
            position: Position::Unsettled,
            lease,
            inputs,
            bell: bell.clone(),
            token: token.clone(),
            states: states.clone(),
            pulse: pulse.clone(),
            reserve,
            burial: IDLE,
        };
        spawn::spawn("resources", Rights::PROGRAMS, move || hands.work(&queue, &finished))?;
        let (reloads, watch) = (Instant::now(), Watch::new(pulse));
        Ok(Self { jobs, bell, token, done, watch, states, start_time, stop_time, reloads })
    }

    /// Goes on with `members`, opened of `configs`, as `config` says them. What runs just as well by them runs on;
    /// what does not is stopped, and what has its place here then is started.
    pub(crate) fn reload(&mut self, members: Vec<Member>, configs: &[Config], config: &str) {
        let gone = self.stop_time;
        (self.start_time, self.stop_time) = times(configs);
        self.reloads = self.reloads.max(Instant::now()) + gone + self.start_time;
        self.states.reload(configs);
        self.give(Job::Reload(members, config.to_owned()));
    }

    /// Settles the group on the active box.
    pub(crate) fn start(&self, tag: Tag) {
        self.give(Job::Start(tag));
    }

    /// Watches on what an earlier life has left running on the active box.
    pub(crate) fn adopt(&self, tag: Tag) {
        self.give(Job::Adopt(tag));
    }

    /// Settles the group on the box that is not active, calling off a start that is under way.
    pub(crate) fn stop(&self, tag: Tag) {
        self.token.cancel();
        self.give(Job::Stop(tag));
    }

    /// Tells the world outside again where the resources are.
    pub(crate) fn announce(&self) {
        self.give(Job::Announce);
    }

    /// Starts one resource again, if it has its place here.
    pub(crate) fn restart(&self, resource: &str) {
        self.give(Job::Restart(resource.to_owned()));
    }

    /// Stops everything, waits for it, and ends the thread. Tells whether everything has stopped.
    pub(crate) fn end(&self) -> bool {
        self.token.cancel();
        self.give(Job::End);
        self.done.recv_timeout(self.stop_time()).unwrap_or_else(|_| {
            log::error!("not everything could be stopped in time: leaving all the same");
            false
        })
    }

    /// The longest time that a start may take which is given now.
    pub(crate) fn start_time(&self) -> Duration {
        self.busy() + self.start_time
    }

    /// The longest time that a stop may take which is given now.
    pub(crate) fn stop_time(&self) -> Duration {
        self.busy() + self.stop_time
    }

    /// How long the thread may still be at a reload: what is late by that is not stuck.
    fn busy(&self) -> Duration {
        self.reloads.saturating_duration_since(Instant::now())
    }

    /// Tells, asked about every `rhythm`, what is new: that the thread hangs, or works again.
    pub(crate) fn hangs(
        &mut self,
        now: firmware_agnostic::time::Instant,
        rhythm: Duration,
    ) -> Option<bool> {
        self.watch.look(now, rhythm)
    }

    /// How the resources are doing.
    pub(crate) fn states(&self) -> States {
        self.states.all()
    }

    /// When the neighbours knew where everything is.
    pub(crate) fn announced(&self) -> Option<firmware_agnostic::time::Instant> {
        self.states().resources.iter().filter_map(|state| state.announced).max()
    }

    fn give(&self, job: Job) {
        // The thread ends only when it is told to, and then nothing more is given.
        let _ = self.jobs.send(job);
        self.bell.cancel();
    }
}

/// The longest times that a start of all, and a stop of all, may take.
fn times(configs: &[Config]) -> (Duration, Duration) {
    let all = |time: fn(&Config) -> Duration| configs.iter().map(time).sum();
    (all(|config| config.start_timeout + config.stop_timeout), all(|config| config.stop_timeout))
}

/// A resource is spoken of by its name where its place may have changed meanwhile.
enum Job {
    Start(Tag),
    Adopt(Tag),
    Stop(Tag),
    Reload(Vec<Member>, String),
    Restart(String),
    Announce,
    End,
}

/// What runs on the thread.
struct ResourceThread {
    members: Vec<Member>,
    /// What is no resource any more, and is to be stopped.
    leftovers: Vec<Member>,
    position: Position,
    lease: LeaseRecord,
    inputs: Sender<Input>,
    bell: CancelToken,
    token: CancelToken,
    states: StatusBoard,
    pulse: Pulse,
    reserve: Reserve,
    /// How long those that others have left to us wait for their burial.
    burial: Duration,
}

impl ResourceThread {
    fn work(mut self, queue: &mpsc::Receiver<Job>, finished: &mpsc::Sender<bool>) {
        (rights(&self.members) | rights(&self.leftovers)).set_effective();
        loop {
            self.pulse.rests();
            self.wait();
            self.pulse.begins(LOOK);
            self.bell.reset();
            self.reserve.spend();
            while let Ok(job) = queue.try_recv() {
                self.pulse.begins(self.longest(&job));
                match job {
                    Job::Start(tag) => self.start(tag),
                    Job::Adopt(tag) => self.adopt(tag),
                    Job::Stop(tag) => self.stop(tag),
                    Job::Reload(members, config) => self.reload(members, config),
                    Job::Restart(name) => self.restart(&name),
                    Job::Announce => self.announce(),
                    Job::End => {
                        self.position = Position::Nowhere;
                        let clean = self.clear_out().is_ok();
                        if clean {
                            self.lease.end();
                        }
                        let _ = finished.send(clean);
                        return;
                    }
                }
            }
            self.pulse.begins(LOOK);
            self.start_missing();
            self.look();
            self.look_ahead(Instant::now());
            self.reserve.restore();
            self.burial = match orphans::bury() {
                0 => self.burial.saturating_mul(2).min(IDLE),
                MANY.. => (self.burial / 4).max(BURIAL_MIN),
                _ => self.burial,
            };
        }
    }

    /// Longer than `job` takes.
    fn longest(&self, job: &Job) -> Duration {
        let new: &[Member] = if let Job::Reload(members, _) = job { members } else { &[] };
        let all = self.members.iter().chain(&self.leftovers).chain(new);
        let each =
            all.map(|member| &member.config).map(|it| it.start_timeout + it.stop_timeout * 2);
        LOOK + each.sum::<Duration>()
    }

    /// Sees to it that the next holder of the lease looks for what may run, and for nothing else.
    fn start_missing(&mut self) {
        if self.leftovers.is_empty() && self.lease.start_missing() {
            rights(&self.members).set_effective();
        }
        self.lease.try_again();
    }

    /// Whether something is to be written that could not be.
    fn owes(&self) -> bool {
        !self.lease.noted()
    }

    /// Waits until there is a job, an alarm, or a look that is due.
    fn wait(&self) {
        let running = self.members.iter().filter(|member| member.runs);
        let ahead = self.members.iter().filter_map(|member| member.next_ahead(self.position));
        let next = running.clone().map(|member| member.next_look).chain(ahead).min();
        let idle = match self.owes() {
            true => AGAIN.min(self.burial),
            false if orphans::come_here() => self.burial,
            false => IDLE,
        };
        let idle = Instant::now() + idle;
        let patience =
            Deadline::new(next.unwrap_or(idle).min(idle).saturating_duration_since(Instant::now()));
        let mut descriptors: Vec<BorrowedFd<'_>> = vec![self.bell.as_fd()];
        descriptors.extend(running.filter_map(|member| member.resource.alarm()));
        // Why it ended is looked at afterwards.
        let _ = patience.readable(&descriptors);
    }

    fn start(&mut self, tag: Tag) {
        self.position = Position::Active;
        let answer = match self.clear_out().and_then(|()| self.stop_misplaced()) {
            Ok(()) => Answer::Started,
            Err(id) => Answer::StartFailed(id),
        };
        self.tell(Event::Answer(tag, answer));
    }

    /// All that moves must be there, and something must: where nothing is, a boot looks the same. What runs on both
    /// boxes may have failed meanwhile, as it may at any time.
    fn adopt(&mut self, tag: Tag) {
        let may = self.lease.take();
        let moves = |member: &&mut Member| member.config.place == RunsOn::Active;
        let moving: Vec<_> = self.members.iter_mut().filter(moves).collect();
        if !may || moving.is_empty() || !moving.into_iter().all(Member::adopt) {
            log::info!("the services of the last life are not all there to run on");
            self.tell(Event::Answer(tag, Answer::NotAdopted));
            return;
        }
        self.position = Position::Active;
        self.tell(Event::Answer(tag, Answer::Adopted));
        let stays = |member: &&mut Member| member.config.place == RunsOn::Both;
        let others = self.members.iter_mut().filter(stays);
        let missing = others.filter_map(|it| (!it.adopt()).then(|| it.config.name.clone()));
        let missing: Vec<_> = missing.collect();
        for member in &self.members {
            self.states.note(member, None);
        }
        for name in missing {
            self.failed(name);
        }
        self.leftovers.retain_mut(|member| !stops(member));
    }

    fn stop(&mut self, tag: Tag) {
        self.lease.take();
        self.position = Position::Standby;
        self.token.reset();
        let answer = match self.clear_out() {
            Ok(()) => Answer::Stopped,
            Err(id) => Answer::StopFailed(id),
        };
        self.tell(Event::Answer(tag, answer));
        if let Err(id) = self.stop_misplaced()
            && let Some(member) = self.members.get(id.index())
        {
            self.failed(member.config.name.clone());
        }
    }

    fn restart(&mut self, name: &str) {
        let (position, token) = (self.position, self.token.clone());
        let known = self.members.iter_mut().find(|member| member.config.name == name);
        let Some(member) = known else { return };
        if !position.has(member.config.place) || member.runs {
            return;
        }
        let restarted = member.stop().and_then(|()| member.start(&token));
        self.states.note(member, restarted.as_ref().err());
        match restarted {
            Ok(()) => log::info!("resource {name} runs again"),
            Err(error) => {
                log::warn!("resource {name} could not be started again: {error}");
                self.failed(name.to_owned());
            }
        }
    }

    /// Stops, in reverse order, what has no place here, whether it was started by this supervisor or by an earlier one.
    fn clear_out(&mut self) -> Result<(), ResourceId> {
        let position = self.position;
        let mut stuck = None;
        for (place, member) in self.members.iter_mut().enumerate().rev() {
            if position.has(member.config.place) {
                continue;
            }
            let stopped = member.stop();
            if let Err(error) = &stopped {
                log::error!("resource {} could not be stopped: {error}", member.config.name);
                stuck = ResourceId::new(place);
            }
            self.states.note(member, stopped.as_ref().err());
        }
        self.leftovers.retain_mut(|member| !stops(member));
        // It has no place any more by which it could be named.
        stuck = stuck.or(ResourceId::new(0).filter(|_| !self.leftovers.is_empty()));
        stuck.map_or(Ok(()), Err)
    }

    /// Starts, in order, what has its place here and does not run.
    fn stop_misplaced(&mut self) -> Result<(), ResourceId> {
        let (position, token) = (self.position, self.token.clone());
        for (member, id) in self.members.iter_mut().zip((0..).map_while(ResourceId::new)) {
            if member.runs || !position.has(member.config.place) {
                continue;
            }
            let started = member.start(&token);
            self.states.note(member, started.as_ref().err());
            let name = &member.config.name;
            match started {
                Ok(()) => log::debug!("resource {name} runs"),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(id),
                Err(error) => {
                    log::error!("resource {name} did not start: {error}");
                    return Err(id);
                }
            }
        }
        Ok(())
    }

    fn announce(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.runs) {
            member.resource.announce();
            member.next_look = Instant::now();
        }
    }

    fn look(&mut self) {
        let mut failed = Vec::new();
        for member in self.members.iter_mut().filter(|member| member.runs) {
            let alarmed = member
                .resource
                .alarm()
                .is_some_and(|alarm| Deadline::new(Duration::ZERO).readable(&[alarm]).is_ok());
            if (alarmed || member.next_look <= Instant::now())
                && let Err(error) = member.look()
            {
                log::warn!("resource {} failed: {error}", member.config.name);
                self.states.note(member, Some(&error));
                failed.push(member.config.name.clone());
            }
        }
        for name in failed {
            self.failed(name);
        }
    }

    fn failed(&self, name: String) {
        let _ = self.inputs.send_blocking(Input::ResourceFailed(name));
    }

    fn tell(&self, event: Event) {
        // The loop has ended only when the box leaves, and then nobody listens.
        let _ = self.inputs.send_blocking(Input::Event(event));
    }
}

/// Far longer than a look at all of them takes: none of them waits.
const LOOK: Duration = Duration::from_secs(30);
/// Between two attempts to note what may run.
const AGAIN: Duration = Duration::from_secs(1);
/// A dead orphan costs a number and nothing else. Where so many are found at once they are looked for more often.
const BURIAL_MIN: Duration = Duration::from_millis(100);
const MANY: usize = 16;
/// So soon it is seen that somebody has removed the lease or its note.
const IDLE: Duration = Duration::from_secs(5);
/// A resource that runs has so many open: its pidfd, its output and its notify socket, or a socket for its neighbours.
const FILES: usize = 3;

#[cfg(test)]
mod tests {
    use board::config::table::Source;
    use board::disk::lease::Lease;
    use board::resource::Resource;
    use firmware_agnostic::identity::BoxId;

    use super::*;

    /// It is noticed though nothing is to be started or stopped.
    #[test]
    fn a_thread_that_hangs_in_a_look_is_noticed_and_so_is_its_return() {
        let room = tempfile::tempdir().unwrap();
        let text = "kind = \"process\"\ncommand = [\"/x\"]\n";
        let config = Config::read(&mut Source::new(text).parse()).unwrap();
        let mut members = Member::open_all(&[config], BoxId::First, room.path()).unwrap();
        let ((hangs, begun), (end, ended)) = (mpsc::channel(), mpsc::channel());
        members[0].resource = Box::new(Hanging { hangs, ended });
        members[0].runs = true;
        let lease = LeaseRecord::new(Lease::open(&room.path().join("lease")).unwrap(), Vec::new());
        let inputs = smol::channel::unbounded().0;
        let mut group = ResourceWorker::open(members, Vec::new(), lease, inputs).unwrap();
        begun.recv().unwrap();
        let mut now = firmware_agnostic::time::Instant::default();
        let second = Duration::from_secs(1);
        let mut look = || {
            now = now + second;
            group.hangs(now, second)
        };
        let looks = LOOK.as_secs() + 1;
        assert!((0..looks).all(|_| look().is_none()));
        assert_eq!(look(), Some(true));
        drop(end);
        let start = Instant::now();
        while look() != Some(false) {
            assert!(start.elapsed() < Duration::from_secs(60), "it does not come back");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A look at it does not come back.
    struct Hanging {
        hangs: mpsc::Sender<()>,
        ended: mpsc::Receiver<()>,
    }

    impl Resource for Hanging {
        fn start(&mut self, _: &Deadline) -> io::Result<()> {
            Ok(())
        }

        fn stop(&mut self, _: &Deadline) -> io::Result<()> {
            Ok(())
        }

        fn monitor(&mut self) -> io::Result<()> {
            // The test has ended, or waits for no more.
            let _ = self.hangs.send(());
            let _ = self.ended.recv();
            Ok(())
        }
    }

    /// Or else a box that leaves or fails back right after a reload would take a slow stop for one that hangs, and
    /// reset.
    #[test]
    fn a_stop_behind_a_reload_has_the_time_of_both() {
        let room = tempfile::tempdir().unwrap();
        let config = |words: &str| {
            let text = format!("kind = \"process\"\ncommand = [\"/x\"]\n{words}\n");
            Config::read(&mut Source::new(&text).parse()).unwrap()
        };
        let (slow, quick) = (config("stop_timeout = \"60s\""), config("name = \"y\""));
        let lease = Lease::open(&room.path().join("lease")).unwrap();
        let lease = LeaseRecord::new(lease, vec!["slow".to_owned()]);
        let inputs = smol::channel::unbounded().0;
        let open = |config| {
            Member::open_all(std::slice::from_ref(config), BoxId::First, room.path()).unwrap()
        };
        let mut group = ResourceWorker::open(open(&slow), Vec::new(), lease, inputs).unwrap();
        assert_eq!(group.stop_time(), slow.stop_timeout);
        group.reload(open(&quick), std::slice::from_ref(&quick), "quick");
        let both = slow.stop_timeout + quick.stop_timeout;
        assert!(group.stop_time() >= both, "{:?}", group.stop_time());
        assert!(group.start_time() >= both + quick.start_timeout, "{:?}", group.start_time());
        assert!(group.end());
        // Nothing of it is anybody's to stop any more.
        let lease = Lease::open(&room.path().join("lease")).unwrap();
        assert_eq!(lease.noted().unwrap(), [""; 0]);
    }
}
