//! Brings the supervisor up: everything is opened before the first word is said, or it says why not.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use async_signal::{Signal, Signals};
use board::disk::journal::Store;
use board::fence::Guid;
use board::host::random;
use board::thread::capabilities::Rights;
use board::thread::spawn;
use board::time::alarm::Alarm;
use board::time::clock::Clock;
use board::time::reactor::Reactor;
use firmware_agnostic::heartbeat::Incarnation;
use firmware_agnostic::letter::Seal;
use firmware_agnostic::node::{Event, Node};
use firmware_agnostic::order::Order;
use firmware_agnostic::receiver::Reception;
use firmware_agnostic::settings::AtBoot;
use rustix::process::{Resource, getrlimit};
use smol::LocalExecutor;
use smol::channel::{Sender, bounded};
use smol::stream::StreamExt;

use crate::config::validation::wishes;
use crate::config::{Config, mark};
use crate::control::ControlSocket;
use crate::effects::{Effects, Overdue};
use crate::guard::GuardSpec;
use crate::guard::handle::Guarded;
use crate::guard::leftovers;
use crate::input::Input;
use crate::observe::black_box::BlackBox;
use crate::observe::events::EventSink;
use crate::observe::history::History;
use crate::observe::hooks::Hooks;
use crate::observe::latency::Latency;
use crate::observe::logging;
use crate::observe::names::NameTable;
use crate::peer::letters::Letters;
use crate::peer::links::Links;
use crate::process::readiness::InitNotifier;
use crate::process::realtime::Realtime;
use crate::process::upgrade::OwnProgram;
use crate::reload::apply::gates;
use crate::reload::candidate::{reload_on, secrets};
use crate::reload::staged_file;
use crate::run::run;
use crate::workers::checks::{CheckWorkers, ask_how_it_ended};
use crate::workers::fencing::FenceWorker;
use crate::workers::journal::ActionQueue as Ordered;
use crate::workers::journal::JournalWorker;
use crate::workers::metrics_file;
use crate::workers::resources::{LeaseRecord, Member, ResourceWorker};
use crate::workers::watchdog::Feeder;

/// Runs the supervisor that `config` describes until it has left. `before` is what stands before the words of its
/// command line.
///
/// # Errors
///
/// When something that it needs cannot be had: with the remedy.
pub(crate) fn start(mut config: Config, before: Vec<OsString>) -> io::Result<()> {
    config.settings.system = Guid::of_this_box().map(Guid::fingerprint).unwrap_or_default();
    let (keys, secrets) = (config.keys()?, secrets(&config));
    // Before any right is dropped.
    let wishes = wishes(&config);
    expect_files()?;
    let executor = Rc::new(LocalExecutor::new());
    // Before the first thread. The reactor's own begins here, and not in the middle of a takeover.
    let realtime = Realtime::begin(config.realtime)?;
    // Before anything is opened, so that what could not be opened once more is missing now.
    spawn::found_nursery(realtime.priority)?;
    (Rights::RESET | Rights::SOCKETS).drop_others();
    let me = config.settings.me;
    let names = Rc::new(NameTable::new(&config));
    let signals = Signals::new([Signal::Term, Signal::Int, Signal::Hup])
        .map_err(|error| io::Error::new(error.kind(), format!("cannot take signals: {error}")))?;
    let (inputs, queue) = bounded(INPUTS_MAX);
    let lookout = Reactor::new()?;
    let alarm = Alarm::new(&lookout)?;
    let (socket, _place) = ControlSocket::open(&config.control)?;
    let hooks = Hooks::open(&config.hooks, config.name(me))?;
    logging::start(config.log.to, config.log.level, hooks.clone())?;
    log::info!("{}", itself_in_words(&config));
    staged_file::tell_left(&config.path);
    realtime.missing.iter().for_each(|missing| log::info!("{missing}"));
    for wish in wishes {
        log::warn!("{wish}");
    }
    let (store, journal) = Store::open(&config.journal);
    let last_life = journal.map(|journal| journal.life).unwrap_or_default();
    let boot = Incarnation::after(last_life, random::distinct(config.settings.system)?);
    let lease = leftovers::lease(&config);
    let (waiting, leftovers) = LeaseRecord::open(&lease, &config)?;
    let members = Member::open_all(&config.resources, me, &leftovers::notes(&config))?;
    let resources = ResourceWorker::open(members, leftovers, waiting, inputs.clone())?;
    let journal_worker = JournalWorker::open(store, inputs.clone())?;
    let fencing = FenceWorker::open(config.fence_of(me.other()), inputs.clone())?;
    let pair = config.pair_id();
    let reception = Rc::new(RefCell::new(Reception::new(keys.clone(), pair).of(me)));
    let witnesses = CheckWorkers::over(&config.witnesses, true, &inputs, || Input::Witness)?;
    let gates = CheckWorkers::over(&gates(&config), true, &inputs, || Input::Gate)?;
    if config.settings.at_boot == AtBoot::Fence {
        ask_how_it_ended(config.fence_of(me), config.settings.system, &inputs)?;
    }
    let program = OwnProgram {
        before,
        config: config.path.clone(),
        name: config.name(me).to_owned(),
        turn: Arc::default(),
    };
    let seal = Seal { keys: keys.clone(), pair, me, life: boot };
    let said = inputs.clone();
    let letters = Letters::new(seal, executor.clone(), reception.clone(), program.clone(), said);
    let letters = Rc::new(letters);
    let ear = (reception.clone(), letters.clone(), inputs.clone());
    let links = Links::new(&config.links, me, (executor.clone(), lookout.clone()), ear);
    letters.go_on(&keys, &config, links.ports());
    executor.spawn(socket.serve(executor.clone(), names.clone(), inputs.clone())).detach();
    let (hang_up, hangups) = bounded(1);
    executor.spawn(obey_signals(signals, hang_up, inputs.clone())).detach();
    executor.spawn(reload_on(hangups, inputs.clone())).detach();
    let metrics = metrics_file::publish(config.metrics.clone(), &inputs)?;
    let (history, black_box) =
        (History::open(&config.history)?, BlackBox::new(&config.history.file));
    let events = EventSink::new(names.clone(), history, hooks, black_box, boot);
    let brief = GuardSpec { name: config.name(me).to_owned(), lease };
    let guard = Guarded::start(brief, &executor)?;
    // Last of all: from now on a process that ends without a stop in order ends the box.
    let feeder =
        Feeder::open(&config.watchdog, &config.settings, &config.journal, realtime.priority)?;
    let node = Node::new(config.settings.clone(), boot, journal, Clock.now());
    let effects = Effects {
        executor: executor.clone(),
        inputs,
        program,
        ready: InitNotifier::new(config.ready_file.clone()),
        events,
        latency: Latency::default(),
        realtime,
        config: Rc::new(config),
        names,
        keys,
        secrets,
        pair,
        links,
        reception,
        letters,
        resources,
        fencing,
        journal: journal_worker,
        guard,
        witnesses,
        gates,
        metrics,
        feeder,
        number: 0,
        trial: None,
        pending: None,
        overdue: Overdue::default(),
        queue: Ordered::default(),
    };
    lookout.run(&executor, run(node, queue, alarm, effects));
    // The thread of the devices ends with the process, in the middle of what it does.
    board::fence::hang_up();
    logging::flush();
    Ok(())
}

async fn obey_signals(mut signals: Signals, hang_up: Sender<()>, inputs: Sender<Input>) {
    while let Some(signal) = signals.next().await {
        match signal {
            Ok(Signal::Term | Signal::Int) => {
                let _ = inputs.send(Input::Event(Event::Order(Order::Leave))).await;
            }
            // One that waits already is enough.
            Ok(_) => drop(hang_up.try_send(())),
            Err(error) => log::warn!("signals: {error}"),
        }
    }
}

/// Refuses to begin with too few files, for lack of which a stop would fail, and this box have to reset itself.
fn expect_files() -> io::Result<()> {
    match getrlimit(Resource::Nofile).current {
        Some(most) if most < FILES_MIN => Err(io::Error::other(format!(
            "may open {most} files only: give it {FILES_MIN} (ulimit -n {FILES_MIN}, or LimitNOFILE={FILES_MIN})"
        ))),
        _ => Ok(()),
    }
}

/// What is started here, for the first line of the log.
fn itself_in_words(config: &Config) -> String {
    let (version, own) = (env!("CARGO_PKG_VERSION"), config.name(config.settings.me));
    let (pair, path, mark) = (&config.pair, config.path.display(), mark(&config.text));
    format!(
        "twobox {version} starts: this box is {own} of pair {pair}; configuration {path} ({mark})"
    )
}

/// The largest pair needs some 160: 24 resources with a pidfd and a pipe each, or that put by, 33 more put by, 16
/// clients.
const FILES_MIN: u64 = 256;

/// Enough for every link to bring a burst while the loop is held up; what is more is lost.
const INPUTS_MAX: usize = 256;
