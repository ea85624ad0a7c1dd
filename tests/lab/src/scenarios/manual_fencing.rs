//! Has a person cut the power of a box through the other one.

use std::fs;
use std::process::Output;
use std::time::Instant;

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::Lab;
use crate::observers::expectations::{PATIENCE, is, nobody_noticed, served_by, whole};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::artifacts::keeps;
use crate::scenarios::stories::LONG;
use crate::stage::config::Choices;
use crate::stage::power_switch::Switch;

/// The one that stands by may be cut by the one that serves; the other way round it must be wanted.
pub(crate) fn fence(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    let tried = done(lab, First, &["fence", "--dry-run", "--config", "/run/twobox.toml"])?;
    expect(tried.contains("power, once more") && tried.contains("on\n"), tried)?;
    refused(lab, Second, &["fence", "server1"], "this box does not serve")?;
    refused(lab, First, &["fence", "server1"], "whose power is to be cut")?;
    expect(lab.is_on(First) && lab.is_on(Second), "a box was shot that nobody wanted off")?;
    let said = done(lab, First, &["fence", "server2"])?;
    expect(!lab.is_on(Second), format!("server2 has power, and yet: {said}"))?;
    std::thread::sleep(LONG);
    expect(lab.boots(Second) == 1, "server2 has booted again")?;
    let last = fs::read_to_string(lab.disk(First).join("twobox.blackbox"))?;
    for word in ["< Heartbeat(", "< Order(Fence", "> Fence("] {
        expect(last.contains(word), format!("no {word} in the black box:\n{last}"))?;
    }
    nobody_noticed(lab, start)?;
    lab.power_on(Second)?;
    is(lab, Second, "standby")?;
    done(lab, Second, &["fence", "server1", "--yes"])?;
    expect(!lab.is_on(First), "server1 has power")?;
    served_by(lab, Second)?;
    Ok(said.trim().to_owned())
}

/// A box that cannot be cut goes on as if nothing had been ordered.
pub(crate) fn fence_in_vain(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.set_switch(Second, Switch::Lying);
    refused(lab, First, &["fence", "server2"], "take it for alive")?;
    std::thread::sleep(LONG);
    expect(lab.boots(Second) == 1 && lab.is_on(Second), "server2 has reset itself")?;
    is(lab, Second, "standby")?;
    served_by(lab, First)?;
    keeps(lab, First, ["fence", "failed", "server2 is not fenced, and talks"])?;
    nobody_noticed(lab, start)
}

/// What was seen off before, and booted since, is no box that a drill has cut: its switch fails now.
pub(crate) fn drill_in_vain(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    done(lab, First, &["fence", "server2"])?;
    lab.power_on(Second)?;
    let well =
        |lab: &Lab| lab.twobox(First, &["status"]).is_ok_and(|status| status.status.success());
    expect(lab.wait_for(PATIENCE, well), "the pair does not become whole")?;
    let boots = lab.boots(Second);
    lab.set_switch(Second, Switch::Unreachable);
    refused(lab, First, &["drill", "fence", "server2"], "take it for alive")?;
    expect(lab.is_on(Second) && lab.boots(Second) == boots, "server2 was without power")?;
    served_by(lab, First)?;
    Ok("a drill that cut nothing says so".to_owned())
}

/// An order says what it did, and one that changes nothing says that.
pub(crate) fn told(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    for (id, order, tells) in [
        (First, "resume", "nothing has changed: no order stands on server1"),
        (First, "clear", "nothing has changed: no resource of server1 has failed"),
        (Second, "standby", "server2 is held back"),
        (Second, "standby", "nothing has changed: server2 is held back already"),
        (First, "resume", "nothing has changed: no order stands on server1, but one on server2"),
    ] {
        let heard = |lab: &Lab| done(lab, id, &[order]).is_ok_and(|said| said.starts_with(tells));
        expect(lab.wait_for(PATIENCE, heard), format!("{order} on {id:?} does not say {tells:?}"))?;
    }
    let status = lab.twobox(First, &["status"])?;
    let (said, _) = words(&status);
    let first = said.lines().next().unwrap_or_default().to_owned();
    let named = first.ends_with("server2 is held back: twobox resume on server2");
    expect(named && status.status.code() == Some(10), said)?;
    refused(lab, First, &["standby"], "server2 is not ready to serve: it is held back")?;
    expect(
        done(lab, Second, &["resume"])?.starts_with("server2 may serve again"),
        "no word of it",
    )?;
    let moves = |lab: &Lab| {
        done(lab, First, &["standby"]).is_ok_and(|said| said.contains("server2 starts them"))
    };
    expect(lab.wait_for(PATIENCE, moves), "it is not said that the services move")?;
    served_by(lab, Second)?;
    Ok(first)
}

/// The power goes and comes back, and nobody outside notices.
pub(crate) fn drill(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    refused(lab, Second, &["drill", "fence", "server1"], "this box does not serve")?;
    let start = Instant::now();
    let said = done(lab, First, &["drill", "fence", "server2"])?;
    for step in ["seen off", "powered on again", "heard again", "the pair is whole"] {
        expect(said.contains(step), format!("no {step:?} in\n{said}"))?;
    }
    expect(lab.boots(Second) == 2, "server2 was not without power")?;
    is(lab, Second, "standby")?;
    told_as_drill(lab)?;
    lab.power_off(Second);
    let alone = |lab: &Lab| {
        let status = lab.twobox(First, &["status"]);
        status.is_ok_and(|status| status.status.code() == Some(10))
    };
    expect(lab.wait_for(PATIENCE, alone), "server2 is not missed")?;
    refused(lab, First, &["drill", "fence", "server2"], "a drill wants a pair that is well")?;
    nobody_noticed(lab, start)?;
    Ok(said.lines().map(str::trim).collect::<Vec<_>>().join("; "))
}

/// A person who reads afterwards, on either box, sees that it was no shot.
fn told_as_drill(lab: &Lab) -> Result<(), Failure> {
    keeps(lab, First, ["drill", "ordered", "drill: ordering the power of server2 off"])?;
    keeps(lab, First, ["drill", "seen_off", "\"fence_ms\":"])?;
    let own = done(lab, First, &["history", "--json"])?;
    expect(!own.contains("\"what\":\"fence\""), format!("a shot is told of in {own}"))?;
    let both = done(lab, Second, &["history", "--both"])?;
    expect(both.contains("drill: server2 is fenced"), format!("no drill in {both}"))?;
    let hook = |lab: &Lab| fs::read_to_string(lab.disk(First).join("told")).unwrap_or_default();
    let told = lab.wait_for(PATIENCE, |lab| hook(lab) == "ordered\nseen_off\n");
    expect(told, format!("the hook was told: {:?}", hook(lab)))
}

/// A program that wants to know of drills, and of nothing else.
pub(crate) fn watched() -> Choices {
    let extra = "[[hook]]\non = [\"drill\"]\ncommand = [\"/bin/sh\", \"-c\", \
                 \"echo $TWOBOX_OUTCOME >> /var/lib/told\"]\n";
    Choices { extra: extra.to_owned(), ..Choices::default() }
}

fn done(lab: &Lab, id: BoxId, arguments: &[&str]) -> Result<String, Failure> {
    let output = lab.twobox(id, arguments)?;
    let (said, complained) = words(&output);
    expect(output.status.success(), format!("{}: {said}{complained}", arguments.join(" ")))?;
    Ok(said)
}

fn refused(lab: &Lab, id: BoxId, arguments: &[&str], why: &str) -> Result<(), Failure> {
    let output = lab.twobox(id, arguments)?;
    let (said, complained) = words(&output);
    let so = output.status.code() == Some(1) && complained.contains(why);
    expect(so, format!("{}: {said}{complained}, and not {why}", arguments.join(" ")))
}

fn words(output: &Output) -> (String, String) {
    let [said, complained] =
        [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    (said, complained)
}
