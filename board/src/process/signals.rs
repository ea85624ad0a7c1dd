//! Names the signals.

use rustix::process::Signal;

/// The signals by their names, for configuration and messages.
pub const NAMES: [(&str, Signal); 15] = [
    ("TERM", Signal::TERM),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("HUP", Signal::HUP),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("WINCH", Signal::WINCH),
    ("KILL", Signal::KILL),
    ("ABRT", Signal::ABORT),
    ("SEGV", Signal::SEGV),
    ("BUS", Signal::BUS),
    ("ILL", Signal::ILL),
    ("FPE", Signal::FPE),
    ("PIPE", Signal::PIPE),
    ("ALRM", Signal::ALARM),
];

/// `SIGTERM` for a signal.
pub fn name(signal: Signal) -> String {
    name_of(signal.as_raw())
}

/// `SIGTERM` for the number of a signal, or the number itself.
pub fn name_of(number: i32) -> String {
    NAMES
        .iter()
        .find(|(_, signal)| signal.as_raw() == number)
        .map_or_else(|| format!("signal {number}"), |(name, _)| format!("SIG{name}"))
}
