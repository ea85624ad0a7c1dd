//! Writes log lines to standard error or to syslog, and never delays a heartbeat.
//!
//! A console at 9600 baud, a full pipe or a syslog that has died must not hold up the loop: lines go through a bounded
//! queue to a thread that may block as long as it likes. What does not fit is dropped and counted.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use board::host::plain_text::plain;
use board::thread::capabilities::Rights;
use board::time::clock::Clock;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::config::LogTo;
use crate::observe::hooks::Hooks;

/// Starts the thread that writes, and takes over what is logged from now on.
///
/// # Errors
///
/// When there can be no thread, or logging was started before.
pub(crate) fn start(to: LogTo, level: LevelFilter, hooks: Hooks) -> io::Result<()> {
    let (queue, lines) = sync_channel(LINES_MAX);
    let form = match to {
        LogTo::Syslog => LogForm::Syslog,
        LogTo::Syslog5424 => LogForm::Syslog5424,
        // Set by systemd where standard error ends in the journal, which reads the level off the line (sd-daemon(3)).
        LogTo::Stderr if std::env::var_os("JOURNAL_STREAM").is_some() => LogForm::Journal,
        LogTo::Stderr => LogForm::Console,
    };
    thread::Builder::new().name("log".to_owned()).stack_size(128 * 1024).spawn(move || {
        Rights::NONE.drop_others();
        write_all(form, &lines);
    })?;
    let logger = Logger::new(form, queue, hooks);
    log::set_boxed_logger(Box::new(logger)).map_err(io::Error::other)?;
    log::set_max_level(level);
    // A panic is a line as well: who writes it to standard error may wait there for ever, and not end.
    std::panic::set_hook(Box::new(|panic| {
        log::error!("{panic}");
        flush();
    }));
    Ok(())
}

/// Waits, for a moment at most, until what was logged is written.
pub(crate) fn flush() {
    log::logger().flush();
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LogForm {
    Console,
    Journal,
    Syslog,
    Syslog5424,
}

enum LogLine {
    Text(String),
    Flush(SyncSender<()>),
}

struct Logger {
    form: LogForm,
    queue: SyncSender<LogLine>,
    dropped: AtomicUsize,
    /// Lines so far, dropped ones too.
    number: AtomicU32,
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
        if self.queue.try_send(LogLine::Text(line)).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {
        let (written, wait) = sync_channel(1);
        if self.queue.try_send(LogLine::Flush(written)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_MAX);
        }
    }
}

impl Logger {
    const fn new(form: LogForm, queue: SyncSender<LogLine>, hooks: Hooks) -> Self {
        Self { form, queue, dropped: AtomicUsize::new(0), number: AtomicU32::new(0), hooks }
    }

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
            LogForm::Console => {
                let seconds = Clock.now().as_micros() as f64 / 1e6;
                write!(line, "{} [{seconds:12.3}] {}: ", Clock.wall(), level.0)
            }
            LogForm::Journal => write!(line, "<{}>", level.1),
            LogForm::Syslog => {
                write!(line, "<{}>twobox[{}]: ", DAEMON * 8 + level.1, std::process::id())
            }
            LogForm::Syslog5424 => self.head(level.1, record.target(), &mut line),
        };
        if !record.target().starts_with("supervisor") && !record.target().contains("::") {
            let _ = write!(line, "{}: ", record.target());
        }
        let text = plain(&record.args().to_string());
        if self.form == LogForm::Syslog5424 && !text.is_ascii() {
            // Or else it could be anything (section 6.4).
            line.push('\u{feff}');
        }
        line + &text
    }
}

impl Logger {
    /// The head of a line as RFC 5424 section 6 has it, with the elements of structured data that it knows itself (7.2
    /// and 7.3): by their numbers a collector sees which lines are missing.
    fn head(&self, severity: u8, target: &str, line: &mut String) -> fmt::Result {
        let number = self.number.fetch_add(1, Ordering::Relaxed) % 0x7fff_ffff + 1;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let host: String = host.chars().filter(char::is_ascii_graphic).collect();
        let host = if host.is_empty() { "-" } else { &host };
        let what = target.rsplit("::").next().unwrap_or("-");
        let (priority, pid) = (DAEMON * 8 + severity, std::process::id());
        write!(line, "<{priority}>1 {} {host} twobox {pid} {what} ", Clock.wall())?;
        let up = Clock.now().as_micros() / 10_000;
        write!(line, "[meta sequenceId=\"{number}\" sysUpTime=\"{up}\"]")?;
        write!(line, "[origin software=\"twobox\" swVersion=\"{}\"] ", env!("CARGO_PKG_VERSION"))
    }
}

fn write_all(form: LogForm, lines: &Receiver<LogLine>) {
    let mut syslog = None;
    while let Ok(line) = lines.recv() {
        match line {
            LogLine::Text(line) if matches!(form, LogForm::Syslog | LogForm::Syslog5424) => {
                to_syslog(&mut syslog, &line);
            }
            // There is nowhere to say that standard error is gone.
            LogLine::Text(line) => drop(writeln!(io::stderr(), "{line}")),
            LogLine::Flush(written) => drop(written.try_send(())),
        }
    }
}

/// Sends a line the way `syslog(3)` does: in RFC 3164 without time and host, which the receiver adds, or in RFC 5424.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_people_has_the_time_of_day() {
        let (queue, _lines) = sync_channel(1);
        let logger = Logger::new(LogForm::Console, queue, Hooks::default());
        let mut record = Record::builder();
        record.level(Level::Warn).target("supervisor::run");
        let line = logger.line(&record.args(format_args!("late")).build());
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(board::time::clock::Wall::read(time).is_some(), "{line}");
        assert!(rest.starts_with('[') && rest.ends_with("] warning: late"), "{line}");
    }

    #[test]
    fn a_line_of_rfc_5424_has_every_field() {
        let (queue, _lines) = sync_channel(1);
        let logger = Logger::new(LogForm::Syslog5424, queue, Hooks::default());
        let line = |text: &str| {
            let mut record = Record::builder();
            record.level(Level::Warn).target("supervisor::workers::fencing");
            logger.line(&record.args(format_args!("{text}")).build())
        };
        let first = line("the device\nfails");
        let fields: Vec<_> = first.splitn(7, ' ').collect();
        assert_eq!((fields[0], fields[3], fields[5]), ("<28>1", "twobox", "fencing"));
        assert_eq!(fields[4], std::process::id().to_string());
        assert!(fields[1].ends_with('Z') && fields[1].len() == 20, "{first}");
        assert!(fields[6].starts_with("[meta sequenceId=\"1\" sysUpTime=\""), "{first}");
        assert!(first.ends_with("\"] the device fails"), "{first}");
        let second = line("gerät");
        assert!(second.contains("sequenceId=\"2\""), "{second}");
        assert!(second.ends_with("\"] \u{feff}gerät"), "{second}");
    }
}
