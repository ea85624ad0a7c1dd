//! Reads what the file says now, and whether this supervisor could go on with it.
//!
//! It is read and checked on a thread of its own, as `twobox check --here` would, because a disk may take its time.
//! What is right comes before the loop as a [`Candidate`], and is compared there with what the supervisor runs with
//! (`reload/apply.rs`); what is not changes nothing. A card or a program that is missing already, and that the
//! configuration in force names too, is no reason to refuse another one.

use board::config::requirement::Requirement;
use board::config::secret::Secret;
use board::fence;
use board::thread::capabilities::Rights;
use board::thread::spawn;
use firmware_agnostic::frame::Keys;
use firmware_agnostic::heartbeat::Fingerprint;
use smol::channel::{Receiver, Sender, bounded};

use crate::config::Config;
use crate::config::validation;
use crate::control::request::{ReloadMode, Request};
use crate::input::Input;
use crate::process::upgrade::OwnProgram;

/// A configuration that was read, and is right.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    /// What the secrets of the peer's fence devices are, or why not.
    pub(crate) secrets: Fingerprint,
}

impl Candidate {
    /// What the file says now, for a box that may lack all of `known`.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub(crate) fn read(program: &OwnProgram, known: &[Requirement]) -> Result<Self, String> {
        let config = validation::load_again(&program.config, &program.name, known);
        Self::with_keys(config.map_err(|error| error.to_string())?)
    }

    /// What `text` says, which is to stand in the file, for a box that may lack all of `known`.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub(crate) fn of(
        program: &OwnProgram,
        text: &str,
        known: &[Requirement],
    ) -> Result<Self, String> {
        let config = validation::read(text, &program.config, &program.name, known);
        Self::with_keys(config.map_err(|error| error.to_string())?)
    }

    /// Puts this before the loop, and waits for what it says.
    pub(crate) fn put(self, wish: ReloadMode, inputs: &Sender<Input>) -> String {
        let (reply, answer) = bounded(1);
        let _ = inputs.send_blocking(Input::Reload(Box::new(self), wish, reply));
        answer.recv_blocking().unwrap_or_default()
    }

    fn with_keys(config: Config) -> Result<Self, String> {
        let keys = config.keys().map_err(|error| error.to_string())?;
        let secrets = secrets(&config);
        Ok(Self { config, keys, secrets })
    }
}

/// What tells whether a secret of the peer's fence devices has changed. It is read when the devices are opened, and
/// again for each reload; what cannot be read is told elsewhere.
pub(crate) fn secrets(config: &Config) -> Fingerprint {
    let devices = config.fence_of(config.settings.me.other());
    let files = devices.iter().flat_map(fence::Config::needs).filter_map(|need| match need {
        Requirement::Secret(path) => Some(path),
        _ => None,
    });
    let each =
        files.map(|path| Secret::read(&path).map(|it| Fingerprint::of(it.expose().as_bytes())));
    let all: Vec<_> = each.flat_map(|it| it.map_or([0; 4], |Fingerprint(bytes)| bytes)).collect();
    Fingerprint::of(&all)
}

impl OwnProgram {
    /// Reads the configuration again, and puts it before the loop; or tells all that is wrong with it. `known` is
    /// what the one in force takes.
    pub(crate) fn read_again(
        &self,
        known: Vec<Requirement>,
        wish: ReloadMode,
        inputs: Sender<Input>,
        reply: Sender<String>,
    ) {
        let (program, refuse) = (self.clone(), reply.clone());
        let work = move || {
            let _turn = program.turn();
            match Candidate::read(&program, &known) {
                Ok(candidate) => drop(reply.try_send(candidate.put(wish, &inputs))),
                Err(reasons) => refused(&reply, &reasons),
            }
        };
        if let Err(error) = spawn::spawn("reload", Rights::SECRETS | Rights::PROGRAMS, work) {
            refused(&refuse, &error.to_string());
        }
    }
}

/// Tells somebody, who may have hung up, why nothing has changed.
pub(crate) fn refused(reply: &Sender<String>, reasons: &str) {
    let _ = reply.try_send(format!("refused\n{reasons}\nnothing was changed\n"));
}

/// Reloads whenever a hang-up asks for it; those that come meanwhile are one. What has changed is in the log then,
/// and so is why nothing has.
pub(crate) async fn reload_on(hangups: Receiver<()>, inputs: Sender<Input>) {
    while hangups.recv().await.is_ok() {
        let (reply, answer) = bounded(1);
        let _ = inputs.send(Input::Request(Request::Reload(ReloadMode::Apply), reply)).await;
        let said = answer.recv().await.unwrap_or_default();
        if let Some(("refused", reasons)) = said.split_once('\n') {
            reasons.lines().for_each(|reason| log::error!("reload: {reason}"));
        }
    }
}

/// What is said of a configuration with which this box runs already.
pub(crate) const NOTHING: &str = "nothing has changed\n";
