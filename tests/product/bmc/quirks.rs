//! The oddities of BMCs of the field, each of which was reported by somebody: where is written at the field of
//! [`Quirks`].

use std::time::{Duration, Instant};

use board::fence::ipmi::suite::Suite;
use board::fence::{Fence, Fenced, Guid, Power, Topology, fence};
use lab::stage::bmc::{Bmc, Character, Habit, Identity, Numbers, Quirks, Work};

use super::clients::ipmitool;
use super::scene::{Scene, at_once, bmc, device, odd, seconds};

#[test]
fn an_odd_bmc_lets_us_in_and_cuts_the_power() {
    let odd_ones = [
        Quirks { status_extra: 4, ..Quirks::of(Habit::WholeBlock) },
        Quirks { numbers: Numbers::Zero, ..Quirks::default() },
        Quirks { numbers: Numbers::Same, ..Quirks::default() },
        Quirks { numbers: Numbers::Skip, ..Quirks::default() },
        Quirks::of(Habit::DeniesItself),
        Quirks::of(Habit::LongSignatures),
        Quirks::of(Habit::WrongSums),
        Quirks::of(Habit::AnonymousRefusals),
        Quirks::of(Habit::SignsFirstPrivilege),
        Quirks::of(Habit::ProofOnce),
        Quirks { habits: vec![Habit::BegunCounts, Habit::Serial], ..Quirks::default() },
        Quirks::of(Habit::RefusesWhatIsSo),
        Quirks { refuses_orders: 2, ..Quirks::default() },
        Quirks { status_lags: Duration::from_secs(2), ..Quirks::default() },
        Quirks { gone_after_off: Duration::from_secs(4), ..Quirks::default() },
    ];
    at_once(&odd_ones, |quirks| {
        for words in ["", "cipher_suite = 3"] {
            cut(&odd(quirks.clone()), words, quirks);
        }
    });
}

fn cut(bmc: &Bmc, words: &str, quirks: &Quirks) {
    let mut device = device(bmc, words);
    for _ in 0..3 {
        assert_eq!(device.power(&seconds(20)).unwrap(), Power::On, "{words} {quirks:?}");
    }
    assert_eq!(fence(&mut device, &seconds(30)).unwrap(), Fenced::Shot, "{words} {quirks:?}");
    // The answer to an order may be lost with the network, and then it is given again.
    assert!(!bmc.is_on() && bmc.orders().iter().all(|order| *order == 0), "{words} {quirks:?}");
    device.set_power(Power::On, &seconds(30)).unwrap();
    assert!(bmc.is_on(), "{words} {quirks:?}");
}

/// Those which ipmitool bears, so that the oddity is as it is meant.
#[test]
fn ipmitool_finds_some_of_them_sound() {
    for quirks in [
        Quirks { status_extra: 4, ..Quirks::of(Habit::WholeBlock) },
        Quirks { numbers: Numbers::Zero, ..Quirks::default() },
        Quirks { numbers: Numbers::Same, ..Quirks::default() },
        Quirks { numbers: Numbers::Skip, ..Quirks::default() },
        Quirks::of(Habit::NoPing),
    ] {
        let bmc = odd(quirks.clone());
        let told = ipmitool(&bmc, "-I lanplus -C 17", "secret", "power status");
        assert!(
            told.as_ref().is_ok_and(|told| told.contains("Power is on")),
            "{quirks:?}: {told:?}"
        );
    }
}

/// The answers of such a BMC are told from old ones by the number of the message, of which there are 64.
#[test]
fn a_session_whose_packets_do_not_count_ends_before_its_messages_repeat() {
    for numbers in [Numbers::Zero, Numbers::Same] {
        let bmc = odd(Quirks { numbers, ..Quirks::default() });
        let mut device = device(&bmc, "");
        for _ in 0..100 {
            assert_eq!(device.power(&seconds(20)).unwrap(), Power::On, "{numbers:?}");
        }
        let (begun, done) = bmc.logins();
        assert!((2..8).contains(&done) && begun == done, "{numbers:?}: {begun} {done}");
        assert_eq!(bmc.sessions(), 1, "{numbers:?}: the old ones are closed");
    }
    let bmc = bmc(Character::default());
    let mut device = device(&bmc, "");
    for _ in 0..100 {
        device.power(&seconds(20)).unwrap();
    }
    assert_eq!(bmc.logins(), (1, 1), "where they count, one session is enough");
}

#[test]
fn a_suite_that_is_switched_off_is_refused_by_many_names() {
    for status in [0x0a, 0x09, 0x12, 0x04, 0x05, 0x10] {
        let quirks = Quirks { refuses_suites_by: Some(status), ..Quirks::default() };
        let bmc = bmc(Character { suites: vec![Suite::Sha1], quirks, ..Character::default() });
        assert_eq!(device(&bmc, "").power(&seconds(20)).unwrap(), Power::On, "{status:#x}");
        let text = device(&bmc, "cipher_suite = 17").power(&seconds(20)).unwrap_err().to_string();
        assert!(text.contains("does not speak cipher suite 17"), "{status:#x}: {text}");
    }
}

/// Get System GUID is optional.
#[test]
fn a_bmc_that_has_no_answer_to_whose_it_is_is_used() {
    let own: Guid = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
    for identity in [0xc1, 0xcc, 0xd4, 0xff, 0xc9, 0x80]
        .map(Identity::Refused)
        .into_iter()
        .chain([Identity::Silent])
    {
        let bmc = odd(Quirks { identity, ..Quirks::default() });
        let scene = Scene::new();
        let mut ladder = Topology::open(&[scene.config(&bmc, "timeout = \"20s\"")]);
        ladder.expect(Some(Guid([1; 16]).fingerprint()));
        ladder.fence(&seconds(30)).unwrap_or_else(|error| panic!("{identity:?}: {error}"));
        assert_eq!(bmc.orders(), [0], "{identity:?}");
        // What it cannot tell it is not asked again; that it is off is read twice.
        let packets = bmc.packets();
        assert_eq!(ladder.power(&seconds(20)).unwrap().power(), Power::Off, "{identity:?}");
        assert_eq!(bmc.packets(), packets + 2, "{identity:?}");
    }
    // One that can tell, and tells another, is not.
    let bmc = bmc(Character { guid: own, ..Character::default() });
    let scene = Scene::new();
    let mut ladder = Topology::open(&[scene.config(&bmc, "")]);
    ladder.expect(Some(Guid([1; 16]).fingerprint()));
    assert!(ladder.fence(&seconds(20)).unwrap_err().to_string().contains("another box"));
    assert!(bmc.orders().is_empty());
}

#[test]
fn a_bmc_that_is_too_busy_to_say_whose_it_is_is_asked_again() {
    let bmc = bmc(Character::default());
    let mut device = device(&bmc, "");
    device.power(&seconds(20)).unwrap();
    bmc.set(|character| character.busy = u32::MAX);
    let text = device.guid(&seconds(2)).unwrap_err().to_string();
    assert!(text.contains("Get System GUID") && text.contains("busy"), "{text}");
    bmc.set(|character| character.busy = 0);
    assert_eq!(device.guid(&seconds(20)).unwrap(), Some(Character::default().guid));
}

#[test]
fn the_file_can_say_that_a_device_is_not_asked_whose_it_is() {
    let bmc = bmc(Character::default());
    let scene = Scene::new();
    let mut ladder = Topology::open(&[scene.config(&bmc, "guid = \"any\"")]);
    ladder.expect(Some(Guid([1; 16]).fingerprint()));
    ladder.fence(&seconds(20)).unwrap();
    assert_eq!(bmc.orders(), [0]);
    let mut said = Vec::new();
    board::fence::dry_run(&scene.config(&bmc, "guid = \"any\""), |step| {
        said.push((step.what, step.said));
    });
    let identity = said.iter().find(|(what, _)| *what == "identity").unwrap();
    assert!(identity.1.as_ref().is_ok_and(|said| said.contains("not asked")), "{said:?}");
}

/// What every such board says tells no two of them apart.
#[test]
fn a_number_that_no_maker_gave_is_no_other_box() {
    for text in ["03000200-0400-0500-0006-000700080009", "01020304-0506-0708-090a-0b0c0d0e0f10"] {
        let bmc = bmc(Character { guid: text.parse().unwrap(), ..Character::default() });
        let scene = Scene::new();
        let mut ladder = Topology::open(&[scene.config(&bmc, "")]);
        ladder.expect(Some(Guid([1; 16]).fingerprint()));
        ladder.fence(&seconds(20)).unwrap();
        assert_eq!(bmc.orders(), [0], "{text}");
    }
}

/// It does not know its box yet when it has just started.
#[test]
fn a_bmc_that_learns_its_number_later_is_no_other_bmc() {
    let canned = "01020304-0506-0708-090a-0b0c0d0e0f10".parse().unwrap();
    let bmc = bmc(Character::default());
    let own = Character::default().guid;
    let mut device = device(&bmc, "");
    device.power(&seconds(20)).unwrap();
    for guid in [canned, own, canned, own] {
        bmc.set(|character| character.guid = guid);
        bmc.restart();
        assert_eq!(device.power(&seconds(20)).unwrap(), Power::On, "{guid}");
    }
}

#[test]
fn a_bmc_that_boots_is_waited_for() {
    at_once(&[0xff, 0xd2, 0xc0, 0xc3, 0xce, 0xd1], |&code| {
        let bmc = odd(Quirks { cold: Some((code, 3)), ..Quirks::default() });
        assert_eq!(device(&bmc, "").power(&seconds(30)).unwrap(), Power::On, "{code:#x}");
        bmc.set(|character| character.quirks.cold = Some((code, u32::MAX)));
        let text = device(&bmc, "").power(&seconds(3)).unwrap_err().to_string();
        assert!(text.contains("busy") || text.contains("0xff"), "{code:#x}: {text}");
    });
}

/// It is off, and that is what was wanted: the next look says so.
#[test]
fn an_order_for_what_is_so_already_is_no_failure() {
    let bmc = odd(Quirks::of(Habit::RefusesWhatIsSo));
    let mut device = device(&bmc, "");
    device.set_power(Power::On, &seconds(20)).unwrap();
    device.set_power(Power::Off, &seconds(20)).unwrap();
    device.set_power(Power::Off, &seconds(20)).unwrap();
    assert_eq!(bmc.orders(), [0]);
    // One that can never do it says so within its time.
    bmc.set(|character| character.quirks.refuses_orders = u32::MAX);
    let begun = Instant::now();
    let text = device.set_power(Power::On, &seconds(3)).unwrap_err().to_string();
    assert!(text.contains("present state"), "{text}");
    assert!(begun.elapsed() >= Duration::from_secs(2), "it was tried again");
}

/// A BMC without a ping is there all the same, and one that was silent is told from it.
#[test]
fn a_bmc_without_a_ping_gives_another_sign_of_life() {
    let bmc = bmc(Character {
        suites: vec![Suite::Nothing],
        quirks: Quirks::of(Habit::NoPing),
        ..Character::default()
    });
    let text = device(&bmc, "").power(&seconds(5)).unwrap_err();
    assert!(text.to_string().contains("cipher suite"), "{text}");
    // It hears all, and answers the question of what it is alone.
    bmc.set(|character| {
        let forever = Duration::from_secs(3600);
        character.quirks.slow = vec![(Work::Open, forever)];
    });
    let error = device(&bmc, "").power(&seconds(3)).unwrap_err();
    assert!(error.to_string().contains("and not this question"), "{error}");
}
