//! Checks that the lab itself tells the truth.
//!
//! Before it is believed about the pair, it must be seen to notice what it is there to notice: here its boxes run
//! nothing but the service, at an address that each of them takes without asking anybody.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{First, Second};

use crate::observers::client::Question;
use crate::observers::failure::{Failure, expect};
use crate::stage::kernel::Interfaces;
use crate::stage::machine::Installation;
use crate::stage::power_switch::Switch;
use crate::stage::service;
use crate::{CLIENT_PREFIX, Cable, FLOATING, Lab, Segment, Station, Way, name};

/// Tries out every part of the lab.
///
/// # Errors
///
/// The first thing that is not as it should be.
pub fn run() -> io::Result<()> {
    let program = vec!["/run/demo".to_owned(), "hold".to_owned()];
    let lab =
        Lab::with(&Installation { program, ..Installation::default() }, BAUD, Question::Echo)?;
    let chapters: [(&str, Chapter); 8] = [
        ("the client is served", served),
        ("a cable that is cut for a while is a silence as long", silence),
        ("what is lost on the way leaves the carrier alone", loss),
        ("the direct cable has a carrier while both ends have power", direct),
        ("two boxes with one address are noticed", double),
        ("a power switch answers when the box is dead, or lies as told", switch),
        ("a box that resets itself boots again, a program that dies is started again", again),
        ("the null modem keeps the pace, cuts, and survives a reopened tty", serial),
    ];
    for (title, chapter) in chapters {
        match chapter(&lab) {
            Ok(measured) => println!("ok      {title}: {measured}"),
            Err(Failure(reason)) => {
                println!("FAILED  {title}: {reason}");
                for id in [First, Second] {
                    println!("--- {} wrote:\n{}", name(id), lab.log(id).trim_end());
                }
                return Err(io::Error::other("the lab cannot be trusted"));
            }
        }
    }
    Ok(())
}

/// Takes the floating address without asking anybody, and serves it.
///
/// # Errors
///
/// When the address or the port cannot be had.
pub fn hold() -> io::Result<()> {
    Interfaces::new()?.set_address("eth0:1", FLOATING, CLIENT_PREFIX)?;
    service::serve(FLOATING)
}

/// Resets the box from inside.
///
/// # Errors
///
/// When the kernel refuses.
pub fn reset() -> io::Result<()> {
    Ok(rustix::system::reboot(rustix::system::RebootCommand::Restart)?)
}

fn served(lab: &Lab) -> Result<String, Failure> {
    expect(!answers(lab, Duration::from_millis(100)), "somebody answers before a box has power")?;
    lab.power_on(First)?;
    expect(lab.wait_for(PATIENCE, |lab| answers(lab, LOOK)), "server1 does not answer")?;
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(500));
    let window = lab.client().since(start);
    expect(window.from("server1") > 50, format!("too few answers: {window:?}"))?;
    expect(lab.holders() == [First], "the watch does not see the address on server1")?;
    Ok(format!(
        "{} answers in 500 ms, longest silence {:?}",
        window.from("server1"),
        window.silence
    ))
}

fn silence(lab: &Lab) -> Result<String, Failure> {
    let start = Instant::now();
    lab.cut(Cable::Lan(First));
    // The kernel tells of a lost carrier within a second.
    let blind = |lab: &Lab| !lab.watch.carrier(First, "eth0");
    expect(lab.wait_for(PATIENCE, blind), "the box still sees a carrier")?;
    std::thread::sleep(CUT);
    lab.mend(Cable::Lan(First));
    let cut = start.elapsed();
    expect(lab.wait_for(PATIENCE, |lab| answers(lab, LOOK)), "server1 does not answer again")?;
    let silence = lab.client().since(start).silence;
    expect(
        silence + LOOK >= cut && silence < cut * 4,
        format!("{silence:?} is not about {cut:?}"),
    )?;
    Ok(format!("{silence:?} measured for {cut:?}"))
}

fn loss(lab: &Lab) -> Result<String, Failure> {
    let start = Instant::now();
    lab.ethernet.lose(Segment::Lan, Station::Box(First), Station::Client, true);
    std::thread::sleep(CUT);
    let carrier = lab.watch.carrier(First, "eth0");
    lab.mend_all();
    expect(carrier, "the carrier is gone as well")?;
    expect(lab.wait_for(PATIENCE, |lab| answers(lab, LOOK)), "server1 does not answer again")?;
    let silence = lab.client().since(start).silence;
    expect(silence >= CUT * 9 / 10, format!("{silence:?} is not about {CUT:?}"))?;
    Ok(format!("{silence:?} measured for {CUT:?}"))
}

fn direct(lab: &Lab) -> Result<String, Failure> {
    expect(!lab.watch.carrier(First, "eth1"), "a carrier without a peer")?;
    lab.power_on(Second)?;
    let sees = |lab: &Lab| lab.watch.carrier(First, "eth1") && lab.watch.carrier(Second, "eth1");
    expect(lab.wait_for(PATIENCE, sees), "no carrier with both boxes on")?;
    lab.cut(Cable::Direct);
    let blind = |lab: &Lab| !lab.watch.carrier(First, "eth1") && !lab.watch.carrier(Second, "eth1");
    expect(lab.wait_for(PATIENCE, blind), "a carrier over a cable that is cut")?;
    lab.mend(Cable::Direct);
    expect(lab.wait_for(PATIENCE, sees), "no carrier over a cable that is mended")?;
    Ok("on, off and on again at both ends".to_owned())
}

fn double(lab: &Lab) -> Result<String, Failure> {
    expect(lab.wait_for(PATIENCE, |lab| !lab.doubles().is_empty()), "nobody noticed")?;
    lab.power_off(First);
    expect(lab.holders() == [Second], "a box without power still counts")?;
    std::thread::sleep(CUT);
    let doubles = lab.doubles();
    let [double] = doubles.as_slice() else { return Err(Failure(format!("{doubles:?}"))) };
    let ago = double.until.elapsed();
    expect(ago >= CUT, "the double did not end with the power")?;
    Ok(format!("{:?} long, in {} looks", double.until - double.since, lab.watch.looks()))
}

fn switch(lab: &Lab) -> Result<String, Failure> {
    let ask = |verb: &str| -> io::Result<String> {
        let output = lab.machine(Second).demo(&["switch", "server1", verb])?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    expect(ask("status")? == "off", "it is not off")?;
    expect(ask("on")? == "on" && lab.is_on(First), "it does not switch on")?;
    expect(lab.wait_for(PATIENCE, |lab| lab.holders() == [First, Second]), "no boot")?;
    lab.set_switch(First, Switch::Lying);
    expect(ask("off")? == "off" && ask("status")? == "on", "it does not lie")?;
    lab.set_switch(First, Switch::Slow(CUT));
    let start = Instant::now();
    expect(ask("off")? == "off" && start.elapsed() >= CUT, "it is not slow")?;
    expect(lab.holders() == [Second], "it says off before the box is dead")?;
    lab.set_switch(First, Switch::Sound);
    let start = Instant::now();
    lab.power_on(First)?;
    expect(lab.wait_for(PATIENCE, |lab| lab.holders() == [First, Second]), "no boot")?;
    Ok(format!("a boot takes {:?}", start.elapsed()))
}

fn again(lab: &Lab) -> Result<String, Failure> {
    lab.power_off(Second);
    let boots = lab.boots(First);
    expect(lab.wait_for(PATIENCE, |lab| answers(lab, LOOK)), "server1 does not answer")?;
    let start = Instant::now();
    lab.crash_supervisor(First)?;
    expect(lab.wait_for(PATIENCE, |lab| !answers(lab, LOOK * 4)), "it does not die")?;
    expect(lab.wait_for(PATIENCE, |lab| answers(lab, LOOK)), "it is not started again")?;
    expect(lab.boots(First) == boots, "the box has booted")?;
    let silence = lab.client().since(start).silence;
    lab.reset(First)?;
    expect(lab.wait_for(PATIENCE, |lab| lab.boots(First) == boots + 1), "it does not boot")?;
    expect(lab.wait_for(PATIENCE, |lab| answers(lab, LOOK)), "server1 does not answer")?;
    Ok(format!("a program is back after {silence:?}"))
}

fn serial(lab: &Lab) -> Result<String, Failure> {
    lab.power_on(Second)?;
    let open = |id| OpenOptions::new().read(true).write(true).open(lab.null_modem.device(id));
    let heard = |lab: &Lab| -> Result<Vec<u8>, Failure> {
        let (mut speaker, listener) = (open(First)?, open(Second)?);
        rustix::io::ioctl_fionbio(&listener, true)?;
        speaker.write_all(&SENTENCE)?;
        let mut bytes = Vec::new();
        lab.wait_for(LOOK * 20, |_| {
            // Not yet there is no error.
            let _ = (&listener).take(4096).read_to_end(&mut bytes);
            bytes.len() >= SENTENCE.len()
        });
        Ok(bytes)
    };
    let start = Instant::now();
    expect(heard(lab)? == SENTENCE, "bytes are lost")?;
    let time = start.elapsed();
    let least = Duration::from_secs(10) * SENTENCE.len() as u32 / BAUD;
    expect(time >= least, format!("{time:?} is faster than {BAUD} baud ({least:?})"))?;
    lab.lose(Way::Serial, First);
    expect(heard(lab)?.is_empty(), "bytes over a wire that is cut")?;
    lab.garble(First);
    let noise = heard(lab)?;
    expect(noise.len() == SENTENCE.len() && noise != SENTENCE, "no rubbish")?;
    lab.mend(Cable::Serial);
    expect(heard(lab)? == SENTENCE, "bytes are lost after all that")?;
    Ok(format!("{} bytes took {time:?}", SENTENCE.len()))
}

/// Whether somebody has answered within the last `time`.
fn answers(lab: &Lab, time: Duration) -> bool {
    lab.client().last().is_some_and(|(_, ago)| ago < time)
}

/// Tries one thing out, and says what it measured.
type Chapter = fn(&Lab) -> Result<String, Failure>;

/// Long enough for any machine; waited out only when something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer that is younger than this is a present one.
const LOOK: Duration = Duration::from_millis(25);

/// How long things are broken on purpose.
const CUT: Duration = Duration::from_millis(300);

/// Slow enough to be measured.
const BAUD: u32 = 9_600;

/// What is said over the serial cable.
const SENTENCE: [u8; 96] = *b"twobox says: the quick brown fox jumps over the lazy dog, and 0123456789 are the digits it ate.\n";
