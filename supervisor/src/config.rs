//! Reads the configuration file, and finds out which of the two boxes this is.
//!
//! One file for both boxes. It is read to its end with all that is wrong with it, and all that is wrong is told at
//! once, each mistake with its place and its remedy; what comes out cannot be wrong any more. Whether this machine
//! *has* the interfaces and programs that the file speaks of is not asked here, but when they are opened.
//!
//! The words of a device (a link, a fence, a resource) are read by the device itself; this file knows those that stand
//! around them.

use std::io;
use std::path::{Path, PathBuf};

use board::config::table::{Complaint, Source, Table};
use board::disk::safe_file::{SafeFile, Trust, look};
use board::{check, fence, link, resource, watchdog};
use firmware_agnostic::frame::{Keys, PairId};
use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::identity::{BoxId, RESOURCES_MAX};
use firmware_agnostic::settings::Settings;

mod boxes;
mod difference;
mod error;
mod fingerprint;
mod identity;
pub(crate) mod keys;
mod realtime;
mod reporting;
mod sections;
pub mod validation;

use boxes::Boxes;
pub use difference::Difference;
pub use error::Error;
pub(crate) use fingerprint::mark;
pub use identity::Identity;
pub use realtime::RealtimeConfig;
use reporting::HISTORY;
pub use reporting::{HAPPENINGS, HistoryConfig, Hook, Metrics};
use sections::Pair;
pub use sections::{ControlConfig, LEVELS, Log, LogTo, SOCKET};

/// All that the file says, for this box.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the machine must know.
    pub settings: Settings,
    /// The name of the pair.
    pub pair: String,
    /// The names of the boxes, in the order of [`BoxId`].
    pub boxes: [String; 2],
    /// Where the keys are.
    pub key_file: PathBuf,
    /// The cables and paths that carry heartbeats.
    pub links: Vec<link::Config>,
    /// The devices that cut the power of each box, in the order of [`BoxId`].
    pub fence: [Vec<fence::Config>; 2],
    /// What moves between the boxes, in the order in which it starts.
    pub resources: Vec<resource::Config>,
    /// Who outside the pair tells whether this box's network is fine.
    pub witnesses: Vec<check::Config>,
    /// Where operators are heard.
    pub control: ControlConfig,
    /// What is told to the log, and where that is.
    pub log: Log,
    /// The file that remembers this box's last life.
    pub journal: PathBuf,
    /// Where what happens is kept.
    pub history: HistoryConfig,
    /// Who is told of what happens.
    pub hooks: Vec<Hook>,
    /// Where figures are written, if anywhere.
    pub metrics: Option<Metrics>,
    /// A file that is there while this box is ready to do its part.
    pub ready_file: Option<PathBuf>,
    /// Whether the other box may have this one try a configuration.
    pub peer_may_configure: bool,
    /// How it comes before all others.
    pub realtime: RealtimeConfig,
    /// What resets this box when it is stuck.
    pub watchdog: watchdog::Config,
    /// The file as it was read.
    pub text: String,
    /// Where that was, if it was a file.
    pub path: PathBuf,
    /// Where in the file the things stand that are looked at later.
    pub places: Places,
}

/// Lines and columns.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Places {
    /// Of `pair.key_file`.
    pub key_file: (usize, usize),
    /// Of the `fence` of each box.
    pub fence: [(usize, usize); 2],
    /// Of the first `[[link]]`.
    pub links: (usize, usize),
    /// Of the first `[[witness]]`.
    pub witnesses: (usize, usize),
    /// Of each `[[resource]]`.
    pub resources: Vec<(usize, usize)>,
    /// Of the first `[[hook]]`.
    pub hooks: (usize, usize),
    /// Of `[control]`.
    pub control: (usize, usize),
    /// Of `[journal]`.
    pub journal: (usize, usize),
    /// Of `[history]`.
    pub history: (usize, usize),
    /// Of `[metrics]`.
    pub metrics: (usize, usize),
    /// Of `[ready]`.
    pub ready: (usize, usize),
    /// Of `watchdog.device`.
    pub watchdog: (usize, usize),
}

impl Config {
    /// Reads the file at `path`, for the box called `who` or else for the one that this machine is.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or something is wrong in it; the text has all that is wrong.
    pub fn load(path: &Path, who: Option<&str>) -> Result<Self, Error> {
        Self::of_file(path, &text(path)?, who)
    }

    /// The same, where the file is to be believed: others than root must not be able to change it.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`], and where others can change it.
    pub fn load_trusted(path: &Path, who: Option<&str>) -> Result<Self, Error> {
        Self::of_file(path, &trusted_text(path)?, who)
    }

    fn of_file(path: &Path, text: &str, who: Option<&str>) -> Result<Self, Error> {
        let identity = Identity { told: who.map(str::to_owned), ..Identity::of_this_machine() };
        // The supervisor does not stay where it was started.
        let place = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self::read(text, &identity)
            .map(|config| Self { path: place, ..config })
            .map_err(|complaints| Error::Wrong { path: path.to_owned(), complaints })
    }

    /// Reads `text`, for the box that `identity` is.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in the order of the file.
    pub fn read(text: &str, identity: &Identity) -> Result<Self, Vec<Complaint>> {
        let source = Source::new(text);
        let config = Self::from_source(&source, text, identity);
        match (config, source.into_complaints()) {
            (Some(config), complaints) if complaints.is_empty() => Ok(config),
            (_, complaints) => Err(complaints),
        }
    }

    /// The keys of the pair, from its key file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, can be read by others, or is no list of keys. No secret is in the text.
    pub fn keys(&self) -> io::Result<Keys> {
        keys::read(&self.key_file)
    }

    /// The same, with operators heard at `socket`.
    #[must_use]
    pub fn with_socket(mut self, socket: PathBuf) -> Self {
        self.control.socket = socket;
        self
    }

    /// The same, with what does not change as long as the supervisor runs that began with `first`.
    #[must_use]
    pub fn following(mut self, first: &Self) -> Self {
        self.settings.system = first.settings.system;
        self.with_socket(first.control.socket.clone())
    }

    /// What the frames of this pair are known by.
    pub fn pair_id(&self) -> PairId {
        PairId::of(&self.pair)
    }

    /// What people call the box `id`.
    pub fn name(&self, id: BoxId) -> &str {
        let [first, second] = &self.boxes;
        match id {
            BoxId::First => first,
            BoxId::Second => second,
        }
    }

    /// The box that people call `name`.
    pub fn id(&self, name: &str) -> Option<BoxId> {
        BoxId::BOTH.into_iter().find(|id| self.name(*id) == name)
    }

    /// The devices that cut the power of the box `id`.
    pub fn fence_of(&self, id: BoxId) -> &[fence::Config] {
        let [first, second] = &self.fence;
        match id {
            BoxId::First => first,
            BoxId::Second => second,
        }
    }

    fn from_source(source: &Source<'_>, text: &str, identity: &Identity) -> Option<Self> {
        let mut root = source.parse();
        let (require, dark_time) = sections::read_takeover(root.section("takeover"));
        // Before all that may have a value for each box.
        let boxes = Boxes::read(&mut root, source, require);
        let at_boot = sections::read_fencing(root.section("fencing"));
        let links = read_links(&mut root);
        let (resources, resource_places) = sections::read_resources(&mut root, &links);
        let witnesses = sections::read_witnesses(&mut root);
        let timing = sections::read_timing(root.section("timing"), boxes.as_ref(), &links);
        let pair = Pair::read(root.section("pair"), timing, (require, dark_time));
        let control = ControlConfig::read(root.section("control"));
        let log = Log::read(root.section("log"));
        let journal = sections::read_journal(root.section("journal"));
        let history = HistoryConfig::read(root.section("history"));
        let metrics = Metrics::read(root.section("metrics"));
        let (hooks, hooks_place) = reporting::read_hooks(&mut root);
        let ready_file = sections::read_ready(root.section("ready"));
        let realtime = RealtimeConfig::read(root.section("realtime"));
        let (watchdog, watchdog_place) =
            sections::read_watchdog(root.section("watchdog"), timing, require);
        let me = boxes.as_ref().and_then(|boxes| boxes.find(identity, &root));
        let places = Places {
            links: root.place("link"),
            witnesses: root.place("witness"),
            resources: resource_places,
            hooks: hooks_place,
            control: root.place("control"),
            journal: root.place("journal"),
            history: root.place("history"),
            metrics: root.place("metrics"),
            ready: root.place("ready"),
            watchdog: watchdog_place,
            ..Places::default()
        };
        root.finish();

        let (boxes, pair, me) = (boxes?, pair?, me?);
        let settings = Settings {
            me,
            priority: boxes.priority(me)?,
            auto_failback: pair.auto_failback,
            failback_hold: pair.failback_hold,
            require,
            dark_time,
            restart_time: pair.restart_time,
            at_boot,
            timing: timing?,
            links: links.len(),
            resources: resources
                .iter()
                .take(RESOURCES_MAX)
                .map(|resource| resource.policy)
                .collect(),
            config: fingerprint::of(text),
            system: Fingerprint::default(),
        };
        let places =
            Places { key_file: pair.key_file_place, fence: boxes.fence_places(), ..places };
        let (boxes, fence) = boxes.into_parts();
        Some(Self {
            settings,
            pair: pair.name,
            boxes,
            key_file: pair.key_file,
            links,
            fence,
            resources,
            witnesses,
            control,
            log,
            journal,
            history,
            hooks,
            metrics,
            ready_file,
            peer_may_configure: pair.peer_may_configure,
            realtime,
            watchdog,
            text: text.to_owned(),
            path: PathBuf::new(),
            places,
        })
    }
}

/// Where the supervisor that runs with the file at `path` can be reached. Mistakes in the file do not matter here.
pub fn socket(path: &Path) -> PathBuf {
    let Ok(text) = text(path) else { return SOCKET.into() };
    ControlConfig::read(Source::new(&text).parse().section("control")).socket
}

/// Where the history of the supervisor is that runs with the file at `path`. Mistakes in it do not matter here either.
pub fn history(path: &Path) -> PathBuf {
    let Ok(text) = text(path) else { return HISTORY.into() };
    HistoryConfig::read(Source::new(&text).parse().section("history")).file
}

fn read_links(root: &mut Table<'_>) -> Vec<link::Config> {
    let tables = root.tables("link");
    if tables.is_empty() {
        root.miss(
            "link",
            "is missing: the boxes must hear each other, say [[link]] for each cable",
        );
    }
    link::Config::read_all(tables)
}

/// What stands in the file at `path`, which others than root must not be able to change.
///
/// # Errors
///
/// When they can, or it cannot be read, or is no text.
pub(crate) fn trusted_text(path: &Path) -> Result<String, Error> {
    let bytes = SafeFile::of(path, Trust::default()).and_then(|file| file.read(SIZE_MAX));
    as_text(path, bytes)
}

fn text(path: &Path) -> Result<String, Error> {
    as_text(path, look(path, SIZE_MAX))
}

fn as_text(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<String, Error> {
    let bytes = bytes.map_err(|error| {
        let long = error.kind() == io::ErrorKind::FileTooLarge;
        let long = long.then(|| io::Error::other("is longer than a configuration can be"));
        Error::Unreadable { path: path.to_owned(), error: long.unwrap_or(error) }
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default());
        let source = Source::new(&before);
        source.error(valid..valid, "", "is no UTF-8: save the file as UTF-8".to_owned());
        Error::Wrong { path: path.to_owned(), complaints: source.into_complaints() }
    })
}

/// The longest configurations have a few hundred lines; more is the wrong file.
pub(crate) const SIZE_MAX: u64 = 256 * 1024;
