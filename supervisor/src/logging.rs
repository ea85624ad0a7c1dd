//! Where do the lines go? To standard error or to syslog, and never in the way of a heartbeat.
//!
//! A console at 9600 baud, a full pipe or a syslog that has died must not hold up the loop: lines go through a bounded
//! queue to a thread that may block as long as it likes. What does not fit is dropped and counted.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use board::clock::Clock;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::config::LogTo;
use crate::hooks::Hooks;

/// Starts the thread that writes, and takes over what is logged from now on.
///
/// # Errors
///
/// When there can be no thread, or logging was started before.
pub(crate) fn start(to: LogTo, level: LevelFilter, hooks: Hooks) -> io::Result<()> {
    let (queue, lines) = sync_channel(LINES_MAX);
    let form = match to {
        LogTo::Syslog => Form::Syslog,
        // Set by systemd where standard error ends in the journal, which reads the level off the line (sd-daemon(3)).
        LogTo::Stderr if std::env::var_os("JOURNAL_STREAM").is_some() => Form::Journal,
        LogTo::Stderr => Form::Console,
    };
    thread::Builder::new()
        .name("log".to_owned())
        .stack_size(128 * 1024)
        .spawn(move || write_all(form, &lines))?;
    let logger = Logger { form, queue, dropped: AtomicUsize::new(0), hooks };
    log::set_boxed_logger(Box::new(logger)).map_err(io::Error::other)?;
    log::set_max_level(level);
    Ok(())
}

/// Waits, for a moment at most, until what was logged is written.
pub(crate) fn flush() {
    log::logger().flush();
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Console,
    Journal,
    Syslog,
}

enum Line {
    Text(String),
    Flush(SyncSender<()>),
}

struct Logger {
    form: Form,
    queue: SyncSender<Line>,
    dropped: AtomicUsize,
    /// Who is told of errors.
    hooks: Hooks,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if record.level() == Level::Error {
            self.hooks.alarm(&record.args().to_string());
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let mut line = self.line(record);
        if dropped > 0 {
            let _ = write!(line, " ({dropped} lines before this one were dropped)");
        }
        if self.queue.try_send(Line::Text(line)).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {
        let (written, wait) = sync_channel(1);
        if self.queue.try_send(Line::Flush(written)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_MAX);
        }
    }
}

impl Logger {
    fn line(&self, record: &Record<'_>) -> String {
        let mut line = String::new();
        let level = match record.level() {
            Level::Error => ("error", 3),
            Level::Warn => ("warning", 4),
            Level::Info => ("info", 6),
            Level::Debug | Level::Trace => ("debug", 7),
        };
        // Writing to a text cannot fail.
        let _ = match self.form {
            Form::Console => {
                let seconds = Clock.now().as_micros() as f64 / 1e6;
                write!(line, "[{seconds:12.3}] {}: ", level.0)
            }
            Form::Journal => write!(line, "<{}>", level.1),
            Form::Syslog => {
                write!(line, "<{}>twobox[{}]: ", DAEMON * 8 + level.1, std::process::id())
            }
        };
        if !record.target().starts_with("supervisor") && !record.target().contains("::") {
            let _ = write!(line, "{}: ", record.target());
        }
        let text = record.args().to_string();
        line.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        line
    }
}

fn write_all(form: Form, lines: &Receiver<Line>) {
    let mut syslog = None;
    while let Ok(line) = lines.recv() {
        match line {
            Line::Text(line) if form == Form::Syslog => to_syslog(&mut syslog, &line),
            // There is nowhere to say that standard error is gone.
            Line::Text(line) => drop(writeln!(io::stderr(), "{line}")),
            Line::Flush(written) => drop(written.try_send(())),
        }
    }
}

/// Sends a line the way `syslog(3)` does (RFC 3164 without time and host, which the receiver adds).
fn to_syslog(socket: &mut Option<UnixDatagram>, line: &str) {
    for _ in 0..2 {
        if socket.is_none() {
            *socket = UnixDatagram::unbound()
                .and_then(|socket| socket.connect("/dev/log").map(|()| socket))
                .ok();
        }
        match socket {
            Some(open) if open.send(line.as_bytes()).is_ok() => return,
            // The receiver was restarted, or is not there.
            _ => *socket = None,
        }
    }
    drop(writeln!(io::stderr(), "{line}"));
}

/// A burst of the worst minute; at 80 bytes a line less than 100 KiB.
const LINES_MAX: usize = 1_024;
const FLUSH_MAX: Duration = Duration::from_millis(200);
/// `LOG_DAEMON`.
const DAEMON: u8 = 3;
