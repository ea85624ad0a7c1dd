//! A BMC that takes its time, for all or for some things, one after the other or side by side.

use std::thread;
use std::time::{Duration, Instant};

use board::fence::{Fence, Fenced, Power, fence};
use board::thread::deadline::Deadline;
use lab::stage::bmc::{Character, Habit, Quirks, Work};

use super::scene::{at_once, bmc, device, odd, seconds, until};

/// Each packet costs a BMC that serves one after the other as much as the first, and a copy of RAKP 1 makes the
/// answer to the first worthless.
#[test]
fn a_login_that_takes_a_second_is_said_once_and_is_no_wrong_password() {
    at_once(&[300, 1200, 2000], |takes| {
        let bmc = odd(slow(true, Work::First, *takes));
        let mut device = device(&bmc, "");
        assert_eq!(device.power(&seconds(20)).unwrap(), Power::On, "{takes}");
        assert_eq!((bmc.refusals(), bmc.logins()), (0, (1, 1)), "{takes}");
    });
}

/// The second handshake begins after four seconds at the most, and the first is what gets us in. Said twice, a RAKP
/// 1 of nine seconds would be done too late.
#[test]
fn a_login_that_takes_longer_than_it_is_waited_for_is_no_wrong_password() {
    let works = [(Work::Open, 6000), (Work::First, 9000), (Work::Third, 6000)];
    let cases = works.map(|(work, takes)| [(true, work, takes), (false, work, takes)]).concat();
    at_once(&cases, |&(serial, work, takes)| {
        let bmc = odd(slow(serial, work, takes));
        let mut device = device(&bmc, "");
        let power = device.power(&seconds(25));
        assert_eq!(power.unwrap(), Power::On, "{serial} {work:?}");
        assert_eq!(bmc.refusals(), 0, "{serial} {work:?}");
        let (begun, _) = bmc.logins();
        assert!(begun > 1, "{serial} {work:?}: it was waited for to the end");
    });
}

/// The first login is lost, so that RAKP 1 of the second is said again after four seconds. The answer to its first
/// copy has a number that the BMC has forgotten by then.
#[test]
fn the_answer_to_the_last_copy_is_waited_for() {
    let bmc = odd(slow(false, Work::First, 5000));
    bmc.set(|character| character.answers_every = u32::MAX);
    let mut device = device(&bmc, "");
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(2));
            bmc.set(|character| character.answers_every = 1);
        });
        assert_eq!(device.power(&seconds(30)).unwrap(), Power::On);
    });
    assert_eq!((bmc.refusals(), bmc.logins().1), (0, 1));
}

#[test]
fn a_bmc_whose_pace_changes_is_understood() {
    let bmc = odd(slow(true, Work::First, 1500));
    let mut device = device(&bmc, "");
    assert_eq!(device.power(&seconds(20)).unwrap(), Power::On);
    for (work, takes) in [(Work::First, 3000), (Work::Third, 2500), (Work::First, 100)] {
        bmc.set(|character| character.quirks.slow = vec![(work, Duration::from_millis(takes))]);
        bmc.restart();
        assert_eq!(device.power(&seconds(30)).unwrap(), Power::On, "{work:?} {takes}");
    }
    assert_eq!(bmc.refusals(), 0);
}

/// What is begun in the time of one question is done in that of the next.
#[test]
fn a_login_that_takes_longer_than_a_question_is_told_and_goes_on() {
    let latency = Duration::from_millis(1300);
    let quirks = Quirks::of(Habit::Serial);
    let bmc = bmc(Character { latency, quirks, ..Character::default() });
    let mut device = device(&bmc, "");
    let text = device.power(&seconds(2)).unwrap_err().to_string();
    assert!(text.contains("give it a longer timeout"), "{text}");
    let begun = Instant::now();
    while device.power(&seconds(2)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(bmc.refusals(), 0);
}

/// A login and a question are four packets, and the privilege is a fifth.
#[test]
fn where_the_time_is_short_the_question_comes_before_the_privilege() {
    let latency = Duration::from_secs(2);
    let quirks = Quirks::of(Habit::Serial);
    let bmc = bmc(Character { latency, quirks, ..Character::default() });
    let mut device = device(&bmc, "");
    assert_eq!(device.power(&Deadline::new(latency * 19 / 4)).unwrap(), Power::On);
    // Before an order it is there.
    device.set_power(Power::Off, &seconds(30)).unwrap();
    assert_eq!(bmc.orders(), [0]);
}

#[test]
fn an_order_that_is_answered_when_it_is_done_is_given_once() {
    at_once(&[true, false], |serial| {
        let bmc = odd(slow(*serial, Work::Command(0, 2), 2500));
        let mut device = device(&bmc, "");
        device.power(&seconds(20)).unwrap();
        assert_eq!(fence(&mut device, &seconds(30)).unwrap(), Fenced::Shot, "{serial}");
        assert_eq!(bmc.orders(), [0], "{serial}");
    });
}

/// A login beside a session that is silent for long is no reason to forget the session.
#[test]
fn a_command_that_takes_longer_than_a_session_is_waited_for_is_answered() {
    let cases = [(true, 1), (true, 2), (false, 1), (false, 2)];
    at_once(&cases, |&(serial, command)| {
        let bmc = odd(slow(serial, Work::Command(0, command), 8000));
        let mut device = device(&bmc, "");
        let begun = Instant::now();
        if command == 1 {
            assert_eq!(device.power(&seconds(20)).unwrap(), Power::On, "{serial}");
        } else {
            device.set_power(Power::Off, &seconds(20)).unwrap();
            assert!(bmc.orders().len() <= 3, "{serial}: {:?}", bmc.orders());
        }
        assert!(begun.elapsed() < Duration::from_secs(12), "{serial} {command}: not at once");
        assert!(bmc.logins().1 <= 2, "{serial} {command}: {:?}", bmc.logins());
        until(&bmc, 1);
    });
}

#[test]
fn a_command_that_gets_slow_is_waited_for() {
    at_once(&[(true, 2000), (false, 2000), (false, 5000)], |&(serial, takes)| {
        let bmc = odd(slow(serial, Work::Command(0, 1), 0));
        let mut device = device(&bmc, "");
        for _ in 0..3 {
            device.power(&seconds(20)).unwrap();
        }
        let takes = Duration::from_millis(takes);
        bmc.set(|character| character.quirks.slow = vec![(Work::Command(0, 1), takes)]);
        for _ in 0..3 {
            let power = device.power(&seconds(20));
            assert_eq!(power.unwrap(), Power::On, "{serial} {takes:?}");
        }
        assert!(bmc.logins().1 <= 2, "{serial} {takes:?}: {:?}", bmc.logins());
    });
}

fn slow(serial: bool, work: Work, takes: u64) -> Quirks {
    let slow = vec![(work, Duration::from_millis(takes))];
    let habits = if serial { vec![Habit::Serial] } else { Vec::new() };
    Quirks { habits, slow, ..Quirks::default() }
}
