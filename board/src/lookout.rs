//! Waits for the links and for the time, on the thread of who wants to know.
//!
//! The reactor of smol has a thread of its own, so whatever it sees wakes two. That is well for what is rare; with
//! heartbeats an idle box would cost about twice as much (`tests/bench.md`), and hand each frame from thread to thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use smol::LocalExecutor;
use smol::future::{or, yield_now};

/// What is watched on one thread, and who waits for it (`epoll(7)`).
pub struct Lookout {
    epoll: OwnedFd,
    bell: Arc<Bell>,
    watched: RefCell<BTreeMap<u64, Rc<Waiting>>>,
    /// How many were watched so far.
    number: Cell<u64>,
}

/// Who waits for one thing.
#[derive(Default)]
struct Waiting {
    /// The kernel is to tell of it, once.
    asked: Cell<bool>,
    seen: Cell<bool>,
    who: RefCell<Option<Waker>>,
}

impl Lookout {
    /// One that watches nothing.
    ///
    /// # Errors
    ///
    /// When there are no files left.
    pub fn new() -> io::Result<Rc<Self>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            wire: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        epoll::add(&epoll, &bell.wire, EventData::new_u64(BELL), EventFlags::IN | EventFlags::ET)?;
        let (watched, number) = (RefCell::default(), Cell::new(BELL));
        Ok(Rc::new(Self { epoll, bell, watched, number }))
    }

    /// Runs `future` on this thread, and sees meanwhile what is watched.
    ///
    /// # Panics
    ///
    /// When the kernel does not wait as it always does.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let waker = Waker::from(self.bell.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            // What was done before it rang is seen by what is done now.
            self.bell.rung.swap(false, Ordering::SeqCst);
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return done;
            }
            // Once at least: nothing that is watched may wait for ever because there is always something to do.
            loop {
                self.look().expect("what is watched can be waited for");
                if self.bell.rung.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
    }

    /// Runs `future`, and the tasks of `executor` beside it. However much these have to do, what is watched is seen after a few
    /// of their turns: the executor alone would look after two hundred.
    pub fn run<T>(&self, executor: &LocalExecutor<'_>, future: impl Future<Output = T>) -> T {
        let tasks = async {
            loop {
                executor.tick().await;
                if (1..TURNS).all(|_| executor.try_tick()) {
                    yield_now().await;
                }
            }
        };
        self.block_on(or(future, tasks))
    }

    /// Sees what there is to see, and waits for it unless the bell has rung.
    fn look(&self) -> io::Result<()> {
        let mut room = [MaybeUninit::uninit(); AT_ONCE];
        // In this order: who rings after the look at the bell finds a sleeper.
        self.bell.asleep.store(true, Ordering::SeqCst);
        let time = self.bell.rung.load(Ordering::SeqCst).then_some(NOT_AT_ALL);
        let seen = epoll::wait(&self.epoll, &mut room, time.as_ref());
        self.bell.asleep.store(false, Ordering::SeqCst);
        let seen = match seen {
            Ok((seen, _)) => seen,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in seen {
            // The bell only had to end the wait, and what is not watched any more interests nobody.
            let waiting = self.watched.borrow().get(&event.data.u64()).cloned();
            let Some(waiting) = waiting else { continue };
            waiting.asked.set(false);
            waiting.seen.set(true);
            if let Some(who) = waiting.who.take() {
                who.wake();
            }
        }
        Ok(())
    }
}

/// Something of which the kernel says when there is something to read.
pub struct Watched<T: AsFd> {
    lookout: Rc<Lookout>,
    number: u64,
    waiting: Rc<Waiting>,
    it: T,
}

impl<T: AsFd> Watched<T> {
    /// Watches `it` from now on.
    ///
    /// # Errors
    ///
    /// When it is nothing that can be waited for, or memory is short.
    pub fn new(lookout: &Rc<Lookout>, it: T) -> io::Result<Self> {
        let number = lookout.number.get() + 1;
        // Nobody waits yet.
        epoll::add(&lookout.epoll, &it, EventData::new_u64(number), EventFlags::ONESHOT)?;
        lookout.number.set(number);
        let waiting = Rc::new(Waiting::default());
        lookout.watched.borrow_mut().insert(number, waiting.clone());
        Ok(Self { lookout: lookout.clone(), number, waiting, it })
    }

    /// The thing.
    pub const fn get_ref(&self) -> &T {
        &self.it
    }

    /// Waits until there is something to read, or an error to be met. While nobody waits, nobody is woken.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| {
            if self.waiting.seen.take() {
                return Poll::Ready(Ok(()));
            }
            let mut who = self.waiting.who.borrow_mut();
            if who.as_ref().is_none_or(|who| !who.will_wake(context.waker())) {
                *who = Some(context.waker().clone());
            }
            if !self.waiting.asked.replace(true) {
                let (data, flags) =
                    (EventData::new_u64(self.number), EventFlags::IN | EventFlags::ONESHOT);
                if let Err(error) = epoll::modify(&self.lookout.epoll, &self.it, data, flags) {
                    self.waiting.asked.set(false);
                    return Poll::Ready(Err(error.into()));
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl<T: AsFd> Drop for Watched<T> {
    fn drop(&mut self) {
        // Closing it would not be enough where somebody else has it open too.
        let _ = epoll::delete(&self.lookout.epoll, &self.it);
        self.lookout.watched.borrow_mut().remove(&self.number);
    }
}

/// Wakes the thread, from whichever thread.
struct Bell {
    rung: AtomicBool,
    asleep: AtomicBool,
    wire: OwnedFd,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::SeqCst) && self.asleep.load(Ordering::SeqCst) {
            // Nobody reads it: each write is seen once, and it has room for all that will ever come.
            let _ = rustix::io::write(&self.wire, &1_u64.to_ne_bytes());
        }
    }
}

/// What a flood on every link does in a small part of a millisecond.
const TURNS: u32 = 16;

const NOT_AT_ALL: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// No thing that is watched has this number.
const BELL: u64 = 0;

/// A pair rarely sees more at once; what is left is seen the next time.
const AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    use smol::channel::bounded;

    use super::*;

    #[test]
    fn what_is_watched_is_seen_each_time_there_is_something_new() {
        let lookout = Lookout::new().unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let watched = Watched::new(&lookout, near).unwrap();
        let says = thread::spawn(move || {
            for byte in 0..50 {
                thread::sleep(Duration::from_millis(1));
                rustix::io::write(&far, &[byte]).unwrap();
            }
        });
        let heard = lookout.block_on(async {
            let (mut heard, mut room) = (Vec::new(), [0; 1]);
            loop {
                match rustix::io::read(watched.get_ref(), &mut room) {
                    Ok(0) => break heard,
                    Ok(_) => heard.extend(room),
                    Err(error) => {
                        assert_eq!(error, Errno::AGAIN);
                        watched.readable().await.unwrap();
                    }
                }
            }
        });
        says.join().unwrap();
        assert!(heard.into_iter().eq(0..50), "one was not seen, or seen twice");
    }

    #[test]
    fn whoever_is_woken_from_another_thread_runs() {
        let lookout = Lookout::new().unwrap();
        let (ask, asked) = bounded(1);
        let (answer, answered) = bounded(1);
        let other = thread::spawn(move || {
            while let Ok(number) = asked.recv_blocking() {
                answer.send_blocking(number + 1).unwrap();
            }
        });
        let mut number = 0_u32;
        lookout.block_on(async {
            for _ in 0..10_000 {
                ask.send(number).await.unwrap();
                number = answered.recv().await.unwrap();
            }
        });
        drop(ask);
        other.join().unwrap();
        assert_eq!(number, 10_000);
    }

    #[test]
    fn what_is_watched_waits_for_nobody_who_always_has_something_to_do() {
        let lookout = Lookout::new().unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        let watched = Watched::new(&lookout, near).unwrap();
        let executor = LocalExecutor::new();
        let busy = executor.spawn(async {
            loop {
                yield_now().await;
            }
        });
        drop(far);
        lookout.run(&executor, watched.readable()).unwrap();
        drop(busy);
    }

    #[test]
    fn what_is_not_watched_any_more_wakes_nobody() {
        let lookout = Lookout::new().unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        // Who has it open as well keeps the kernel watching it.
        let again = near.try_clone().unwrap();
        drop(Watched::new(&lookout, near).unwrap());
        rustix::io::write(&far, b"?").unwrap();
        let watched = Watched::new(&lookout, far).unwrap();
        let seen = or(watched.readable(), async {
            yield_now().await;
            Ok(())
        });
        lookout.block_on(seen).unwrap();
        assert!(!watched.waiting.seen.get() && lookout.watched.borrow().len() == 1);
        drop(again);
    }
}
