//! The pair itself, as it ships.

use std::time::Duration;

use firmware_agnostic::identity::BoxId::{self, First, Second};

use super::{System, Trial, trial};
use crate::product;
use lab::Lab;
use lab::observers::expectations::order;
use lab::observers::failure::Failure;
use lab::stage::config::Choices;

pub(super) const DEFAULTS: System = System {
    name: "pair",
    title: "twobox (keepalive 0.2 s, deadtime 1 s)",
    package: None,
    comm: "twobox",
    trials: &[
        trial("idle", 5),
        Trial { most: Some(30.0), ..trial("planned", 10) },
        Trial { most: Some(1_200.0), ..trial("power", 6) },
        trial("hang", 2),
        Trial { most: Some(60.0), ..trial("service", 5) },
        trial("crash", 5),
        trial("gone", 1),
        trial("all", 1),
        trial("cables", 3),
    ],
    patience: Duration::from_secs(5),
    status: Some(&["/run/twobox", "status"]),
    lab: || lab(Choices::default()),
    away: |lab| order(lab, First, "standby"),
    home: |lab| order(lab, First, "resume"),
    forgive,
    phases,
    stands_by,
};

/// Ten times the speed of the defaults: what 115200 baud can carry.
pub(super) const FAST: System = System {
    name: "pair-fast",
    title: "twobox (0.02 s, 0.1 s)",
    trials: &[Trial { most: Some(200.0), ..trial("power", 3) }],
    status: None,
    lab: || {
        let timing =
            "keepalive = \"20ms\"\nwarntime = \"50ms\"\ndeadtime = \"100ms\"\ninitdead = \"4s\"\n";
        lab(Choices { timing: timing.to_owned(), ..Choices::default() })
    },
    ..DEFAULTS
};

fn lab(choices: Choices) -> Result<Lab, Failure> {
    Ok(Lab::new(&Choices { program: Some(product()?), ..choices })?)
}

/// Every failure of the service is the first, which is mended on the spot, and every stay at home as well.
fn forgive(lab: &Lab) -> Result<(), Failure> {
    for (id, word) in [(First, "clear"), (Second, "resume")] {
        if lab.is_on(id) {
            order(lab, id, word)?;
        }
    }
    Ok(())
}

/// Read from its history. Where the poll of the fence device sees the power off first, nobody missed the box.
fn phases(lab: &Lab, id: BoxId) -> Vec<(&'static str, f64)> {
    let json = lab.twobox(id, &["history", "--json", "-n", "1"]);
    let json = json.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    let parts = [("missed", "detect_ms"), ("fenced", "fence_ms"), ("started", "start_ms")];
    let number = |word: &str| {
        let (_, rest) = json.split_once(&format!("\"{word}\":"))?;
        rest.split([',', '}']).next()?.trim().parse().ok()
    };
    parts.into_iter().filter_map(|(part, word)| Some((part, number(word)?))).collect()
}

fn stands_by(lab: &Lab) -> bool {
    lab.role(First).as_deref() == Some("active") && lab.role(Second).as_deref() == Some("standby")
}
