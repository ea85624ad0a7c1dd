//! Reads the status of a pair that is well, and of one that is not.

use std::cell::RefCell;

use firmware_agnostic::frame::{Key, Keys, PairId};
use firmware_agnostic::heartbeat::{Epoch, Heartbeat, Incarnation};
use firmware_agnostic::identity::BoxId::{First, Second};
use firmware_agnostic::identity::{BoxId, LinkId};
use firmware_agnostic::node::{Action, Answer, Event};
use firmware_agnostic::order::{Order, OrderDuration};
use firmware_agnostic::receiver::Heard;

use super::*;
use crate::config::Identity;
use crate::observe::screen::WIDTH;

#[test]
fn a_pair_that_is_well_fits_on_the_screen() {
    let bench = Bench::settled("");
    let text = bench.text(First, |_| {});
    assert!(text.starts_with("pair example: serving, and redundant\n"), "{text}");
    assert!(!text.contains("more lines"), "{text}");
    let text = bench.text(Second, |_| {});
    assert!(text.contains("slapd                stopped, as it should be here\n"), "{text}");
}

#[test]
fn the_first_line_stays_on_the_screen_with_everything_wrong() {
    let resource = |number| {
        format!(
            "[[resource]]\nkind = \"process\"\nname = \"service{number}\"\ncommand = [\"/bin/x\"]\n"
        )
    };
    let many: String = (0..22).map(resource).collect();
    let bench = Bench::settled(&many);
    let long = "the program ended with status 1, and said so in many words: ".repeat(5);
    let text = bench.text(First, |status| {
        for state in &mut status.resources {
            (state.runs, state.failure) = (false, Some(long.clone()));
        }
        status.devices.failure = Some(long.clone());
        status.files.journal = Some(long.clone());
    });
    assert!(
        text.starts_with("pair example: serving, but the peer could not be fenced\n"),
        "{text}"
    );
    assert!(text.lines().last().unwrap().ends_with("more lines: twobox status --all"), "{text}");
    let text =
        bench.whole(First, |status| status.resources.iter_mut().for_each(|it| it.runs = false));
    for number in 0..22 {
        assert!(text.contains(&format!("  service{number} ")), "{number}:\n{text}");
    }
}

#[test]
fn a_box_that_is_held_back_is_named_with_the_way_out() {
    let mut bench = Bench::settled("");
    bench.tell(Second, Event::Order(Order::Standby(OrderDuration::Reboot)));
    bench.pass(5);
    for id in BoxId::BOTH {
        let text = bench.text(id, |_| {});
        let first = text.lines().next().unwrap();
        assert!(first.ends_with("server2 is held back: twobox resume on server2"), "{text}");
    }
}

#[test]
fn who_waits_for_proof_is_told_how_to_give_it() {
    let mut bench = Bench::settled("");
    bench.off = Some(First);
    bench.pass(100);
    let text = bench.text(Second, |_| {});
    assert_eq!(bench.node(Second).role(), Role::Fencing);
    for said in [
        "  next         tries the power of server1 again in ",
        "  or           twobox confirm server1, if you have seen that it is off\n",
        "  evidence     have: silent for ",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    bench.off = None;
    bench.pass(1);
    let text = bench.text(Second, |_| {});
    assert!(!text.contains("evidence") && !text.contains("confirm"), "it is heard:\n{text}");
}

#[test]
fn after_a_shot_it_is_told_what_to_do() {
    let mut bench = Bench::settled("");
    (bench.off, bench.fenced) = (Some(Second), true);
    bench.pass(60);
    let text = bench.text(First, |status| status.shot = Some(true));
    assert!(text.contains("  next         server2 was cut off from here: mend what"), "{text}");
    assert!(text.contains("  server2      known to be off; was standby until "), "{text}");
    let text = bench.text(First, |status| status.shot = None);
    assert!(text.contains("  next         server2 is off: see why, and power it on\n"), "{text}");
}

#[test]
fn a_box_that_serves_alone_says_whether_it_is_fit() {
    let mut bench = Bench::settled("");
    (bench.off, bench.fenced) = (Some(Second), true);
    bench.pass(60);
    let first = |bench: &Bench| bench.text(First, |_| {}).lines().next().map(str::to_owned);
    let line = "pair example: serving alone: the peer is not heard";
    assert_eq!(first(&bench).as_deref(), Some(line));
    for _ in 0..2 {
        bench.tell(First, Event::ResourceFailed(ResourceId::new(0).unwrap()));
    }
    assert_eq!(bench.node(First).role(), Role::Active);
    let line = "pair example: serving alone, but not fit: the peer is not heard";
    assert_eq!(first(&bench).as_deref(), Some(line));
}

#[test]
fn a_power_that_was_seen_before_the_box_was_heard_is_no_present_one() {
    let bench = Bench::settled("");
    let seen = |power| bench.text(First, |it| it.devices.seen = Some((power, it.now)));
    assert!(
        seen(Power::On).contains("power of server2: seen on 0 ms ago\n"),
        "{}",
        seen(Power::On)
    );
    let off = seen(Power::Off);
    assert!(off.contains("power of server2: not read since server2 is heard again;"), "{off}");
}

#[test]
fn a_service_that_was_started_again_is_told() {
    let mut bench = Bench::settled("");
    bench.tell(First, Event::ResourceFailed(ResourceId::new(1).unwrap()));
    let text = bench.text(First, |_| {});
    assert!(text.contains("  slapd                runs, has failed 1 of 2 times\n"), "{text}");
}

#[test]
fn a_box_that_comes_back_by_itself_wants_no_order() {
    for (words, said) in [
        ("", "may serve again in 88.0 s, or once it is mended: twobox clear\n"),
        (
            "forget_after = \"never\"\n",
            "serves once what has failed is mended, and twobox clear is",
        ),
    ] {
        let resource = "[[resource]]\nkind = \"process\"\nname = \"x\"\ncommand = [\"/bin/x\"]\nthreshold = 1\n";
        let mut bench = Bench::settled(&format!("{resource}{words}"));
        bench.tell(First, Event::ResourceFailed(ResourceId::new(2).unwrap()));
        bench.pass(10);
        let text = bench.text(First, |_| {});
        assert!(text.contains(&format!("  next         {said}")), "{text}");
    }
}

#[test]
fn a_peer_that_was_started_again_asks_for_no_longer_deadtime() {
    let bench = Bench::settled("");
    let later = bench.now + Duration::from_millis(900);
    let same = bench.node(Second).heartbeat(later);
    let epoch = Epoch { boot: Incarnation([9; 4]), change: 0 };
    for (heartbeat, silence) in [(same, 900), (Heartbeat { epoch, ..same }, 0)] {
        let mut latency = Latency::default();
        let heard = Heard { heartbeat, proof: Some(later) };
        let event = Event::Heartbeat(LinkId::new(0).unwrap(), heard);
        latency.begin(bench.node(First), &event, later);
        assert_eq!(latency.silence, Duration::from_millis(silence));
    }
}

/// Two boxes that hear each other by their only link, and what they run with.
struct Bench {
    configs: [Config; 2],
    nodes: [Node; 2],
    now: Instant,
    /// This one has lost its power.
    off: Option<BoxId>,
    /// A shot at it is seen to cut it.
    fenced: bool,
}

impl Bench {
    /// The pair of the sample with `more` in its file: the first box serves, the second stands by.
    fn settled(more: &str) -> Self {
        let sample = include_str!("../../../../images/dist/twobox.toml");
        let text = sample.replacen("\n[control]", &format!("\n{more}\n[control]"), 1);
        let configs = ["server1", "server2"].map(|name| {
            let identity = Identity { told: Some(name.to_owned()), ..Identity::default() };
            Config::read(&text, &identity).expect("the sample is right")
        });
        let now = Instant::from_millis(1_000);
        let nodes = configs.each_ref().map(|config| {
            let name = config.settings.me.index() as u8;
            Node::new(config.settings.clone(), Incarnation([name; 4]), None, now)
        });
        let mut bench = Self { configs, nodes, now, off: None, fenced: false };
        bench.pass(100);
        assert_eq!(bench.node(First).role(), Role::Active);
        assert_eq!(bench.node(Second).role(), Role::Standby);
        bench
    }

    fn node(&self, id: BoxId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Lets so many keepalives pass.
    fn pass(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.now = self.now + Duration::from_millis(200);
            for id in BoxId::BOTH {
                self.tell(id, Event::Timeout);
            }
        }
    }

    /// Has a box take in `event`, does what it orders at once, and lets the other one hear it.
    fn tell(&mut self, id: BoxId, event: Event) {
        if self.off == Some(id) {
            return;
        }
        for action in self.nodes[id.index()].step(event, self.now) {
            match action {
                Action::Send(heartbeat) => {
                    let heard = Heard { heartbeat, proof: Some(self.now) };
                    for link in (0..2).filter_map(LinkId::new) {
                        self.hear(id.other(), Event::Heartbeat(link, heard));
                    }
                }
                Action::Start(tag) => self.tell(id, Event::Answer(tag, Answer::Started)),
                Action::Stop(tag) => self.tell(id, Event::Answer(tag, Answer::Stopped)),
                Action::Adopt(tag) => self.tell(id, Event::Answer(tag, Answer::NotAdopted)),
                Action::LookAtPower(tag) => self.tell(id, Event::Answer(tag, Answer::PowerOn)),
                Action::Fence(tag) => self.tell(id, Event::Ready(tag)),
                Action::Cut(tag) => {
                    let seen = self.fenced.then_some(Answer::Fenced(self.now));
                    let answer = seen.unwrap_or(Answer::FenceFailed);
                    self.tell(id, Event::Answer(tag, answer));
                }
                _ => {}
            }
        }
    }

    fn hear(&mut self, id: BoxId, event: Event) {
        if self.off != Some(id) {
            self.tell(id, event);
        }
    }

    /// What a person reads on the screen of a box, where `change` is so.
    fn text(&self, id: BoxId, change: impl FnOnce(&mut Status<'_>)) -> String {
        let text = self.status(id, change, Some(ROWS));
        assert!(text.lines().count() <= 22, "{text}");
        text
    }

    fn whole(&self, id: BoxId, change: impl FnOnce(&mut Status<'_>)) -> String {
        self.status(id, change, None)
    }

    fn status(
        &self,
        id: BoxId,
        change: impl FnOnce(&mut Status<'_>),
        rows: Option<usize>,
    ) -> String {
        let config = &self.configs[id.index()];
        let keys = Keys::new([Key::new(1, b"everybody may know this one")]).unwrap();
        let reception = RefCell::new(Reception::new(keys, PairId::of("example")));
        let names = NameTable::new(config);
        let serves = self.node(id).role() == Role::Active;
        let resources = config.resources.iter().map(|_| {
            let mut state = ResourceState::default();
            state.runs = serves;
            state
        });
        let mut status = Status {
            node: self.node(id),
            now: self.now,
            names: &names,
            config,
            ports: &[],
            reception: reception.borrow(),
            resources: resources.collect(),
            files: FileFailures { journal: None, history: None, metrics: None },
            devices: Devices { count: 1, ..Devices::default() },
            shot: None,
            watchdog: None,
            trial: None,
            latency: Latency::default(),
            realtime: &Realtime::default(),
        };
        change(&mut status);
        let text = status.text(rows);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        text
    }
}
