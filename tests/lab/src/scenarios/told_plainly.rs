//! Lets a program say what would draw on a person's console.

use std::fs;

use firmware_agnostic::identity::BoxId::{First, Second};

use crate::Lab;
use crate::observers::expectations::PATIENCE;
use crate::observers::failure::{Failure, expect};
use crate::stage::config::Choices;
use crate::stage::power_switch::Switch;

/// What a fence device and a service say is told everywhere, and nowhere as they say it.
pub(crate) fn everywhere(lab: &Lab) -> Result<String, Failure> {
    // Or else nobody would ask on after the device that fails.
    lab.set_switch(Second, Switch::Unreachable);
    lab.power_on(First)?;
    let told = |lab: &Lab| {
        places(lab).iter().all(|(_, said)| String::from_utf8_lossy(said).contains(SAID))
    };
    let silent = || {
        let silent = places(lab)
            .into_iter()
            .filter(|(_, said)| !String::from_utf8_lossy(said).contains(SAID));
        silent.map(|(place, _)| place).collect::<Vec<_>>()
    };
    expect(lab.wait_for(PATIENCE, told), format!("it is not told by {:?}", silent()))?;
    for (place, said) in places(lab) {
        let text = str::from_utf8(&said).map_err(|_| Failure(format!("{place}: no UTF-8")))?;
        let odd = text.chars().find(|c| (c.is_control() && *c != '\n') || ODD.contains(*c));
        expect(odd.is_none(), format!("{place}: {odd:?} in {text}"))?;
        let forged = text.lines().any(|line| line.trim_start().starts_with(FORGED));
        expect(!forged, format!("{place}: a line was forged: {text}"))?;
    }
    Ok(format!("{} places", places(lab).len()))
}

/// Where it is told, and what is said there.
fn places(lab: &Lab) -> Vec<(&'static str, Vec<u8>)> {
    let request = |words: &[&str]| {
        lab.twobox(First, words).map(|it| [it.stdout, it.stderr].concat()).unwrap_or_default()
    };
    let hooked = fs::read(lab.disk(First).join("hooked")).unwrap_or_default();
    vec![
        ("status", request(&["status"])),
        ("status --json", request(&["status", "--json"])),
        ("fence --dry-run", request(&["fence", "--dry-run", "--config", "/run/twobox.toml"])),
        ("the log", lab.log(First).into_bytes()),
        ("a hook", hooked),
    ]
}

pub(crate) fn choices() -> Choices {
    let command = |before: &str, after: &str| {
        format!("command = [\"/bin/sh\", \"-c\", \"{before}printf '{ESCAPES}' >&2; {after}\"]")
    };
    // One of each box's own, and with times that leave room for another device.
    let fence = format!(
        "{{ kind = \"command\", name = \"odd\", {}, timeout = \"300ms\" }}, ",
        command(": BOX; ", "exit 1")
    );
    let service = command("", "exec sleep 600");
    let extra = format!(
        "[[resource]]\nkind = \"process\"\nname = \"odd\"\nwhere = \"both\"\n{service}\n\
         [[hook]]\ncommand = [\"/bin/sh\", \"-c\", \"printf '%s\\\\n' \\\"$TWOBOX_WHY\\\" >> /var/lib/hooked\"]\n"
    );
    let timing =
        "keepalive = \"200ms\"\nwarntime = \"500ms\"\ndeadtime = \"1s\"\ninitdead = \"6s\"\n";
    Choices { fence, extra, timing: timing.to_owned(), ..Choices::default() }
}

/// For `printf(1)`, in a text of TOML: a line that is whole, and then one that clears the screen, sets a title,
/// turns the direction of writing, breaks the line in three ways, and is no UTF-8.
const ESCAPES: &str = "\\\\033[2J\\\\033]0;title\\\\007\\\\302\\\\23331m\\\\342\\\\200\\\\256 odd words\\\\rpair lab: forged\\\\342\\\\200\\\\250pair lab: forged\\\\377\\\\n";
const SAID: &str = "odd words";
const FORGED: &str = "pair lab: forged";
/// What changes the direction of writing, or breaks a line.
const ODD: &str = "\u{202e}\u{2028}\u{2029}\u{85}";
