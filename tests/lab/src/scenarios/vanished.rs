//! Removes what a supervisor keeps on its box, while it runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::First;

use crate::Lab;
use crate::observers::expectations::{
    PATIENCE, is, nobody_noticed, order, served_by, silence_below, whole,
};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::stories::{DISK, SWITCH};
use crate::scenarios::trials::told;
use crate::stage::config::Choices;
use crate::stage::power_switch::Switch;

/// All of it comes back or is told, nobody outside notices, and no second supervisor starts meanwhile.
pub(crate) fn files(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    let all = files_of(lab);
    let there = |_: &Lab| all.iter().all(|path| path.exists());
    expect(lab.wait_for(PATIENCE, there), format!("not all of {all:?} are there"))?;
    for _ in 0..2 {
        let second = without_files(lab, &["run", "--config", "/run/twobox.toml"])?;
        expect(second.contains("another supervisor has it"), second)?;
        let back = |_: &Lab| all.iter().all(|path| path.exists());
        let missing = || all.iter().filter(|path| !path.exists()).collect::<Vec<_>>();
        expect(lab.wait_for(PATIENCE, back), format!("{:?} did not come back", missing()))?;
    }
    asked_while_gone(lab)?;
    is(lab, First, "active")?;
    let said = lab.log(First);
    for told in ["removed the control socket", "removed the note", "journal /run/journal: somebody"]
    {
        expect(said.contains(told), format!("the log does not say {told:?}"))?;
    }
    nobody_noticed(lab, start)?;
    fs::remove_file(lab.disk(First).join("twobox.history"))?;
    order(lab, First, "standby")?;
    let told = |lab: &Lab| lab.log(First).contains("somebody has removed it: what happened before");
    expect(lab.wait_for(PATIENCE, told), "it was not told that the history is gone")?;
    order(lab, First, "resume")?;
    served_by(lab, First)?;
    silence_below(lab, start, SWITCH)
}

/// The guard knows what it has to stop, although the note of it was removed.
pub(crate) fn then_dies(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    remove(lab);
    let back = |lab: &Lab| files_of(lab).iter().all(|path| path.exists());
    expect(lab.wait_for(PATIENCE, back), "the files did not come back")?;
    lab.set_switch(First, Switch::Unreachable);
    lab.abandon(First)?;
    let gone = |lab: &Lab| lab.holders().is_empty();
    expect(lab.wait_for(PATIENCE, gone), "an address is left that nobody watches")?;
    let told = |lab: &Lab| lab.log(First).contains("nothing of the pair runs on this box");
    expect(lab.wait_for(PATIENCE, told), "the guard did not stop the services")?;
    Ok("its guard has stopped everything".to_owned())
}

/// One who asks from outside of the box's PID namespace is known by user and groups.
pub(crate) fn from_outside(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let answer = lab.machine(First).ask_from_outside("status")?;
    expect(answer.text.contains("server1      active"), answer.text)?;
    order(lab, First, "standby")?;
    Ok("it is answered".to_owned())
}

/// A person who asks while the socket is gone is told that the supervisor runs; one who asks a little later is
/// answered.
fn asked_while_gone(lab: &Lab) -> Result<(), Failure> {
    let tells = |lab: &Lab| {
        let said = without_files(lab, &["status", "--config", "/run/twobox.toml"]);
        said.is_ok_and(|said| said.contains("it runs, as process"))
    };
    // It may be there again before anybody asks.
    expect(lab.wait_for(PATIENCE, tells), "nobody is told that the supervisor runs")?;
    told(lab, First, &["status"], 0).map(drop).or_else(|_| {
        let answers = |lab: &Lab| told(lab, First, &["status"], 0).is_ok();
        expect(lab.wait_for(PATIENCE, answers), "it does not answer any more")
    })
}

/// What a command complains of when everything was removed just before.
fn without_files(lab: &Lab, words: &[&str]) -> Result<String, Failure> {
    remove(lab);
    let output = lab.twobox(First, words)?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn remove(lab: &Lab) {
    for path in files_of(lab) {
        // The figures may be removed already, or be there again in a moment.
        let _ = fs::remove_file(path);
    }
}

fn files_of(lab: &Lab) -> Vec<PathBuf> {
    let run = lab.machine(First).run();
    FILES.iter().map(|name| run.join(name)).collect()
}

/// While nothing happens nothing is written, also where the disk is watched.
pub(crate) fn idle(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let probe = lab.machine(First).run().join("journal.probe");
    expect(lab.wait_for(PATIENCE, |_| probe.exists()), "the disk is not watched")?;
    sleep(SETTLED);
    let before = written(lab)?;
    sleep(DISK * 4);
    let after = written(lab)?;
    let new: Vec<_> = after.iter().filter(|it| !before.contains(it)).collect();
    expect(new.is_empty(), format!("written meanwhile: {new:?}"))?;
    Ok(format!("{} files are as they were", before.len()))
}

/// Every file of the box, with its inode and when it was last changed.
fn written(lab: &Lab) -> Result<Vec<(PathBuf, u64, [i64; 2])>, Failure> {
    let mut files = Vec::new();
    for folder in [lab.machine(First).run(), lab.disk(First)] {
        for entry in fs::read_dir(folder)? {
            let file = entry?;
            let it = fs::symlink_metadata(file.path())?;
            if it.is_file() {
                files.push((file.path(), it.ino(), [it.ctime(), it.ctime_nsec()]));
            }
        }
    }
    Ok(files)
}

/// With figures, which are written again by themselves.
pub(crate) fn choices() -> Choices {
    let extra = "[metrics]\nfile = \"/run/figures\"\nevery = \"1s\"\n".to_owned();
    Choices { extra, ..Choices::default() }
}

/// What follows a change of role is over.
const SETTLED: Duration = Duration::from_secs(1);

/// In `/run`.
const FILES: [&str; 6] = [
    "twobox.sock",
    "twobox.sock.lock",
    "twobox.sock.lease",
    "twobox.sock.lease.note",
    "journal",
    "figures",
];
