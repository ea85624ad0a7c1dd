//! Reads the figures that the supervisors publish.

use std::io;
use std::time::Duration;

use firmware_agnostic::frame::FrameError;
use firmware_agnostic::identity::BoxId;

use crate::Lab;
use crate::stage::process::Process;

/// What one box says, and what the kernel says of its supervisor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// How late the loop was at the worst.
    pub late: Duration,
    /// How long it took over one event at the worst.
    pub step: Duration,
    /// Heartbeats that were read, on all links.
    pub received: u64,
    /// Frames that were refused, on all links.
    pub refused: u64,
    /// Resident memory, in KiB.
    pub resident: u64,
}

impl Figures {
    /// Those of a box, now.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn of(lab: &Lab, id: BoxId) -> io::Result<Self> {
        let output = lab.twobox(id, &["status", "--json"])?;
        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        let sum = |word: &str| -> u64 {
            let key = format!("\"{word}\":");
            let numbers = status.split(&key).skip(1);
            numbers
                .filter_map(|rest| rest.split([',', '}']).next()?.trim().parse::<u64>().ok())
                .sum()
        };
        Ok(Self {
            late: Duration::from_micros(sum("late_max_us")),
            step: Duration::from_micros(sum("step_max_us")),
            received: sum("received"),
            refused: FrameError::ALL.iter().map(|cause| sum(cause.label())).sum(),
            resident: Process::supervisor(id)?.field("VmRSS")?,
        })
    }
}
