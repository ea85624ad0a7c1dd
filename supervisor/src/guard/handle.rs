//! The guard of this supervisor: there is always one.

use std::cell::RefCell;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use board::process::guard::LastFrame;
use board::thread::capabilities::Rights;
use board::thread::offload::aside;
use smol::io::AsyncReadExt;
use smol::{Async, LocalExecutor, Timer};

use crate::guard::GuardSpec;

/// Our end of the guard's line.
pub(crate) struct Guarded {
    line: Rc<RefCell<UnixStream>>,
    last: LastFrame,
}

impl Guarded {
    /// Starts a guard, and another one whenever it dies.
    ///
    /// # Errors
    ///
    /// When there can be none.
    pub(crate) fn start(brief: GuardSpec, executor: &LocalExecutor<'static>) -> io::Result<Self> {
        let last = LastFrame::new();
        let line = Rc::new(RefCell::new(start(&brief, &last)?));
        executor.spawn(replace(brief, last.clone(), line.clone())).detach();
        Ok(Self { line, last })
    }

    /// Keeps the last frame that was sent where the guard finds it.
    pub(crate) fn keep(&self, frame: &[u8]) {
        self.last.keep(frame);
    }

    /// Lets it go: nothing is left that it could have to stop.
    pub(crate) fn dismiss(&self) {
        // One that is dead just now is not needed any more either.
        let _ = self.line.borrow_mut().write_all(b".");
    }
}

/// Waits for the end of each guard, and starts the next: on a thread of its own, for that takes a busy machine its
/// time.
async fn replace(brief: GuardSpec, last: LastFrame, line: Rc<RefCell<UnixStream>>) {
    let (mut wanted, mut failed) = (false, false);
    loop {
        if !wanted {
            let watched = line.borrow().try_clone().and_then(Async::new);
            // One that cannot be watched for lack of a file lives, as far as anybody knows.
            if let Ok(mut watched) = watched {
                // It says nothing but that it is there.
                let _ = watched.read(&mut [0]).await;
                log::warn!("the guard of this supervisor has died: starting another");
                wanted = true;
            }
        }
        if wanted {
            let (told, last) = (brief.clone(), last.clone());
            let started = aside("guard", Rights::PROGRAMS, move || start(&told, &last)).await;
            match started.and_then(|started| started) {
                Ok(next) => {
                    line.replace(next);
                    (wanted, failed) = (false, false);
                }
                Err(error) if !failed => {
                    failed = true;
                    log::error!("{error}; trying again");
                }
                Err(_) => {}
            }
        }
        Timer::after(PAUSE).await;
    }
}

fn start(brief: &GuardSpec, last: &LastFrame) -> io::Result<UnixStream> {
    let try_it = || {
        let mut line = board::process::guard::start()?;
        line.set_write_timeout(Some(PATIENCE))?;
        last.hand_over(&line)?;
        brief.hand_over(&mut line)?;
        line.set_nonblocking(true)?;
        Ok(line)
    };
    try_it().map_err(|error: io::Error| {
        io::Error::new(error.kind(), format!("the guard of this supervisor cannot start: {error}"))
    })
}

/// It reads its brief as soon as it runs.
const PATIENCE: Duration = Duration::from_secs(5);

/// One that dies at once does not make us spin.
const PAUSE: Duration = Duration::from_secs(1);
