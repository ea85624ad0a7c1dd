//! Finds out who else uses a tty: the kernel, or a person.
//!
//! | talker | how it is seen |
//! |---|---|
//! | the kernel | `/proc/consoles` lists the device number |
//! | a login, or what it started | it is the controlling tty of a process (field 7 of `/proc/PID/stat`, proc_pid_stat(5)) |
//! | a getty that waits for carrier | it has no tty yet, but is called so and names the device |

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{major, minor};

use super::while_trying;

/// Refuses a device that is no tty of our own.
///
/// # Errors
///
/// Who talks there, and how to make an end of it; or that there is no such device.
pub(super) fn refuse(device: &Path) -> io::Result<()> {
    let path = device.display();
    let metadata = fs::metadata(device).map_err(while_trying(format!(
        "cannot find {path}: plug its adapter in, or load its driver"
    )))?;
    if !metadata.file_type().is_char_device() {
        return Err(refusal(format!(
            "{path} is no tty: name the serial port of the null-modem cable"
        )));
    }
    let number = (major(metadata.rdev()), minor(metadata.rdev()));
    // An unreadable list says nothing, and a box without /proc has worse troubles.
    let consoles = fs::read_to_string("/proc/consoles").unwrap_or_default();
    if number == DEV_CONSOLE || lists(&consoles, number) {
        return Err(refusal(format!(
            "{path} is the kernel's console: take its console= from the kernel's command line, or use another port"
        )));
    }
    // A getty calls the device by its own name, not by a link to it.
    let tty = fs::canonicalize(device)?;
    let tty = tty.file_name().unwrap_or_default().to_string_lossy();
    match login(number, &tty) {
        None => Ok(()),
        Some((pid, program)) => Err(refusal(format!(
            "{path} has a login on it ({program}, process {pid}): take {tty} out of /etc/inittab, or \
             `systemctl disable --now serial-getty@{tty}`"
        ))),
    }
}

type Number = (u32, u32);

fn refusal(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, reason)
}

/// `ttyS0                -W- (EC  p a)    4:64`
fn lists(consoles: &str, (major, minor): Number) -> bool {
    let number = format!("{major}:{minor}");
    consoles.lines().any(|line| line.split_whitespace().next_back() == Some(number.as_str()))
}

/// A process that has the tty, or waits for it: its id and what it is called.
fn login(number: Number, tty: &str) -> Option<(u32, String)> {
    let processes = fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        // The process may be gone by now, and then holds nothing.
        let stat = fs::read(entry.path().join("stat")).ok()?;
        let (program, its_tty) = parse(&String::from_utf8_lossy(&stat))?;
        let waits = || {
            let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            program.contains("getty") && names(&arguments, tty)
        };
        (its_tty == number || waits()).then_some((pid, program))
    })
}

/// The name and the controlling tty in `PID (NAME) STATE PPID PGRP SESSION TTY ...`. A name may hold brackets.
fn parse(stat: &str) -> Option<(String, Number)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let tty = tail.split_whitespace().nth(4)?.parse::<i32>().ok()?.cast_unsigned();
    Some((name.to_owned(), ((tty >> 8) & 0xfff, (tty & 0xff) | ((tty >> 12) & 0xf_ff00))))
}

/// Whether one of the arguments is the tty, with or without `/dev/`.
fn names(arguments: &[u8], tty: &str) -> bool {
    arguments
        .split(|byte| *byte == 0)
        .any(|argument| argument.strip_prefix(b"/dev/").unwrap_or(argument) == tty.as_bytes())
}

/// `/dev/console`: the tty that it is now.
const DEV_CONSOLE: Number = (5, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_which_ttys_are_its_consoles() {
        let consoles = "tty0                 -WU (E  p  )    4:1\nnetcon0              -W- (E     )\nttyS0                -W- (EC  p a)    4:64\n";
        assert!(lists(consoles, (4, 64)));
        assert!(!lists(consoles, (4, 65)));
        assert!(!lists(consoles, (4, 6)));
    }

    #[test]
    fn a_process_says_which_tty_is_its_own() {
        let pts = "812 (ba (sh) 1) S 811 812 812 34819 812 4194304 1 2";
        assert_eq!(parse(pts), Some(("ba (sh) 1".to_owned(), (136, 3))));
        assert_eq!(parse("1 (init) S 0 1 1 0 -1 4194560"), Some(("init".to_owned(), (0, 0))));
        // Minor 1000 of major 136 has bits on both sides of the major.
        assert_eq!(parse("9 (a) S 1 9 9 3180776 9").map(|(_, tty)| tty), Some((136, 1000)));
        assert_eq!(parse("9 (a"), None);
    }

    #[test]
    fn a_getty_names_its_tty_among_its_arguments() {
        assert!(names(b"/sbin/getty\0-L\0ttyS1\x00115200\0", "ttyS1"));
        assert!(names(b"agetty\0/dev/ttyS1\0", "ttyS1"));
        assert!(!names(b"getty\0ttyS10\0", "ttyS1"));
    }
}
