//! keepalived from Debian: VRRP, which speaks over one network and knows no fencing.
//!
//! The service runs on both boxes, as is usual with it: a script looks every second whether it lives, and a box whose
//! service is dead hands the address over and starts the service again.

use std::time::Duration;

use firmware_agnostic::identity::BoxId::{First, Second};

use super::{PEERS, System, done};
use lab::Lab;
use lab::observers::failure::Failure;

pub(super) const TUNED: System = System {
    name: "keepalived",
    title: "keepalived (advert_int 0.2)",
    package: Some(("keepalived", "/usr/sbin/keepalived")),
    comm: "keepalived",
    trials: PEERS,
    patience: Duration::from_secs(6),
    status: None,
    lab: || lab("0.2"),
    away: |lab| {
        done(lab, First, "/bin/sh", &["-c", "touch /run/away; kill $(cat /run/keepalived.pid)"])
    },
    home: |lab| done(lab, First, "/bin/rm", &["/run/away"]),
    forgive: |_| Ok(()),
    phases: |_, _| Vec::new(),
    stands_by,
};

/// An `advert_int` of one second.
pub(super) const DEFAULTS: System = System {
    name: "keepalived-defaults",
    title: "keepalived (its defaults)",
    patience: Duration::from_secs(10),
    lab: || lab("1"),
    ..TUNED
};

fn lab(interval: &str) -> Result<Lab, Failure> {
    let settings = SETTINGS.replace("INTERVAL", interval);
    let files = [
        ("start", START),
        ("alive", "read pid </run/service.pid && kill -0 $pid\n"),
        ("serve", SERVE),
        ("keepalived.conf", settings.as_str()),
    ];
    Ok(Lab::running(&["/bin/sh", "/run/start"], &files)?)
}

fn stands_by(lab: &Lab) -> bool {
    let log = lab.log(Second);
    let boot = log.rsplit("=== boot").next().unwrap_or_default();
    boot.contains("Entering BACKUP STATE")
}

const SETTINGS: &str = r#"
global_defs {
    vrrp_version 3
    script_user root
}
vrrp_script service {
    script "/bin/sh /run/alive"
    interval 1
}
vrrp_instance pair {
    state BACKUP
    interface eth0
    virtual_router_id 10
    @server1 priority 100
    @server2 priority 50
    advert_int INTERVAL
    virtual_ipaddress {
        192.0.2.10/24
    }
    track_script {
        service
    }
    notify_fault "/bin/sh /run/serve"
}
"#;

const START: &str = "\
while [ -e /run/away ]; do sleep 0.05; done
ip link set dev eth0 multicast on
sh /run/serve
exec /usr/sbin/keepalived --vrrp --dont-fork --log-console --use-file=/run/keepalived.conf
";

const SERVE: &str = "\
sh /run/alive 2>/dev/null && exit
setsid /run/demo serve 192.0.2.10 </dev/null >/dev/null 2>&1 &
echo $! >/run/service.pid
";
