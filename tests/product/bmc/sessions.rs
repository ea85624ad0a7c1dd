//! The few places that a BMC has: what was begun is ended, and what is full is waited for.

use std::thread;
use std::time::{Duration, Instant};

use board::fence::{self, Fence, Power};
use board::thread::deadline::{CancelToken, Deadline};
use lab::stage::bmc::{Bmc, Character, Habit, Quirks, Work};

use super::scene::{Scene, bmc, device, odd, seconds, until};

#[test]
fn no_place_is_taken_when_a_device_is_dropped() {
    let bmc = few();
    for _ in 0..20 {
        device(&bmc, "").power(&seconds(20)).unwrap();
    }
    until(&bmc, 0);
    for words in ["auth = \"md5\"", "cipher_suite = 3"] {
        for _ in 0..5 {
            device(&bmc, words).power(&seconds(20)).unwrap();
        }
    }
    until(&bmc, 0);
}

#[test]
fn a_dry_run_leaves_no_place_taken() {
    let bmc = few();
    bmc.set(|character| {
        character.quirks.slow = vec![(Work::First, Duration::from_millis(600))];
    });
    let scene = Scene::new();
    let config = scene.config(&bmc, "timeout = \"20s\"");
    for _ in 0..10 {
        let mut failed = Vec::new();
        fence::dry_run(&config, |step| failed.extend(step.said.err()));
        assert_eq!(failed, [""; 0]);
    }
    until(&bmc, 0);
}

/// Its place in the BMC is that of a handshake in its middle.
#[test]
fn a_login_that_is_called_off_leaves_no_place_taken() {
    let bmc = few();
    bmc.set(|character| character.quirks.slow = vec![(Work::First, Duration::from_secs(3))]);
    for _ in 0..5 {
        let mut device = device(&bmc, "");
        let token = CancelToken::new().unwrap();
        let patience = Deadline::with_cord(Duration::from_secs(60), &token);
        let (before, _) = bmc.logins();
        thread::scope(|scope| {
            scope.spawn(|| {
                let begun = Instant::now();
                while bmc.logins().0 == before && begun.elapsed() < Duration::from_secs(20) {
                    thread::sleep(Duration::from_millis(1));
                }
                thread::sleep(Duration::from_millis(50));
                token.cancel();
            });
            device.power(&patience).unwrap_err();
        });
        drop(device);
        until(&bmc, 0);
    }
}

/// The last session is closed when there is another, though it was taken for lost.
#[test]
fn a_session_that_was_taken_for_lost_is_closed_when_the_bmc_answers_again() {
    let bmc = few();
    let mut device = device(&bmc, "");
    device.power(&seconds(20)).unwrap();
    for _ in 0..6 {
        bmc.set(|character| character.answers_every = u32::MAX);
        let error = device.power(&Deadline::new(Duration::from_millis(1500))).unwrap_err();
        assert!(fence::is_silent(&error), "{error}");
        bmc.set(|character| character.answers_every = 1);
        assert_eq!(device.power(&seconds(20)).unwrap(), Power::On);
        until(&bmc, 1);
    }
}

/// Two of them at a time are asked the same; when the later one answers, the other is not needed any more.
#[test]
fn a_session_that_has_not_answered_is_closed_when_another_has() {
    let slow = vec![(Work::Command(0, 1), Duration::from_secs(60))];
    let bmc = odd(Quirks { slow, ..Quirks::of(Habit::BegunCounts) });
    let mut device = device(&bmc, "");
    thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            while bmc.logins().0 < 2 && begun.elapsed() < Duration::from_secs(20) {
                thread::sleep(Duration::from_millis(1));
            }
            bmc.set(|character| character.quirks.slow.clear());
        });
        assert_eq!(device.power(&seconds(20)).unwrap(), Power::On);
    });
    assert_eq!(bmc.logins(), (2, 2));
    until(&bmc, 1);
}

#[test]
fn a_bmc_without_a_place_is_told_and_waited_for() {
    for words in ["", "auth = \"md5\""] {
        let bmc = bmc(Character { sessions_max: 1, ..Character::default() });
        let mut first = device(&bmc, words);
        first.power(&seconds(20)).unwrap();
        let mut second = device(&bmc, words);
        let text = second.power(&seconds(3)).unwrap_err().to_string();
        assert!(text.contains("all sessions of the BMC are taken"), "{text}");
        assert!(text.contains("end other programs") && text.contains("reset the BMC"), "{text}");
        // No password was wrong, so that nothing keeps it from trying.
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(Duration::from_secs(2));
                drop(first);
            });
            assert_eq!(second.power(&seconds(30)).unwrap(), Power::On, "{words}");
        });
        assert_eq!(bmc.refusals(), 0, "{words}");
    }
}

/// A BMC that counts what is only begun, and has four places in all.
fn few() -> Bmc {
    let quirks = Quirks { habits: vec![Habit::BegunCounts, Habit::Serial], ..Quirks::default() };
    bmc(Character { sessions_max: 4, quirks, ..Character::default() })
}

#[test]
fn an_odd_bmc_is_one_of_few_places_too() {
    let quirks = Quirks::of(Habit::BegunCounts);
    let bmc = odd(quirks);
    device(&bmc, "").power(&seconds(20)).unwrap();
    until(&bmc, 0);
}
