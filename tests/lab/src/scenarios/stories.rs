//! Lists the stories of the lab: the promises of the pair, one by one.
//!
//! A story is a small function that does something to the pair and says what must come of it. At the end of each of
//! them the watch must not have seen the address on both boxes at the same time.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::observers::expectations::{
    PATIENCE, is, nobody_noticed, one_holder, order, served_by, silence_below, whole,
};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::cuts::{moves, silences};
use crate::scenarios::tour::{condition, millis};
use crate::scenarios::{
    artifacts, bmc_sessions, descent, hung_thread, interfaces, letters, limits, loop_calls,
    manual_fencing, orphans, races, reloads, rights, strangers, told_plainly, trials, vanished,
};
use crate::stage::config::Choices;
use crate::stage::init::Order;
use crate::stage::power_switch::Switch;
use crate::{Cable, Lab, Way, name};

/// Tells one story, and prints how it ended.
///
/// # Errors
///
/// When a promise was broken, or there is no such story.
pub fn tell(wanted: &str) -> Result<(), Failure> {
    let Some(story) = all().find(|story| story.name == wanted) else {
        return Err(Failure(format!("there is no story {wanted:?}: say story to see their names")));
    };
    let lab = Lab::new(&(story.choices)())?;
    let start = Instant::now();
    let ended = (story.play)(&lab).and_then(|measured| one_holder(&lab).map(|()| measured));
    match ended {
        Ok(measured) => println!("{}: {measured} (in {} s)", story.name, start.elapsed().as_secs()),
        Err(Failure(reason)) => {
            let now = BoxId::BOTH.map(|id| format!("{} {}", name(id), condition(&lab, id)));
            let reason = format!("{}: {reason}\n{}", story.name, now.join("; "));
            return Err(Failure(reason).with_logs(&lab));
        }
    }
    Ok(())
}

/// Prints the names of all stories.
pub fn list() {
    for story in all() {
        println!("{}", story.name);
    }
}

fn all() -> impl Iterator<Item = &'static Story> {
    STORIES.iter().chain(&limits::STORIES).chain(&interfaces::STORIES)
}

/// Something that happens to the pair, and what must come of it.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) choices: fn() -> Choices,
    pub(crate) play: fn(&Lab) -> Result<String, Failure>,
}

pub(crate) const fn story(name: &'static str, play: fn(&Lab) -> Result<String, Failure>) -> Story {
    Story { name, choices: Choices::default, play }
}

const fn reload(name: &'static str, play: fn(&Lab) -> Result<String, Failure>) -> Story {
    Story { name, choices: reloads::choices, play }
}

const fn removal(name: &'static str, play: fn(&Lab) -> Result<String, Failure>) -> Story {
    Story { name, choices: orphans::choices, play }
}

const STORIES: [Story; 88] = [
    story("their-file-checks", file_checks),
    story("active-dies", active_dies),
    story("standby-dies", standby_dies),
    story("home-comes-back", home_comes_back),
    Story { choices: stay, ..story("no-failback", no_failback) },
    story("one-cable-cut", one_cable_cut),
    story("one-way-cut", one_way_cut),
    story("serial-alone", serial_alone),
    story("all-cables-cut", all_cables_cut),
    story("shot-box-stays-quiet", shot_box),
    story("service-dies", service_dies),
    story("switch-unreachable", switch_unreachable),
    story("switch-lies", switch_lies),
    story("switch-slow", switch_slow),
    story("supervisor-dies", supervisor_dies),
    story("supervisor-upgraded", supervisor_upgraded),
    Story { choices: descent::wiped, ..story("found-by-descent", descent::found) },
    Story { choices: descent::beside, ..story("one-service-killed", descent::one_killed) },
    story("an-order-stands", an_order_stands),
    story("standby-supervisor-restarts", standby_supervisor_restarts),
    story("supervisor-stays-away", supervisor_stays_away),
    story("unwatched-address-goes", supervisor_stays_away_and_cannot_be_shot),
    story("guard-dies", guard_dies),
    story("active-resets", active_resets),
    story("active-stalls", active_stalls),
    story("standby-stalls", standby_stalls),
    story("shut-down-in-order", shut_down),
    story("planned-switch", planned_switch),
    story("what-happened-is-kept", artifacts::history),
    Story { choices: artifacts::told, ..story("what-happens-is-told", artifacts::programs) },
    story("lateness-is-measured", artifacts::lateness),
    Story { choices: watched, ..story("comes-before-all", rights::realtime) },
    Story { choices: rights::services, ..story("few-rights", rights::few) },
    story("no-files-in-the-loop", loop_calls::no_files),
    story("peer-asked-by-network", letters::by_network),
    Story { choices: letters::slow, ..story("peer-asked-by-serial", letters::by_serial) },
    story("peer-refuses-the-file", letters::refused),
    story("trial-refused", trials::refused),
    story("trial-kept", trials::kept),
    story("trial-unconfirmed", trials::unconfirmed),
    reload("trial-busy", trials::busy),
    story("trial-parted", trials::parted),
    story("trial-word-lost", trials::word_lost),
    story("trial-killed", races::killed),
    Story {
        choices: strangers::apart,
        ..story("peer-may-not-configure", strangers::not_configured)
    },
    reload("peer-changes-no-programs", strangers::no_programs),
    story("recorded-letters", strangers::recorded_letters),
    story("trial-of-keys", strangers::trial_of_keys),
    story("fenced-by-hand", manual_fencing::fence),
    story("fenced-by-hand-in-vain", manual_fencing::fence_in_vain),
    Story { choices: manual_fencing::watched, ..story("drill", manual_fencing::drill) },
    story("drill-in-vain", manual_fencing::drill_in_vain),
    Story { choices: stay, ..story("orders-are-told", manual_fencing::told) },
    reload("reload-unnoticed", reloads::unnoticed),
    reload("reload-services", reloads::services),
    reload("reload-links", reloads::links),
    reload("reload-fence", reloads::fence),
    reload("reload-checks", reloads::checks),
    reload("reload-keys", reloads::keys),
    Story { choices: by_bmc, ..story("reload-secrets", reloads::secrets) },
    reload("reload-in-vain", reloads::in_vain),
    reload("reload-storm", reloads::storm),
    story("reload-overtaken", races::overtaken),
    reload("reload-one-after-the-other", reloads::one_after_the_other),
    removal("removed-is-watched", orphans::watched_to_its_end),
    removal("removed-is-let-go", orphans::let_go_by_the_next_life),
    removal("removed-unknown", orphans::unknown_to_the_next_life),
    removal("removed-by-the-guard", orphans::next_life_waits_for_the_guard),
    Story { choices: watched, ..story("idle-writes-nothing", vanished::idle) },
    Story { choices: vanished::choices, ..story("files-vanish", vanished::files) },
    Story {
        choices: vanished::choices,
        ..story("files-vanish-and-then-it-dies", vanished::then_dies)
    },
    story("asked-from-outside", vanished::from_outside),
    Story { choices: told_plainly::choices, ..story("told-plainly", told_plainly::everywhere) },
    story("alone-at-boot", alone_at_boot),
    story("peer-unknown-at-boot", peer_unknown),
    story("site-loses-power", site_loses_power),
    Story { choices: watched, ..story("stuck-loop-is-reset", stuck_loop) },
    Story { choices: watched, ..story("stuck-disk-is-reset", stuck_disk) },
    Story { choices: watched, ..story("well-box-is-not-reset", well_box) },
    Story { choices: hung_thread::choices, ..story("resources-hang", hung_thread::is_noticed) },
    Story { choices: witnessed, ..story("network-lost", network_lost) },
    Story { choices: gated, ..story("gate-closed", gate_closed) },
    Story { choices: dark, ..story("peer-goes-dark", goes_dark) },
    Story { choices: by_bmc, ..story("shot-by-bmc", shot_by_bmc) },
    Story { choices: by_bmc, ..story("bmc-places-given-back", bmc_sessions::given_back) },
    Story { choices: moves::choices, ..story("failback-cut", moves::in_a_failback) },
    Story { choices: moves::choices, ..story("moves-cut", moves::few) },
    Story { choices: silences::choices, ..story("silent-and-back", silences::few) },
];

fn file_checks(lab: &Lab) -> Result<String, Failure> {
    lab.power_on(First)?;
    let output = lab.twobox(First, &["check", "--config", "/run/twobox.toml"])?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    expect(output.status.success(), said)?;
    Ok("twobox check finds nothing wrong".to_owned())
}

fn active_dies(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.power_off(First);
    served_by(lab, Second)?;
    silence_below(lab, start, TAKEOVER)
}

fn standby_dies(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.power_off(Second);
    std::thread::sleep(LONG);
    served_by(lab, First)?;
    nobody_noticed(lab, start)
}

fn home_comes_back(lab: &Lab) -> Result<String, Failure> {
    active_dies(lab)?;
    let start = Instant::now();
    lab.power_on(First)?;
    served_by(lab, First)?;
    is(lab, Second, "standby")?;
    silence_below(lab, start, SWITCH)
}

fn no_failback(lab: &Lab) -> Result<String, Failure> {
    active_dies(lab)?;
    lab.power_on(First)?;
    is(lab, First, "standby")?;
    std::thread::sleep(LONG);
    served_by(lab, Second)?;
    Ok("server2 keeps the service".to_owned())
}

fn one_cable_cut(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.garble(First);
    std::thread::sleep(LONG);
    lab.mend_all();
    for cable in [Cable::Serial, Cable::Direct, Cable::Lan(Second)] {
        lab.cut(cable);
        std::thread::sleep(LONG);
        expect(lab.is_on(First) && lab.is_on(Second), format!("a box was shot for {cable}"))?;
        served_by(lab, First)?;
        lab.mend(cable);
        std::thread::sleep(LONG);
    }
    is(lab, Second, "standby")?;
    nobody_noticed(lab, start)
}

fn one_way_cut(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    // The standby hears nothing any more, but is heard: it must not shoot a box that serves.
    for way in [Way::Lan, Way::Direct, Way::Serial] {
        lab.lose(way, First);
    }
    std::thread::sleep(LONG);
    lab.mend_all();
    let settled = |lab: &Lab| lab.serving().is_some();
    expect(lab.wait_for(PATIENCE, settled), "nobody serves")?;
    Ok(format!("served again, longest silence {}", millis(lab.client().since(start).silence)))
}

fn serial_alone(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    for id in [First, Second] {
        lab.lose(Way::Lan, id);
        lab.lose(Way::Direct, id);
    }
    std::thread::sleep(LONG);
    expect(lab.is_on(First) && lab.is_on(Second), "a box was shot that still spoke")?;
    served_by(lab, First)?;
    let start = Instant::now();
    lab.power_off(First);
    served_by(lab, Second)?;
    silence_below(lab, start, TAKEOVER)
}

fn all_cables_cut(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.part();
    let shot = |lab: &Lab| !lab.is_on(Second);
    expect(lab.wait_for(PATIENCE, shot), "the active box did not shoot")?;
    std::thread::sleep(LONG);
    expect(lab.is_on(First), "both boxes were shot")?;
    served_by(lab, First)?;
    nobody_noticed(lab, start)
}

fn shot_box(lab: &Lab) -> Result<String, Failure> {
    all_cables_cut(lab)?;
    // Its peer is as silent to it as it is to its peer; but it has been shot, and knows.
    lab.power_on(Second)?;
    std::thread::sleep(LONG * 2);
    expect(lab.is_on(First) && lab.is_on(Second), "a box was shot again")?;
    served_by(lab, First)?;
    lab.mend_all();
    std::thread::sleep(LONG);
    whole(lab)?;
    Ok("it waited until it heard its peer".to_owned())
}

fn service_dies(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.kill(First, "serve")?;
    let noticed = |lab: &Lab| lab.log(First).contains("resource service failed");
    expect(lab.wait_for(PATIENCE, noticed), "nobody noticed that the service died")?;
    let back = |lab: &Lab| lab.serving().is_some();
    expect(lab.wait_for(PATIENCE, back), "nobody serves")?;
    std::thread::sleep(LONG);
    served_by(lab, First)?;
    silence_below(lab, start, TAKEOVER)
}

fn switch_unreachable(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    lab.set_switch(First, Switch::Unreachable);
    lab.power_off(First);
    std::thread::sleep(LONG);
    expect(lab.holders().is_empty(), "server2 took over from a box that may live")?;
    lab.set_switch(First, Switch::Sound);
    served_by(lab, Second)?;
    Ok("nobody took over on silence alone".to_owned())
}

fn switch_lies(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    lab.set_switch(First, Switch::Lying);
    lab.set_switch(Second, Switch::Lying);
    lab.part();
    std::thread::sleep(LONG);
    expect(lab.is_on(First) && lab.is_on(Second), "a switch that lies does nothing")?;
    served_by(lab, First)?;
    Ok("nobody believed it".to_owned())
}

fn switch_slow(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    // The supervisor gives it a second for the order and the reading back.
    lab.set_switch(First, Switch::Slow(Duration::from_millis(300)));
    let start = Instant::now();
    lab.part();
    lab.set_switch(Second, Switch::Unreachable);
    served_by(lab, Second)?;
    expect(!lab.is_on(First), "server2 took over from a box with power")?;
    silence_below(lab, start, TAKEOVER + Duration::from_secs(2))
}

fn supervisor_dies(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    for order in [Order::Crash, Order::Abort, Order::Crash] {
        runs_on(lab, First, |lab| Ok(lab.machine(First).order(order)?))?;
    }
    // What was adopted is watched as before.
    lab.kill(First, "serve")?;
    let noticed = |lab: &Lab| lab.log(First).contains("resource service failed");
    expect(lab.wait_for(PATIENCE, noticed), "nobody noticed that the service died")?;
    served_by(lab, First)?;
    nobody_noticed(lab, start)
}

fn supervisor_upgraded(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    for _ in 0..2 {
        runs_on(lab, First, |lab| order(lab, First, "upgrade"))?;
    }
    let said = String::from_utf8(lab.twobox(Second, &["upgrade"])?.stdout).unwrap_or_default();
    expect(said.contains("going on as the program on the disk"), said)?;
    is(lab, Second, "standby")?;
    let measured = nobody_noticed(lab, start)?;
    // It takes signals as before, and what it has adopted is its own.
    lab.shut_down(First)?;
    served_by(lab, Second)?;
    let off = |lab: &Lab| !lab.is_on(First);
    expect(lab.wait_for(PATIENCE, off), "server1 did not leave")?;
    expect(!lab.log(First).contains("is left of an earlier life"), "something was left")?;
    // One that could not start does not become anything.
    let file = lab.machine(Second).run().join("twobox.toml");
    let group = "\n[control]\noperators = \"wheel-here\"\n";
    let nobody = fs::read_to_string(&file)? + group;
    let renamed = fs::read_to_string(&file)?.replace("hostname = \"server", "hostname = \"box");
    for (text, why) in [
        ("", "is missing"),
        (nobody.as_str(), "group wheel-here is not in"),
        (renamed.as_str(), "is neither of the boxes"),
    ] {
        fs::write(&file, text)?;
        let socket = ["--socket", "/run/twobox.sock", "upgrade"];
        let refused = String::from_utf8(lab.twobox(Second, &socket)?.stderr).unwrap_or_default();
        expect(refused.contains("nothing was done") && refused.contains(why), refused)?;
    }
    served_by(lab, Second)?;
    Ok(measured)
}

/// Somebody works on a box, whose supervisor comes and goes meanwhile.
fn an_order_stands(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    order(lab, First, "maintenance")?;
    runs_on(lab, First, |lab| Ok(lab.machine(First).order(Order::Crash)?))?;
    runs_on(lab, First, |lab| order(lab, First, "upgrade"))?;
    let measured = nobody_noticed(lab, start)?;
    lab.kill(First, "serve")?;
    std::thread::sleep(LONG);
    expect(lab.serving().is_none(), "what failed was mended in maintenance")?;
    order(lab, First, "resume")?;
    served_by(lab, First)?;
    Ok(measured)
}

/// The supervisor of `id` ends and is started again, and nobody outside notices.
pub(crate) fn runs_on(
    lab: &Lab,
    id: BoxId,
    end: impl FnOnce(&Lab) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (term, lives) = (term(lab, id)?, adopted(lab, id));
    let service = service(lab, id)?;
    let begun = Instant::now();
    end(lab)?;
    let back = |lab: &Lab| adopted(lab, id) > lives;
    expect(lab.wait_for(PATIENCE, back), "its services were not adopted")?;
    std::thread::sleep(LONG);
    is(lab, id, "active")?;
    served_by(lab, id)?;
    let seen = lab.client().since(begun);
    expect(seen.lost == 0, format!("{} of {} requests failed", seen.lost, seen.asked))?;
    expect(self::term(lab, id)? == term, "the term has changed")?;
    expect(self::service(lab, id)? == service, "the service was started again")?;
    expect(!lab.log(id.other()).contains("ordering the power"), "it was shot at")
}

fn service(lab: &Lab, id: BoxId) -> io::Result<String> {
    lab.find(id, "serve")
}

pub(crate) fn term(lab: &Lab, id: BoxId) -> io::Result<String> {
    let output = lab.twobox(id, &["status", "--json"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // The first term of the text is the box's own.
    let term = text.split_once("\"term\":").map(|(_, rest)| rest.trim_start());
    Ok(term.unwrap_or_default().chars().take_while(char::is_ascii_digit).collect())
}

pub(crate) fn adopted(lab: &Lab, id: BoxId) -> usize {
    lab.log(id).matches("init -> active: its services run on").count()
}

/// Init takes its time to start the supervisor of the standby again: no reason to shoot the box, by any cables.
fn standby_supervisor_restarts(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let (start, boots) = (Instant::now(), lab.boots(Second));
    let told =
        |lab: &Lab| lab.log(First).matches("supervisor of server2 has died, and nothing").count();
    for times in 1..=2 {
        lab.machine(Second).order(Order::Abandon)?;
        std::thread::sleep(Duration::from_millis(1_500));
        expect(lab.wait_for(LONG, |lab| told(lab) == times), "its guard was not heard")?;
        lab.machine(Second).order(Order::Return)?;
        is(lab, Second, "standby")?;
        expect(lab.wait_for(PATIENCE, |lab| lab.hears(Second)), "it does not hear its peer")?;
        for id in [First, Second] {
            lab.lose(Way::Lan, id);
            lab.lose(Way::Direct, id);
        }
        std::thread::sleep(LONG);
    }
    expect(!lab.log(First).contains("ordering the power"), "it was shot at")?;
    expect(lab.boots(Second) == boots, "its box was shot")?;
    is(lab, First, "active")?;
    nobody_noticed(lab, start)
}

fn supervisor_stays_away(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.machine(First).order(Order::Abandon)?;
    served_by(lab, Second)?;
    expect(lab.is_on(First), "server1 was shot, though its guard had stopped everything")?;
    silence_below(lab, start, TAKEOVER)
}

fn supervisor_stays_away_and_cannot_be_shot(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    lab.set_switch(First, Switch::Unreachable);
    lab.set_switch(Second, Switch::Unreachable);
    // So that nobody hears what the guard says.
    lab.part();
    lab.machine(First).order(Order::Abandon)?;
    let begun = Instant::now();
    let gone = |lab: &Lab| lab.holders().is_empty();
    expect(lab.wait_for(PATIENCE, gone), "an address is held that nobody watches")?;
    let held = begun.elapsed();
    expect(held < RESTART + LATE, format!("it was held for {}", millis(held)))?;
    expect(service(lab, First).is_err(), "a service runs that nobody watches")?;
    std::thread::sleep(LONG);
    expect(lab.holders().is_empty(), "server2 took over from a box that may live")?;
    lab.set_switch(First, Switch::Sound);
    served_by(lab, Second)?;
    Ok(format!("the address was gone after {}", millis(held)))
}

fn guard_dies(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.kill(First, "twobox-guard")?;
    let told = |lab: &Lab| lab.log(First).contains("starting another");
    expect(lab.wait_for(PATIENCE, told), "nobody noticed that the guard died")?;
    std::thread::sleep(Duration::from_secs(1));
    nobody_noticed(lab, start)?;
    supervisor_stays_away_and_cannot_be_shot(lab)
}

fn active_resets(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.reset(First)?;
    let settled = |lab: &Lab| lab.boots(First) > 1 && lab.serving().is_some();
    expect(lab.wait_for(PATIENCE, settled), "nobody serves")?;
    served_by(lab, First)?;
    Ok(format!("home again, longest silence {}", millis(lab.client().since(start).silence)))
}

fn active_stalls(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let boots = lab.boots(First);
    let start = Instant::now();
    // Its end may come before the stall does: then it has no power to be resumed.
    let _ = lab.stall(First, LONG);
    served_by(lab, Second)?;
    expect(!lab.is_on(First) || lab.boots(First) > boots, "server1 was not shot")?;
    silence_below(lab, start, TAKEOVER)
}

fn standby_stalls(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    // Shot by the active box, as it should be.
    let _ = lab.stall(Second, LONG);
    served_by(lab, First)?;
    nobody_noticed(lab, start)
}

fn shut_down(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    // A box that leaves in order says so: nobody needs its switch.
    lab.set_switch(First, Switch::Unreachable);
    let start = Instant::now();
    lab.shut_down(First)?;
    served_by(lab, Second)?;
    silence_below(lab, start, SWITCH)
}

fn planned_switch(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    order(lab, First, "standby")?;
    served_by(lab, Second)?;
    order(lab, First, "resume")?;
    served_by(lab, First)?;
    is(lab, Second, "standby")?;
    silence_below(lab, start, SWITCH)
}

fn alone_at_boot(lab: &Lab) -> Result<String, Failure> {
    let start = Instant::now();
    lab.power_on(Second)?;
    served_by(lab, Second)?;
    Ok(format!("served after {}", millis(start.elapsed())))
}

fn peer_unknown(lab: &Lab) -> Result<String, Failure> {
    lab.set_switch(First, Switch::Unreachable);
    lab.power_on(Second)?;
    std::thread::sleep(LONG * 2);
    expect(lab.holders().is_empty(), "server2 serves, and knows nothing of server1")?;
    lab.power_on(First)?;
    served_by(lab, First)?;
    Ok("it waited until it heard its peer".to_owned())
}

fn site_loses_power(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    for id in [First, Second] {
        lab.power_off(id);
    }
    std::thread::sleep(Duration::from_secs(1));
    whole(lab)?;
    Ok("both are back".to_owned())
}

fn stuck_loop(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    // Nobody can shoot it: it must die by itself.
    lab.set_switch(First, Switch::Unreachable);
    let boots = lab.boots(First);
    let start = Instant::now();
    lab.machine(First).order(Order::Stall)?;
    is_reset(lab, boots, start)
}

fn stuck_disk(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let boots = lab.boots(First);
    let start = Instant::now();
    lab.stick(First, "journal.probe")?;
    let measured = is_reset(lab, boots, start)?;
    let told = lab.log(First).contains("the disk has not answered for");
    expect(told, "it was not told that the disk is stuck")?;
    Ok(measured)
}

/// The watched box dies within the times that it was given, and the pair is whole again afterwards.
fn is_reset(lab: &Lab, boots: u32, start: Instant) -> Result<String, Failure> {
    let reset = |lab: &Lab| lab.boots(First) > boots;
    expect(lab.wait_for(PATIENCE, reset), "server1 was not reset")?;
    let dead = start.elapsed();
    let most = WATCHDOG + DISK + LATE;
    expect(dead < most, format!("it took {}, longer than {}", millis(dead), millis(most)))?;
    lab.set_switch(First, Switch::Sound);
    whole(lab)?;
    Ok(format!("reset after {}", millis(dead)))
}

fn well_box(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let output = lab.twobox(First, &["status"])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    expect(said.contains("\nwatchdog: fed\n"), said)?;
    let start = Instant::now();
    order(lab, First, "standby")?;
    served_by(lab, Second)?;
    order(lab, First, "resume")?;
    served_by(lab, First)?;
    std::thread::sleep(WATCHDOG + DISK + LONG);
    expect(lab.boots(First) == 1 && lab.boots(Second) == 1, "a box was reset that was well")?;
    // It leaves in order: nobody resets it, nobody shoots it.
    lab.set_switch(First, Switch::Unreachable);
    lab.shut_down(First)?;
    served_by(lab, Second)?;
    std::thread::sleep(WATCHDOG);
    expect(!lab.is_on(First) && lab.boots(First) == 1, "a box was reset that had left")?;
    silence_below(lab, start, SWITCH)
}

fn network_lost(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.cut(Cable::Lan(First));
    served_by(lab, Second)?;
    let measured = silence_below(lab, start, TAKEOVER)?;
    expect(lab.is_on(First) && lab.is_on(Second), "a box was shot that only lost its network")?;
    lab.mend(Cable::Lan(First));
    served_by(lab, First)?;
    Ok(measured)
}

/// The client, which every box sees by the service network.
fn witnessed() -> Choices {
    let extra = "[[witness]]\nkind = \"ping\"\naddress = \"192.0.2.100\"\ninterface = \"eth0\"\n\
                 every = \"200ms\"\ntimeout = \"200ms\"\n";
    Choices { extra: extra.to_owned(), ..Choices::default() }
}

fn gate_closed(lab: &Lab) -> Result<String, Failure> {
    active_dies(lab)?;
    lab.power_on(First)?;
    is(lab, First, "standby")?;
    std::thread::sleep(LONG);
    served_by(lab, Second)?;
    lab.machine(Second).demo(&["touch", "/run/in-step"])?;
    served_by(lab, First)?;
    Ok("it waited for the data".to_owned())
}

fn gated() -> Choices {
    let mut choices = Choices::default();
    choices.resources += "gate = { kind = \"command\", command = [\"/run/demo\", \"exists\", \"/run/in-step\"], \
                          every = \"200ms\", threshold = 1 }\n";
    choices
}

/// The box and its power switch lose their power together; the carrier of the direct cable shows it.
fn goes_dark(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    // So that the carrier was seen.
    std::thread::sleep(LONG);
    lab.set_switch(First, Switch::Unreachable);
    let start = Instant::now();
    lab.power_off(First);
    served_by(lab, Second)?;
    let told = lab.log(Second).contains("server1 is dark");
    expect(told, "server2 does not say what it took over on")?;
    expect(start.elapsed() > DARK, "server2 did not wait for long enough")?;
    Ok(format!("served after {}", millis(start.elapsed())))
}

fn dark() -> Choices {
    let extra = format!("[takeover]\nrequire = \"dark\"\ndark_time = \"{}ms\"\n", DARK.as_millis());
    Choices { extra, direct: "direct = true\n".to_owned(), ..Choices::default() }
}

fn shot_by_bmc(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.hang(First)?;
    served_by(lab, Second)?;
    expect(lab.bmcs()[0].orders() == [0], format!("orders: {:?}", lab.bmcs()[0].orders()))?;
    expect(lab.wait_for(PATIENCE, |lab| lab.bmcs()[0].notes() == 1), "the BMC's log says nothing")?;
    silence_below(lab, start, TAKEOVER + Duration::from_secs(4))
}

fn by_bmc() -> Choices {
    let timing =
        "keepalive = \"200ms\"\nwarntime = \"500ms\"\ndeadtime = \"1s\"\ninitdead = \"12s\"\n";
    Choices { bmcs: true, timing: timing.to_owned(), ..Choices::default() }
}

pub(crate) fn watched() -> Choices {
    let extra = format!("[watchdog]\ndisk_timeout = \"{}ms\"\n", DISK.as_millis());
    Choices { watchdog: Some(WATCHDOG), extra, ..Choices::default() }
}

fn stay() -> Choices {
    Choices { auto_failback: "false".to_owned(), ..Choices::default() }
}

/// Longer than every time that the pair could wait before it did something.
pub(crate) const LONG: Duration = Duration::from_secs(4);

/// What an unplanned takeover may cost on a busy machine: deadtime, delay of the standby, the switch, the start.
pub(crate) const TAKEOVER: Duration = Duration::from_secs(8);

/// What a planned move may cost: a stop and a start.
pub(crate) const SWITCH: Duration = Duration::from_secs(3);

/// How long a box waits for a sign of life, where it does.
const WATCHDOG: Duration = Duration::from_millis(1_500);

/// How long services run on whose supervisor has died: deadtime, the turn of the active box with its switch, and the
/// order to them.
pub(crate) const RESTART: Duration = Duration::from_millis(1_000 + 1_600 + 200);

/// How long a box must be dark.
const DARK: Duration = Duration::from_secs(3);

/// How long its disk may take no write.
pub(crate) const DISK: Duration = Duration::from_secs(1);

/// What a busy machine may add to what would else never end.
pub(crate) const LATE: Duration = Duration::from_secs(10);
