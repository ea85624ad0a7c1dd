//! Gives bytes that tell one life of the supervisor from another, without waiting for the kernel's random numbers.
//!
//! A machine without a source of entropy has none for seconds after its boot (`getrandom(2)`). These bytes are no
//! secret, so the boot, the time and the machine are good enough for them. Keys never come from here.

use std::io;

use firmware_agnostic::heartbeat::Fingerprint;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::disk::lease;
use crate::time::clock::Clock;

/// Two bytes that differ from life to life on the machine `system`.
///
/// # Errors
///
/// When the kernel gives neither random numbers nor the name of its boot.
pub fn distinct(system: Fingerprint) -> io::Result<[u8; 2]> {
    let mut bytes = [0; 2];
    match getrandom(&mut bytes, GetRandomFlags::NONBLOCK) {
        Ok(_) => Ok(bytes),
        Err(Errno::AGAIN) => {
            log::warn!(
                "the kernel has no random numbers yet: going on; a BMC or TLS that needs them waits"
            );
            Ok(made_of(&lease::boot()?, system))
        }
        Err(error) => Err(error.into()),
    }
}

fn made_of(boot: &str, system: Fingerprint) -> [u8; 2] {
    let (since_boot, wall) = (Clock.now().as_micros(), Clock.since_1970().as_nanos());
    let Fingerprint([first, second, ..]) =
        Fingerprint::of(format!("{boot}{since_boot}{wall}{system:?}").as_bytes());
    [first, second]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn lives_differ_without_random_numbers() {
        let lives: BTreeSet<_> = (0..64)
            .map(|_| {
                std::thread::sleep(Duration::from_micros(10));
                made_of("a boot", Fingerprint::default())
            })
            .collect();
        assert!(lives.len() > 50, "{} of 64 differ", lives.len());
    }
}
