//! What a person is told of an address.

use std::sync::{Mutex, OnceLock, PoisonError};

use board::resource::Resource;

use super::{Lab, open, patience};

/// The address of the pair stands in the configuration of the network too, and each box takes it at boot
/// (github.com/acassen/keepalived/issues/2091, github.com/acassen/keepalived/issues/2700).
#[test]
fn an_address_that_others_have_put_there_is_removed_with_a_word() {
    listen();
    let lab = Lab::new();
    lab.near.wait_for("address show near0", "fe80");
    lab.near.ip("address add 203.0.113.77/24 dev near0");
    lab.near.run(|| open("203.0.113.77/24").stop(&patience()).unwrap());
    assert_eq!(told("203.0.113.77/24"), 1);
    lab.near.ip("address add 203.0.113.78/24 dev near0");
    lab.near.run(|| {
        let mut address = open("203.0.113.78/32");
        address.start(&patience()).unwrap();
        assert_eq!(told("203.0.113.78/24"), 1);
        // Ours is nobody else's, in another life neither.
        address.stop(&patience()).unwrap();
        open("203.0.113.78/32").start(&patience()).unwrap();
        open("203.0.113.78/32").stop(&patience()).unwrap();
        assert_eq!(told("203.0.113.78/32"), 0);
    });
}

/// How many lines say that the address was somebody else's.
fn told(prefix: &str) -> usize {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|it| it.starts_with(prefix) && it.contains("somebody else")).count()
}

fn listen() {
    static HEARS: OnceLock<()> = OnceLock::new();
    HEARS.get_or_init(|| {
        log::set_logger(&Ear).expect("nobody else listens");
        log::set_max_level(log::LevelFilter::Info);
    });
}

struct Ear;

impl log::Log for Ear {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
    }

    fn flush(&self) {}
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
