//! What people write: configurations, and lines at the control socket.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use board::config::table::{Map, PerBox, Source};
use supervisor::config::{Config, Identity};
use supervisor::control::request::Request;

/// A configuration, for a box whose name is known: no file of this machine is asked who it is.
pub fn config(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let who = Identity { told: Some("server1".to_owned()), ..Identity::default() };
    match Config::read(text, &who) {
        Ok(config) => {
            assert!(!config.links.is_empty(), "links");
            assert!(config.settings.timing.inequalities().all(|it| it.holds()), "times");
        }
        Err(complaints) => {
            assert!(!complaints.is_empty(), "refused without a reason");
            let lines = text.matches('\n').count() + 1;
            for complaint in complaints {
                assert!((1..=lines).contains(&complaint.line), "{complaint:?}");
                assert!(!complaint.reason.is_empty(), "{complaint:?}");
            }
        }
    }
}

/// A line at the control socket.
pub fn control(bytes: &[u8]) {
    let Ok(line) = str::from_utf8(bytes) else { return };
    if let Err(reason) = Request::parse(line, ["server1", "server2"]) {
        assert!(!reason.is_empty(), "refused without a reason");
    }
}

/// A table that is read as everything that there is.
pub fn table(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let source = Source::new(text);
    source.set_boxes(vec!["a".to_owned(), "b".to_owned()]);
    let mut root = source.parse();
    let _: Option<String> = root.require("text");
    let _: Option<bool> = root.take("truth");
    let _: Option<u8> = root.take("small");
    let _: Option<i32> = root.take("number");
    let _: Option<u64> = root.take("large");
    let _: Option<Duration> = root.take("time");
    let _: Option<PathBuf> = root.take("path");
    let _: Option<IpAddr> = root.take("address");
    let _: Option<Vec<String>> = root.take("list");
    let _: Option<Map<String>> = root.take("map");
    let _: Option<PerBox<String>> = root.take("each");
    let _ = root.choose("choice", &[("one", 1), ("two", 2)]);
    for mut table in root.tables("tables") {
        let _: Option<PerBox<Duration>> = table.require("each");
        table.finish();
    }
    for (name, mut table) in root.section("section").named_tables() {
        let _: Option<Vec<u16>> = table.take("list");
        table.error("list", name);
    }
    root.finish();
    let lines = text.matches('\n').count() + 1;
    for complaint in source.into_complaints() {
        assert!((1..=lines).contains(&complaint.line), "{complaint:?}");
    }
}
