//! Reads the sections that belong to no device.

use std::path::PathBuf;
use std::time::Duration;

use board::config::table::{Source, Table, Value};
use board::host::plain_text::is_plain;
use board::{check, link, resource, watchdog};
use firmware_agnostic::evidence::Require;
use firmware_agnostic::identity::RESOURCES_MAX;
use firmware_agnostic::recovery::OnFailure;
use firmware_agnostic::settings::AutoFailback;
use firmware_agnostic::settings::{AtBoot, Times, Timing};
use log::LevelFilter;
use toml::de::DeValue;

use super::boxes::Boxes;
use crate::control::client::VIEWERS;

/// `[pair]`
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) key_file: PathBuf,
    pub(super) key_file_place: (usize, usize),
    pub(super) auto_failback: AutoFailback,
    pub(super) failback_hold: Duration,
    pub(super) restart_time: Duration,
    pub(super) peer_may_configure: bool,
}

impl Pair {
    pub(super) fn read(
        mut table: Table<'_>,
        timing: Option<Timing>,
        (require, dark_time): (Require, Duration),
    ) -> Option<Self> {
        let name: Option<String> = table.require("name");
        if name.as_ref().is_some_and(String::is_empty) {
            table
                .error("name", "is empty: another pair on the same network must have another name");
        }
        if name.as_deref().is_some_and(|name| !is_plain(name)) {
            table.error("name", NOT_PLAIN);
        }
        let key_file = table.require("key_file");
        let key_file_place = table.place("key_file");
        let FailbackConfig(auto_failback) =
            table.get_or("auto_failback", FailbackConfig(AutoFailback::On));
        let failback_hold = table.get_or("failback_hold", FAILBACK_HOLD);
        let said: Option<Duration> = table.take("restart_time");
        if let (Some(timing), Some(said)) = (timing, said)
            && let Some(broken) = timing.restart(said, require, dark_time).filter(|it| !it.holds())
        {
            table.error_if_read(broken.word, broken.to_string());
        }
        let restart_time = said.or(timing.map(|it| it.restart_time(require, dark_time)));
        let peer_may_configure = table.get_or("peer_may_configure", false);
        table.finish();
        Some(Self {
            name: name?,
            key_file: key_file?,
            key_file_place,
            auto_failback,
            failback_hold,
            restart_time: restart_time?,
            peer_may_configure,
        })
    }
}

/// `auto_failback`
struct FailbackConfig(AutoFailback);

impl Value for FailbackConfig {
    const EXAMPLE: &'static str = "true, false or \"manual\"";

    fn read(value: &DeValue<'_>, _: &Source<'_>) -> Result<Self, String> {
        match (value.as_bool(), value.as_str()) {
            (Some(true), _) => Ok(Self(AutoFailback::On)),
            (Some(false), _) => Ok(Self(AutoFailback::Off)),
            (_, Some("manual")) => Ok(Self(AutoFailback::Manual)),
            _ => Err(format!("is none of {}", Self::EXAMPLE)),
        }
    }
}

/// `[takeover]`: what a takeover from a silent peer takes, and how long a peer must be dark.
pub(super) fn read_takeover(mut table: Table<'_>) -> (Require, Duration) {
    let choices =
        [("fenced", Require::Fenced), ("dark", Require::Dark), ("silence", Require::Silence)];
    let require = table.choose("require", &choices).unwrap_or(Require::Fenced);
    let dark_time = table.get_or("dark_time", DARK_TIME);
    table.finish();
    (require, dark_time)
}

/// Every `[[witness]]`
pub(super) fn read_witnesses(root: &mut Table<'_>) -> Vec<check::Config> {
    let read = |mut table: Table<'_>| {
        let config = check::Config::read(&mut table);
        table.finish();
        config
    };
    root.tables("witness").into_iter().filter_map(read).collect()
}

/// `[fencing]`
pub(super) fn read_fencing(mut table: Table<'_>) -> AtBoot {
    let choices = [("wait", AtBoot::Wait), ("fence", AtBoot::Fence)];
    let at_boot = table.choose("at_boot", &choices).unwrap_or(AtBoot::Wait);
    table.finish();
    at_boot
}

/// `[control]`: where operators are heard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ControlConfig {
    /// The socket.
    pub socket: PathBuf,
    /// The group whose members may order, besides root.
    pub operators: Option<String>,
    /// The group whose members may ask, and not order.
    pub viewers: Option<String>,
}

impl ControlConfig {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let control = Self {
            socket: table.get_or("socket", SOCKET.into()),
            operators: table.take("operators"),
            viewers: table.take("viewers"),
        };
        // `sun_path` of unix(7), with the zero at its end; the socket of the viewers has a longer name.
        let most = SOCKET_MAX - control.viewers.as_ref().map_or(0, |_| VIEWERS.len());
        if control.socket.as_os_str().len() > most {
            let reason = format!("is too long for a socket, whose path has {most} bytes at most");
            table.error("socket", reason);
        }
        table.finish();
        control
    }
}

/// `[log]`: what is told, and where.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Log {
    /// What is told: this level and the graver ones.
    pub level: LevelFilter,
    /// Where.
    pub to: LogTo,
}

/// Where the log goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogTo {
    /// To standard error, each line with its level in front (`sd-daemon(3)`).
    Stderr,
    /// To `/dev/log` (`syslog(3)`).
    Syslog,
    /// To `/dev/log`, with structured data (RFC 5424).
    Syslog5424,
}

impl Log {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let level = table.choose("level", &LEVELS).unwrap_or(LevelFilter::Info);
        let choices = [
            ("stderr", LogTo::Stderr),
            ("syslog", LogTo::Syslog),
            ("syslog-5424", LogTo::Syslog5424),
        ];
        let to = table.choose("to", &choices).unwrap_or(LogTo::Stderr);
        table.finish();
        Self { level, to }
    }
}

/// `[journal]`
pub(super) fn read_journal(mut table: Table<'_>) -> PathBuf {
    let file = table.get_or("file", JOURNAL.into());
    table.finish();
    file
}

/// `[ready]`
pub(super) fn read_ready(mut table: Table<'_>) -> Option<PathBuf> {
    let file = table.take("file");
    table.finish();
    file
}

/// `[watchdog]`, and where its device stands.
pub(super) fn read_watchdog(
    mut table: Table<'_>,
    timing: Option<Timing>,
    require: Require,
) -> (watchdog::Config, (usize, usize)) {
    let config = watchdog::Config::read(&mut table);
    if let (Some(timing), Some(device)) = (timing, &config.device) {
        let times = timing.watchdog(device.timeout, Some(config.reset), require);
        for broken in times.filter(|inequality| !inequality.holds()) {
            table.error_if_read(broken.word, broken.to_string());
        }
    }
    let place = table.place("device");
    table.finish();
    (config, place)
}

/// `[timing]`, with what the devices add to it.
pub(super) fn read_timing(
    mut table: Table<'_>,
    boxes: Option<&Boxes>,
    links: &[link::Config],
) -> Option<Timing> {
    let worst = |devices: &[board::fence::Config]| {
        devices.iter().map(|device| device.timeout).fold(Duration::ZERO, Duration::saturating_add)
    };
    let fence_time = boxes.into_iter().flat_map(Boxes::fences).map(worst).max().unwrap_or_default();
    let times = Times {
        keepalive: table.get_or("keepalive", Duration::from_millis(200)),
        warntime: table.get_or("warntime", Duration::from_millis(500)),
        deadtime: table.get_or("deadtime", Duration::from_secs(1)),
        initdead: table.get_or("initdead", Duration::from_secs(15)),
        fence_time: if fence_time.is_zero() { OPERATOR } else { fence_time },
        baud: links.iter().filter_map(link::Config::baud).min(),
    };
    for broken in Timing::broken(times) {
        table.error_if_read(broken.word, broken.to_string());
    }
    table.finish();
    Timing::new(times).ok()
}

/// Every `[[resource]]`, and where each stands.
pub(super) fn read_resources(
    root: &mut Table<'_>,
    links: &[link::Config],
) -> (Vec<resource::Config>, Vec<(usize, usize)>) {
    let mut places = Vec::new();
    let mut resources: Vec<resource::Config> = Vec::new();
    for (place, mut table) in root.tables("resource").into_iter().enumerate() {
        if place == RESOURCES_MAX {
            table.error(
                "",
                format!("is one too many: a pair has {RESOURCES_MAX} resources at most"),
            );
        }
        let threshold = table.has("threshold");
        let Some(config) = resource::Config::read(&mut table) else { continue };
        if threshold && matches!(config.policy.on_failure, OnFailure::Ignore | OnFailure::Restart) {
            table.error(
                "threshold",
                "is never reached: with this on_failure no number of failures is too many; \
                 take it out, or say on_failure = \"failover\"",
            );
        }
        let name = &config.name;
        if let Some(reason) = taken(&config, &resources, links) {
            table.error("address", reason);
        } else if resources.iter().any(|earlier| earlier.name == *name) {
            table.error(
                "name",
                format!("{name} is another resource already: give one of them another `name`"),
            );
        }
        places.push(table.place(""));
        resources.push(config);
        table.finish();
    }
    (resources, places)
}

/// Why this address cannot be a resource: it is something else already.
fn taken(
    config: &resource::Config,
    resources: &[resource::Config],
    links: &[link::Config],
) -> Option<String> {
    let ip = config.address()?;
    if let Some(earlier) = resources.iter().find(|earlier| earlier.address() == Some(ip)) {
        return Some(format!("{ip} is the address of resource {} already", earlier.name));
    }
    let (_, link) = link::holder(links, &[ip])?;
    Some(format!("{ip} is an address of link {link}, which stays on its box: say another"))
}

/// Where the journal is unless the file says otherwise.
const JOURNAL: &str = "/var/lib/twobox.journal";

/// What is said of a name with control characters, for instance.
const NOT_PLAIN: &str = "cannot be shown: take letters, digits and blanks";

/// The longest path that a socket can have.
const SOCKET_MAX: usize = 107;

/// Where the supervisor listens unless told otherwise.
pub const SOCKET: &str = "/run/twobox.sock";

/// The words of `log.level`, and of the command `log`.
pub const LEVELS: [(&str, LevelFilter); 5] = [
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

/// Longer than a BMC is silent while it resets itself.
const DARK_TIME: Duration = Duration::from_secs(30);

/// Longer than a box that reboots in a loop stays up.
const FAILBACK_HOLD: Duration = Duration::from_secs(90);

/// Where no box has a device, an operator cuts the power, who is not faster.
const OPERATOR: Duration = Duration::from_secs(1);
