//! One run of a service: its leader, all that belongs to it, and the note about it for the next life.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, getpid};

use super::members::{Members, Owner};
use super::note::Note;
use super::notify::{Kin, NotifyAccess, NotifyListener, NotifySocket, Strangers};
use super::tag::Tag;
use crate::disk::safe_file::SafeFile;
use crate::process::cgroup::{Cgroup, Folder};
use crate::process::child::{Child, Entrance, ExitReason, Program};
use crate::process::descent::Descent;
use crate::process::output::{self, Output};
use crate::process::procfs::{Children, Id, ProcessEntry};
use crate::process::{orphans, signals};
use crate::thread::deadline::{CancelToken, Deadline};

/// A service that was started, in this life or in an earlier one.
pub(super) struct Service {
    /// The process that was started, while it is not buried.
    pub(super) child: Option<Child>,
    pub(super) note: Note,
    /// Why its stop has failed, by the status of the leader.
    pub(super) complaint: Option<String>,
    members: Members,
    owner: Owner,
    /// Whether it is not there as it should be.
    owes: bool,
    socket: Option<Arc<NotifySocket>>,
}

impl Service {
    /// Starts `program`, which carries `mark`, and has it heard.
    ///
    /// # Errors
    ///
    /// When it cannot be executed; nothing runs then.
    pub(super) fn start(
        program: &Program,
        output: Output,
        mark: &Tag,
        notify: Option<(NotifySocket, CancelToken)>,
        owner: Owner,
    ) -> io::Result<Self> {
        let (socket, ready) =
            notify.map_or((None, None), |(socket, token)| (Some(Arc::new(socket)), Some(token)));
        let members = Members::make(&owner.name);
        let note = Note {
            print: mark.print.clone(),
            output: output.inode,
            socket: socket.as_ref().map(|it| it.name().to_owned()),
            ..Note::default()
        };
        let mut service = Self::of(None, note, members, owner);
        service.socket = socket;
        let Output { writer, reader, .. } = output;
        let started = service.spawn(program, &writer).or_else(|error| {
            if service.members.cgroup().is_none() || error.kind() == io::ErrorKind::NotFound {
                return Err(error);
            }
            // It may have been the cgroup that would not have it.
            service.members.remove();
            service.members = Members::descent();
            service.spawn(program, &writer)
        });
        if let Err(error) = started {
            service.forget();
            return Err(error);
        }
        drop(writer);
        service.listen(Some(reader), ready)?;
        Ok(service)
    }

    const fn of(child: Option<Child>, note: Note, members: Members, owner: Owner) -> Self {
        Self { child, note, complaint: None, members, owner, owes: false, socket: None }
    }

    fn spawn(&mut self, program: &Program, writer: &OwnedFd) -> io::Result<()> {
        self.note.cgroup = self.members.cgroup().cloned();
        self.write();
        let cgroup = match &self.note.cgroup {
            Some(cgroup) => Some(cgroup.open()?.ok_or(io::ErrorKind::NotFound)?.entrance()?),
            None => None,
        };
        let entrance = Entrance { cgroup, note: Note::open(&self.owner.note).ok() };
        let outputs = (Stdio::from(writer.try_clone()?), Stdio::from(writer.try_clone()?));
        let child = program.spawn_through(entrance, outputs.0, outputs.1)?;
        self.note.leader = ProcessEntry::of(child.pid().as_raw_pid()).map(|it| it.id());
        if let Some(leader) = self.note.leader {
            self.members.follow(leader);
        }
        self.child = Some(child);
        Ok(())
    }

    /// What an earlier life has left of the resource of `owner`: what is noted, or, where the supervisor before
    /// this one was of a version that noted nothing, and has become this one by exec(3), a child that carries its mark.
    ///
    /// # Errors
    ///
    /// When that cannot be told. It must not be taken for nothing.
    pub(super) fn recall(owner: Owner) -> io::Result<Option<Self>> {
        let Some(note) = Note::read(&owner.note)? else { return Self::inherited(owner) };
        let lives =
            |id: &Id| ProcessEntry::of(id.pid).is_some_and(|it| it.id() == *id && it.alive());
        if let Some(other) = note.supervisor.filter(|it| Some(*it) != me() && lives(it)) {
            return Err(io::Error::other(format!("process {} runs it", other.pid)));
        }
        let cgroup = note.cgroup.clone().filter(|_| note.failure.is_none());
        let folder = cgroup.as_ref().map_or(Ok(None), Cgroup::open)?;
        let child = match note.leader {
            Some(leader) => found(leader, folder.as_ref())?,
            None if folder.is_some() || note.failure.is_some() => None,
            // It was started, and could not note itself.
            None => {
                let note = owner.note.display();
                return Err(io::Error::other(format!(
                    "what runs of it is not known: {note} names no process"
                )));
            }
        };
        let members = match (cgroup.filter(|_| folder.is_some()), note.leader) {
            (Some(cgroup), _) => Members::Cgroup(cgroup),
            (None, Some(leader)) => Members::of(leader, &note.known),
            (None, None) => Members::descent(),
        };
        Ok(Some(Self::of(child, note, members, owner)))
    }

    fn inherited(owner: Owner) -> io::Result<Option<Self>> {
        // The orphans of anybody come to process 1.
        if getpid().is_init() {
            return Ok(None);
        }
        let Ok((children, _)) = Children::look().and_then(|it| orphans::all(&it)) else {
            return Ok(None);
        };
        let leads = |it: &&ProcessEntry| it.alive() && it.group == it.pid && it.session != it.pid;
        let known =
            |it: &ProcessEntry| Some((it.id(), Tag::of(it.pid).filter(|_| owner.owns(it.pid))?));
        let mut found = children.iter().filter(leads).filter_map(known);
        let Some((leader, mark)) = found.find(|(_, mark)| mark.resource == owner.name) else {
            return Ok(None);
        };
        let note = Note {
            print: mark.print,
            output: mark.output,
            leader: Some(leader),
            ..Note::default()
        };
        let members = Members::of(leader, &[]);
        let child = Child::found(leader)?;
        let mut service = Self::of(child, note, members, owner);
        service.owes = true;
        Ok(Some(service))
    }

    /// Whether its leader lives.
    pub(super) fn lives(&self) -> bool {
        self.child.as_ref().is_some_and(|child| child.end().is_none())
    }

    /// Hears again what it says, after an earlier life.
    pub(super) fn hear_again(&mut self) {
        let name = &self.owner.name;
        let output = output::reopen(self.note.output, &self.members.pids());
        if let Err(error) = &output {
            log::warn!(
                "{name}: what it writes is not logged: {error}: give CAP_SYS_PTRACE, or start it again"
            );
        }
        let socket = self.note.socket.clone().map(NotifySocket::called).transpose();
        if let Err(error) = &socket {
            log::warn!("{name}: its notify socket cannot be opened again: {error}");
        }
        self.socket = socket.ok().flatten().map(Arc::new);
        if let Err(error) = self.listen(output.ok(), None) {
            log::warn!("{name}: {error}");
        }
        // It names this life from now on.
        self.owes = true;
    }

    fn listen(&self, output: Option<fs::File>, ready: Option<CancelToken>) -> io::Result<()> {
        let ear = self.socket.clone().map(|socket| {
            let trust = NotifyAccess { kin: self.kin(), user: self.owner.user };
            let name = self.owner.name.clone();
            Box::new(NotifyListener { socket, trust, ready, name, strangers: Strangers::default() })
                as Box<dyn output::OutputListener>
        });
        output::read(output, ear, &self.owner.name)
    }

    fn kin(&self) -> Option<Kin> {
        match self.members.cgroup() {
            Some(cgroup) => Some(Kin::Cgroup(cgroup.clone())),
            None => self.note.leader.map(Kin::Descent),
        }
    }

    /// Looks who has come, and keeps the note right.
    pub(super) fn look(&mut self) {
        match self.members.look(&self.owner) {
            Ok(changed) => self.owes |= changed,
            Err(error) => log::debug!("{}: {error}", self.owner.name),
        }
        if self.owes || !self.owner.note.exists() {
            self.write();
        }
    }

    /// Whether it must be looked at again and again, since no cgroup tells who belongs to it.
    pub(super) const fn wants_looks(&self) -> bool {
        self.members.cgroup().is_none()
    }

    /// Tells it to end by `signal`, waits until the leader and its group have ended, and tells how the leader did
    /// that: not if it was dead before, or is still there after `kill_after`.
    ///
    /// # Errors
    ///
    /// When it is still there and is not to be killed, or that cannot be told.
    pub(super) fn end(
        &mut self,
        signal: Signal,
        kill_after: Option<Duration>,
        patience: &Deadline,
    ) -> io::Result<Option<ExitReason>> {
        let Some(child) = self.child.as_ref().filter(|child| child.end().is_none()) else {
            return Ok(None);
        };
        let patience = kill_after.map_or_else(|| patience.clone(), |time| patience.at_most(time));
        // One that was stopped takes the signal only when it goes on.
        for signal in [signal, Signal::CONT] {
            if child.is_found() {
                child.signal_leader(signal);
                self.members.signal_group(child.pid(), signal, &self.owner)?;
            } else {
                child.signal(signal);
            }
        }
        let name = signals::name(signal);
        match self.members.group_gone(child, &self.owner, &patience) {
            Ok(()) => Ok(child.end()),
            Err(error) if !is_over(&error) => Err(error),
            Err(error) if kill_after.is_none() => Err(io::Error::new(
                error.kind(),
                format!("it does not end by {name}, and kill_after = \"never\""),
            )),
            Err(_) => {
                log::warn!(
                    "{}: process {} does not end by {name}: killed",
                    self.owner.name,
                    child.pid()
                );
                Ok(None)
            }
        }
    }

    /// Kills all that is left of it.
    ///
    /// # Errors
    ///
    /// When something is still there, or that cannot be told.
    pub(super) fn kill(&mut self, patience: &Deadline) -> io::Result<()> {
        let patience = Deadline::new(patience.left().max(KILL_TIME));
        if let Some(child) = &self.child {
            child.signal_leader(Signal::KILL);
        }
        self.members.kill(&self.owner, &patience)?;
        if let Some(child) = &mut self.child {
            patience.readable(&[child.as_fd()]).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("process {} was killed, and is still there", child.pid()),
                )
            })?;
            child.bury();
        }
        self.child = None;
        Ok(())
    }

    /// Nothing of it is left, and nothing needs to be known of it.
    pub(super) fn forget(&self) {
        self.hush();
        self.members.remove();
        match SafeFile::own(&self.owner.note).and_then(|note| note.remove()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("cannot remove {}: {error}", self.owner.note.display());
            }
            _ => {}
        }
    }

    /// None of its processes is left, and it counts as not stopped all the same, in later lives too.
    pub(super) fn fail(&mut self, reason: &str) {
        self.hush();
        self.members.remove();
        self.note = Note { failure: Some(reason.to_owned()), ..Note::default() };
        self.members = Members::Descent(Descent::default());
        self.write();
    }

    /// Why it counts as not stopped although none of its processes is left; not once a person has removed the note.
    pub(super) fn failure(&self) -> Option<(&str, &Path)> {
        let reason = self.note.failure.as_deref()?;
        (self.owes || self.owner.note.exists()).then_some((reason, &self.owner.note))
    }

    fn hush(&self) {
        self.socket.iter().for_each(|socket| socket.close());
    }

    fn write(&mut self) {
        self.note.supervisor = me();
        self.note.known = self.members.known();
        self.note.known.retain(|it| Some(*it) != self.note.leader);
        let written = self.note.write(&self.owner.note);
        if let Err(error) = &written
            && !self.owes
        {
            log::error!(
                "{}: cannot write {}: {error}: if the supervisor dies now, nobody may know of it; trying again",
                self.owner.name,
                self.owner.note.display()
            );
        }
        self.owes = written.is_err();
    }
}

impl Drop for Service {
    /// What nobody watches is not left running.
    fn drop(&mut self) {
        if self.child.is_some() {
            match self.kill(&Deadline::new(KILL_TIME)) {
                Ok(()) => self.forget(),
                Err(error) => log::error!("{}: {error}", self.owner.name),
            }
        }
        self.hush();
    }
}

/// The process `leader`, if it lives; where it is hidden from us, the kernel's list tells whether it is it.
fn found(leader: Id, folder: Option<&Folder>) -> io::Result<Option<Child>> {
    let (error, folder) = match (Child::found(leader), folder) {
        (Err(error), Some(folder)) => (error, folder),
        (found, _) => return found,
    };
    log::debug!("{error}");
    let listed = folder.processes()?.iter().any(|pid| pid.as_raw_pid() == leader.pid);
    if listed { Child::hidden(leader) } else { Ok(None) }
}

/// This life of the supervisor.
fn me() -> Option<Id> {
    ProcessEntry::of(getpid().as_raw_pid()).map(|it| it.id())
}

fn is_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// A killed process is gone within milliseconds, and a large one within its time to free memory. What is there after
/// two seconds waits for hardware.
const KILL_TIME: Duration = Duration::from_secs(2);
