//! A BMC that loses, forgets, lies or refuses.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use board::fence::ipmi::suite::Suite;
use board::fence::{self, Fence, Fenced, Guid, Power, Topology, fence};
use board::thread::deadline::Deadline;
use lab::stage::bmc::{Character, Habit, Quirks};

use super::clients::ipmitool;
use super::scene::{Scene, at_once, bmc, device, seconds};

#[test]
fn the_key_of_a_bmc_is_asked_for_and_used() {
    let with_key = || Character { key: Some(b"a key of its own".to_vec()), ..Character::default() };
    let bmc = bmc(with_key());
    assert!(ipmitool(&bmc, "-I lanplus -C 17", "secret", "power status").is_err());
    let words = "-I lanplus -C 17 -y 61206b6579206f6620697473206f776e";
    let told = ipmitool(&bmc, words, "secret", "power status").unwrap();
    assert!(told.contains("Power is on"), "{told}");
    let text = device(&bmc, "").power(&seconds(5)).unwrap_err().to_string();
    assert!(text.contains("BMC key (Kg)"), "{text}");

    let scene = Scene::new();
    let file = scene.secret("kg", "a key of its own\n");
    let mut right = scene.device(&bmc, &format!("kg_file = \"{file}\""));
    assert_eq!(fence(&mut right, &seconds(5)).unwrap(), Fenced::Shot);
    let file = scene.secret("kg", "0x61206b6579206f6620697473206f776e");
    let mut digits = scene.device(&bmc, &format!("kg_file = \"{file}\""));
    assert_eq!(digits.power(&seconds(5)).unwrap(), Power::Off);
    let file = scene.secret("kg", "another");
    let text = scene.device(&bmc, &format!("kg_file = \"{file}\"")).power(&seconds(5)).unwrap_err();
    assert!(text.to_string().contains("BMC key (Kg)"), "{text}");
}

#[test]
fn a_bmc_that_accepts_and_does_nothing_has_fenced_nobody() {
    let bmc = bmc(Character { idle: true, ..Character::default() });
    let error = fence(&mut device(&bmc, ""), &seconds(2)).unwrap_err();
    assert!(error.to_string().contains("still reported on"), "{error}");
    assert_eq!(bmc.orders(), [0]);
}

/// What says off twice cannot be told from a box that is off; but it is told that it is the wrong box.
#[test]
fn a_bmc_of_another_box_is_not_believed() {
    let bmc = bmc(Character { lies: true, ..Character::default() });
    let words = |guid: &str| format!("guid = \"{guid}\"");
    let right = words("00112233-4455-6677-8899-aabbccddeeff");
    let scene = Scene::new();
    let mut ladder = Topology::open(&[scene.config(&bmc, &right)]);
    ladder.power(&seconds(5)).unwrap();

    let wrong = words("ffffffff-4455-6677-8899-aabbccddeeff");
    let mut ladder = Topology::open(&[scene.config(&bmc, &wrong)]);
    let text = ladder.fence(&seconds(5)).unwrap_err().to_string();
    assert!(text.contains("another box") && text.contains("00112233-4455"), "{text}");
    assert!(bmc.orders().is_empty());
}

#[test]
fn a_bmc_that_comes_to_the_address_of_another_is_not_told_to_shoot() {
    let bmc = bmc(Character::default());
    let mut device = device(&bmc, "");
    device.power(&seconds(5)).unwrap();
    // From the next packet on it is one that knows nothing of the session, in another box.
    let next = bmc.packets() + 1;
    bmc.set(|character| (character.guid, character.forgets_after) = (Guid([9; 16]), Some(next)));
    let text = device.set_power(Power::Off, &seconds(5)).unwrap_err().to_string();
    assert!(text.contains("another BMC"), "{text}");
    assert!(bmc.orders().is_empty());
    // It is known from now on, and held to its GUID where one was said.
    bmc.set(|character| character.forgets_after = None);
    device.power(&seconds(5)).unwrap();
}

#[test]
fn a_bmc_that_loses_two_packets_of_three_is_understood() {
    let bmc = bmc(Character { answers_every: 3, ..Character::default() });
    let mut device = device(&bmc, "");
    assert_eq!(fence(&mut device, &seconds(90)).unwrap(), Fenced::Shot);
    assert!(!bmc.is_on());
    // What is lost is not slow: three copies are sent within a second.
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(device.power(&seconds(20)).unwrap(), Power::Off);
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[test]
fn a_bmc_that_takes_its_time_is_waited_for() {
    let bmc = bmc(Character { latency: Duration::from_millis(900), ..Character::default() });
    let mut device = device(&bmc, "");
    assert_eq!(fence(&mut device, &seconds(60)).unwrap(), Fenced::Shot);
    assert!(!bmc.is_on());
    // The session is open: a BMC that has become slower still needs no login.
    bmc.set(|character| character.latency = Duration::from_secs(3));
    let start = Instant::now();
    assert_eq!(device.power(&seconds(20)).unwrap(), Power::Off);
    // A login is four questions of three seconds.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_power_that_takes_its_time_to_go_is_waited_for() {
    let takes = Duration::from_secs(3);
    let bmc = bmc(Character { off_takes: takes, ..Character::default() });
    let mut device = device(&bmc, "");
    let start = Instant::now();
    assert_eq!(fence(&mut device, &seconds(30)).unwrap(), Fenced::Shot);
    assert!(start.elapsed() >= takes, "{:?}", start.elapsed());
    assert_eq!(bmc.orders(), [0], "it was ordered once");
}

/// The box that has ordered it may be gone itself by then.
#[test]
fn a_power_that_takes_its_time_goes_though_nobody_asks() {
    at_once(&[Vec::new(), vec![Habit::Serial]], |habits| {
        let quirks = Quirks { habits: habits.clone(), ..Quirks::default() };
        let takes = Duration::from_millis(300);
        let bmc = bmc(Character { off_takes: takes, quirks, ..Character::default() });
        device(&bmc, "").set_power(Power::Off, &seconds(30)).unwrap();
        let start = Instant::now();
        while bmc.is_on() {
            assert!(start.elapsed() < Duration::from_secs(60), "{habits:?}");
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(bmc.cuts().len(), 1);
    });
}

#[test]
fn a_bmc_that_forgets_its_sessions_is_asked_for_a_new_one() {
    let bmc = bmc(Character { forgets_after: Some(11), ..Character::default() });
    let mut device = device(&bmc, "");
    for _ in 0..2 {
        device.set_power(Power::On, &seconds(20)).unwrap();
        assert_eq!(fence(&mut device, &seconds(20)).unwrap(), Fenced::Shot);
    }
}

#[test]
fn a_handshake_that_the_bmc_has_forgotten_is_begun_again() {
    // The fourth packet is the last but one of the handshake.
    let bmc = bmc(Character { forgets_after: Some(4), ..Character::default() });
    thread::scope(|scope| {
        scope.spawn(|| {
            while bmc.packets() < 4 {
                thread::sleep(Duration::from_millis(5));
            }
            bmc.set(|character| character.forgets_after = None);
        });
        assert_eq!(device(&bmc, "").power(&seconds(8)).unwrap(), Power::On);
    });
}

#[test]
fn a_bmc_that_is_busy_is_asked_again() {
    let bmc = bmc(Character::default());
    let mut device = device(&bmc, "");
    device.power(&seconds(5)).unwrap();
    bmc.set(|character| character.busy = 2);
    assert_eq!(device.power(&seconds(10)).unwrap(), Power::On);
    bmc.set(|character| character.busy = 1000);
    let text = device.power(&seconds(1)).unwrap_err().to_string();
    assert!(text.contains("busy"), "{text}");
}

#[test]
fn a_user_is_not_locked_out_by_a_wrong_password() {
    let bmc = bmc(Character { locks_after: 1, ..Character::default() });
    let scene = Scene::new();
    let mut device = scene.device(&bmc, "");
    scene.secret("password", "wrong");
    for _ in 0..10 {
        let error = device.power(&seconds(2)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    }
    let packets = bmc.packets();
    assert!(packets < 8, "{packets} packets for one wrong password");
    // The BMC has not counted a single login that failed.
    scene.secret("password", "secret");
    assert_eq!(scene.device(&bmc, "").power(&seconds(5)).unwrap(), Power::On);
}

#[test]
fn a_login_by_ipmi_1_5_is_said_once() {
    for words in ["auth = \"md5\"", "auth = \"password\""] {
        let bmc = bmc(Character { locks_after: 2, ..Character::default() });
        let scene = Scene::new();
        let mut device = scene.device(&bmc, words);
        scene.secret("password", "wrong");
        // The BMC says nothing at all: what is asked in the meantime waits for the same answer.
        for _ in 0..5 {
            let error = device.power(&Deadline::new(Duration::from_millis(300))).unwrap_err();
            assert!(!fence::is_silent(&error), "{error}");
        }
        for _ in 0..10 {
            let error = device.power(&seconds(3)).unwrap_err();
            assert!(error.to_string().contains("wrong password"), "{error}");
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        }
        assert_eq!(bmc.refusals(), 1, "{words}");
        scene.secret("password", "secret");
        assert_eq!(device.power(&seconds(5)).unwrap(), Power::On, "{words}");
    }
}

#[test]
fn a_bmc_that_takes_its_time_lets_in_by_ipmi_1_5() {
    let bmc = bmc(Character { latency: Duration::from_millis(1500), ..Character::default() });
    let mut device = device(&bmc, "auth = \"md5\"");
    // A question that ends before the login is answered leaves it to the next.
    let told = device.power(&seconds(4)).unwrap_err();
    assert!(!fence::is_silent(&told), "{told}");
    assert_eq!(device.power(&seconds(20)).unwrap(), Power::On);
}

#[test]
fn what_a_bmc_refuses_is_told() {
    let told = |character: Character, words: &str| {
        let bmc = bmc(character);
        device(&bmc, words).set_power(Power::Off, &seconds(2)).unwrap_err().to_string()
    };
    let full = Character { sessions_max: 0, ..Character::default() };
    for words in ["", "auth = \"md5\""] {
        assert!(told(full.clone(), words).contains("sessions"));
    }
    let nobody = Character { users: Vec::new(), ..Character::default() };
    assert!(told(nobody, "").contains("no such user"));
    let users = Character::default().users;
    let mut viewer = users[1].clone();
    viewer.name = "twobox".to_owned();
    let viewer = Character { users: vec![viewer], ..Character::default() };
    for words in ["", "auth = \"md5\""] {
        assert!(told(viewer.clone(), words).contains("operator"), "{words}");
    }
    let none = Character { suites: Vec::new(), ..Character::default() };
    assert!(told(none, "").contains("cipher suite 3"));
    let old = Character { old: false, ..Character::default() };
    assert!(told(old, "auth = \"md5\"").contains("auth"));
    let open = Character { suites: vec![Suite::Nothing], ..Character::default() };
    assert!(told(open, "").contains("cipher suite"), "suite 0 is only where it is written down");
}

#[test]
fn a_ladder_tells_when_a_box_is_to_be_powered_on_again() {
    let bmc = bmc(Character::default());
    let scene = Scene::new();
    let mut ladder = Topology::open(&[scene.config(&bmc, "action = \"cycle\"")]);
    assert_eq!(ladder.fence(&seconds(5)).unwrap().1, Some(Duration::ZERO));
    ladder.on(&seconds(5)).unwrap();
    assert!(bmc.is_on());
    ladder.expect(Some(Guid([1; 16]).fingerprint()));
    assert!(ladder.fence(&seconds(5)).unwrap_err().to_string().contains("another box"));
}

#[test]
fn a_bmc_is_told_of_a_shot_once_and_of_nothing_else() {
    let bmc = bmc(Character::default());
    let scene = Scene::new();
    let mut ladder = Topology::open(&[scene.config(&bmc, "")]);
    ladder.note_shot(&seconds(5));
    assert_eq!(bmc.notes(), 0, "nobody was shot");
    ladder.fence(&seconds(5)).unwrap();
    assert_eq!(bmc.notes(), 0, "a thread that waits for the shot waits for nothing else");
    ladder.note_shot(&seconds(5));
    ladder.note_shot(&seconds(5));
    assert_eq!(bmc.notes(), 1);
    ladder.fence(&seconds(5)).unwrap();
    ladder.note_shot(&seconds(5));
    assert_eq!(bmc.notes(), 1, "it was off already");
}

#[test]
fn a_trial_shows_which_box_it_is() {
    let bmc = bmc(Character::default());
    let mut said = Vec::new();
    fence::dry_run(&Scene::new().config(&bmc, ""), |step| said.push((step.what, step.said)));
    assert!(bmc.blinks() > 0 && bmc.orders().is_empty() && bmc.is_on());
    let (what, light) = said.pop().unwrap();
    assert!(what == "light" && light.unwrap().contains("blinks"));
}
