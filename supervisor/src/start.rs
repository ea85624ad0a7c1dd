//! Brings the supervisor up: everything is opened before the first word is said, or it says why not.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::rc::Rc;

use async_signal::{Signal, Signals};
use board::clock::Clock;
use board::fence::Guid;
use board::journal::Store;
use board::lease::Lease;
use board::link::{self, Port, Seen};
use board::rights::Rights;
use firmware_agnostic::frame::FRAME_MAX;
use firmware_agnostic::heartbeat::{Boot, Fingerprint};
use firmware_agnostic::identity::LinkId;
use firmware_agnostic::node::{Event, Node};
use firmware_agnostic::order::Order;
use firmware_agnostic::reception::Reception;
use firmware_agnostic::settings::AtBoot;
use rustix::process::{Resource, getrlimit};
use smol::LocalExecutor;
use smol::channel::{Sender, bounded};
use smol::future::{block_on, yield_now};
use smol::stream::StreamExt;

use crate::black_box::BlackBox;
use crate::chronicle::Chronicle;
use crate::config::Config;
use crate::control::Socket;
use crate::effects::{Effects, Group, Guarded, Gun, Keeper, Overdue};
use crate::guard::Brief;
use crate::history::History;
use crate::hooks::Hooks;
use crate::labels::Labels;
use crate::pace::Pace;
use crate::ready::Ready;
use crate::realtime::Realtime;
use crate::run::{Input, run};
use crate::senses;
use crate::upgrade::Itself;
use crate::{logging, metrics};

/// Runs the supervisor that `config` describes until it has left. `before` is what stands before the words of its
/// command line.
///
/// # Errors
///
/// When something that it needs cannot be had: with the remedy.
pub(crate) fn start(mut config: Config, before: Vec<OsString>) -> io::Result<()> {
    config.settings.system = Guid::of_this_box().map(Guid::fingerprint).unwrap_or_default();
    let keys = config.keys()?;
    expect_files()?;
    let executor = Rc::new(LocalExecutor::new());
    // Before the first thread. The reactor's own begins here, and not in the middle of a takeover. It alone watches the
    // descriptors: with `smol::block_on` the two threads take turns at that, and an idle box spends a fifth more.
    let realtime = Realtime::begin(config.realtime)?;
    // Before anything is opened, so that what could not be opened once more is missing now. Each thread takes from all that
    // are permitted what it needs, and this one drops the rest when there are no more threads to start.
    let rights = Rights::RESET | config.links.iter().map(link::Config::rights).collect();
    rights.narrow();
    let me = config.settings.me;
    let labels = Rc::new(Labels::new(&config));
    let signals = Signals::new([Signal::Term, Signal::Int, Signal::Hup])
        .map_err(|error| io::Error::new(error.kind(), format!("cannot take signals: {error}")))?;
    let (inputs, queue) = bounded(INPUTS_MAX);
    let (socket, _place) = Socket::open(&config.control)?;
    let hooks = Hooks::open(&config.hooks, config.name(me))?;
    logging::start(config.log.to, config.log.level, hooks.clone())?;
    realtime.missing.iter().for_each(|missing| log::info!("{missing}"));
    let (store, journal) = Store::open(&config.journal);
    let mut lease = config.control.socket.clone().into_os_string();
    lease.push(".lease");
    let group =
        Group::open(&config.resources, me, Lease::open(lease.as_ref())?, store, inputs.clone())?;
    let gun = Gun::open(config.fence_of(me.other()), inputs.clone())?;
    let pair = config.pair_id();
    let reception = Rc::new(RefCell::new(Reception::new(keys.clone(), pair)));
    senses::watch_witnesses(&config.witnesses, &inputs)?;
    let gates: Vec<_> = config.resources.iter().filter_map(|it| it.gate.clone()).collect();
    senses::watch_gates(&gates, &inputs)?;
    if config.settings.at_boot == AtBoot::Fence {
        senses::ask_how_it_ended(config.fence_of(me), config.settings.system, &inputs)?;
    }
    let ports: Vec<_> =
        config.links.iter().map(|link| Rc::new(Port::new(link.clone(), me))).collect();
    for (port, link) in ports.iter().zip((0..).map_while(LinkId::new)) {
        executor.spawn(listen(port.clone(), link, reception.clone(), inputs.clone())).detach();
    }
    executor.spawn(socket.serve(executor.clone(), labels.clone(), inputs.clone())).detach();
    executor.spawn(leave_on_signal(signals, inputs.clone())).detach();
    metrics::publish(config.metrics.clone(), &inputs)?;
    let boot = boot()?;
    let (history, black_box) =
        (History::open(&config.history)?, BlackBox::new(&config.history.file));
    let chronicle = Chronicle::new(labels.clone(), history, hooks, black_box, boot);
    let brief = Brief {
        name: config.name(me).to_owned(),
        lease: lease.into(),
        patience: config.restart_time,
        config: config.text.clone(),
    };
    let guarded = Guarded::start(brief, &executor)?;
    // Last of all: from now on whatever ends without a stop in order ends the box.
    let keeper =
        Keeper::open(&config.watchdog, &config.settings, &config.journal, realtime.priority)?;
    rights.settle();
    let node = Node::new(config.settings.clone(), boot, journal, Clock.now());
    let itself = Itself { before, config: config.path.clone(), name: config.name(me).to_owned() };
    let effects = Effects {
        executor: executor.clone(),
        inputs,
        itself,
        ready: Ready::new(config.ready_file.clone()),
        chronicle,
        pace: Pace::default(),
        realtime,
        config: Rc::new(config),
        labels,
        keys,
        pair,
        ports,
        reception,
        group,
        gun,
        guarded,
        keeper,
        number: 0,
        peer_is: Fingerprint::default(),
        asking: None,
        overdue: Overdue::default(),
    };
    block_on(executor.run(run(node, queue, effects)));
    logging::flush();
    Ok(())
}

/// Turns what comes by one link into events, for ever.
async fn listen(
    port: Rc<Port>,
    link: LinkId,
    reception: Rc<RefCell<Reception>>,
    inputs: Sender<Input>,
) {
    // A little more than a frame has, so that a longer one is seen to be longer.
    let mut buffer = [0; FRAME_MAX + 2];
    loop {
        let length = match port.receive(&mut buffer).await {
            Seen::Frame(length) => length,
            Seen::Line(up) => {
                let _ = inputs.send(Input::Event(Event::Line(link, up))).await;
                continue;
            }
        };
        let frame = buffer.get(..length).unwrap_or(&buffer);
        let received = reception.borrow_mut().receive(link, frame, Clock.now());
        match received {
            Ok(heartbeat) => {
                // A heartbeat that finds no room is lost, as others are.
                let _ = inputs.try_send(Input::Event(Event::Heartbeat(link, heartbeat)));
            }
            Err(cause) => {
                let count = reception.borrow().statistics(link).dropped[cause as usize];
                // The first, the tenth, the hundredth: a flood makes no flood of lines.
                if count.checked_ilog10().is_some_and(|zeros| count == 10_u32.pow(zeros)) {
                    log::warn!("link {}: dropped a frame: {cause} ({count} so far)", port.name());
                }
            }
        }
        yield_now().await;
    }
}

async fn leave_on_signal(mut signals: Signals, inputs: Sender<Input>) {
    while let Some(signal) = signals.next().await {
        match signal {
            Ok(Signal::Term | Signal::Int) => {
                let _ = inputs.send(Input::Event(Event::Order(Order::Leave))).await;
            }
            // The terminal that the supervisor was started from is gone, and the supervisor is not.
            Ok(_) => {}
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

/// Names this life of the supervisor.
fn boot() -> io::Result<Boot> {
    let mut boot = [0; 4];
    rustix::rand::getrandom(&mut boot, rustix::rand::GetRandomFlags::empty())?;
    Ok(Boot(boot))
}

/// Twice what the largest pair needs: 6 links, 24 processes with a pidfd and a pipe each, 16 clients.
const FILES_MIN: u64 = 256;

/// Enough for every link to bring a burst while the loop is held up; what is more is lost.
const INPUTS_MAX: usize = 256;
