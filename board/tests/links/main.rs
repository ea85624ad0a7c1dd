//! The links against the kernel: sockets on a cable between two network namespaces, and ttys.

use std::rc::Rc;
use std::time::Duration;

use board::config::table::Source;
use board::link::{Config, Port, PortState};
use board::time::reactor::Reactor;
use firmware_agnostic::identity::BoxId;
use smol::Timer;
use smol::future::or;

mod interfaces;
mod serial;
mod udp;

#[test]
fn links_are_configured_in_words() {
    let told = complaints(
        "[[link]]\nkind = \"udp\"\ninterface = \"eth1\"\nbroadcast = true\n\
         [[link]]\nkind = \"udp\"\ninterface = \"eth1\"\nadress = \"192.0.2.1\"\n\
         [[link]]\nkind = \"udp\"\ninterface = \"eth2\"\naddress = \"192.0.2.1\"\n\
         [[link]]\nkind = \"serial\"\ndevice = \"/dev/ttyS1\"\nbaud = 115000\n\
         [[link]]\nkind = \"udp\"\ninterface = \"eth1\"\nmulticast = \"ff02::1\"\n\
         [[link]]\ninterface = \"eth3\"\n",
    );
    let expected = [
        (5, "has no word for where to send"),
        (8, "did you mean address?"),
        (12, "is the same for both boxes"),
        (16, "the nearest is 115200"),
        (17, "eth1 is another link already"),
        (21, "is missing: say one of udp, serial"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((line, reason), (expected_line, part)) in told.iter().zip(expected) {
        assert!(*line == expected_line && reason.contains(part), "{line}: {reason}");
    }
}

fn receive(port: &Port, patience: Duration) -> Option<Vec<u8>> {
    block_on(or(next(port), after(patience, None)))
}

async fn next(port: &Port) -> Option<Vec<u8>> {
    let mut buffer = [0; 64];
    let length = frame(port, &mut buffer).await;
    Some(buffer[..length].to_vec())
}

/// Waits for a frame, and ignores what the line shows meanwhile.
async fn frame(port: &Port, buffer: &mut [u8]) -> usize {
    loop {
        if let PortState::Frame(length) = port.receive(buffer).await {
            return length;
        }
    }
}

async fn after<T>(time: Duration, value: T) -> T {
    Timer::after(time).await;
    value
}

fn complaints(text: &str) -> Vec<(usize, String)> {
    let source = Source::new(text);
    Config::read_all(source.parse().tables("link"));
    source.into_complaints().into_iter().map(|told| (told.line, told.reason)).collect()
}

fn config(text: &str) -> Config {
    let source = Source::new(text);
    source.set_boxes(vec!["a".to_owned(), "b".to_owned()]);
    let configs = Config::read_all(source.parse().tables("link"));
    let complaints = source.into_complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
    configs.into_iter().next().unwrap()
}

const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(300);

/// Runs `future` with what this thread's ports wait for.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    LOOKOUT.with(|lookout| lookout.block_on(future))
}

fn plugged(config: Config, id: BoxId) -> Port {
    Port::new(config, id, LOOKOUT.with(Rc::clone))
}

thread_local! {
    static LOOKOUT: Rc<Reactor> = Reactor::new().unwrap();
}
