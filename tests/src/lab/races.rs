//! What if reloads meet each other?

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::thread::{ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::First;

use super::Lab;
use super::expectations::{PATIENCE, is, silence_below};
use super::failure::{Failure, expect};
use super::stories::NOTHING;
use super::trials::{file, put, ready, told};

/// Of two reloads at the same moment, the one that is slow to read an older file does not win.
pub(super) fn overtaken(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let start = Instant::now();
    let text = file(lab, First)?;
    let [older, newer] =
        ["\"3s\"", "\"4s\""].map(|hold| text.replace("hold = \"2s\"", &format!("hold = {hold}")));
    let [path, slow] = [FILE, "slow"].map(|name| lab.machine(First).run().join(name));
    // Whoever opens a pipe reads what others write there later (fifo(7)).
    lab.stick(First, FILE)?;
    fs::hard_link(&path, &slow)?;
    scope(|scope| {
        let reload = || scope.spawn(|| told(lab, First, &["reload"], 0));
        let (first, mut pipe) = (reload(), None);
        let reads = |_: &Lab| {
            pipe = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&slow).ok();
            pipe.is_some()
        };
        expect(lab.wait_for(PATIENCE, reads), "nobody reads the file")?;
        fs::remove_file(&path)?;
        put(lab, First, &newer)?;
        let second = reload();
        sleep(Duration::from_millis(500));
        pipe.into_iter().try_for_each(|mut pipe| pipe.write_all(older.as_bytes()))?;
        let ended = |reload: ScopedJoinHandle<'_, Result<String, Failure>>| {
            reload.join().map_err(|_| Failure("who reloads has panicked".to_owned()))?
        };
        let said = ended(first)? + &ended(second)?;
        expect(said.contains("2s -> 3s") && said.contains("3s -> 4s"), said)
    })?;
    let said = told(lab, First, &["reload", "--dry-run"], 0)?;
    expect(said == "nothing has changed\n", format!("the older file is in force: {said}"))?;
    is(lab, First, "active")?;
    silence_below(lab, start, NOTHING)
}

/// In `/run` of a box.
const FILE: &str = "twobox.toml";
