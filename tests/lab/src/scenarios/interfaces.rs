//! Changes the interfaces of a box while the pair serves.

use std::thread;
use std::time::Instant;

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::observers::expectations::{PATIENCE, is, nobody_noticed, order, served_by, whole};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::reloads::{edit, said};
use crate::scenarios::stories::{LONG, Story, runs_on, story};
use crate::{Lab, name};

pub(crate) const STORIES: [Story; 3] = [
    story("interface-renamed", renamed),
    story("card-dies", dead_card),
    story("address-without-interface", unfit),
];

/// The interface of the address, and of a link, gets another name under the box that serves. What is there stays
/// there, over two lives of the supervisor, and leaves the box when the other one is to serve.
fn renamed(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    ip(lab, First, "link set eth0 name wan0")?;
    let told = |lab: &Lab| lab.log(First).contains("stays on wan0, which was eth0");
    expect(lab.wait_for(PATIENCE, told), "nobody says that the interface was renamed")?;
    thread::sleep(LONG);
    let status = said(lab, First, &["status"])?;
    expect(status.contains("serving, and redundant"), status)?;
    runs_on(lab, First, |lab| order(lab, First, "upgrade"))?;
    runs_on(lab, First, |lab| Ok(lab.crash_supervisor(First)?))?;
    let measured = nobody_noticed(lab, start)?;
    order(lab, First, "standby")?;
    served_by(lab, Second)?;
    expect(lab.holders() == [Second], "server1 has the address still")?;
    let told = |lab: &Lab| {
        lab.log(First).contains("could not be started here")
            && lab.log(First).contains("which is called wan0 now")
    };
    expect(lab.wait_for(PATIENCE, told), "nobody says that server1 could not serve any more")?;
    Ok(measured)
}

/// The card of one link dies. The box takes part without it, also after a restart or an upgrade of its supervisor.
fn dead_card(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    ip(lab, First, "link delete eth1")?;
    let told = |lab: &Lab| lab.log(First).contains("there is no interface eth1");
    expect(lab.wait_for(PATIENCE, told), "nobody says that the card is gone")?;
    runs_on(lab, First, |lab| order(lab, First, "upgrade"))?;
    runs_on(lab, First, |lab| Ok(lab.crash_supervisor(First)?))?;
    // What is missing already is no fault of another configuration; what would be missing with it is one.
    edit(lab, First, "failback_hold = \"2s\"", "failback_hold = \"3s\"")?;
    expect(said(lab, First, &["reload"])?.contains("reloaded"), "it was not reloaded")?;
    edit(lab, First, "interface = \"eth0\"", "interface = \"eth9\"")?;
    let refused = lab.twobox(First, &["reload"])?;
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    let says_so = refused.contains("no interface eth9") && !refused.contains("eth1");
    expect(says_so, refused)?;
    nobody_noticed(lab, start)
}

/// The interface of the address is down on the box that stands by: nothing is handed over to that box until it is up.
fn unfit(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    for id in BoxId::BOTH {
        let words = "kind = \"address\"\nforget_after = \"5s\"";
        edit(lab, id, "kind = \"address\"", words)?;
        said(lab, id, &["reload"])?;
    }
    ip(lab, Second, "link set eth0 down")?;
    let says = |word: &'static str| {
        move |lab: &Lab| said(lab, First, &["status"]).is_ok_and(|it| it.contains(word))
    };
    let not_fit = says("serving, but not fit: server2");
    expect(lab.wait_for(PATIENCE, &not_fit), "server2 says that it is fit")?;
    // For longer than a failure is remembered.
    let end = Instant::now() + 3 * LONG;
    while Instant::now() < end {
        expect(not_fit(lab), "server2 is fit without its interface")?;
        thread::sleep(LONG / 20);
    }
    let status = said(lab, Second, &["status"])?;
    let words = status.split_whitespace().collect::<Vec<_>>().join(" ");
    let told =
        ["needs eth0, which is down", "may serve again once what its resources need is there"];
    expect(told.iter().all(|told| words.contains(told)), status)?;
    let refused = lab.twobox(First, &["standby"])?;
    expect(!refused.status.success(), "the service was sent to a box that cannot have it")?;
    let measured = nobody_noticed(lab, start)?;
    ip(lab, Second, "link set eth0 up")?;
    let whole_again = says("serving, and redundant");
    expect(lab.wait_for(PATIENCE, whole_again), "server2 is not fit again")?;
    order(lab, First, "standby")?;
    is(lab, Second, "active")?;
    served_by(lab, Second)?;
    Ok(measured)
}

/// Runs `ip` with these words in a box.
fn ip(lab: &Lab, id: BoxId, words: &str) -> Result<(), Failure> {
    let words: Vec<_> = words.split(' ').collect();
    let output = lab.machine(id).enter("ip", &words)?;
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    let done = output.status.success();
    expect(done, format!("ip {} on {}: {complained}", words.join(" "), name(id)))
}
