//! What somebody on the way to the BMC, or at its address, can do who does not know the password: keep us from
//! asking it.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use board::fence::ipmi::packet::{self, OPEN, OPENED, Packet, RAKP};
use board::fence::ipmi::suite::Suite;
use board::fence::{Fence, Power};
use lab::stage::bmc::{Bmc, Character, Habit, Numbers, Quirks};

use super::scene::{Scene, bmc, device, odd, seconds};

#[test]
fn who_removes_suite_17_is_told_once_and_gets_nothing_weaker_later() {
    let bmc = bmc(Character::default());
    let middle = Middle::before(&bmc);
    let scene = Scene::new();
    // At the first contact nobody knows better: suite 3 is spoken, and told.
    middle.set(without_suite_17);
    let mut device = scene.device_at(middle.port, "");
    assert_eq!(device.caution(), None);
    device.power(&seconds(20)).unwrap();
    let told = device.caution().unwrap();
    assert!(
        told.contains("refuses cipher suite 17") && told.contains("cipher_suite = 3"),
        "{told}"
    );
    drop(device);

    // Where it was spoken before, it is not given up.
    middle.set(honestly);
    let mut device = scene.device_at(middle.port, "");
    device.power(&seconds(20)).unwrap();
    assert_eq!(device.caution(), None);
    middle.set(without_suite_17);
    for _ in 0..3 {
        bmc.restart();
        let (_, before) = bmc.logins();
        let text = device.set_power(Power::Off, &seconds(5)).unwrap_err().to_string();
        assert!(text.contains("spoke cipher suite 17 before"), "{text}");
        assert!(text.contains("say cipher_suite"), "{text}");
        assert_eq!((bmc.logins().1, bmc.orders().len()), (before, 0));
    }
    // It holds as soon as the way is whole, and at once.
    middle.set(honestly);
    device.set_power(Power::Off, &seconds(20)).unwrap();

    // The file decides for good.
    middle.set(without_suite_17);
    bmc.restart();
    let mut device = scene.device_at(middle.port, "cipher_suite = 17");
    device.power(&seconds(5)).unwrap_err();
    let mut device = scene.device_at(middle.port, "cipher_suite = 3");
    device.power(&seconds(20)).unwrap();
    assert_eq!(device.caution(), None, "it is as it was said");
}

/// A BMC that speaks nothing but what lets everybody in, or IPMI 1.5, is not asked by it unless the file says so.
#[test]
fn nothing_without_signatures_is_spoken_unless_the_file_says_so() {
    let bmc = bmc(Character { suites: vec![Suite::Nothing], ..Character::default() });
    let scene = Scene::new();
    for words in ["", "cipher_suite = 3", "cipher_suite = 17"] {
        let text = scene.device(&bmc, words).power(&seconds(5)).unwrap_err().to_string();
        assert!(text.contains("cipher suite"), "{words}: {text}");
    }
    assert_eq!(bmc.logins(), (0, 0));
    assert_eq!(scene.device(&bmc, "cipher_suite = 0").power(&seconds(20)).unwrap(), Power::On);
    assert_eq!(scene.device(&bmc, "auth = \"md5\"").power(&seconds(20)).unwrap(), Power::On);
}

/// One who can write the BMC's address on a datagram can say no before the BMC says yes.
#[test]
fn a_refusal_that_the_bmc_contradicts_is_not_believed() {
    for status in [0x01, 0x02, 0x0d, 0x0f, 0x11] {
        for kind in [OPENED, RAKP[1], RAKP[3]] {
            let bmc = bmc(Character::default());
            let middle = Middle::before(&bmc);
            middle.set(move |datagram, to_bmc| match Packet::read(datagram) {
                Some(Packet::New { kind: said, payload, .. }) if said == kind && !to_bmc => {
                    let id = payload.get(4..8).unwrap_or_default();
                    let forged = [&[0, status, 0, 0], id].concat();
                    vec![packet::new(kind, 0, 0, &forged), datagram.to_vec()]
                }
                _ => vec![datagram.to_vec()],
            });
            let scene = Scene::new();
            let mut device = scene.device_at(middle.port, "");
            assert_eq!(device.power(&seconds(20)).unwrap(), Power::On, "{kind:#x} {status:#x}");
            assert_eq!(bmc.logins(), (1, 1), "{kind:#x} {status:#x}");
        }
    }
}

/// An answer of the BMC to which the number of somebody else is written is none, and the right one may follow.
#[test]
fn a_signature_that_nobody_who_knows_the_password_made_is_no_wrong_password() {
    for kind in [RAKP[1], RAKP[3]] {
        let bmc = bmc(Character::default());
        let middle = Middle::before(&bmc);
        middle.set(move |datagram, to_bmc| match Packet::read(datagram) {
            Some(Packet::New { kind: said, .. }) if said == kind && !to_bmc => {
                let mut forged = datagram.to_vec();
                for byte in forged.iter_mut().skip(24) {
                    *byte ^= 0x55;
                }
                vec![forged.clone(), forged, datagram.to_vec()]
            }
            _ => vec![datagram.to_vec()],
        });
        let scene = Scene::new();
        let mut device = scene.device_at(middle.port, "");
        assert_eq!(device.power(&seconds(20)).unwrap(), Power::On, "{kind:#x}");
        assert_eq!(bmc.refusals(), 0, "{kind:#x}");
    }
}

/// Both know the password by then, so that it says something of the login alone: the next one may be right.
#[test]
fn a_refusal_after_a_right_signature_is_no_wrong_password() {
    for refuses in [1, 2] {
        let bmc = odd(Quirks { refuses_proofs: refuses, ..Quirks::default() });
        assert_eq!(device(&bmc, "").power(&seconds(20)).unwrap(), Power::On, "{refuses}");
    }
    let bmc = odd(Quirks { refuses_proofs: u32::MAX, ..Quirks::default() });
    let mut device = device(&bmc, "");
    for _ in 0..2 {
        let text = device.power(&seconds(20)).unwrap_err().to_string();
        assert!(text.contains("status 0x0f, which says nothing of the password"), "{text}");
    }
    bmc.set(|character| character.quirks.refuses_proofs = 0);
    assert_eq!(device.power(&seconds(20)).unwrap(), Power::On);
}

/// Off was true once. It is not believed again, however the BMC numbers what it says.
#[test]
fn what_was_recorded_is_believed_by_nobody() {
    for numbers in [Numbers::Count, Numbers::Skip, Numbers::Zero, Numbers::Same] {
        let bmc = odd(Quirks { numbers, ..Quirks::default() });
        let middle = Middle::before(&bmc);
        let scene = Scene::new();
        let mut device = scene.device_at(middle.port, "");
        device.set_power(Power::Off, &seconds(20)).unwrap();
        let tape = Arc::new(Mutex::new(Vec::new()));
        let records = tape.clone();
        middle.set(move |datagram, to_bmc| {
            if !to_bmc {
                records.lock().unwrap().push(datagram.to_vec());
            }
            vec![datagram.to_vec()]
        });
        for _ in 0..20 {
            assert_eq!(device.power(&seconds(20)).unwrap(), Power::Off, "{numbers:?}");
        }
        device.set_power(Power::On, &seconds(20)).unwrap();
        // All that was ever said comes before each answer, and for the rest of time there is a number that fits.
        middle.set(move |datagram, to_bmc| {
            let mut arrives = Vec::new();
            if !to_bmc {
                arrives.extend(tape.lock().unwrap().iter().cloned());
            }
            arrives.push(datagram.to_vec());
            arrives
        });
        for _ in 0..150 {
            assert_eq!(device.power(&seconds(20)).unwrap(), Power::On, "{numbers:?}");
        }
    }
}

/// Nothing of it is signed for the session.
#[test]
fn off_is_not_believed_of_strangers() {
    for quirks in [Quirks::default(), Quirks::of(Habit::WrongSums)] {
        let bmc = odd(quirks);
        let middle = Middle::before(&bmc);
        let scene = Scene::new();
        let mut device = scene.device_at(middle.port, "");
        device.power(&seconds(20)).unwrap();
        middle.set(move |datagram, to_bmc| {
            let Some(Packet::New { session, sequence, .. }) = Packet::read(datagram) else {
                return vec![datagram.to_vec()];
            };
            if to_bmc {
                return vec![datagram.to_vec()];
            }
            // Every number that a message can have; off.
            let forged = (0..64u8).flat_map(|number| {
                let message = [0x81, 0x04, 0x7b, 0x20, number << 2, 1, 0, 0, 0, 0, 0xdf];
                let bare = packet::new(packet::MESSAGE, session, sequence, &message);
                let mut signed = packet::to_be_signed(packet::MESSAGE, session, sequence, &message);
                signed.extend([0; 16]);
                [bare, signed, packet::old(0, sequence, session, &[], &message)]
            });
            forged.chain([datagram.to_vec()]).collect()
        });
        for _ in 0..5 {
            assert_eq!(device.power(&seconds(20)).unwrap(), Power::On);
        }
    }
}

/// It learns the name of the user, and nothing that the password has signed.
#[test]
fn a_machine_at_the_address_of_the_bmc_learns_nothing_of_the_password() {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = heard.clone();
    let stranger = thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let Some(Packet::New { kind, payload, .. }) = Packet::read(&buffer[..length]) else {
                continue;
            };
            ear.lock().unwrap().push((kind, payload.to_vec()));
            let answer = match kind {
                OPEN => {
                    let ours = [&payload[4..8], &[7, 0, 0, 0], &payload[8..32]].concat();
                    packet::new(OPENED, 0, 0, &[&[0, 0, 4, 0], ours.as_slice()].concat())
                }
                kind if kind == RAKP[0] => {
                    let console = console_of(&ear.lock().unwrap());
                    let rest = [console.as_slice(), &[1; 16], &[2; 16], &[3; 32]].concat();
                    packet::new(RAKP[1], 0, 0, &[&[0, 0, 0, 0], rest.as_slice()].concat())
                }
                // It has heard all that it will hear.
                _ => return,
            };
            let _ = socket.send_to(&answer, from);
        }
    });
    let scene = Scene::new();
    let text = scene.device_at(port, "").power(&seconds(10)).unwrap_err().to_string();
    assert!(text.contains("wrong password"), "{text}");
    stranger.join().unwrap();
    let heard = heard.lock().unwrap();
    let (kind, last) = heard.last().unwrap();
    assert_eq!(*kind, RAKP[2], "{heard:x?}");
    assert!(last.len() == 8 && last[1] != 0, "RAKP 3 gives up, and is not signed: {last:x?}");
    assert!(heard.iter().any(|(_, payload)| payload.ends_with(b"twobox")));
}

/// The id of the console in the last Open Session Request.
fn console_of(heard: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let opened = heard.iter().rev().find(|(kind, _)| *kind == OPEN).unwrap();
    opened.1[4..8].to_vec()
}

/// What becomes of a datagram, which goes to the BMC or comes from it: the ones that arrive instead.
type ConfigOutcome = Box<dyn FnMut(&[u8], bool) -> Vec<Vec<u8>> + Send>;

/// Somebody on the way to a BMC.
struct Middle {
    port: u16,
    fate: Arc<Mutex<ConfigOutcome>>,
}

impl Middle {
    fn before(bmc: &Bmc) -> Self {
        let front = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let back = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        back.connect(bmc.address).unwrap();
        let port = front.local_addr().unwrap().port();
        let fate: Arc<Mutex<ConfigOutcome>> = Arc::new(Mutex::new(Box::new(honestly)));
        let asker = Arc::new(Mutex::new(None));
        let ends = (front.try_clone().unwrap(), back.try_clone().unwrap());
        let (decides, asks) = (fate.clone(), asker.clone());
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = front.recv_from(&mut buffer) {
                *asks.lock().unwrap() = Some(from);
                for datagram in (decides.lock().unwrap())(&buffer[..length], true) {
                    let _ = back.send(&datagram);
                }
            }
        });
        let decides = fate.clone();
        thread::spawn(move || {
            let (front, back) = ends;
            let mut buffer = [0; 2048];
            loop {
                // A refused datagram is told here, and is no end.
                let Ok(length) = back.recv(&mut buffer) else { continue };
                let Some(asker) = *asker.lock().unwrap() else { continue };
                for datagram in (decides.lock().unwrap())(&buffer[..length], false) {
                    let _ = front.send_to(&datagram, asker);
                }
            }
        });
        Self { port, fate }
    }

    fn set(&self, fate: impl FnMut(&[u8], bool) -> Vec<Vec<u8>> + Send + 'static) {
        *self.fate.lock().unwrap() = Box::new(fate);
    }
}

fn honestly(datagram: &[u8], _: bool) -> Vec<Vec<u8>> {
    vec![datagram.to_vec()]
}

/// Says in the place of the BMC that it does not speak suite 17.
fn without_suite_17(datagram: &[u8], to_bmc: bool) -> Vec<Vec<u8>> {
    let Some(Packet::New { kind: OPEN, payload, .. }) = Packet::read(datagram) else {
        return vec![datagram.to_vec()];
    };
    let sha256 = payload.get(12).is_some_and(|algorithm| algorithm & 0x3f == 3);
    if to_bmc && sha256 {
        // The BMC is asked for something that it does not have, and says so itself.
        let mut other = datagram.to_vec();
        other[16 + 12] = 0x3e;
        return vec![other];
    }
    vec![datagram.to_vec()]
}
