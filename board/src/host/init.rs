//! Knows how long this box's init waits before it starts a program again that died.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// An init, as far as it is known how it starts programs again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Init {
    /// What it is called.
    pub name: &'static str,
    /// How long it waits.
    pub pause: Duration,
}

impl Init {
    /// The init of this box, if it is known.
    pub fn of_this_box() -> Option<Self> {
        Self::of(&fs::read_link("/proc/1/exe").ok()?)
    }

    fn of(program: &Path) -> Option<Self> {
        let program = program.file_name()?.to_str()?;
        INITS.iter().find(|(word, _)| program.starts_with(word)).map(|(_, init)| *init)
    }
}

/// The program of process 1, and what it does.
///
/// `BusyBox` init looks for children that died once a second (`init_main` in `init/init.c`). s6-supervise(8) and
/// runsv(8) wait until a service that died has run for a second. The unit that is delivered sets
/// `RestartSec=100ms`.
const INITS: [(&str, Init); 4] = [
    ("busybox", Init { name: "BusyBox init", pause: Duration::from_secs(1) }),
    ("s6-svscan", Init { name: "s6", pause: Duration::from_secs(1) }),
    ("runit", Init { name: "runit", pause: Duration::from_secs(1) }),
    ("systemd", Init { name: "systemd", pause: Duration::from_millis(100) }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_is_known_by_its_program() {
        let name = |program: &str| Init::of(Path::new(program)).map(|init| init.name);
        assert_eq!(name("/bin/busybox"), Some("BusyBox init"));
        assert_eq!(name("/bin/busybox.nosuid"), Some("BusyBox init"));
        assert_eq!(name("/usr/lib/systemd/systemd"), Some("systemd"));
        assert_eq!(name("/sbin/init"), None);
    }
}
