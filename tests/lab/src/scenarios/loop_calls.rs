//! Checks with `strace` that the loop never waits for a disk or a name service.

use std::fs;
use std::process::{Child, Command, Stdio};

use firmware_agnostic::identity::BoxId::{self, First, Second};
use rustix::process::{Pid, Signal, kill_process};

use crate::Lab;
use crate::observers::expectations::{PATIENCE, order, served_by, whole};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::artifacts::said;
use crate::scenarios::trials::{file, put, told};
use crate::stage::process::Process;

/// Through changes of role, orders, questions of every kind and a link that is opened anew the loop's thread opens,
/// reads and writes no file, and connects to nobody.
pub(crate) fn no_files(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let supervisor = Process::supervisor(First)?;
    let trace = Trace::of(lab, &supervisor)?;
    for words in [["status", "--json"], ["status", "--metrics"], ["log", "debug"]] {
        expect(!said(lab, First, &words).is_empty(), format!("{words:?} says nothing"))?;
    }
    for id in BoxId::BOTH {
        put(lab, id, &file(lab, id)?.replace("baud = 115200", "baud = 57600"))?;
        let said = told(lab, id, &["reload"], 0)?;
        expect(said.contains("ttyS1: it is opened anew"), said)?;
    }
    order(lab, First, "standby")?;
    served_by(lab, Second)?;
    order(lab, First, "resume")?;
    served_by(lab, First)?;
    lab.power_off(Second);
    let alone = |lab: &Lab| said(lab, First, &["status"]).contains("known to be off");
    expect(lab.wait_for(PATIENCE, alone), "server2 is not known to be off")?;
    let calls = trace.end()?;
    let of_files = calls.lines().find(|line| !line.contains("sendto(") && line.contains('('));
    expect(of_files.is_none(), format!("the loop waits for {}", of_files.unwrap_or_default()))?;
    let sent = calls.matches("sendto(").count();
    expect(sent > 50, format!("{sent} heartbeats seen: a test of nothing\n{calls}"))?;
    Ok(format!("{sent} heartbeats, and no call that takes a file"))
}

/// Writes down what the first thread of a process asks of the kernel.
struct Trace {
    strace: Child,
    file: &'static str,
}

impl Trace {
    fn of(lab: &Lab, process: &Process) -> Result<Self, Failure> {
        let (pid, file) = (process.pid()?, "/run/lab/trace");
        let strace = Command::new("strace")
            .args(["-q", "-e", CALLS, "-o", file, "-p", &pid.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| Failure(format!("strace: {error}: install it")))?;
        let trace = Self { strace, file };
        let sees = |_: &Lab| fs::metadata(file).is_ok_and(|file| file.len() > 0);
        expect(lab.wait_for(PATIENCE, sees), "strace sees nothing")?;
        Ok(trace)
    }

    fn end(mut self) -> Result<String, Failure> {
        kill_process(Pid::from_child(&self.strace), Signal::INT)?;
        self.strace.wait()?;
        Ok(fs::read_to_string(self.file)?)
    }
}

/// All that take the name of a file or wait for a disk; a connection, as name services want; and heartbeats.
const CALLS: &str =
    "trace=%file,fsync,fdatasync,sync,syncfs,sync_file_range,msync,connect,sendto,getdents64";
