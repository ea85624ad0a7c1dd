//! Resets this box when it must not be trusted with having released.
//!
//! At once, and without writing back or stopping anything: what hangs would hang the reset. By `reboot(2)`, which in a
//! PID namespace kills that namespace's init instead (`pid_namespaces(7)`), so that a box that lives in one goes down
//! as a box does. If the kernel refuses, by the reset key of `/proc/sysrq-trigger`. If nothing helps, the watchdog
//! that is no longer fed is the third way: the caller stops feeding it.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::Path;

use rustix::system::RebootCommand;

/// Resets this box now.
///
/// # Errors
///
/// When it did not: the supervisor is not root, or lacks `CAP_SYS_BOOT`.
pub fn reset() -> io::Result<Infallible> {
    let refused = match rustix::system::reboot(RebootCommand::Restart) {
        Ok(()) => io::Error::other("reboot(2) returned"),
        Err(error) => error.into(),
    };
    // The key resets the machine, which is more than this box when it lives in a PID namespace.
    if !is_machine() {
        return Err(io::Error::new(
            refused.kind(),
            format!("this box cannot reset itself: {refused}"),
        ));
    }
    let key = match fs::write("/proc/sysrq-trigger", "b") {
        Ok(()) => io::Error::other("the key was taken and did nothing"),
        Err(error) => error,
    };
    let reason =
        format!("this box cannot reset itself: reboot(2): {refused}; sysrq-trigger: {key}");
    Err(io::Error::new(refused.kind(), reason))
}

/// Whether we are in the PID namespace that the kernel booted with.
fn is_machine() -> bool {
    fs::read_link("/proc/self/ns/pid")
        .is_ok_and(|namespace| namespace == Path::new(FIRST_NAMESPACE))
}

/// `PROC_PID_INIT_INO` of `include/linux/proc_ns.h`, the same on every Linux.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";
