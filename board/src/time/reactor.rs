//! Waits for the links and for the time, on the thread of who wants to know.
//!
//! The reactor of smol has a thread of its own, so each event that it sees wakes two. That is well for what is
//! rare; with heartbeats an idle box would cost about twice as much (`tests/bench.md`), and hand each frame from
//! thread to thread.
//!
//! A heartbeat comes by every link, and its copies come within a moment. The link that brings it first is heard at
//! once, now and in that moment; the others are heard together when it is over, with one wake-up and not with one
//! each. What is no heartbeat of the peer makes no moment: nobody's noise keeps another link waiting.

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
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use smol::LocalExecutor;
use smol::future::{or, yield_now};

/// What is watched on one thread, and who waits for it (`epoll(7)`).
pub struct Reactor {
    epoll: OwnedFd,
    bell: Arc<Bell>,
    watched: RefCell<BTreeMap<u64, Rc<Waiter<dyn AsFd>>>>,
    /// How many were watched so far.
    number: Cell<u64>,
    /// Which of the copies has spoken first, in the moment that is.
    first: Cell<Option<u64>>,
    /// Ends the moment.
    timer: OwnedFd,
    window: Itimerspec,
}

/// Who waits for one thing.
struct Waiter<T: ?Sized> {
    /// Whether others say the same.
    redundant: bool,
    /// The kernel is to tell of it, once; or the end of the moment is.
    asked: Cell<bool>,
    seen: Cell<bool>,
    /// What comes by it until it waits again came in the moment before.
    late: Cell<bool>,
    who: RefCell<Option<Waker>>,
    it: T,
}

impl<T: ?Sized> Waiter<T> {
    fn is_seen(&self) {
        self.asked.set(false);
        self.seen.set(true);
        if let Some(who) = self.who.take() {
            who.wake();
        }
    }
}

impl Reactor {
    /// One that watches nothing.
    ///
    /// # Errors
    ///
    /// When there are no files left.
    pub fn new() -> io::Result<Rc<Self>> {
        Self::with(MOMENT)
    }

    fn with(window: Duration) -> io::Result<Rc<Self>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            wire: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        epoll::add(
            &epoll,
            &bell.wire,
            EventData::new_u64(WAKER_KEY),
            EventFlags::IN | EventFlags::ET,
        )?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER_KEY), EventFlags::IN | EventFlags::ET)?;
        let it_value = window.try_into().map_err(io::Error::other)?;
        let window = Itimerspec { it_interval: ZERO, it_value };
        let (watched, number, first) = (RefCell::default(), Cell::new(TIMER_KEY), Cell::default());
        Ok(Rc::new(Self { epoll, bell, watched, number, first, timer, window }))
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

    /// Runs `future`, and the tasks of `executor` beside it. However much these have to do, what is watched is seen
    /// after a few of their turns: the executor alone would look after two hundred.
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

    /// Sees what there is to see, and waits for it unless it was woken.
    fn look(&self) -> io::Result<()> {
        let mut room = [MaybeUninit::uninit(); AT_ONCE];
        // In this order: who rings after the look at the bell finds a sleeper.
        self.bell.asleep.store(true, Ordering::SeqCst);
        let time = self.bell.rung.load(Ordering::SeqCst).then_some(ZERO);
        let seen = epoll::wait(&self.epoll, &mut room, time.as_ref());
        self.bell.asleep.store(false, Ordering::SeqCst);
        let seen = match seen {
            Ok((seen, _)) => seen,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in seen {
            let number = event.data.u64();
            if number == TIMER_KEY {
                self.release();
            }
            // The bell only had to end the wait, and what is not watched any more interests nobody.
            let waiting = self.watched.borrow().get(&number).cloned();
            let Some(waiting) = waiting else { continue };
            waiting.is_seen();
        }
        Ok(())
    }

    /// While the moment lasts, no copy but the `first` wakes anybody.
    fn hold_others(&self, first: u64) {
        let others = self.waited_for_but(Some(first));
        let flags = TimerfdTimerFlags::empty();
        if others.is_empty() || timerfd_settime(&self.timer, flags, &self.window).is_err() {
            return;
        }
        self.first.set(Some(first));
        for (number, other) in others {
            let _ = epoll::modify(&self.epoll, &other.it, EventData::new_u64(number), DISARMED);
        }
    }

    /// The moment is over: a link that waits for another copy may look.
    fn release(&self) {
        for (_, other) in self.waited_for_but(self.first.take()) {
            other.late.set(true);
            other.is_seen();
        }
    }

    /// The copies that somebody waits for, without the `first`.
    fn waited_for_but(&self, first: Option<u64>) -> Vec<(u64, Rc<Waiter<dyn AsFd>>)> {
        let watched = self.watched.borrow();
        let others = watched
            .iter()
            .filter(|(number, it)| it.redundant && Some(**number) != first && it.asked.get());
        others.map(|(number, it)| (*number, it.clone())).collect()
    }

    /// Whether this copy is one of those that are not to wake anybody now.
    fn hushes(&self, number: u64, it: &Waiter<impl AsFd>) -> bool {
        it.redundant && self.first.get().is_some_and(|first| first != number)
    }
}

/// Something of which the kernel says when there is something to read.
pub struct EventSource<T: AsFd> {
    lookout: Rc<Reactor>,
    number: u64,
    waiting: Rc<Waiter<T>>,
}

impl<T: AsFd + 'static> EventSource<T> {
    /// Watches `it` from now on.
    ///
    /// # Errors
    ///
    /// When it is nothing that can be waited for, or memory is short.
    pub fn new(lookout: &Rc<Reactor>, it: T) -> io::Result<Self> {
        Self::add(lookout, it, false)
    }

    /// Watches one of several that say the same at about the same time, from now on.
    ///
    /// # Errors
    ///
    /// When it is nothing that can be waited for, or memory is short.
    pub fn redundant(lookout: &Rc<Reactor>, it: T) -> io::Result<Self> {
        Self::add(lookout, it, true)
    }

    fn add(lookout: &Rc<Reactor>, it: T, redundant: bool) -> io::Result<Self> {
        let number = lookout.number.get() + 1;
        // Nobody waits yet.
        epoll::add(&lookout.epoll, &it, EventData::new_u64(number), DISARMED)?;
        lookout.number.set(number);
        let (asked, seen, late, who) = Default::default();
        let waiting = Rc::new(Waiter { redundant, asked, seen, late, who, it });
        lookout.watched.borrow_mut().insert(number, waiting.clone());
        Ok(Self { lookout: lookout.clone(), number, waiting })
    }
}

impl<T: AsFd> EventSource<T> {
    /// The thing.
    pub fn get_ref(&self) -> &T {
        &self.waiting.it
    }

    /// What the others are copies of has come by this one: it and no other is heard in the moment that begins, if
    /// none has.
    pub fn heartbeat_received(&self) {
        if self.lookout.first.get().is_none() && !self.waiting.late.get() {
            self.lookout.hold_others(self.number);
        }
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
            self.waiting.late.set(false);
            let mut who = self.waiting.who.borrow_mut();
            if who.as_ref().is_none_or(|who| !who.will_wake(context.waker())) {
                *who = Some(context.waker().clone());
            }
            if !self.waiting.asked.replace(true) && !self.lookout.hushes(self.number, &self.waiting)
            {
                let (data, flags) =
                    (EventData::new_u64(self.number), EventFlags::IN | EventFlags::ONESHOT);
                if let Err(error) = epoll::modify(&self.lookout.epoll, self.get_ref(), data, flags)
                {
                    self.waiting.asked.set(false);
                    return Poll::Ready(Err(error.into()));
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl<T: AsFd> Drop for EventSource<T> {
    fn drop(&mut self) {
        // Closing it would not be enough where somebody else has it open too.
        let _ = epoll::delete(&self.lookout.epoll, self.get_ref());
        self.lookout.watched.borrow_mut().remove(&self.number);
    }
}

/// Wakes the thread, from any thread.
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

const ZERO: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// No thing that is watched has one of these numbers.
const WAKER_KEY: u64 = 0;
const TIMER_KEY: u64 = 1;

/// Nobody is woken.
const DISARMED: EventFlags = EventFlags::ONESHOT;

/// What the longest frame takes on a serial cable of 115,200 baud, the slowest of the usual links, and a little for
/// its UART.
const MOMENT: Duration = Duration::from_millis(7);

/// A pair rarely sees more at once; what is left is seen the next time.
const AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::{Duration, Instant};

    use smol::Timer;
    use smol::channel::bounded;

    use super::*;

    #[test]
    fn what_is_watched_is_seen_each_time_there_is_something_new() {
        let lookout = Reactor::new().unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let watched = EventSource::new(&lookout, near).unwrap();
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
    fn the_first_copy_is_heard_at_once_and_the_others_when_the_moment_is_over() {
        let lookout = Reactor::with(MOMENT_TRIED).unwrap();
        let lines = [(); 3].map(|()| {
            let (near, far) = UnixStream::pair().unwrap();
            near.set_nonblocking(true).unwrap();
            (EventSource::redundant(&lookout, near).unwrap(), far)
        });
        let executor = LocalExecutor::new();
        let (say_heard, heard) = bounded(8);
        let (lines, far): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
        let listeners: Vec<_> = lines
            .into_iter()
            .map(|line| {
                let say_heard = say_heard.clone();
                executor.spawn(async move {
                    let mut room = [0; 1];
                    loop {
                        match rustix::io::read(line.get_ref(), &mut room) {
                            Ok(_) => {
                                if room[0] != NOISE {
                                    line.heartbeat_received();
                                }
                                say_heard.send(room[0]).await.unwrap();
                            }
                            Err(_) => line.readable().await.unwrap(),
                        }
                    }
                })
            })
            .collect();
        let say = |line: usize, word| assert_eq!(rustix::io::write(&far[line], &[word]), Ok(1));
        lookout.run(&executor, async {
            // The task that is first this time is not the next time.
            for (first, others) in [(0, [1, 2]), (2, [0, 1])] {
                // Everybody waits by then.
                Timer::after(Duration::from_millis(20)).await;
                say(first, 1);
                assert_eq!(heard.recv().await, Ok(1));
                for other in others {
                    say(other, 3);
                }
                Timer::after(Duration::from_millis(20)).await;
                say(first, 2);
                let mut all = Vec::new();
                while all.len() < 3 {
                    all.push(heard.recv().await.unwrap());
                }
                assert_eq!(all, [2, 3, 3], "the first waited, or another did not");
                assert_eq!(lookout.first.get(), None, "what was late begins another moment");
            }
            // Noise is no word.
            let begun = Instant::now();
            for line in [0, 1, 2] {
                say(line, NOISE);
                assert_eq!(heard.recv().await, Ok(NOISE));
            }
            assert!(begun.elapsed() < MOMENT_TRIED, "one waited for the noise of another");
        });
        drop(listeners);
    }

    #[test]
    fn who_is_alone_makes_no_moment() {
        let lookout = Reactor::new().unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        let watched = EventSource::redundant(&lookout, near).unwrap();
        rustix::io::write(&far, b"?").unwrap();
        lookout.block_on(watched.readable()).unwrap();
        watched.heartbeat_received();
        assert_eq!(lookout.first.get(), None);
    }

    #[test]
    fn a_task_that_is_woken_from_another_thread_runs() {
        let lookout = Reactor::new().unwrap();
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
        let lookout = Reactor::new().unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        let watched = EventSource::new(&lookout, near).unwrap();
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
        let lookout = Reactor::new().unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        // Who has it open as well keeps the kernel watching it.
        let again = near.try_clone().unwrap();
        drop(EventSource::new(&lookout, near).unwrap());
        rustix::io::write(&far, b"?").unwrap();
        let watched = EventSource::new(&lookout, far).unwrap();
        let seen = or(watched.readable(), async {
            yield_now().await;
            Ok(())
        });
        lookout.block_on(seen).unwrap();
        assert!(!watched.waiting.seen.get() && lookout.watched.borrow().len() == 1);
        drop(again);
    }

    const NOISE: u8 = 4;

    /// Long enough for a thread to have its turns on a busy machine.
    const MOMENT_TRIED: Duration = Duration::from_millis(1_200);
}
