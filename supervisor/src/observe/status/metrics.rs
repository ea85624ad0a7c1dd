//! The figures, for a program that draws curves of them: the text format 0.0.4 of Prometheus.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use board::host::plain_text::plain;
use firmware_agnostic::frame::FrameError;
use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::identity::{LinkId, ResourceId};
use firmware_agnostic::peer::Carries;

use super::Status;

impl Status<'_> {
    /// The text for a collector.
    pub(crate) fn metrics(&self) -> String {
        let mut page = Page::default();
        let (node, names) = (self.node, self.names.lend());
        let own = names.boxes[names.me.index()];
        let version = env!("CARGO_PKG_VERSION");
        page.gauge("info", &[("pair", &self.config.pair), ("box", own), ("version", version)], 1);
        for role in Role::ALL {
            page.gauge("role", &[("role", &role.to_string())], u8::from(node.role() == role));
        }
        page.gauge("redundant", &[], u8::from(self.redundant()));
        page.gauge("term", &[], node.term().0);
        page.gauge("fit", &[], u8::from(node.fit()));
        page.gauge("witness", &[], u8::from(node.witness()));
        page.gauge("peer_heard", &[], u8::from(node.peer().heartbeat(self.now).is_some()));
        page.gauge("peer_silence_seconds", &[], seconds(node.peer().silence(self.now)));
        page.gauge("peer_silence_max_seconds", &[], seconds(self.latency.silence));
        for (port, link) in self.ports.iter().zip((0..).filter_map(LinkId::new)) {
            let (statistics, name) = (self.reception.statistics(link), [("link", port.name())]);
            let ways = match node.peer().carries(link) {
                Some(Carries::BothWays) => 2,
                Some(Carries::OneWay) => 1,
                Some(Carries::Nothing) | None => 0,
            };
            page.gauge("link_ways", &name, ways);
            page.counter("link_received_total", &name, statistics.received);
            page.counter("link_lost_total", &name, statistics.lost);
            page.gauge("link_gap_max_seconds", &name, seconds(statistics.largest_gap));
            let (frames, pieces) = (statistics.dropped, statistics.pieces_dropped);
            for (figure, counts) in
                [("link_refused_total", frames), ("link_refused_letters_total", pieces)]
            {
                for (cause, count) in FrameError::ALL.iter().zip(counts) {
                    let labels = [("link", port.name()), ("cause", cause.label())];
                    page.counter(figure, &labels, count);
                }
            }
            page.counter("link_strangers_total", &name, port.strangers());
        }
        let resources = self.config.resources.iter().zip(&self.resources);
        for ((config, state), id) in resources.zip((0..).filter_map(ResourceId::new)) {
            let name = [("resource", config.name.as_str())];
            page.gauge("resource_runs", &name, u8::from(state.runs));
            page.gauge("resource_failures", &name, u64::from(node.recovery().count(id)));
        }
        page.gauge("journal_written", &[], u8::from(self.files.journal.is_none()));
        page.gauge("history_written", &[], u8::from(self.files.history.is_none()));
        page.gauge("configuration_on_trial", &[], u8::from(self.trial.is_some()));
        page.gauge("fence_devices", &[], self.devices.count);
        let ready = self.devices.count > 0 && self.devices.failure.is_none();
        page.gauge("fence_ready", &[], u8::from(ready));
        page.gauge("loop_late_max_seconds", &[], seconds(self.latency.late));
        page.gauge("loop_step_max_seconds", &[], seconds(self.latency.step));
        page.text()
    }
}

/// Samples of one name stand together, below a line that tells their type.
#[derive(Default)]
struct Page(Vec<(&'static str, &'static str, String)>);

impl Page {
    fn gauge(&mut self, name: &'static str, labels: &[(&str, &str)], value: impl Display) {
        self.add("gauge", name, labels, &value);
    }

    fn counter(&mut self, name: &'static str, labels: &[(&str, &str)], value: impl Display) {
        self.add("counter", name, labels, &value);
    }

    fn add(
        &mut self,
        kind: &'static str,
        name: &'static str,
        labels: &[(&str, &str)],
        value: &dyn Display,
    ) {
        let labels: Vec<_> =
            labels.iter().map(|(word, value)| format!("{word}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let sample = format!("twobox_{name}{labels} {value}\n");
        match self.0.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, _, samples)) => samples.push_str(&sample),
            None => self.0.push((name, kind, sample)),
        }
    }

    fn text(self) -> String {
        self.0.into_iter().fold(String::new(), |mut text, (name, kind, samples)| {
            // Writing to a text cannot fail.
            let _ = write!(text, "# TYPE twobox_{name} {kind}\n{samples}");
            text
        })
    }
}

/// As the format wants a label.
fn escaped(value: &str) -> String {
    plain(value).replace('\\', "\\\\").replace('"', "\\\"")
}

fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_stand_together() {
        let mut page = Page::default();
        page.gauge("a", &[("link", "one")], 1);
        page.counter("b_total", &[], 2);
        page.gauge("a", &[("link", "t\"w\\o")], seconds(Duration::from_millis(50)));
        assert_eq!(
            page.text(),
            "# TYPE twobox_a gauge\ntwobox_a{link=\"one\"} 1\ntwobox_a{link=\"t\\\"w\\\\o\"} 0.050000\n\
             # TYPE twobox_b_total counter\ntwobox_b_total 2\n"
        );
    }
}
