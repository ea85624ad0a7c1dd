//! Fences against real programs: a shell script plays the device.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use board::config::table::Source;
use board::fence::{
    self, Fence, Fenced, Guid, Power, PowerSeen, Topology, fence, fence_when_told, look,
};
use board::process::procfs;
use board::thread::deadline::{CancelToken, Deadline};
use tempfile::TempDir;

#[test]
fn what_is_off_already_is_fenced_without_an_order() {
    let device = Device::new("echo $1 >> orders; case $1 in status) echo off;; *) exit 1;; esac");
    assert_eq!(fence(&mut *device.open(), &seconds(60)).unwrap(), Fenced::Already);
    assert_eq!(device.orders(), ["status", "status"], "one reading is never evidence");
}

#[test]
fn a_box_is_fenced_when_it_is_seen_off_and_not_before() {
    let device = Device::new(
        "echo $1 >> orders
        case $1 in
            off) (sleep 0.3; : > gone) > /dev/null 2>&1 & sleep 0.4;;
            status) test -e gone && echo off || echo on;;
        esac",
    );
    assert_eq!(fence(&mut *device.open(), &seconds(60)).unwrap(), Fenced::Shot);
    assert!(device.has("gone"));
    assert_eq!(&device.orders()[..2], ["status", "off"]);
}

#[test]
fn a_device_that_is_slow_to_show_it_is_asked_until_it_does() {
    let device = Device::new(
        "echo $1 >> orders
        case $1 in status) test $(wc -l < orders) -gt 6 && echo off || echo on;; esac",
    );
    fence(&mut *device.open(), &seconds(60)).unwrap();
    assert_eq!(device.orders().iter().filter(|order| *order == "off").count(), 1);
}

#[test]
fn a_device_that_takes_the_order_and_does_nothing_has_fenced_nobody() {
    let device = Device::new("test $1 != status || echo on");
    let error = fence(&mut *device.open(), &millis(700)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let told = error.to_string();
    assert!(told.contains("still reported on") && told.contains("taken for alive"), "{told}");
}

#[test]
fn what_is_off_once_and_then_on_again_has_fenced_nobody() {
    let device = Device::new(
        "echo $1 >> orders
        case $1 in status) test $(wc -l < orders) -eq 3 && echo off || echo on;; esac",
    );
    let error = fence(&mut *device.open(), &millis(700)).unwrap_err();
    assert!(error.to_string().contains("still reported on"), "{error}");
    assert!(device.orders().len() > 3);
}

#[test]
fn a_state_that_cannot_be_read_does_not_stop_the_order() {
    let device = Device::new(
        "echo $1 >> orders
        case $1 in
            off) : > gone;;
            status) test -e gone || { echo no session >&2; exit 1; }; echo off;;
        esac",
    );
    fence(&mut *device.open(), &seconds(60)).unwrap();
    assert_eq!(device.orders(), ["status", "off", "status", "status"]);
}

/// An order that is sent to a device which gives no answer may be carried out long after it was wanted.
#[test]
fn a_device_that_gives_no_answer_is_sent_no_order() {
    let device = Device::new("echo $1 >> orders; test $1 != status || exec sleep 600");
    let error = fence(&mut *device.open(), &millis(600)).unwrap_err();
    assert!(error.to_string().contains("no order was sent"), "{error}");
    assert_eq!(device.orders(), ["status"]);
}

#[test]
fn a_box_is_off_only_if_the_device_says_so_twice() {
    let slips = "if test -e slipped; then echo on; else : > slipped; echo off; fi";
    let device = Device::new(&format!("echo $1 >> orders; test $1 != status || {{ {slips}; }}"));
    assert_eq!(look(&mut *device.open(), &seconds(60)).unwrap(), PowerSeen::On);
    fs::remove_file(device.path("slipped")).unwrap();
    assert!(fence(&mut *device.open(), &millis(700)).is_err());
    assert!(device.orders().contains(&"off".to_owned()), "nothing was ordered");
}

#[test]
fn what_is_called_off_when_the_device_is_ready_is_not_sent() {
    let device = Device::new("echo $1 >> orders; test $1 != status || echo on");
    let token = CancelToken::new().unwrap();
    let patience = Deadline::with_cord(Duration::from_secs(600), &token);
    let told = &mut |_: &Deadline| {
        token.cancel();
        Ok(())
    };
    let error = fence_when_told(&mut *device.open(), &patience, told).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{error}");
    assert_eq!(device.orders(), ["status"]);
}

#[test]
fn an_order_that_is_refused_is_told_with_the_devices_own_words() {
    let device = Device::new("test $1 = status && echo on || { echo wrong password >&2; exit 7; }");
    let error = fence(&mut *device.open(), &seconds(60)).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("ended with status 7: wrong password"), "{told}");
    assert!(told.contains("taken for alive"), "{told}");
}

#[test]
fn an_order_whose_answer_was_lost_has_fenced_when_the_power_is_off() {
    let device = Device::new(
        "case $1 in off) : > gone; exit 1;; status) test -e gone && echo off || echo on;; esac",
    );
    fence(&mut *device.open(), &seconds(60)).unwrap();
}

#[test]
fn a_state_that_is_garbage_is_an_error_and_never_off() {
    for script in
        ["echo offline", "echo off off", "echo OFF", ":", "echo off; exit 1", "echo off >&2"]
    {
        let device = Device::new(script);
        assert!(device.open().power(&seconds(5)).is_err(), "{script}");
    }
    let flood = Device::new("yes off").open().power(&millis(500)).unwrap_err();
    assert_eq!(flood.kind(), io::ErrorKind::TimedOut);
    let error = fence(&mut *Device::new("echo dunno").open(), &millis(500)).unwrap_err();
    assert!(error.to_string().contains("dunno"), "{error}");
}

#[test]
fn a_program_that_hangs_is_killed_in_time_with_all_that_it_started() {
    let device = Device::new("trap '' TERM; echo $$ > pid; sleep 611 & wait; wait");
    let error = device.open().power(&millis(500)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    let group: i32 = fs::read_to_string(device.path("pid")).unwrap().trim().parse().unwrap();
    assert!(!procfs::take().unwrap().iter().any(|entry| entry.group == group && entry.alive()));
}

/// The order was sent, and may be carried out yet.
#[test]
fn a_fence_that_is_called_off_is_watched_until_its_time_is_over() {
    // Two readings see nothing yet; the device is done, or not, when it was called off for long.
    for seen in [true, false] {
        let done = if seen { "test $(wc -l < orders) -gt 6" } else { "false" };
        let device = Device::new(&format!(
            "echo $1 >> orders; test $1 != status || {{ {done} && echo off || echo on; }}"
        ));
        let token = CancelToken::new().unwrap();
        let time = if seen { 60 } else { 2 };
        let patience = Deadline::with_cord(Duration::from_secs(time), &token);
        let fenced = thread::scope(|scope| {
            scope.spawn(|| {
                let start = Instant::now();
                while !device.has("orders") || device.orders().len() < 3 {
                    assert!(start.elapsed() < Duration::from_secs(60));
                    thread::sleep(Duration::from_millis(5));
                }
                token.cancel();
            });
            fence(&mut *device.open(), &patience)
        });
        let sent = device.orders().iter().filter(|order| *order == "off").count();
        assert_eq!(sent, 1, "{fenced:?}");
        match fenced {
            Ok(fenced) => assert!(seen && fenced == Fenced::Shot),
            Err(error) => assert!(!seen && error.to_string().contains("taken for alive")),
        }
    }
}

#[test]
fn the_next_rung_is_asked_when_one_fails() {
    let broken = Device::new("echo $1 >> orders; echo no route >&2; exit 1");
    let works = Device::new(
        "echo $1 >> orders; case $1 in off) : > gone;; status) test -e gone && echo off || echo on;; esac",
    );
    let spare = Device::new("echo $1 >> orders");
    let mut ladder =
        Topology::open(&[broken.config("1s"), works.config("60s"), spare.config("60s")]);
    assert_eq!(ladder.power(&seconds(60)).unwrap().power(), Power::On);
    ladder.fence(&seconds(60)).unwrap();
    assert!(broken.orders().contains(&"off".to_owned()), "the first rung is asked first");
    assert!(!spare.has("orders"), "a rung after the one that worked is not asked");
    assert_eq!(ladder.power(&seconds(60)).unwrap().power(), Power::Off);
    assert_eq!(ladder.timeout(), Duration::from_secs(121));

    ladder.on(&seconds(60)).unwrap();
    for device in [&broken, &works, &spare] {
        assert_eq!(device.orders().last().unwrap(), "on");
    }
}

#[test]
fn a_rung_that_hangs_leaves_time_for_the_next() {
    let hangs = Device::new("exec sleep 600");
    let works = Device::new(
        "case $1 in off) : > gone;; status) test -e gone && echo off || echo on;; esac",
    );
    let mut ladder = Topology::open(&[hangs.config("300ms"), works.config("60s")]);
    ladder.fence(&seconds(6)).unwrap();
    assert_eq!(works.open().power(&seconds(60)).unwrap(), Power::Off);
}

#[test]
fn a_ladder_that_fails_tells_every_reason() {
    let broken = Device::new("echo no route >&2; exit 1");
    let hangs = Device::new("exec sleep 600");
    let mut ladder = Topology::open(&[broken.config("5s"), hangs.config("300ms")]);
    let told = ladder.fence(&seconds(60)).unwrap_err().to_string();
    assert!(told.contains("no route") && told.contains("did not end in time"), "{told}");
    assert!(ladder.on(&seconds(60)).is_err());
    assert!(Topology::open(&[]).fence(&seconds(1)).is_err(), "no device has fenced nobody");
}

#[test]
fn what_becomes_of_a_box_that_was_shot_is_said_with_its_device() {
    let sees = |words: &str| {
        let device = Device::new(
            "case $1 in off) : > gone;; status) test -e gone && echo off || echo on;; esac",
        );
        let mut ladder = Topology::open(&[device.config_with("60s", words)]);
        let (_, shot) = ladder.fence(&seconds(60)).unwrap();
        assert_eq!(ladder.fence(&seconds(60)).unwrap().1, None, "{words}: it was off already");
        shot
    };
    assert_eq!(sees(""), None);
    assert_eq!(sees("action = \"off\""), None);
    assert_eq!(sees("action = \"cycle\""), Some(Duration::ZERO));
    assert_eq!(sees("action = \"off-then-on\""), Some(Duration::from_secs(15)));
    let after = sees("action = \"off-then-on\"\non_after = \"3s\"");
    assert_eq!(after, Some(Duration::from_secs(3)));
}

#[test]
fn a_device_that_holds_another_box_is_never_used() {
    struct Other(bool);
    impl Fence for Other {
        fn set_power(&mut self, _: Power, _: &Deadline) -> io::Result<()> {
            panic!("the wrong box is shot");
        }
        fn power(&mut self, _: &Deadline) -> io::Result<Power> {
            assert!(self.0, "a device that holds another box was believed");
            Ok(Power::Off)
        }
        fn guid(&mut self, _: &Deadline) -> io::Result<Option<Guid>> {
            Ok(Some(Guid([7; 16])))
        }
    }
    for (right, wanted) in [(true, Guid([7; 16])), (false, Guid([8; 16]))] {
        let mut ladder = Topology::of(vec![Box::new(Other(right))]);
        ladder.expect(Some(wanted.fingerprint()));
        assert_eq!(ladder.fence(&seconds(60)).is_ok(), right);
        assert_eq!(ladder.power(&seconds(60)).is_ok(), right);
        if !right {
            let told = ladder.on(&seconds(60)).unwrap_err().to_string();
            assert!(told.contains("07070707-0707") && told.contains("another box"), "{told}");
        }
    }
}

#[test]
fn two_supplies_are_off_when_both_are() {
    let outlet = "echo $1 >> orders
        case $1 in off) : > gone;; on) rm -f gone;; status) test -e gone && echo off || echo on;; esac";
    let outlets = [outlet, outlet].map(Device::new);
    let mut both = together(&outlets);
    outlets[0].open().set_power(Power::Off, &seconds(60)).unwrap();
    assert_eq!(both.power(&seconds(60)).unwrap(), Power::On, "one supply is enough for a box");
    assert_eq!(fence(&mut *both, &seconds(60)).unwrap(), Fenced::Shot);
    assert!(outlets.iter().all(|outlet| outlet.has("gone")));
    both.set_power(Power::On, &seconds(60)).unwrap();
    assert!(outlets.iter().all(|outlet| !outlet.has("gone")));
}

#[test]
fn two_supplies_of_which_one_cannot_be_seen_have_fenced_nobody() {
    let works = "case $1 in off) : > gone;; status) test -e gone && echo off || echo on;; esac";
    let silent = "case $1 in status) echo no route >&2; exit 1;; esac";
    let devices = [works, silent].map(Device::new);
    let mut both = together(&devices);
    let told = fence(&mut *both, &millis(900)).unwrap_err().to_string();
    assert!(told.contains("outlet1: ") && told.contains("no route"), "{told}");
    // The one that says on is right about the box, and the other is wrong.
    let on = "test $1 != status || echo on";
    let devices = [on, silent].map(Device::new);
    assert_eq!(together(&devices).power(&seconds(60)).unwrap(), Power::On);
}

#[test]
fn two_supplies_are_asked_at_the_same_time() {
    let outlet = |other: &str| {
        format!(
            "case $1 in
                off) : > {{}}/here; while ! test -e {other}/here; do sleep 0.01; done; : > gone;;
                status) test -e gone && echo off || echo on;;
            esac"
        )
    };
    let rooms = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let paths = rooms.each_ref().map(|room| room.path().display().to_string());
    let scripts = [(0, 1), (1, 0)].map(|(own, other): (usize, usize)| {
        Device::new(&outlet(&paths[other]).replace("{}", &paths[own]))
    });
    assert_eq!(fence(&mut *together(&scripts), &seconds(60)).unwrap(), Fenced::Shot);
}

#[test]
fn a_part_of_the_same_device_is_the_same_device() {
    let devices = ["echo 1", "echo 2"].map(Device::new);
    let both = read(&together_text(&devices));
    let parts = devices.each_ref().map(|device| device.config("1s"));
    assert!(both.is_same_as(&both) && !parts[0].is_same_as(&parts[1]));
    for mut part in parts {
        part.name = "another".to_owned();
        assert!(both.is_same_as(&part) && part.is_same_as(&both));
    }
    assert!(!both.is_same_as(&Device::new("echo 3").config("1s")));
    let text = "kind = \"together\"\ndevices = [";
    for (words, told) in [
        (format!("{text}]"), "the two or more"),
        (format!("{text}{{ kind = \"command\", command = [\"/x\"] }}]"), "the two or more"),
        (
            format!(
                "{text}{{ kind = \"command\", command = [\"/x\"] }}, {{ kind = \"command\", command = [\"/x\"] }}]"
            ),
            "one device twice",
        ),
        (
            format!(
                "{text}{{ kind = \"command\", command = [\"/x\"] }}, {{ kind = \"command\", command = [\"/y\"], action = \"off\" }}]"
            ),
            "say it once",
        ),
    ] {
        let source = Source::new(&words);
        fence::Config::read(&mut source.parse());
        let complaints = source.into_complaints();
        assert!(complaints.iter().any(|it| it.reason.contains(told)), "{words}: {complaints:?}");
    }
}

#[test]
fn mistakes_in_the_configuration_are_told() {
    for (text, told) in [
        ("command = [\"/bin/x\"]", "is missing: say one of agent, command"),
        ("kind = \"comand\"\ncommand = [\"/bin/x\"]", "did you mean command?"),
        ("kind = \"command\"\ncommand = [\"x\"]", "full path"),
        ("kind = \"command\"\ncommand = []", "full path"),
        ("kind = \"command\"", "is missing"),
        ("action = \"reboot\"", "none of off, cycle, off-then-on"),
        ("action = \"cycle\"\non_after = \"3s\"", "off-then-on"),
        ("guid = \"4c4c4544\"", "is no GUID"),
        ("guid = \"00000000-0000-0000-0000-000000000000\"", "without a GUID"),
        ("kind = \"command\"\ncommand = [\"/bin/x\"]\ntimeout = \"0s\"", "is no time"),
    ] {
        let source = Source::new(text);
        fence::Config::read(&mut source.parse());
        let complaints = source.into_complaints();
        assert!(
            complaints.iter().any(|complaint| complaint.reason.contains(told)),
            "{text}: {complaints:?}"
        );
    }
}

fn together(devices: &[Device]) -> Box<dyn Fence> {
    read(&together_text(devices)).open()
}

fn together_text(devices: &[Device]) -> String {
    let parts = devices.iter().enumerate().map(|(place, device)| {
        let path = device.path("device").display().to_string();
        format!(
            "{{ kind = \"command\", name = \"outlet{place}\", command = [\"/bin/sh\", {path:?}] }}"
        )
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    format!("kind = \"together\"\ntimeout = \"60s\"\ndevices = [{parts}]\n")
}

fn read(text: &str) -> fence::Config {
    let source = Source::new(text);
    let mut table = source.parse();
    let config = fence::Config::read(&mut table);
    table.finish();
    let complaints = source.into_complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
    config.unwrap()
}

/// A script that plays a device, in a directory of its own.
struct Device {
    directory: TempDir,
}

impl Device {
    fn new(script: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let text = format!("cd {}\n{script}\n", directory.path().display());
        fs::write(directory.path().join("device"), text).unwrap();
        Self { directory }
    }

    fn config(&self, timeout: &str) -> fence::Config {
        self.config_with(timeout, "")
    }

    fn config_with(&self, timeout: &str, words: &str) -> fence::Config {
        let text = format!(
            "kind = \"command\"\ncommand = [\"/bin/sh\", \"{}/device\"]\ntimeout = \"{timeout}\"\n{words}\n",
            self.directory.path().display()
        );
        read(&text)
    }

    fn open(&self) -> Box<dyn Fence> {
        self.config("60s").open()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.directory.path()).join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    fn orders(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("orders")).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn seconds(seconds: u64) -> Deadline {
    Deadline::new(Duration::from_secs(seconds))
}

fn millis(millis: u64) -> Deadline {
    Deadline::new(Duration::from_millis(millis))
}
