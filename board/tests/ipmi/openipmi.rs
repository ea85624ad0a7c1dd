//! Against `OpenIPMI`'s simulator of a BMC: IPMI 2.0 by suite 3, and 1.5.

use std::fs::File;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use board::fence::ipmi::command::{self, ChassisControl};
use board::fence::ipmi::{message::IpmiRequest, packet};
use board::fence::{Fence, Fenced, Guid, Power, fence};
use board::thread::deadline::{CancelToken, Deadline};

use super::relay::Relay;
use super::scene::{Scene, free, loopback, seconds};

#[test]
fn a_box_is_shot_and_seen_off_over_ipmi_2() {
    for words in ["", "cipher_suite = 3", "cipher_suite = 0", "privilege = \"administrator\""] {
        let bmc = Bmc::new();
        let mut device = bmc.device(words);
        assert_eq!(device.power(&seconds(5)).unwrap(), Power::On, "{words}");
        assert_eq!(fence(&mut device, &seconds(5)).unwrap(), Fenced::Shot, "{words}");
        assert!(!bmc.scene.is_on());
        assert_eq!(bmc.scene.orders(), ["set power 0"]);
        assert_eq!(fence(&mut device, &seconds(5)).unwrap(), Fenced::Already);
        device.set_power(Power::On, &seconds(5)).unwrap();
        assert!(bmc.scene.is_on());
    }
}

#[test]
fn a_box_is_shot_over_ipmi_1_5() {
    for words in ["auth = \"md5\"", "auth = \"password\"", "auth = \"none\""] {
        let bmc = Bmc::new();
        let mut device = bmc.device(words);
        assert_eq!(fence(&mut device, &seconds(5)).unwrap(), Fenced::Shot, "{words}");
        assert!(!bmc.scene.is_on(), "{words}");
    }
}

#[test]
fn a_bmc_is_reached_over_ipv6() {
    let bmc = Bmc::at(free(Ipv6Addr::LOCALHOST));
    assert_eq!(fence(&mut bmc.device(""), &seconds(5)).unwrap(), Fenced::Shot);
}

#[test]
fn a_warm_shot_is_one_round_trip() {
    let bmc = Bmc::new();
    let relay = Relay::new(bmc.address);
    let mut device = bmc.scene.device(relay.address, "twobox", "secret", "");
    device.power(&seconds(5)).unwrap();
    let before = relay.questions();
    device.power(&seconds(5)).unwrap();
    assert_eq!(relay.questions(), before + 1);
    device.set_power(Power::Off, &seconds(5)).unwrap();
    assert_eq!(relay.questions(), before + 2);
    // It is off already: two readings, and no order.
    fence(&mut device, &seconds(5)).unwrap();
    assert_eq!(relay.questions(), before + 4);
}

#[test]
fn a_session_is_closed_when_its_device_is() {
    let bmc = Bmc::new();
    // The user may have ten.
    for _ in 0..25 {
        assert_eq!(bmc.device("").power(&seconds(5)).unwrap(), Power::On);
    }
}

#[test]
fn a_session_that_the_bmc_has_lost_is_opened_anew() {
    let mut bmc = Bmc::new();
    let mut device = bmc.device("");
    device.power(&seconds(5)).unwrap();
    bmc.restart();
    assert_eq!(device.power(&seconds(10)).unwrap(), Power::On);
    bmc.restart();
    assert_eq!(fence(&mut device, &seconds(10)).unwrap(), Fenced::Shot);
}

#[test]
fn what_is_refused_is_told_in_words() {
    let bmc = Bmc::new();
    let told = |user: &str, password: &str, words: &str| {
        let mut device = bmc.scene.device(bmc.address, user, password, words);
        let refused = device.set_power(Power::Off, &seconds(3));
        let error = refused.expect_err(&format!("{user} by {password}, {words}"));
        let text = error.to_string();
        assert!(!text.contains(password), "{text}");
        text
    };
    for words in ["", "auth = \"md5\"", "auth = \"password\""] {
        let text = told("twobox", "wrong-one", words);
        assert!(text.contains("wrong password"), "{words}: {text}");
        let text = told("nobody", "secret", words);
        assert!(text.contains("no such user"), "{words}: {text}");
    }
    // Over IPMI 2.0 this simulator gives every user each role that it asks for.
    let text = told("viewer", "secret", "auth = \"md5\"");
    assert!(text.contains("operator"), "{text}");
    let text = told("twobox", "secret", "cipher_suite = 17");
    assert!(text.contains("cipher suite 17"), "{text}");
    assert!(bmc.scene.orders().is_empty(), "{:?}", bmc.scene.orders());
}

#[test]
fn a_wrong_password_is_not_tried_again_and_again() {
    let bmc = Bmc::new();
    let relay = Relay::new(bmc.address);
    let mut device = bmc.scene.device(relay.address, "twobox", "wrong", "");
    assert_eq!(device.power(&seconds(3)).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    // The word that the login was given up is on its way.
    thread::sleep(Duration::from_millis(300));
    let before = relay.questions();
    for _ in 0..20 {
        let text = device.power(&seconds(3)).unwrap_err().to_string();
        assert!(text.contains("wrong password") && text.contains("next login"), "{text}");
    }
    assert_eq!(relay.questions(), before);
    bmc.scene.write("password", "secret", 0o600);
    assert_eq!(device.power(&seconds(3)).unwrap(), Power::On, "who corrects it waits for nothing");
}

#[test]
fn a_bmc_that_is_silent_is_told_apart_from_one_that_answers_a_ping() {
    let scene = Scene::new();
    let nobody = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let mut device = scene.device(nobody.local_addr().unwrap(), "twobox", "secret", "");
    let error = device.power(&Deadline::new(Duration::from_millis(900))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(error.to_string().contains("does not answer"), "{error}");

    let bmc = Bmc::new();
    let relay = Relay::new(bmc.address);
    // Only the answers to pings come through.
    relay.set(|answer| {
        let pong = matches!(packet::Packet::read(answer), Some(packet::Packet::Pong(_)));
        if pong { vec![answer.to_vec()] } else { Vec::new() }
    });
    let mut device = scene.device(relay.address, "twobox", "secret", "");
    let error = device.power(&Deadline::new(Duration::from_millis(900))).unwrap_err();
    assert!(error.to_string().contains("answers a ping"), "{error}");
}

#[test]
fn answers_that_are_lost_doubled_late_or_forged_change_nothing() {
    let bmc = Bmc::new();
    let relay = Relay::new(bmc.address);
    let mut count = 0;
    let mut last = Vec::new();
    relay.set(move |answer| {
        count += 1;
        let mut forged = answer.to_vec();
        if let Some(byte) = forged.last_mut() {
            *byte ^= 1;
        }
        let noise = vec![6, 0, 0xff, 7, 6, 0xc0, 1];
        let before = std::mem::replace(&mut last, answer.to_vec());
        match count % 3 {
            0 if !is_let_in(answer) => Vec::new(),
            0 | 1 => vec![forged, before, answer.to_vec(), answer.to_vec()],
            _ => vec![noise, answer.to_vec(), vec![]],
        }
    });
    for words in ["", "auth = \"md5\""] {
        let mut device = bmc.scene.device(relay.address, "twobox", "secret", words);
        for _ in 0..4 {
            fence(&mut device, &seconds(30)).unwrap();
            assert!(!bmc.scene.is_on());
            device.set_power(Power::On, &seconds(30)).unwrap();
            assert_eq!(device.power(&seconds(30)).unwrap(), Power::On, "an old answer was taken");
        }
    }
}

/// A login by IPMI 1.5 is said once, so that the loss of its answer looks like a wrong password: the first time it is
/// taken for one, and where the password was let in before it is not.
#[test]
fn a_lost_answer_to_a_login_is_forgiven_where_the_password_was_right_before() {
    let mut bmc = Bmc::new();
    let relay = Relay::new(bmc.address);
    let mut device = bmc.scene.device(relay.address, "twobox", "secret", "auth = \"md5\"");
    device.power(&seconds(5)).unwrap();
    for (losses, forgiven) in [(1, true), (2, false)] {
        bmc.restart();
        relay.set(|answer| if is_let_in(answer) { Vec::new() } else { vec![answer.to_vec()] });
        for _ in 0..losses {
            let text = device.power(&seconds(9)).unwrap_err().to_string();
            assert!(text.contains("a packet was lost"), "{text}");
        }
        relay.set(|answer| vec![answer.to_vec()]);
        assert_eq!(device.power(&seconds(5)).is_ok(), forgiven);
    }
}

/// Whether this is the answer to Activate Session (IPMI v2.0, section 22.17).
fn is_let_in(answer: &[u8]) -> bool {
    let packet = packet::Packet::read(answer);
    matches!(packet, Some(packet::Packet::Old { message: [_, _, _, _, _, 0x3a, ..], .. }))
}

#[test]
fn an_answer_from_another_address_is_none() {
    let bmc = Bmc::new();
    let relay = Relay::strange(bmc.address);
    let mut device = bmc.scene.device(relay.address, "twobox", "secret", "");
    let text = device.power(&Deadline::new(Duration::from_millis(600))).unwrap_err().to_string();
    assert!(text.contains("does not answer") && relay.questions() > 1, "{text}");
}

#[test]
fn a_port_where_nobody_listens_is_told() {
    let scene = Scene::new();
    let mut device = scene.device(loopback(), "twobox", "secret", "");
    let text = device.power(&Deadline::new(Duration::from_millis(600))).unwrap_err().to_string();
    assert!(text.contains("nobody listens there"), "{text}");
}

#[test]
fn a_late_answer_to_an_earlier_question_is_none_to_this_one() {
    let bmc = Bmc::new();
    let relay = Relay::new(bmc.address);
    let mut device = bmc.scene.device(relay.address, "twobox", "secret", "");
    device.power(&seconds(5)).unwrap();
    let held = Arc::new(Mutex::new(Vec::new()));
    let store = held.clone();
    relay.set(move |answer| {
        store.lock().unwrap().push(answer.to_vec());
        Vec::new()
    });
    let token = CancelToken::new().unwrap();
    token.cancel();
    let patience = Deadline::with_cord(Duration::from_secs(60), &token);
    device.power(&patience).unwrap_err();
    let start = Instant::now();
    while held.lock().unwrap().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(5));
    }
    // What it said then is no longer so.
    bmc.scene.write("power", "0\n", 0o644);
    relay.set(move |answer| {
        let mut arrive = std::mem::take(&mut *held.lock().unwrap());
        arrive.push(answer.to_vec());
        arrive
    });
    assert_eq!(device.power(&seconds(5)).unwrap(), Power::Off);
}

#[test]
fn a_look_that_is_called_off_leaves_the_session_warm() {
    let bmc = Bmc::new();
    let relay = Relay::new(bmc.address);
    let mut device = bmc.scene.device(relay.address, "twobox", "secret", "");
    device.power(&seconds(5)).unwrap();
    relay.set(|_| Vec::new());
    let token = CancelToken::new().unwrap();
    token.cancel();
    let patience = Deadline::with_cord(Duration::from_secs(60), &token);
    assert_eq!(device.power(&patience).unwrap_err().kind(), io::ErrorKind::Interrupted);
    // The question that was called off is on its way.
    thread::sleep(Duration::from_millis(100));
    relay.set(|answer| vec![answer.to_vec()]);
    let before = relay.questions();
    device.set_power(Power::Off, &seconds(5)).unwrap();
    assert_eq!(relay.questions(), before + 1);
}

#[test]
fn everything_that_a_bmc_can_be_asked_is_understood() {
    let bmc = Bmc::new();
    let mut device = bmc.device("privilege = \"administrator\"");
    let mut ask = |request: IpmiRequest| device.ask(request, &seconds(5));
    let found = command::device(&ask(command::device_id()).unwrap()).unwrap();
    assert_eq!((found.firmware, found.maker, found.product), ((9, 8), 0x1291, 0xf02));
    ask(command::identify(3)).unwrap();
    ask(command::add_to_log(*b"TB")).unwrap();
    for control in [ChassisControl::Cycle, ChassisControl::Reset, ChassisControl::Soft] {
        ask(command::chassis_control(control)).unwrap();
    }
    let text = ask(command::restart_cause()).unwrap_err().to_string();
    assert!(text.contains("does not know the command"), "{text}");
    let right = Guid(*b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
    assert_eq!(device.guid(&seconds(5)).unwrap(), Some(right));
    let orders = bmc.scene.orders();
    for order in ["set identify 3 0", "set reset 1", "set shutdown 1"] {
        assert!(orders.iter().any(|it| it == order), "{order}: {orders:?}");
    }
    // What others read in the log.
    let log = Command::new("ipmitool")
        .args(["-I", "lanplus", "-C", "3", "-H", "127.0.0.1", "-U", "twobox", "-P", "secret"])
        .args(["-p", &bmc.address.port().to_string(), "-v", "sel", "list"])
        .output()
        .expect("ipmitool is installed");
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains("Run-time critical stop") && log.contains("a15442"), "{log}");
}

/// A BMC that is a process, and the box that it holds.
pub(crate) struct Bmc {
    pub(crate) scene: Scene,
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Bmc {
    pub(crate) fn new() -> Self {
        Self::at(loopback())
    }

    fn at(address: SocketAddr) -> Self {
        let scene = Scene::new();
        let (here, auths) = (scene.directory.path().display(), "none md2 md5 straight");
        let (ip, port) = (address.ip(), address.port());
        scene.write(
            "chassis",
            &format!(
                "#!/bin/sh\ncd {here}; echo \"$*\" >> orders\n\
                 case \"$*\" in 'get power') echo power:$(cat power);; 'set power '*) echo $3 > power;; esac\n"
            ),
            0o755,
        );
        scene.write(
            "lan.conf",
            &format!(
                "name \"box\"\nset_working_mc 0x20\nstartlan 1\naddr {ip} {port}\npriv_limit admin\n\
                 allowed_auths_callback {auths}\nallowed_auths_user {auths}\n\
                 allowed_auths_operator {auths}\nallowed_auths_admin {auths}\n\
                 guid 00112233445566778899aabbccddeeff\nendlan\n\
                 chassis_control \"{here}/chassis\"\n\
                 user 2 true \"twobox\" \"secret\" admin 10 {auths}\n\
                 user 3 true \"viewer\" \"secret\" user 10 {auths}\n"
            ),
            0o644,
        );
        scene.write(
            "commands",
            "mc_setbmc 0x20\n\
             mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
             sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n",
            0o644,
        );
        let process = start(&scene, address);
        Self { scene, address, process }
    }

    fn device(&self, words: &str) -> board::fence::ipmi::Ipmi {
        self.scene.device(self.address, "twobox", "secret", words)
    }

    fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = start(&self.scene, self.address);
    }
}

impl Drop for Bmc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(scene: &Scene, address: SocketAddr) -> Child {
    let said = File::create(scene.path("said")).unwrap();
    let process = Command::new("ipmi_sim")
        .args(["-n", "-c", "lan.conf", "-f", "commands", "-s", "."])
        .current_dir(scene.directory.path())
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .expect("ipmi_sim is installed (package openipmi)");
    wait_for(address);
    process
}

/// Waits until a BMC answers a ping.
pub(crate) fn wait_for(address: SocketAddr) {
    let socket = UdpSocket::bind((address.ip(), 0)).unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let start = Instant::now();
    while socket.send(&packet::ping(1)).is_err() || socket.recv(&mut [0; 64]).is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "the BMC does not come up");
        thread::sleep(Duration::from_millis(5));
    }
}
