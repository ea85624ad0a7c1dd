//! Checks what one box can ask of the other one, over which cables.

use std::fs;
use std::process::Output;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::observers::expectations::{PATIENCE, is, nobody_noticed, served_by, whole};
use crate::observers::failure::{Failure, expect};
use crate::observers::figures::Figures;
use crate::observers::steady_state::Machine;
use crate::scenarios::tour::millis;
use crate::stage::config::Choices;
use crate::{Cable, Lab, Way};

/// Over any network that carries, while nobody outside notices.
pub(crate) fn by_network(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    both_ways(lab)?;
    let start = Instant::now();
    let mut took = Vec::new();
    for cable in [Cable::Direct, Cable::Lan(Second)] {
        lab.cut(cable);
        std::thread::sleep(Duration::from_secs(1));
        let begun = Instant::now();
        can_follow(lab, First)?;
        history(lab, Second)?;
        took.push(millis(begun.elapsed()));
        lab.mend_all();
        served_by(lab, First)?;
        both_ways(lab)?;
    }
    is(lab, Second, "standby")?;
    nobody_noticed(lab, start)?;
    Ok(format!("check and history in {}", took.join(", ")))
}

/// Over the serial cable alone, at its slowest; no heartbeat waits for it.
pub(crate) fn by_serial(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    for id in BoxId::BOTH {
        lab.lose(Way::Lan, id);
        lab.lose(Way::Direct, id);
    }
    std::thread::sleep(Duration::from_secs(2));
    let machine = Machine::watch()?;
    let (start, [lost, lost_too, ..]) = (Instant::now(), missed(lab)?);
    can_follow(lab, Second)?;
    history(lab, First)?;
    let took = millis(start.elapsed());
    let after = missed(lab)?;
    // A box that did not run for a while said nothing meanwhile, and a cable that did not run carried nothing.
    let late = |id| Figures::of(lab, id).map(|figures| figures.late);
    let most = (WARNTIME + late(First)? + late(Second)? + machine.adds()).as_millis();
    let in_time = after[2..].iter().all(|gap| u128::from(*gap) < most);
    let well = after[..2] == [lost, lost_too] && in_time;
    expect(well, format!("heartbeats were late, or lost: {lost}, {lost_too}, then {after:?}"))?;
    nobody_noticed(lab, start)?;
    Ok(format!("check and history in {took}"))
}

/// A file that the other box cannot run with is told by it; one that is off tells nothing.
pub(crate) fn refused(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    both_ways(lab)?;
    // The file on this box was changed, and would be wrong there.
    let file = lab.machine(First).run().join("twobox.toml");
    let good = fs::read_to_string(&file)?;
    fs::write(&file, good.replace("keepalive = \"200ms\"", "keepalive = \"20h\""))?;
    let (code, said) = told(&lab.twobox(First, &["check", "--peer"])?);
    let words = [
        "server1 runs twobox",
        "server2 runs twobox",
        "server2 cannot run with the file of the other box:",
        "/run/twobox.toml:",
    ];
    for word in words {
        expect(
            code == Some(1) && said.contains(word),
            format!("{code:?}, no {word:?} in\n{said}"),
        )?;
    }
    fs::write(&file, good.replace("failback_hold = \"2s\"", "failback_hold = \"3s\""))?;
    let (code, said) = told(&lab.twobox(First, &["check", "--peer"])?);
    let word = "would find changed:\n  pair.failback_hold: 2s -> 3s";
    expect(code == Some(0) && said.contains(word), format!("{code:?}, no {word:?} in\n{said}"))?;
    fs::write(&file, good)?;
    lab.power_off(Second);
    let unheard = |lab: &Lab| {
        let output = lab.twobox(First, &["history", "--both"]);
        output.is_ok_and(|output| {
            let (code, said) = told(&output);
            code == Some(5) && said.contains("no answer of server2: no link carries both ways")
        })
    };
    expect(lab.wait_for(PATIENCE, unheard), "server2 is not missed")?;
    served_by(lab, First)?;
    Ok("told what differs and what is wrong".to_owned())
}

/// The slowest cable that the heartbeats allow.
pub(crate) fn slow() -> Choices {
    let timing =
        "keepalive = \"250ms\"\nwarntime = \"600ms\"\ndeadtime = \"1500ms\"\ninitdead = \"5s\"\n";
    Choices { baud: 9_600, timing: timing.to_owned(), ..Choices::default() }
}

fn can_follow(lab: &Lab, id: BoxId) -> Result<(), Failure> {
    let (code, said) = told(&lab.twobox(id, &["check", "--peer"])?);
    let word = format!("{} runs with the same configuration", crate::name(id.other()));
    expect(code == Some(0) && said.contains(&word), format!("{code:?}, no {word:?} in\n{said}"))
}

fn history(lab: &Lab, id: BoxId) -> Result<(), Failure> {
    let (code, said) = told(&lab.twobox(id, &["history", "--both"])?);
    let place = |what: &str| said.lines().position(|line| line.contains(what));
    let (boot, serves) = (place("server2    term 0   init -> "), place("starting -> active"));
    let so = code == Some(0)
        && said.starts_with("the clocks of both boxes agree, within ")
        && boot.is_some()
        && boot < serves;
    expect(so, format!("{code:?}:\n{said}"))
}

/// Waits until the boxes hear each other on every cable.
fn both_ways(lab: &Lab) -> Result<(), Failure> {
    let well = |lab: &Lab| {
        BoxId::BOTH
            .iter()
            .all(|id| lab.twobox(*id, &["status"]).is_ok_and(|status| status.status.success()))
    };
    expect(lab.wait_for(PATIENCE, well), "the pair does not become whole")
}

/// How many heartbeats each box has missed on the serial cable, and the longest time between two, in milliseconds.
fn missed(lab: &Lab) -> Result<[u64; 4], Failure> {
    let mut all = [0; 4];
    for id in BoxId::BOTH {
        let (_, status) = told(&lab.twobox(id, &["status", "--json"])?);
        let (_, link) = status.rsplit_once("\"ttyS1\"").unwrap_or_default();
        for (place, word) in ["\"lost\":", "\"largest_gap_ms\":"].into_iter().enumerate() {
            let (_, value) = link.split_once(word).unwrap_or_default();
            let number = value.split(['}', ',']).next().and_then(|number| number.parse().ok());
            all[id.index() + place * 2] =
                number.ok_or_else(|| Failure(format!("no {word} in\n{status}")))?;
        }
    }
    Ok(all)
}

fn told(output: &Output) -> (Option<i32>, String) {
    let said = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    (output.status.code(), said.concat())
}

/// That of the slow cable.
const WARNTIME: Duration = Duration::from_millis(600);
