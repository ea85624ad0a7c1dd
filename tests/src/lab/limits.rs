//! What if a box has nothing left to give: no file, no memory, no process, no room on its disk?

use std::thread;
use std::time::Instant;

use firmware_agnostic::identity::BoxId::{self, First, Second};
use rustix::process::{Resource, getrlimit};

use super::Lab;
use super::crowd::Manners;
use super::expectations::{is, order, served_by, silence_below, whole};
use super::failure::{Failure, expect};
use super::stories::{LONG, SWITCH, Story, story, term};
use super::supervisor::Supervisor;

pub(super) const STORIES: [Story; 1] = [story("no-more-files", no_more_files)];

/// Neither supervisor can open anything any more; the service dies, again and again.
fn no_more_files(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let home = term(lab, First)?;
    for id in BoxId::BOTH {
        let supervisor = Supervisor::of(id)?;
        // Not much more than it has.
        let open = supervisor.files()?.len();
        supervisor.limit(Resource::Nofile, Some(open as u64))?;
    }
    let start = Instant::now();
    let trouble = thread::scope(|scope| {
        for id in BoxId::BOTH {
            // As many as are let in at once take what is free.
            scope.spawn(move || lab.crowd(id, Manners::Silent, 16, LONG));
        }
        let short = |lab: &Lab| lab.log(First).contains("only what was put by is left");
        expect(lab.wait_for(LONG, short), "it was not told that no file can be opened")?;
        lab.kill(First, "serve")?;
        thread::sleep(LONG / 2);
        served_by(lab, First)
    });
    trouble?;
    // Nor can the service move without opening files. One with good manners gets an answer even now.
    expect(term(lab, First)? == home, "the service has moved")?;
    order(lab, First, "standby")?;
    served_by(lab, Second)?;
    order(lab, First, "resume")?;
    served_by(lab, First)?;
    let measured = silence_below(lab, start, SWITCH)?;
    for id in BoxId::BOTH {
        Supervisor::of(id)?.limit(Resource::Nofile, getrlimit(Resource::Nofile).maximum)?;
    }
    is(lab, Second, "standby")?;
    expect(lab.boots(First) + lab.boots(Second) == 2, "a box was shot, or reset itself")?;
    Ok(measured)
}
