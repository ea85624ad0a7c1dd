//! Tells whether the configuration is right, and what it promises: `twobox check`.
//!
//! What is wrong goes to standard error, in the form that editors jump by. What is right is worth a few lines as well:
//! the inequalities with their numbers, and how long the service can be gone.

use std::fs;
use std::path::{Path, PathBuf};

use board::config::requirement::Requirement;
use board::config::table::Complaint;
use board::{fence, link, resource};
use firmware_agnostic::evidence::Require;
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::journal::FILE_LEN;

use crate::config::{Config, Error, Identity};

mod bounds;
mod report;

pub use bounds::{Bound, bounds};

/// What of all that the file speaks of is looked for on this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Look {
    /// The key file, and what cuts the power of the other box.
    Least,
    /// What there is no start without: the key file, programs, secrets, rights, the watchdog; and that the file is
    /// root's. One card or adapter that is late, or dead, keeps no box from its part: a link is down then, and a
    /// resource that needs it cannot be started.
    Start,
    /// The same, and what only the start itself would find: the groups of the control socket.
    DryRun,
    /// All that another configuration takes than the one that is in force.
    Another,
    /// The same, whether what this box writes has room, and who else uses what the file names: a login on a tty, a
    /// router that answers for every address.
    Here,
}

impl Look {
    /// Whether it is a fault that this is missing.
    const fn counts(self, need: &Requirement) -> bool {
        match self {
            Self::Least | Self::Another | Self::Here => true,
            Self::Start => !need.can_wait(),
            Self::DryRun => !need.can_wait() || matches!(need, Requirement::ResourceWorker(_)),
        }
    }
}

/// Reads the file at `path` as [`load`] does, and tells what it promises.
///
/// # Errors
///
/// All that is wrong.
pub fn check(path: &Path, who: Option<&str>, here: bool) -> Result<String, Error> {
    let look = if here { Look::Here } else { Look::Least };
    load(path, who, look).map(|config| report::whole(path, &config, here))
}

/// The same, in so few lines that they fit on the screen of a serial console.
///
/// # Errors
///
/// All that is wrong.
pub fn check_in_short(path: &Path, who: Option<&str>, here: bool) -> Result<String, Error> {
    let look = if here { Look::Here } else { Look::Least };
    load(path, who, look).map(|config| report::short(path, &config, here))
}

/// Reads the file at `path`, and looks for what it takes.
///
/// # Errors
///
/// All that is wrong.
pub fn load(path: &Path, who: Option<&str>, look: Look) -> Result<Config, Error> {
    load_but(path, who, look, &[])
}

/// Reads the file at `path` for the box called `who`, which runs already and may lack all of `known`: what it lacks
/// with one configuration is no fault of another.
///
/// # Errors
///
/// All that is wrong.
pub(crate) fn load_again(path: &Path, who: &str, known: &[Requirement]) -> Result<Config, Error> {
    load_but(path, Some(who), Look::Another, known)
}

/// The same of `text`, which is to stand in the file at `path`.
///
/// # Errors
///
/// All that is wrong.
pub(crate) fn read(
    text: &str,
    path: &Path,
    who: &str,
    known: &[Requirement],
) -> Result<Config, Error> {
    let identity = Identity { told: Some(who.to_owned()), ..Identity::of_this_machine() };
    let wrong = |complaints| Error::Wrong { path: path.to_owned(), complaints };
    let config = Config::read(text, &identity).map_err(wrong)?;
    sound(Config { path: path.to_owned(), ..config }, path, Look::Another, known, None)
}

/// The same of a `text` that came from the other box, where this one runs with `own`: no file is opened as a secret
/// on the word of another box alone. To open one may do harm (a watchdog is armed by it), and the errors tell what
/// is in it.
///
/// # Errors
///
/// All that is wrong.
pub(crate) fn read_of_peer(
    text: &str,
    own: &Config,
    who: &str,
    known: &[Requirement],
) -> Result<Config, Error> {
    let identity = Identity { told: Some(who.to_owned()), ..Identity::of_this_machine() };
    let wrong = |complaints| Error::Wrong { path: own.path.clone(), complaints };
    let config = Config::read(text, &identity).map_err(wrong)?;
    let ours: Vec<_> = secrets(own).into_iter().map(|(path, ..)| path).collect();
    let strange = secrets(&config).into_iter().filter(|(path, ..)| !ours.contains(path));
    let complaints: Vec<_> = strange
        .map(|(path, (line, column), word)| Complaint {
            line,
            column,
            word,
            reason: format!(
                "{} is not in the file of this box, which opens no secret because another box says so",
                path.display()
            ),
        })
        .collect();
    if complaints.is_empty() { read(text, &own.path, who, known) } else { Err(wrong(complaints)) }
}

/// The files of secrets, with the place and the word of each.
fn secrets(config: &Config) -> Vec<(PathBuf, (usize, usize), String)> {
    let peer = config.settings.me.other();
    let word = format!("box.{}.fence", config.name(peer));
    let needs = config.fence_of(peer).iter().flat_map(fence::Config::needs);
    let fences = needs.filter_map(|need| match need {
        Requirement::Secret(path) => Some((path, config.places.fence[peer.index()], word.clone())),
        _ => None,
    });
    let key = (config.key_file.clone(), config.places.key_file, "pair.key_file".to_owned());
    std::iter::once(key).chain(fences).collect()
}

/// As [`load`], for a box that may lack all of `known`. A file that others than root can change is shown, and not
/// run with.
fn load_but(
    path: &Path,
    who: Option<&str>,
    look: Look,
    known: &[Requirement],
) -> Result<Config, Error> {
    let trusted = if look == Look::Least { Config::load } else { Config::load_trusted };
    let error = match trusted(path, who) {
        Err(Error::Unreadable { error, .. }) if error.raw_os_error().is_none() => error,
        config => return sound(config?, path, look, known, None),
    };
    // What else is wrong in it is told with it.
    let (doubt, path) = (Complaint::of_file(error.to_string()), path.to_owned());
    match Config::load(&path, who) {
        Ok(config) => sound(config, &path, look, known, Some(doubt)),
        Err(Error::Wrong { complaints, .. }) => {
            Err(Error::Wrong { path, complaints: [vec![doubt], complaints].concat() })
        }
        Err(Error::Unreadable { .. }) => Err(Error::Unreadable { path, error }),
    }
}

/// `config`, unless there is a `doubt` about its file, or this machine lacks something that it takes and that is
/// not `known`. Who has to mend one thing hears of all.
fn sound(
    config: Config,
    path: &Path,
    look: Look,
    known: &[Requirement],
    doubt: Option<Complaint>,
) -> Result<Config, Error> {
    let complaints = missing(&config, look, known);
    let complaints = match look {
        _ if complaints.is_empty() && doubt.is_none() => return Ok(config),
        Look::Start | Look::DryRun => missing(&config, Look::Here, known),
        Look::Least | Look::Another | Look::Here => complaints,
    };
    let complaints = doubt.into_iter().chain(complaints).collect();
    Err(Error::Wrong { path: path.to_owned(), complaints })
}

/// What the file speaks of and this machine does not have, but for what is `known`.
fn missing(config: &Config, look: Look, known: &[Requirement]) -> Vec<Complaint> {
    let key = config.keys().err().map(|error| {
        let (line, column) = config.places.key_file;
        Complaint { line, column, word: "pair.key_file".to_owned(), reason: error.to_string() }
    });
    let wants = wants(config, look).into_iter().filter(|want| !known.contains(&want.need));
    let conflicts = if look == Look::Here { conflicts(config) } else { Vec::new() };
    key.into_iter().chain(wants.filter_map(Want::complaint)).chain(conflicts).collect()
}

/// What others make of what the file speaks of.
fn conflicts(config: &Config) -> Vec<Complaint> {
    let (me, places) = (config.settings.me, &config.places);
    let complaint = |(line, column), word: &str, name: &str, reason: Option<String>| {
        let reason = format!("{name}: {}", reason?);
        Some(Complaint { line, column, word: word.to_owned(), reason })
    };
    let links = config.links.iter();
    let links =
        links.filter_map(|link| complaint(places.links, "link", &link.name, link.conflict(me)));
    let resources = config.resources.iter().zip(&places.resources);
    let resources = resources
        .filter_map(|(it, place)| complaint(*place, "resource", &it.name, it.conflict(me)));
    links.chain(resources).collect()
}

/// All that the file speaks of and a machine may lack.
pub(crate) fn needs(config: &Config) -> Vec<Requirement> {
    wants(config, Look::Another).into_iter().map(|want| want.need).collect()
}

/// Something that the file speaks of, and where.
struct Want {
    need: Requirement,
    place: (usize, usize),
    word: String,
    /// What people call that which needs it.
    name: Option<String>,
}

impl Want {
    /// What is wrong with it on this machine, if anything is.
    fn complaint(self) -> Option<Complaint> {
        let reason = self.need.missing()?;
        let reason = self.name.map(|name| format!("{name}: {reason}")).unwrap_or(reason);
        let (line, column) = self.place;
        Some(Complaint { line, column, word: self.word, reason })
    }
}

/// What `look` is for.
fn wants(config: &Config, look: Look) -> Vec<Want> {
    let (me, places) = (config.settings.me, &config.places);
    let mut wants = Vec::new();
    let mut want = |place, word: &str, name: Option<&str>, needs: Vec<Requirement>| {
        for need in needs.into_iter().filter(|need| look.counts(need)) {
            let (word, name) = (word.to_owned(), name.map(str::to_owned));
            wants.push(Want { need, place, word, name });
        }
    };
    // A box is fenced by the other one.
    let peer = me.other();
    let fence = format!("box.{}.fence", config.name(peer));
    for device in config.fence_of(peer) {
        want(places.fence[peer.index()], &fence, None, device.needs());
    }
    if look != Look::Least {
        for witness in &config.witnesses {
            want(places.witnesses, "witness", None, witness.needs());
        }
        for link in &config.links {
            want(places.links, "link", Some(&link.name), link.needs(me));
        }
        for (resource, place) in config.resources.iter().zip(&places.resources) {
            want(*place, "resource", Some(&resource.name), resource.needs(me));
        }
        for hook in &config.hooks {
            want(places.hooks, "hook", None, hook.command.needs());
        }
    }
    if matches!(look, Look::DryRun | Look::Another | Look::Here) {
        for (word, place, need) in surroundings(config, look) {
            want(place, word, None, vec![need]);
        }
    }
    if look != Look::Least {
        // This one does not wait: a box that is to be watched and is not may be stuck unseen.
        let (place, word) = (places.watchdog, "watchdog.device".to_owned());
        let want = |need| Want { need, place, word: word.clone(), name: None };
        wants.extend(config.watchdog.needs().into_iter().map(want));
    }
    wants
}

/// What the supervisor itself is used by and writes to, with the word and the place of each.
fn surroundings(config: &Config, look: Look) -> Vec<(&'static str, (usize, usize), Requirement)> {
    let (places, control) = (&config.places, &config.control);
    let metrics = config.metrics.as_ref().map(|metrics| &metrics.file);
    let groups = [
        ("control.operators", places.control, &control.operators),
        ("control.viewers", places.control, &control.viewers),
    ];
    // How much more each may take. A journal that is there does not grow any more.
    let files: [(_, _, _, Growth); 4] = [
        ("journal.file", places.journal, Some(&config.journal), |file| {
            fs::metadata(file).map_or(FILE_LEN as u64, |_| 0)
        }),
        ("history.file", places.history, Some(&config.history.file), |_| PAGE),
        ("metrics.file", places.metrics, metrics, |_| PAGE),
        ("ready.file", places.ready, config.ready_file.as_ref(), |_| 0),
    ];
    let groups = groups.into_iter().filter_map(|(word, place, group)| {
        Some((word, place, Requirement::ResourceWorker(group.clone()?)))
    });
    // A reload may be what helps where there is no room. The loop lists what it takes, and must not wait for a disk.
    let need = |word: &'static str, file: &Path, more: Growth| match look {
        Look::Here => Requirement::Room(file.to_owned(), more(file), section(word)),
        _ => Requirement::folder_of(file),
    };
    let files = files
        .into_iter()
        .filter_map(|(word, place, file, more)| Some((word, place, need(word, file?, more))));
    groups.chain(files).collect()
}

/// The section in which `word` stands.
fn section(word: &'static str) -> &'static str {
    word.split_once('.').map_or(word, |(section, _)| section)
}

/// What this machine does not have and the resources can do without, but are the better for.
pub fn wishes(config: &Config) -> Vec<String> {
    let missing = |it: &resource::Config| {
        let reasons = it.wishes().into_iter().filter_map(|need| need.missing());
        reasons.map(|reason| format!("{}: {reason}", it.name)).collect::<Vec<_>>()
    };
    config.resources.iter().flat_map(missing).collect()
}

/// What is right, and yet a risk that the integrator should have weighed.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.settings.require == Require::Silence {
        let text =
            "takeover.require = \"silence\": when all links are cut both boxes serve at once";
        warnings.push(text.to_owned());
        if config.watchdog.device.is_none() {
            let text = "no [watchdog] device: a box that is stuck may go on when its peer serves";
            warnings.push(text.to_owned());
        }
    } else {
        for id in BoxId::BOTH.into_iter().filter(|id| config.fence_of(*id).is_empty()) {
            warnings.push(format!(
                "box.{0}.fence = []: when {0} is silent nobody serves until an operator confirms",
                config.name(id)
            ));
        }
    }
    if config.settings.require == Require::Dark {
        let shows = config.links.iter().any(link::Config::shows_power);
        warnings.push(if shows {
            "takeover.require = \"dark\": lay the way to the other box's BMC so that no fault cuts it with all links"
                .to_owned()
        } else {
            "takeover.require = \"dark\": no link shows darkness; say direct = true, or add a serial cable".to_owned()
        });
    }
    let serial = config.links.iter().filter(|link| link.baud().is_some()).count();
    if let [link] = config.links.as_slice() {
        let name = &link.name;
        warnings.push(format!("{name} is the only link: one pulled cable makes each box silent"));
    } else if serial == 0 {
        let text =
            "every link is a network: one mistake in it can cut them all; add a serial cable";
        warnings.push(text.to_owned());
    } else if serial == config.links.len() {
        let text = "every link is a serial cable: add one over the network";
        warnings.push(text.to_owned());
    }
    warnings
}

/// How many bytes more a file may take.
type Growth = fn(&Path) -> u64;

/// The figures fill a few pages of a disk, and so does the history of a night.
const PAGE: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_missing_already_is_no_fault_of_another_configuration() {
        let room = tempfile::tempdir().unwrap();
        let key = room.path().join("key");
        fs::write(&key, "1 0123456789abcdef\n").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let text = |interface: &str, hold: &str| {
            format!(
                "[pair]\nname = \"p\"\nkey_file = {key:?}\nfailback_hold = \"{hold}\"\n\
                 [box.a]\npriority = 2\nfence = []\n[box.b]\npriority = 1\nfence = []\n\
                 [[link]]\nkind = \"udp\"\ninterface = \"{interface}\"\nbroadcast = true\n\
                 [[resource]]\nkind = \"process\"\ncommand = [\"/nowhere/x\"]\n\
                 [journal]\nfile = {key:?}\n[history]\nfile = {key:?}\n"
            )
        };
        let path = Path::new("/nowhere/twobox.toml");
        let told = |text: &str, known: &[Requirement]| read(text, path, "a", known).err();
        let running = text("eth77", "2s");
        let known = {
            let identity = Identity { told: Some("a".to_owned()), ..Identity::default() };
            needs(&Config::read(&running, &identity).unwrap())
        };
        let first = told(&running, &[]).unwrap().to_string();
        assert!(first.contains("eth77") && first.contains("/nowhere/x"), "{first}");
        assert!(told(&text("eth77", "3s"), &known).is_none());
        let other = told(&text("eth78", "3s"), &known).unwrap().to_string();
        assert!(other.contains("eth78") && !other.contains("/nowhere/x"), "{other}");
    }

    #[test]
    fn no_secret_is_opened_because_another_box_says_so() {
        let room = tempfile::tempdir().unwrap();
        let strange = room.path().join("strange");
        let sample = include_str!("../../../images/dist/twobox.toml");
        let identity = Identity { told: Some("server1".to_owned()), ..Identity::default() };
        let own = Config::read(sample, &identity).unwrap();
        let bmc = format!(
            "fence = [{{ kind = \"ipmi\", host = \"192.0.2.9\", user = \"a\", password_file = \"{}\" }}]\n#",
            strange.display()
        );
        // Who opens a pipe for which nobody writes waits for ever (fifo(7)).
        let made = std::process::Command::new("mkfifo").arg(&strange).status();
        assert!(made.unwrap().success());
        for (from, to, word) in [
            ("/etc/twobox.key", strange.to_str().unwrap(), "pair.key_file"),
            (
                "fence = [{ kind = \"command\", command = [\"/usr/sbin/cut-power\", \"outlet2\"]",
                &bmc,
                "box.server2.fence",
            ),
        ] {
            assert!(sample.contains(from), "{from}");
            let error =
                read_of_peer(&sample.replacen(from, to, 1), &own, "server1", &[]).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(word) && error.contains("opens no secret"), "{error}");
        }
    }
}
