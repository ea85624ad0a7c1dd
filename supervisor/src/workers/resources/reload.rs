//! Changes the resources to those of another configuration.
//!
//! What would run the same way runs on, and is not touched. What would not is stopped, in reverse order, before
//! anything is started; then what has come to its place here is started in order. One that does not start has
//! failed, as it may at any time; one that had failed before is left to the node, which decides about that.
//!
//! What is no resource any more, and cannot be stopped, is kept in mind: this box has not released before that has
//! stopped too.

use std::io;

use board::thread::capabilities::Rights;

use super::{Member, ResourceThread, files};

/// What the thread must be allowed to do for these. It never drops the others for good: what a reload brings may take
/// them.
pub(super) fn rights(members: &[Member]) -> Rights {
    members.iter().map(|member| member.config.rights()).collect()
}

impl ResourceThread {
    pub(super) fn reload(&mut self, members: Vec<Member>, config: String) {
        self.lease.patience = members.iter().map(|member| member.config.stop_timeout).sum();
        self.lease.begin(config);
        (rights(&self.members) | rights(&members) | rights(&self.leftovers)).set_effective();
        self.reserve.keep(files(&members));
        let position = self.position;
        let mut gone = std::mem::replace(&mut self.members, members);
        let mut known = Vec::new();
        for member in &mut self.members {
            let same = |other: &Member| other.config.runs_like(&member.config);
            if let Some(place) = gone.iter().position(same) {
                let other = gone.remove(place);
                if position.has(other.config.place) {
                    known.push(other.config.name.clone());
                }
                member.succeed(other);
            } else if let Some(other) = gone.iter().find(|it| it.config.name == member.config.name)
            {
                // The node knows it by its name.
                member.blocked = other.blocked;
            }
        }
        for mut member in gone.into_iter().rev() {
            if !stops(&mut member) {
                self.leftovers.push(member);
            }
        }
        let strangers = self.members.iter_mut().rev();
        for member in strangers.filter(|it| it.runs && !position.has(it.config.place)) {
            stops(member);
            self.states.note(member, None);
        }
        self.fill_beside(&known);
        (rights(&self.members) | rights(&self.leftovers)).set_effective();
    }

    /// Starts, in order, what has its place here, but for what is `known`; one that fails stops no other.
    fn fill_beside(&mut self, known: &[String]) {
        let mut failed = Vec::new();
        let (position, token) = (self.position, self.token.clone());
        let new = |it: &&mut Member| !known.contains(&it.config.name);
        let members = self.members.iter_mut().filter(new);
        for member in members.filter(|it| position.has(it.config.place)) {
            let started = member.start(&token);
            self.states.note(member, started.as_ref().err());
            let name = &member.config.name;
            match started {
                Ok(()) => log::info!("resource {name} runs"),
                // Everything is about to be stopped.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
                Err(error) => {
                    log::error!("resource {name} did not start: {error}");
                    failed.push(name.clone());
                }
            }
        }
        for name in failed {
            self.failed(name);
        }
    }
}

/// Stops `member`, and tells whether it has stopped.
pub(super) fn stops(member: &mut Member) -> bool {
    let stopped = member.stop();
    if let Err(error) = &stopped {
        log::error!(
            "resource {} could not be stopped: {error}; this box must not let the other serve before it is",
            member.config.name
        );
    }
    stopped.is_ok()
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use board::config::table::Source;
    use board::disk::lease::Lease;
    use board::resource::{Config, Resource};
    use board::thread::deadline::{CancelToken, Deadline};
    use board::thread::fd_reserve::Reserve;
    use firmware_agnostic::identity::BoxId;
    use firmware_agnostic::node::{Answer, Event};
    use smol::channel::Receiver;
    use tempfile::TempDir;

    use super::super::member::Position;
    use super::super::{LeaseRecord, Pulse, StatusBoard};
    use super::*;
    use crate::input::Input;

    #[test]
    fn what_is_the_same_is_not_touched() {
        let mut stage = Stage::active(&[("a", 1), ("b", 1), ("c", 1)]);
        stage.reload(&[("new", 1), ("c", 1), ("b", 2), ("a", 1)]);
        assert_eq!(stage.done(), ["stop b1", "start new1", "start b2"]);
        stage.reload(&[("a", 1)]);
        assert_eq!(stage.done(), ["stop b2", "stop c1", "stop new1"]);
    }

    #[test]
    fn what_has_failed_is_left_to_others() {
        let mut stage = Stage::active(&[("a", 1), ("b", 1)]);
        stage.hands.members[1].runs = false;
        stage.reload(&[("b", 1), ("c", 1)]);
        assert_eq!(stage.done(), ["stop a1", "start c1"]);
        stage.hands.restart("b");
        assert_eq!(stage.done(), ["stop b1", "start b1"]);
    }

    #[test]
    fn what_cannot_be_stopped_is_not_released() {
        let mut stage = Stage::active(&[("a", 1), ("stuck", 1)]);
        stage.reload(&[("a", 1)]);
        assert_eq!(stage.done(), ["stop stuck1"]);
        stage.hands.stop(7);
        assert_eq!(stage.done(), ["stop a1", "stop stuck1"]);
        let told = stage.told.try_recv();
        assert!(matches!(told, Ok(Input::Event(Event::Answer(7, Answer::StopFailed(_))))));
    }

    /// Or else a guard, or the next life, would not know of it.
    #[test]
    fn what_cannot_be_stopped_stays_noted() {
        let mut stage = Stage::active(&[("a", 1)]);
        stage.reload(&[("b", 1)]);
        assert_eq!(stage.noted(), ["[(\"b\", 1)]"]);
        stage.reload(&[("stuck", 1)]);
        stage.reload(&[("b", 1)]);
        assert_eq!(stage.noted(), ["[(\"stuck\", 1)]", "[(\"b\", 1)]"]);
        stage.hands.leftovers.clear();
        stage.hands.start_missing();
        assert_eq!(stage.noted(), ["[(\"b\", 1)]"]);
    }

    #[test]
    fn what_does_not_start_has_failed_and_keeps_nobody_waiting() {
        let mut stage = Stage::active(&[("a", 1)]);
        stage.reload(&[("a", 1), ("broken", 1), ("b", 1)]);
        assert_eq!(stage.done(), ["start broken1", "stop broken1", "start b1"]);
        assert!(
            matches!(stage.told.try_recv(), Ok(Input::ResourceFailed(name)) if name == "broken")
        );
        let states = stage.hands.states.all().resources;
        assert_eq!(states.iter().map(|state| state.runs).collect::<Vec<_>>(), [true, false, true]);
        // Everything is stopped for that, and the reason stays to be read until it runs.
        stage.hands.stop(7);
        let failures = |stage: &Stage| {
            let states = stage.hands.states.all().resources;
            states.iter().map(|state| state.failure.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(failures(&stage), [false, true, false]);
        stage.hands.members[1].runs = true;
        stage.hands.states.note(&stage.hands.members[1], None);
        assert_eq!(failures(&stage), [false; 3]);
    }

    /// The thread of a box that serves, and what it did.
    pub(in crate::workers) struct Stage {
        pub(in crate::workers) hands: ResourceThread,
        done: Arc<Mutex<Vec<String>>>,
        pub(in crate::workers) told: Receiver<Input>,
        room: TempDir,
    }

    impl Stage {
        pub(in crate::workers) fn active(resources: &[(&str, u32)]) -> Self {
            let room = tempfile::tempdir().unwrap();
            let (inputs, told) = smol::channel::unbounded();
            let lease = Lease::open(&room.path().join("lease")).unwrap();
            let hands = ResourceThread {
                members: Vec::new(),
                leftovers: Vec::new(),
                position: Position::Active,
                lease: LeaseRecord::new(lease, Vec::new()),
                inputs,
                bell: CancelToken::new().unwrap(),
                token: CancelToken::new().unwrap(),
                states: StatusBoard::default(),
                pulse: Pulse::default(),
                reserve: Reserve::new("a test", 0).unwrap(),
                burial: crate::workers::resources::IDLE,
            };
            let mut stage = Self { hands, done: Arc::default(), told, room };
            stage.reload(resources);
            stage.done();
            stage
        }

        /// Stops it all.
        pub(in crate::workers) fn stands_by(&mut self) {
            self.hands.stop(0);
            self.done();
        }

        /// Puts a resource that is called so at this place of the list; of one called `missing` a start would fail.
        pub(in crate::workers) fn becomes(&mut self, place: usize, name: &str) {
            let done = self.done.clone();
            self.hands.members[place].resource = Box::new(Fake { name: name.to_owned(), done });
        }

        pub(in crate::workers) fn reload(&mut self, resources: &[(&str, u32)]) {
            let members = resources.iter().map(|(name, version)| {
                let text = format!(
                    "kind = \"process\"\nname = \"{name}\"\ncommand = [\"/x\", \"{version}\"]\n"
                );
                let config = Config::read(&mut Source::new(&text).parse()).unwrap();
                let mut member =
                    Member::open_all(&[config], BoxId::First, self.room.path()).unwrap().remove(0);
                let done = self.done.clone();
                member.resource = Box::new(Fake { name: format!("{name}{version}"), done });
                member
            });
            let members: Vec<_> = members.collect();
            let configs: Vec<_> = members.iter().map(|member| member.config.clone()).collect();
            self.hands.states.reload(&configs);
            self.hands.reload(members, format!("{resources:?}"));
            self.hands.start_missing();
        }

        fn noted(&self) -> Vec<String> {
            Lease::open(&self.room.path().join("lease")).unwrap().noted().unwrap()
        }

        fn done(&self) -> Vec<String> {
            std::mem::take(&mut self.done.lock().unwrap())
        }
    }

    struct Fake {
        name: String,
        done: Arc<Mutex<Vec<String>>>,
    }

    impl Fake {
        fn does(&self, verb: &str, fails: &str) -> io::Result<()> {
            self.done.lock().unwrap().push(format!("{verb} {}", self.name));
            if self.name.starts_with(fails) { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        }
    }

    impl Resource for Fake {
        fn start(&mut self, _: &Deadline) -> io::Result<()> {
            self.does("start", "broken")
        }

        fn stop(&mut self, _: &Deadline) -> io::Result<()> {
            self.does("stop", "stuck")
        }

        fn ready(&mut self) -> io::Result<Option<Duration>> {
            let missing = self.name.starts_with("missing");
            if missing { Err(io::ErrorKind::NotFound.into()) } else { Ok(Some(LOOK)) }
        }

        fn monitor(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Between two looks whether a start would succeed.
    const LOOK: Duration = Duration::from_secs(10);
}
