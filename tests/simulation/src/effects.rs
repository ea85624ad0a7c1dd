//! Carries actions out. Each one that asks gets exactly one answer, unless its asker dies first.

use firmware_agnostic::identity::{BoxId, ResourceId};
use firmware_agnostic::journal::{Journal, SLOT_LEN};
use firmware_agnostic::node::{Action, Answer, Event};
use firmware_agnostic::order::Refusal;
use firmware_agnostic::report::Report;

use super::appliance::{Job, Verb};
use super::fault_model::Mishap;
use super::{What, World};

impl World {
    /// Does `action`, or holds it until the record that it rests on is on the disk. A shot is called off at once.
    pub(super) fn do_or_hold(&mut self, id: BoxId, life: u32, action: Action) {
        let Some(supervisor) = self.boxes[id.index()].alive(life) else {
            // What comes after a reset or a farewell is not done.
            return;
        };
        if supervisor.writing.is_none() || matches!(action, Action::Tell(_) | Action::Reply(_)) {
            return self.perform(id, action);
        }
        if let Action::CallOff(tag) = action {
            let ordered = supervisor.held.iter().position(|it| *it == Action::Fence(tag));
            if let Some(ordered) = ordered {
                supervisor.held.remove(ordered);
                self.after(1, What::Answers(id, life, tag, Answer::FenceFailed));
            } else {
                supervisor.held.retain(|it| *it != Action::Cut(tag));
                self.perform(id, action);
            }
            return;
        }
        supervisor.held.push_back(action);
    }

    /// The journal is on the disk: what was held is done.
    pub(super) fn written(&mut self, id: BoxId, life: u32) {
        let Some(supervisor) = self.boxes[id.index()].alive(life) else { return };
        let Some(journal) = supervisor.writing.take() else { return };
        let appliance = &mut self.boxes[id.index()];
        let written = appliance.disk.write(&journal);
        let refuses = appliance.disk.refuses;
        if let Some(supervisor) = &mut appliance.supervisor {
            supervisor.recorded = (written || refuses).then_some(journal.role);
        }
        if refuses {
            self.saw("a journal is not written");
        }
        while let Some(supervisor) = self.boxes[id.index()].alive(life)
            && supervisor.writing.is_none()
            && let Some(action) = supervisor.held.pop_front()
        {
            self.perform(id, action);
        }
    }

    pub(super) fn perform(&mut self, id: BoxId, action: Action) {
        self.check_recorded(id, &action);
        match action {
            Action::Send(heartbeat) => {
                self.check_speech(id);
                self.say(id, heartbeat);
            }
            Action::Start(tag) => self.group(id, Job { tag, verb: Verb::Start }),
            Action::Adopt(tag) => self.group(id, Job { tag, verb: Verb::Adopt }),
            Action::Stop(tag) => self.group(id, Job { tag, verb: Verb::Stop }),
            Action::Restart(resource) => {
                let life = self.boxes[id.index()].life;
                let time = self.random.within(&self.fault_model.start);
                self.after(time, What::Restarted(id, life, resource));
            }
            Action::LookAtPower(tag) => self.look(id, tag),
            Action::Fence(tag) => self.shoot(id, tag),
            Action::Cut(tag) => self.cut(id, tag),
            Action::CallOff(tag) => self.call_off(id, tag),
            Action::PowerOn(tag) => self.order_power_on(id, tag),
            Action::Record(journal) => self.write_down(id, &journal),
            Action::Announce => {
                self.saw("addresses are announced again");
                self.note(id, format_args!("announces its addresses again"));
            }
            Action::Reset => self.reset(id),
            Action::Leave => self.leave(id),
            Action::Upgrade => self.upgrade(id),
            Action::Reply(reply) => self.replied(id, reply),
            Action::Tell(report) => {
                self.checks.told += 1;
                if matches!(report, Report::Shooting { .. }) {
                    self.check_shot(id);
                }
                self.trace.report(self.now, id, &report);
                if let Report::Changed(change) = report {
                    self.checks.stirrings += 1;
                    self.check_change(id, &change);
                    self.spring_ambushes();
                }
                self.check_alarm(id, &report);
            }
        }
    }

    fn replied(&mut self, id: BoxId, reply: Result<(), Refusal>) {
        if let Err(refusal) = reply {
            self.note(id, format_args!("refuses: {refusal}"));
        }
        if reply.is_ok() {
            self.checks.outcome.orders += 1;
            let supervisors = self.boxes.iter_mut().filter_map(|it| it.supervisor.as_mut());
            supervisors.for_each(|supervisor| supervisor.seen.stays.forget());
        }
        self.checks.reply = Some(reply);
    }

    fn write_down(&mut self, id: BoxId, journal: &Journal) {
        if self.suffers(Mishap::TornWrite) {
            let length = self.random.within(&(0..SLOT_LEN as u64 + 1)) as usize;
            self.boxes[id.index()].disk.tear(journal, length);
            self.power_off(id, "loses its power while it writes its journal");
            return;
        }
        let time = self.random.within(&self.fault_model.write);
        let life = self.boxes[id.index()].life;
        if let Some(supervisor) = self.boxes[id.index()].alive(life) {
            supervisor.writing = Some(*journal);
        }
        if time == 0 {
            self.written(id, life);
        } else {
            self.after(time, What::Written(id, life));
        }
    }

    /// Jobs are done one after the other, as the one worker of the product does them.
    fn group(&mut self, id: BoxId, job: Job) {
        if job.verb == Verb::Start {
            self.boxes[id.index()].holds = true;
            self.checks.outcome.takeovers += 1;
            self.check_holders(id);
        }
        let Some(supervisor) = &mut self.boxes[id.index()].supervisor else { return };
        supervisor.jobs.push_back(job);
        if supervisor.jobs.len() == 1 {
            self.begin_job(id, job);
        }
    }

    fn begin_job(&mut self, id: BoxId, job: Job) {
        let times = match job.verb {
            Verb::Start => &self.fault_model.start,
            Verb::Stop => &self.fault_model.stop,
            Verb::Adopt => &self.fault_model.adopt,
        };
        self.boxes[id.index()].whole &= job.verb == Verb::Adopt;
        let time = self.random.within(times);
        let life = self.boxes[id.index()].life;
        self.after(time, What::GroupDone(id, life));
    }

    pub(super) fn group_done(&mut self, id: BoxId, life: u32) {
        let resource = self.any_resource(id);
        let refuses = self.boxes[id.index()].refuses;
        let start_fails = self.suffers(Mishap::StartFails) || refuses == Some(Verb::Start);
        let stop_fails = self.suffers(Mishap::StopFails) || refuses == Some(Verb::Stop);
        let there = self.boxes[id.index()].whole && self.boxes[id.index()].dead.is_empty();
        let adopt_fails = self.suffers(Mishap::AdoptFails) || !there;
        let Some(supervisor) = self.boxes[id.index()].alive(life) else { return };
        let Some(job) = supervisor.jobs.pop_front() else { return };
        let next = supervisor.jobs.front().copied();
        let answer = match job.verb {
            Verb::Start if start_fails => Answer::StartFailed(resource),
            Verb::Start => {
                self.boxes[id.index()].whole = true;
                self.boxes[id.index()].dead.clear();
                Answer::Started
            }
            Verb::Adopt if adopt_fails => Answer::NotAdopted,
            Verb::Adopt => {
                self.saw("services are adopted");
                Answer::Adopted
            }
            Verb::Stop if stop_fails => Answer::StopFailed(resource),
            Verb::Stop => {
                self.boxes[id.index()].let_go();
                Answer::Stopped
            }
        };
        if let Some(next) = next {
            // A start that waited in the queue holds from its beginning.
            self.boxes[id.index()].holds |= next.verb == Verb::Start;
            self.check_holders(id);
            self.begin_job(id, next);
        }
        self.deliver(id, life, Event::Answer(job.tag, answer));
    }

    pub(super) fn restarted(&mut self, id: BoxId, life: u32, resource: ResourceId) {
        if self.suffers(Mishap::RestartFails) || self.boxes[id.index()].refuses == Some(Verb::Start)
        {
            self.deliver(id, life, Event::ResourceFailed(resource));
        } else {
            self.boxes[id.index()].dead.remove(&resource.index());
        }
    }

    /// The resource that fails next.
    pub(super) fn any_resource(&mut self, id: BoxId) -> ResourceId {
        let count = self.boxes[id.index()].settings.resources.len().max(1) as u64;
        let place = self.random.within(&(0..count)) as usize;
        ResourceId::new(place).expect("a box has at most RESOURCES_MAX resources")
    }
}
