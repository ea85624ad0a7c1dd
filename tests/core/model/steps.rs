//! Lists what can happen next, and what comes of it.

use std::sync::Arc;

use firmware_agnostic::heartbeat::Epoch;
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::node::{Action, Actions, Answer, Event};
use firmware_agnostic::order::Order;
use firmware_agnostic::receiver::Heard;
use firmware_agnostic::settings::Settings;
use firmware_agnostic::time::Instant;

use simulation::fixtures;

use super::pair::{NOW, OLDEST, Pair, Question, RESOURCE, ROUND, Stage, Verb, Word};

/// One step of the model.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// A round passes; the box that is named does not run in it.
    Round(Option<BoxId>),
    /// A box hears the newest word of the other before the round is over.
    Hear(BoxId, LinkId),
    /// A box hears a word that the other has said before.
    HearOld(BoxId, LinkId, usize),
    /// A cable is cut or mended: for what the box that is named says, or both ways.
    Cable(Option<BoxId>, LinkId),
    /// The resources did what they were told first, or did not.
    Done(BoxId, bool),
    /// A resource dies.
    Fails(BoxId),
    /// The device that was told to fence is ready.
    Ready(BoxId, Question),
    /// The peer's power is off, and is seen so.
    See(BoxId, Question),
    /// The question is answered: off, or not.
    Answer(BoxId, Question),
    /// The order to cut the power of this box comes.
    Cut(BoxId),
    /// This box loses its power.
    PowerCut(BoxId),
    /// The supervisor dies, and what it has started runs on.
    Kill(BoxId),
    /// The box is switched on if it was off, and its supervisor starts; the journal is there, or lost.
    Birth(BoxId, bool),
    /// An operator speaks.
    Order(BoxId, Order),
    /// A box gets the rank of the other one.
    Reload(BoxId),
}

impl Pair {
    /// All that can happen next.
    pub(crate) fn steps(&self, links: usize, orders: &[Order], steps: &mut Vec<Step>) {
        let left = &self.left;
        let passes = !self.is_busy() || left.slow > 0;
        if passes {
            steps.push(Step::Round(None));
        }
        if left.cables > 0 {
            for link in (0..links).filter_map(LinkId::new) {
                let ways = [None, Some(BoxId::First), Some(BoxId::Second)];
                steps.extend(ways.map(|way| Step::Cable(way, link)));
            }
        }
        for id in BoxId::BOTH {
            let machine = self.at(id);
            if machine.cut_comes {
                steps.push(Step::Cut(id));
            }
            if machine.powered && left.power_cuts > 0 {
                steps.push(Step::PowerCut(id));
            }
            if machine.node.is_none() {
                if left.births > 0 {
                    steps.push(Step::Birth(id, true));
                    if left.journals > 0 && machine.journal.is_some() {
                        steps.push(Step::Birth(id, false));
                    }
                }
                continue;
            }
            if passes && left.stalls > 0 {
                steps.push(Step::Round(Some(id)));
            }
            if left.kills > 0 {
                steps.push(Step::Kill(id));
            }
            if left.reloads > 0 {
                steps.push(Step::Reload(id));
            }
            let said = self.air[id.other().index()].len();
            for link in (0..links).filter_map(LinkId::new) {
                let fresh = self.node(id.other()).is_some() && self.carries(id.other(), link);
                if fresh {
                    steps.push(Step::Hear(id, link));
                }
                if left.old_words > 0 {
                    let old = 0..said.saturating_sub(usize::from(fresh));
                    steps.extend(old.map(|place| Step::HearOld(id, link, place)));
                }
            }
            if !machine.jobs.is_empty() {
                steps.push(Step::Done(id, true));
                if left.failures > 0 {
                    steps.push(Step::Done(id, false));
                }
            }
            if machine.holds && left.failures > 0 {
                steps.push(Step::Fails(id));
            }
            for question in &machine.questions {
                let called_off = question.stage == Stage::CalledOff;
                if question.shot && question.stage == Stage::Asked && question.seen_off.is_none() {
                    steps.push(Step::Ready(id, *question));
                }
                if question.seen_off.is_none() && !self.at(id.other()).powered && !called_off {
                    steps.push(Step::See(id, *question));
                }
                if question.seen_off.is_some() || called_off || left.denials > 0 {
                    steps.push(Step::Answer(id, *question));
                }
            }
            if left.orders > 0 {
                let possible = |order: &&Order| {
                    // A person has looked.
                    !matches!(order, Order::Confirm(peer) if self.at(*peer).powered || *peer == id)
                };
                steps.extend(orders.iter().filter(possible).map(|order| Step::Order(id, *order)));
            }
        }
    }

    /// Lets `step` happen.
    pub(crate) fn take(&mut self, step: Step, settings: &[Settings; 2]) {
        match step {
            Step::Round(stalled) => self.pass(stalled, settings[0].links),
            Step::Hear(id, link) => self.hear(id, link),
            Step::HearOld(id, link, place) => {
                self.left.old_words -= 1;
                let word = self.air[id.other().index()][place];
                self.hear_word(id, link, word);
            }
            Step::Cable(id, link) => {
                self.left.cables -= 1;
                for from in BoxId::BOTH.into_iter().filter(|from| id.is_none_or(|id| id == *from)) {
                    let cut = &mut self.cut[from.index()];
                    *cut = cut.with(link, !cut.contains(link));
                }
            }
            Step::Done(id, well) => self.done(id, well),
            Step::Fails(id) => {
                self.left.failures -= 1;
                self.step(id, Event::ResourceFailed(RESOURCE));
            }
            Step::Ready(id, question) => {
                self.change_question(id, question, |it| it.stage = Stage::Ready);
                self.step(id, Event::Ready(question.tag));
            }
            Step::See(id, question) => {
                self.change_question(id, question, |it| it.seen_off = Some(NOW));
            }
            Step::Answer(id, question) => self.answer(id, question, question.seen_off),
            Step::Cut(id) => {
                self.boxes[id.index()].cut_comes = false;
                self.power_off(id);
            }
            Step::PowerCut(id) => {
                self.left.power_cuts -= 1;
                self.power_off(id);
            }
            Step::Kill(id) => {
                self.left.kills -= 1;
                self.boxes[id.index()].die();
            }
            Step::Birth(id, remembers) => {
                self.left.births -= 1;
                if !remembers {
                    self.left.journals -= 1;
                    self.boxes[id.index()].journal = None;
                }
                self.give_birth(id, settings);
            }
            Step::Order(id, order) => {
                self.left.orders -= 1;
                self.step(id, Event::Order(order));
            }
            Step::Reload(id) => {
                self.left.reloads -= 1;
                self.reload(id, settings);
            }
        }
    }

    /// Whether something is not done, or not answered.
    fn is_busy(&self) -> bool {
        self.boxes.iter().any(|it| !it.jobs.is_empty() || !it.questions.is_empty())
    }

    fn carries(&self, from: BoxId, link: LinkId) -> bool {
        !self.cut[from.index()].contains(link)
    }

    fn hear(&mut self, id: BoxId, link: LinkId) {
        if let Some(word) = self.air[id.other().index()].last() {
            self.hear_word(id, link, *word);
        }
    }

    fn hear_word(&mut self, id: BoxId, link: LinkId, word: Word) {
        let machine = &mut self.boxes[id.index()];
        machine.heard |= !word.stale;
        let boot = word.heartbeat.epoch.boot;
        let newest = machine.newest.filter(|(known, at)| *known == boot && *at > word.at);
        machine.newest = newest.or(Some((boot, word.at)));
        let heard = Heard { heartbeat: word.heartbeat, proof: word.echo };
        self.step(id, Event::Heartbeat(link, heard));
    }

    fn change_question(
        &mut self,
        id: BoxId,
        question: Question,
        change: impl FnOnce(&mut Question),
    ) {
        let questions = &mut self.boxes[id.index()].questions;
        if let Some(it) = questions.iter_mut().find(|it| **it == question) {
            change(it);
        }
    }

    /// A keepalive passes, and what is said then is heard where a cable carries it.
    fn pass(&mut self, stalled: Option<BoxId>, links: usize) {
        self.left.stalls -= u8::from(stalled.is_some());
        self.left.slow -= u8::from(self.is_busy());
        self.age();
        for id in BoxId::BOTH {
            let Some(node) = self.node(id) else { continue };
            let node = node.earlier(ROUND, OLDEST);
            let due = node.next_deadline() <= NOW && stalled != Some(id);
            self.boxes[id.index()].node = Some(Arc::new(node));
            if due {
                self.step(id, Event::Timeout);
            }
        }
        for id in BoxId::BOTH {
            let speaks = self.node(id.other()).is_some() && stalled != Some(id.other());
            let hears = self.node(id).is_some() && stalled != Some(id);
            for link in (0..links).filter_map(LinkId::new) {
                if speaks && hears && self.carries(id.other(), link) {
                    self.hear(id, link);
                }
            }
        }
    }

    /// Answers whether the power was seen off.
    pub(crate) fn answer(&mut self, id: BoxId, question: Question, off: Option<Instant>) {
        self.boxes[id.index()].questions.retain(|it| *it != question);
        if off.is_none() && question.stage != Stage::CalledOff {
            self.left.denials -= 1;
        }
        let answer = match (question.shot, off) {
            (true, Some(at)) => Answer::Fenced(at),
            (true, None) => Answer::FenceFailed,
            (false, Some(at)) => Answer::PowerOff(at),
            (false, None) => Answer::PowerOn,
        };
        self.step(id, Event::Answer(question.tag, answer));
    }

    fn done(&mut self, id: BoxId, well: bool) {
        self.left.failures -= u8::from(!well);
        let machine = &mut self.boxes[id.index()];
        let (verb, tag) = machine.jobs.remove(0);
        // A start that waited holds from its beginning.
        let next = machine.jobs.first().is_some_and(|(verb, _)| *verb == Verb::Start);
        let answer = match (verb, well) {
            (Verb::Start, true) => {
                machine.whole = !machine.jobs.iter().any(|(verb, _)| *verb == Verb::Stop);
                Answer::Started
            }
            (Verb::Adopt, true) if machine.whole => Answer::Adopted,
            (Verb::Adopt, _) => Answer::NotAdopted,
            (Verb::Start, false) => Answer::StartFailed(RESOURCE),
            (Verb::Stop, true) => {
                machine.holds = next;
                Answer::Stopped
            }
            (Verb::Stop, false) => Answer::StopFailed(RESOURCE),
        };
        self.step(id, Event::Answer(tag, answer));
    }

    fn power_off(&mut self, id: BoxId) {
        let machine = &mut self.boxes[id.index()];
        machine.powered = false;
        machine.fall_silent();
    }

    /// The product takes in `event`, and what it wants is done.
    pub(crate) fn step(&mut self, id: BoxId, event: Event) {
        let Some(node) = &mut self.boxes[id.index()].node else { return };
        let before = node.epoch();
        let actions = Arc::make_mut(node).step(event, NOW);
        self.follow(id, before, event, actions);
    }

    fn reload(&mut self, id: BoxId, settings: &[Settings; 2]) {
        let Some(node) = &mut self.boxes[id.index()].node else { return };
        let node = Arc::make_mut(node);
        let other = BoxId::BOTH.map(|id| settings[id.index()].priority);
        let priority = other.into_iter().find(|it| *it != node.settings().priority);
        let mut settings = node.settings().clone();
        settings.priority = priority.unwrap_or(settings.priority);
        let actions = node.reload(fixtures::in_place(settings), NOW);
        // What was said to the old rank is no word to the new one.
        let epoch = node.epoch();
        self.follow(id, epoch, Event::Timeout, actions);
    }

    /// Does what the product wants, which was at `before` when `event` came.
    fn follow(&mut self, id: BoxId, before: Epoch, event: Event, actions: Actions) {
        for action in actions {
            // What comes after a reset or a farewell is not done.
            if self.at(id).node.is_some() {
                self.check(id, before, event, action);
                self.perform(id, action);
            }
        }
        self.check_box(id);
    }

    fn perform(&mut self, id: BoxId, action: Action) {
        let peer = id.other().index();
        let machine = &mut self.boxes[id.index()];
        match action {
            Action::Send(heartbeat) => {
                let life = heartbeat.heard.map(|epoch| epoch.boot);
                let newest = machine.newest.filter(|(boot, _)| Some(*boot) == life);
                let echo = newest.map(|(_, at)| at);
                let word = Word { heartbeat, at: NOW, echo, stale: false };
                say(&mut self.air[id.index()], word);
            }
            Action::Start(tag) => {
                machine.holds = true;
                machine.jobs.push((Verb::Start, tag));
            }
            Action::Stop(tag) => {
                machine.whole = false;
                machine.jobs.push((Verb::Stop, tag));
            }
            Action::Adopt(tag) => machine.jobs.push((Verb::Adopt, tag)),
            Action::LookAtPower(tag) => {
                self.ask(id, Question { shot: false, tag, seen_off: None, stage: Stage::Asked });
            }
            Action::Fence(tag) => {
                self.ask(id, Question { shot: true, tag, seen_off: None, stage: Stage::Asked });
            }
            Action::Cut(tag) => {
                let ordered = machine.questions.iter_mut().find(|it| it.shot && it.tag == tag);
                if let Some(it) = ordered {
                    it.stage = Stage::Cut;
                    self.boxes[peer].cut_comes = true;
                }
            }
            Action::CallOff(tag) => {
                let called_off = |it: &&mut Question| {
                    it.shot && it.tag == tag && it.stage != Stage::Cut && it.seen_off.is_none()
                };
                for it in machine.questions.iter_mut().filter(called_off) {
                    it.stage = Stage::CalledOff;
                }
            }
            Action::Record(journal) => machine.journal = Some(journal),
            Action::Reset => machine.fall_silent(),
            Action::Leave | Action::Upgrade => machine.die(),
            Action::Restart(_)
            | Action::Reply(_)
            | Action::Announce
            | Action::PowerOn(_)
            | Action::Tell(_) => {}
        }
    }

    fn ask(&mut self, id: BoxId, question: Question) {
        // The answers to what was asked long ago are lost.
        let questions = &mut self.boxes[id.index()].questions;
        questions.push(question);
        if questions.len() > QUESTIONS_MAX {
            questions.remove(0);
        }
    }
}

/// The newest word that is in the air, and those that it has not pushed out.
fn say(air: &mut Vec<Word>, word: Word) {
    air.retain(|said| said.heartbeat != word.heartbeat);
    air.push(word);
    if air.len() > WORDS_MAX {
        air.remove(0);
    }
}
const WORDS_MAX: usize = 2;
const QUESTIONS_MAX: usize = 2;
