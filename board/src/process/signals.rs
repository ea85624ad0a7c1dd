//! Names the signals, and puts them in order.

use rustix::process::Signal;

/// Has signals come to this process as init would have them come, also where it was started with signals blocked, or
/// with `SIGCHLD` ignored: no child could be waited for then (`waitpid(2)`), and no order to leave be heard. Before the
/// first thread.
#[allow(unsafe_code)]
pub fn let_come() {
    // SAFETY: the set is filled by `sigemptyset` before it is read; the other calls take numbers and that set, and no
    // handler is set.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        // Neither fails with these arguments.
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
}

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
