//! Conversations as they were: what a BMC said is understood again, byte by byte, without the BMC.
//!
//! They are also where the fuzzer begins (`tests/fuzz/corpus/ipmi`). With `TWOBOX_RECORD=1` the ones that are held here
//! are written there.

use std::env;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use board::fence::ipmi::command::{self, Privilege};
use board::fence::ipmi::error::Error;
use board::fence::ipmi::exchange::{AuthMethod, Exchange, Step};
use board::fence::ipmi::rakp::Login;
use board::fence::ipmi::session::Kind;
use board::fence::ipmi::suite::Suite;
use board::fence::{Guid, Power};
use firmware_agnostic::time::Instant;

use super::{openipmi, pyghmi};

#[test]
fn what_was_recorded_is_understood() {
    let mut names = 0;
    for entry in fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        let recording = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // The others are what the fuzzer has found since.
        if let Some(way) = NAMES.iter().position(|known| name == *known) {
            assert_eq!(recording[0], way_of(way), "{name}");
            assert_eq!(replay(&recording), Ok((Power::On, true)), "{name}");
            names += 1;
        }
    }
    assert_eq!(names, NAMES.len());
}

#[test]
fn what_is_held_now_is_understood_again() {
    let (sim, server) = (openipmi::Bmc::new(), pyghmi::Bmc::new(17));
    for (place, name) in NAMES.iter().enumerate() {
        let bmc = if name.starts_with("pyghmi") { server.address } else { sim.address };
        let recording = hold(bmc, way_of(place));
        assert_eq!(replay(&recording), Ok((Power::On, true)), "{name}");
        for cut in 1..recording.len() {
            assert!(replay(&recording[..cut]).is_err(), "{name} cut at {cut}");
        }
        if env::var_os("TWOBOX_RECORD").is_some() {
            fs::write(corpus().join(name), recording).unwrap();
        }
    }
}

/// Asks for the power and the GUID, and returns all that the BMC said.
fn hold(bmc: SocketAddr, way: u8) -> Vec<u8> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.connect(bmc).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut recording = vec![way];
    let ended = converse(way, |step| {
        for datagram in &step.send {
            socket.send(datagram).unwrap();
        }
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).ok()?;
        recording.extend((length as u16).to_le_bytes());
        recording.extend(&buffer[..length]);
        Some(buffer[..length].to_vec())
    });
    ended.unwrap();
    recording
}

fn replay(recording: &[u8]) -> Result<(Power, bool), Option<Error>> {
    let (way, mut rest) = recording.split_first().unwrap();
    converse(*way, |_| {
        let (length, datagrams) = rest.split_first_chunk()?;
        let (datagram, datagrams) =
            datagrams.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        rest = datagrams;
        Some(datagram.to_vec())
    })
}

/// The power, and whether the GUID is the right one, by what `hear` returns after each step; no error when it
/// returns nothing any more.
fn converse(
    way: u8,
    mut hear: impl FnMut(&Step) -> Option<Vec<u8>>,
) -> Result<(Power, bool), Option<Error>> {
    let login = Login {
        user: b"twobox".to_vec(),
        password: b"secret".to_vec().into(),
        key: None,
        privilege: Privilege::Operator,
    };
    let way = WAYS[usize::from(way)];
    let mut exchange = Exchange::new(login, way, None, |bytes| bytes.fill(7));
    let mut now = Instant::from_millis(1);
    let mut ask = |request| {
        let mut step = exchange.ask(request, now, now + Duration::from_secs(5));
        loop {
            if let Some(end) = step.end {
                return end.map_err(Some);
            }
            if step.send.is_empty() {
                // It waits for whether the BMC contradicts what was heard.
                now = exchange.wake().expect("something is asked");
                step = exchange.late(now);
                continue;
            }
            step = exchange.heard(&hear(&step).ok_or(None)?, now);
        }
    };
    let power = command::power(&ask(command::chassis_status())?).unwrap();
    let guid = command::guid(&ask(command::system_guid())?).unwrap();
    Ok((power, guid.is_same_box(GUID)))
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/ipmi")
}

/// The first of a recording: which of [`WAYS`].
fn way_of(place: usize) -> u8 {
    [0, 1, 2, 3, 4, 0][place]
}

const NAMES: [&str; 6] = ["suite_3", "suite_0", "md5", "password", "none", "pyghmi_suite_17"];

/// Those of the fuzzer.
const WAYS: [AuthMethod; 5] = [
    AuthMethod::New(&[Suite::Sha256, Suite::Sha1]),
    AuthMethod::New(&[Suite::Nothing]),
    AuthMethod::Old(Kind::Md5),
    AuthMethod::Old(Kind::Password),
    AuthMethod::Old(Kind::Nothing),
];

const GUID: Guid = Guid(*b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
