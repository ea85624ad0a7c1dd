//! Checks what can be read afterwards of what has happened.

use std::fs;
use std::time::Duration;

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::Lab;
use crate::observers::expectations::{PATIENCE, served_by, whole};
use crate::observers::failure::{Failure, expect};
use crate::stage::config::Choices;

/// A takeover, with the time of each of its parts, is there after reboots, and on both boxes as one.
pub(crate) fn history(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let first = "starts: this box is server1 of pair lab; configuration /run/twobox.toml (";
    let log = lab.log(First);
    // The lab itself says that the box boots.
    let named = log.lines().nth(1).is_some_and(|line| line.contains(first));
    expect(named, format!("it is not said what was started:\n{log}"))?;
    lab.power_off(First);
    served_by(lab, Second)?;
    let kept = |lab: &Lab| said(lab, Second, &["history"]).contains("starting -> active");
    expect(lab.wait_for(PATIENCE, kept), "the takeover is not in the history of server2")?;
    let json = said(lab, Second, &["history", "--json", "-n", "1"]);
    // The poll of the fence device may see the power off before anybody misses the box; then nothing was detected.
    let missed = said(lab, Second, &["history"]).contains("standby -> fencing");
    let always = ["\"to\":\"active\"", "start_ms\":", "announce_ms\":"];
    let parts = ["detect_ms\":", "fence_ms\":"].into_iter().filter(|_| missed);
    for word in always.into_iter().chain(parts) {
        expect(json.contains(word), format!("no {word} in {json}"))?;
    }
    lab.power_on(First)?;
    served_by(lab, First)?;
    let boots = said(lab, First, &["history"]).matches("init -> ").count();
    expect(boots >= 2, format!("{boots} of 2 lives are in the history of server1"))?;
    // Carried over by a person.
    fs::copy(lab.disk(First).join("twobox.history"), lab.disk(Second).join("other"))?;
    let both = said(lab, Second, &["history", "--with", "/var/lib/other"]);
    for id in BoxId::BOTH {
        expect(both.contains(crate::name(id)), format!("{} is not in\n{both}", crate::name(id)))?;
    }
    Ok(json.trim().to_owned())
}

/// The integrator's program is told, and the figures are there.
pub(crate) fn programs(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let told = |lab: &Lab| fs::read_to_string(lab.disk(First).join("told")).unwrap_or_default();
    let active = |lab: &Lab| told(lab).contains("role server1 active");
    expect(lab.wait_for(PATIENCE, active), "the hook was not told that server1 is active")?;
    let roles: Vec<_> = told(lab).lines().map(str::to_owned).collect();
    let order = ["standby", "starting", "active"].map(|role| format!("role server1 {role}"));
    expect(roles.ends_with(&order), format!("not in order: {roles:?}"))?;
    let figures =
        |lab: &Lab| fs::read_to_string(lab.disk(First).join("figures")).unwrap_or_default();
    let active = |lab: &Lab| figures(lab).contains("\ntwobox_role{role=\"active\"} 1\n");
    expect(lab.wait_for(PATIENCE, active), "the figures do not say that server1 is active")?;
    let asked = said(lab, First, &["status", "--metrics"]);
    let names = |page: &str| {
        let samples = page.lines().filter_map(|line| line.split_once(' '));
        samples.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    expect(names(&asked) == names(&figures(lab)), "the figures in the file are others")?;
    unwritten(lab)?;
    Ok(format!("{} figures, {} roles", names(&asked).len(), roles.len()))
}

/// Figures that cannot be written are told of where one looks, until they can.
fn unwritten(lab: &Lab) -> Result<(), Failure> {
    let file = lab.disk(First).join("figures");
    let says = |words: &[&str], word: &str| said(lab, First, words).contains(word);
    let told = |failed: bool| {
        let so = |_: &Lab| {
            says(&["status", "--json"], "\"metrics\":\"") == failed
                && says(&["status"], "\nmetrics: not written: ") == failed
        };
        expect(lab.wait_for(PATIENCE, so), format!("the status should tell: {failed}"))
    };
    told(false)?;
    // A new file may come in between.
    let blocked = |_: &Lab| {
        let _ = fs::remove_file(&file);
        fs::create_dir(&file).is_ok()
    };
    expect(lab.wait_for(PATIENCE, blocked), "there can be no folder in the place of the figures")?;
    told(true)?;
    expect(lab.log(First).contains("the figures are old"), "the log says nothing of it")?;
    fs::remove_dir(&file)?;
    told(false)
}

/// A loop that is held up says so, and so does the box that waited for it.
pub(crate) fn lateness(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    lab.stall(First, Duration::from_millis(300))?;
    let figure = |id, word: &str| {
        let status = said(lab, id, &["status", "--json"]);
        let (_, rest) = status.split_once(&format!("\"{word}\":")).unwrap_or_default();
        rest.split([',', '}']).next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
    };
    // At least a keepalive of the stall was not free.
    let so = |_: &Lab| {
        figure(First, "late_max_us") >= 100_000 && figure(Second, "silence_max_ms") >= 300
    };
    expect(lab.wait_for(PATIENCE, so), "nobody has noticed that server1 did not run")?;
    let status = said(lab, Second, &["status"]);
    let told = status.lines().find(|line| line.starts_with("loop: at the worst"));
    Ok(told.ok_or_else(|| Failure(format!("no word of the loop in\n{status}")))?.to_owned())
}

/// Where the story looks for them.
pub(crate) fn told() -> Choices {
    let extra = "[metrics]\nfile = \"/var/lib/figures\"\nevery = \"1s\"\n\n\
                 [[hook]]\non = [\"role\"]\ncommand = [\"/bin/sh\", \"-c\", \
                 \"echo $TWOBOX_WHAT $TWOBOX_BOX $TWOBOX_TO >> /var/lib/told\"]\n";
    Choices { extra: extra.to_owned(), ..Choices::default() }
}

/// Waits until the history of a box has a record with this `outcome` of `what`, whose reason is for people and has
/// `word`.
pub(crate) fn keeps(lab: &Lab, id: BoxId, [what, outcome, word]: [&str; 3]) -> Result<(), Failure> {
    let records = || said(lab, id, &["history", "--json", "--config", "/run/twobox.toml"]);
    let so = |_: &Lab| {
        let records = records();
        let mut records = records.split("},{");
        let has = |record: &str, word: &str, value: &str| {
            record.contains(&format!("\"{word}\":\"{value}"))
        };
        records.any(|it| has(it, "what", what) && has(it, "outcome", outcome) && it.contains(word))
    };
    let kept = lab.wait_for(PATIENCE, so);
    expect(kept, format!("no {what} {outcome} with {word:?} in {}", records()))
}

pub(crate) fn said(lab: &Lab, id: BoxId, words: &[&str]) -> String {
    let output = lab.twobox(id, words);
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
