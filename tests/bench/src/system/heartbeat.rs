//! heartbeat 3 from Debian, over the same two Ethernet links and the null modem, without STONITH, as it comes.
//!
//! It finds its files at places of its own, which a box covers with what is in its `/run`. Times that are not written
//! down are its own; there is no init that starts it again, as in Debian's unit (`Restart=no`), and one that does is
//! measured as well.

use std::time::Duration;

use firmware_agnostic::identity::BoxId::{self, First};

use super::{PEERS, System, done, said, trial};
use lab::Lab;
use lab::observers::failure::Failure;

pub(super) const TUNED: System = System {
    name: "heartbeat",
    title: "heartbeat 3 (0.2 s, 1 s)",
    package: Some(("heartbeat", "/usr/libexec/heartbeat/heartbeat")),
    comm: "heartbeat",
    trials: PEERS,
    patience: Duration::from_secs(8),
    status: Some(&[STATUS, "rscstatus"]),
    lab: || lab("keepalive 200ms\nwarntime 500ms\ndeadtime 1\ninitdead 4\n"),
    away: |lab| done(lab, First, "/usr/share/heartbeat/hb_standby", &["all"]),
    home: |lab| done(lab, First, "/usr/share/heartbeat/hb_takeover", &["all"]),
    forgive: |_| Ok(()),
    phases: |_, _| Vec::new(),
    stands_by,
};

pub(super) const DEFAULTS: System = System {
    name: "heartbeat-defaults",
    title: "heartbeat 3 (its defaults)",
    trials: &[trial("idle", 2), trial("planned", 1), trial("power", 1), trial("cables", 1)],
    patience: Duration::from_secs(38),
    status: None,
    lab: || lab(""),
    ..TUNED
};

fn lab(times: &str) -> Result<Lab, Failure> {
    let settings = format!("logfile /proc/1/fd/1\n{times}{SETTINGS}");
    let files = [
        ("start", START),
        ("service", SERVICE),
        ("ha.cf", settings.as_str()),
        ("haresources", "server1 IPaddr2::192.0.2.10/24/eth0 service\n"),
        ("authkeys", "auth 1\n1 sha1 nobody-else-is-in-this-lab\n"),
    ];
    Ok(Lab::running(&["/bin/sh", "/run/start"], &files)?)
}

/// Both have joined, and have what is theirs.
fn stands_by(lab: &Lab) -> bool {
    BoxId::BOTH.into_iter().all(|id| said(lab, id, STATUS, &["rscstatus"]) == "local")
}

const STATUS: &str = "/usr/bin/cl_status";

const SETTINGS: &str = "\
baud 115200
serial /run/ttyS1
ucast eth0 192.0.2.1
ucast eth0 192.0.2.2
ucast eth1 198.51.100.1
ucast eth1 198.51.100.2
auto_failback on
node server1
node server2
";

const START: &str = "\
PATH=/usr/sbin:/usr/bin:/sbin:/bin
if [ ! -e /run/ha.d ]; then
    cp -a /etc/ha.d /run/ha.d
    cp /run/ha.cf /run/haresources /run/authkeys /run/ha.d
    install -m 755 /run/service /run/ha.d/resource.d/service
    mount --bind /run/ha.d /etc/ha.d
    mkdir -p /run/lock/subsys /run/resource-agents /var/lib/heartbeat/cores/root
    install -d -o hacluster -g haclient -m 750 /run/heartbeat /run/heartbeat/ccm /var/lib/heartbeat/cores/hacluster
fi
ulimit -l unlimited
exec /usr/libexec/heartbeat/heartbeat -f
";

const SERVICE: &str = "\
#!/bin/sh
alive() {
    [ -e /run/service.pid ] && kill -0 $(cat /run/service.pid) 2>/dev/null
}
case $1 in
start)
    alive && exit
    setsid /run/demo serve 192.0.2.10 </dev/null >/dev/null 2>&1 &
    echo $! >/run/service.pid
    ;;
stop) alive && kill -9 $(cat /run/service.pid) ;;
status) if alive; then echo running; else echo stopped; fi ;;
esac
exit 0
";
