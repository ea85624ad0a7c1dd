//! Shows what is known of the peer's power, to a person who is about to confirm it and to commands that wait.

use std::fmt::Write as _;

use board::fence::Power;
use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::identity::LinkId;
use firmware_agnostic::order::Refusal;
use firmware_agnostic::report::Time;

use super::Status;
use crate::observe::record::Record;
use crate::observe::screen::wrap;

impl Status<'_> {
    /// What there is of evidence that the peer holds nothing, and what there is not, while it is collected.
    pub(super) fn evidence(&self) -> Option<String> {
        // As long as it is heard there is none, even if there was some before.
        if self.node.role() != Role::Fencing || self.node.peer().heartbeat(self.now).is_some() {
            return None;
        }
        let signs = self.node.signs(self.now);
        let dropped = signs.up.is_empty() && !signs.down.is_empty();
        let silent = format!("silent for {}", Time(signs.silence));
        let is_silent = signs.silence >= self.config.settings.timing.deadtime();
        let have =
            [(is_silent, silent.as_str()), (dropped, "lines dropped"), (signs.bmc_silent, MUTE)];
        let mut have: Vec<&str> = have.into_iter().filter(|it| it.0).map(|it| it.1).collect();
        if have.is_empty() {
            have.push("nothing");
        }
        let or = match signs.dark_at {
            _ if self.config.settings.require != Require::Dark => String::new(),
            Some(at) => format!(", or all of this for {} more", Time(at - self.now)),
            None => ", or lines dropped and no answer for dark_time".to_owned(),
        };
        Some(format!("have: {}; missing: its power seen off{or}", have.join(", ")))
    }

    /// All that is known of a peer for whose death somebody is asked.
    pub(crate) fn testimony(&self) -> Result<String, Refusal> {
        let (node, peer) = (self.node, self.names.lend().peer());
        let evidence = self.evidence().ok_or(match node.peer().heartbeat(self.now) {
            Some(_) => Refusal::PeerHeard,
            None => Refusal::NothingToConfirm,
        })?;
        let mut out = String::new();
        let signs = node.signs(self.now);
        // Writing to a text cannot fail.
        let _ = writeln!(out, "what is known of {peer}");
        let _ = writeln!(out, "{}", self.peer());
        for (port, link) in self.ports.iter().zip((0..).filter_map(LinkId::new)) {
            let heard = match self.reception.statistics(link).heard_at {
                Some(at) => format!("last heard {} ago", Time(self.now - at)),
                None => "never heard".to_owned(),
            };
            let line = match (signs.up.contains(link), signs.down.contains(link)) {
                (true, _) => ", its line is up: it has power, or something holds the line",
                (_, true) => ", its line has dropped",
                _ => "",
            };
            let _ = writeln!(out, "  link {:<12} {heard}{line}", port.name());
        }
        let _ = writeln!(out, "  power             {}", self.power());
        if !self.config.witnesses.is_empty() {
            let answers =
                if node.witness() { "answers" } else { "does not answer: this box may be cut off" };
            let _ = writeln!(out, "  witness           {answers}");
        }
        let _ = writeln!(out, "  {evidence}");
        Ok(out.lines().map(|line| wrap(line, 4) + "\n").collect())
    }

    /// Where things stand, as a record.
    pub(crate) fn progress(&self) -> String {
        let node = self.node;
        let said = node.peer().heartbeat(self.now);
        let power = match self.devices.seen {
            Some((Power::On, _)) => "on",
            Some((Power::Off, _)) => "off",
            None => "unknown",
        };
        let name = self.names.lend().peer();
        Record::default()
            .with("summary", self.summary())
            .with("redundant", self.redundant())
            .with("serves", node.role() == Role::Active)
            .with("shoots", node.fencing().is_under_way())
            .with("peer", name)
            .with_some(
                "peer_boot",
                node.peer().epoch(self.now).map(|epoch| super::hex(&epoch.boot.0)),
            )
            .with("heard", said.is_some())
            .with("fenced", node.peer().fenced())
            .with("power", power)
            .with_some("shot", self.shot.map(|off| if off { "seen_off" } else { "failed" }))
            .with_some("failure", self.devices.failure.as_deref())
            .line()
    }
}

const MUTE: &str = "its fence device does not answer";
