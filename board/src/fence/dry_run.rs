//! Tries a fence device without an order: it asks for everything that an order takes.

use std::time::Duration;

use super::{Config, Expected, Guid, Power, Whose};
use crate::config::requirement::Requirement;
use crate::thread::deadline::Deadline;
use crate::time::clock::Clock;

/// One thing that was tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DryRunStep {
    /// What.
    pub what: &'static str,
    /// How long it took.
    pub took: Duration,
    /// What came of it, in words for people; an error is what an order would have failed by.
    pub said: Result<String, String>,
}

/// Tries the device that `config` speaks of, and tells each step as soon as it is done.
pub fn dry_run(config: &Config, mut tell: impl FnMut(DryRunStep)) {
    let missing: Vec<_> = config.needs().iter().filter_map(Requirement::missing).collect();
    let ready = missing.is_empty();
    let said = if ready { Ok("are there".to_owned()) } else { Err(missing.join("; ")) };
    tell(DryRunStep { what: "what it takes", took: Duration::ZERO, said });
    if !ready {
        return;
    }
    if config.moves_when_opened() {
        let said = "not asked: to open its port here would move its lines; the supervisor has it open, see twobox status";
        return tell(DryRunStep { what: "power", took: Duration::ZERO, said: Ok(said.to_owned()) });
    }
    let mut device = config.open();
    let mut step = |what, ask: &mut dyn FnMut(&Deadline) -> Result<String, String>| {
        let begun = Clock.now();
        let said = ask(&Deadline::new(config.timeout));
        let answered = said.is_ok();
        tell(DryRunStep { what, took: Clock.now() - begun, said });
        answered
    };
    // The first question takes the login with it, and the right to give orders.
    let mut power = |patience: &Deadline| match device.power(patience) {
        Ok(Power::On) => Ok("on".to_owned()),
        Ok(Power::Off) => Ok("off".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    // The second is what one way to an open device takes.
    if !step("power", &mut power) || !step("power, once more", &mut power) {
        return;
    }
    step("identity", &mut |patience| match config.guid {
        Some(Expected::Any) => Ok("not asked, as configured".to_owned()),
        _ => match device.guid(patience) {
            Ok(found) => identity(config.guid, found),
            Err(error) => Err(error.to_string()),
        },
    });
    // No order needs it.
    step("light", &mut |patience| {
        Ok(match device.blink(patience) {
            Ok(true) => "blinks for a while on the box that it would cut".to_owned(),
            Ok(false) => "the device cannot show which box it is".to_owned(),
            Err(error) => format!("does not blink: {error}"),
        })
    });
    if let Some(caution) = device.caution() {
        tell(DryRunStep { what: "caution", took: Duration::ZERO, said: Ok(caution) });
    }
}

fn identity(wanted: Option<Expected>, found: Option<Guid>) -> Result<String, String> {
    let Some(found) = found else {
        return Ok("the device cannot tell whose power it holds".to_owned());
    };
    if Guid::of_this_box().is_ok_and(|own| own.is_same_box(found)) {
        return Err(format!("GUID {found} is this box itself: correct the address"));
    }
    match wanted {
        Some(Expected::Guid(wanted)) if Whose::Of(wanted).is(found) => {
            Ok(format!("GUID {found}, as configured"))
        }
        Some(Expected::Guid(wanted)) => {
            Err(format!("GUID {found}, and not {wanted}: correct the address"))
        }
        Some(Expected::Any) | None => Ok(format!("GUID {found}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::table::Source;

    #[test]
    fn every_step_is_told_and_nothing_is_ordered() {
        let room = tempfile::tempdir().unwrap();
        let (switch, orders) = (room.path().join("switch"), room.path().join("orders"));
        let try_it = |script: &str| {
            fs::write(&switch, format!("#!/bin/sh\necho $1 >> {}\n{script}\n", orders.display()))
                .unwrap();
            fs::set_permissions(&switch, fs::Permissions::from_mode(0o755)).unwrap();
            let text = format!("kind = \"command\"\ncommand = [\"{}\"]\n", switch.display());
            let config = Config::read(&mut Source::new(&text).parse()).unwrap();
            let mut steps = Vec::new();
            dry_run(&config, |step| {
                steps.push((step.what, step.said.map_err(|error| error.contains("no route"))));
            });
            steps
        };
        let there = ("what it takes", Ok("are there".to_owned()));
        let on = Ok("on".to_owned());
        let cannot = Ok("the device cannot tell whose power it holds".to_owned());
        let dark = Ok("the device cannot show which box it is".to_owned());
        assert_eq!(
            try_it("echo on"),
            [
                there.clone(),
                ("power", on.clone()),
                ("power, once more", on),
                ("identity", cannot),
                ("light", dark)
            ]
        );
        assert_eq!(try_it("echo no route >&2; exit 1"), [there, ("power", Err(true))]);
        assert_eq!(fs::read_to_string(&orders).unwrap(), "status\nstatus\nstatus\n");
        fs::set_permissions(&switch, fs::Permissions::from_mode(0o644)).unwrap();
        let text = format!("kind = \"command\"\ncommand = [\"{}\"]\n", switch.display());
        let config = Config::read(&mut Source::new(&text).parse()).unwrap();
        dry_run(&config, |step| assert!(step.said.unwrap_err().contains("chmod +x")));
    }
}
