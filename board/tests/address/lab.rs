//! Two boxes, each a network namespace, and a cable between them.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use board::net::netlink::Netlink;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use rustix::thread::{gettid, move_into_link_name_space, unshare_unsafe};

/// Two namespaces, and `near0` in the one cabled to `far0` in the other.
pub(crate) struct Lab {
    pub(crate) near: Namespace,
    pub(crate) far: Namespace,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let lab = Self { near: Namespace::new(), far: Namespace::new() };
        lab.cable();
        lab
    }

    /// Plugs the cable in, and lays one if there is none.
    pub(crate) fn cable(&self) {
        if self.near.run(|| Netlink::open()?.interface("near0")).unwrap().is_none() {
            let far = format!("/proc/{}/ns/net", self.far.thread);
            self.near.ip(&format!("link add near0 type veth peer name far0 netns {far}"));
        }
        self.near.ip("link set near0 up");
        self.far.ip("link set far0 up");
        self.near.wait_for("link show near0", "LOWER_UP");
    }
}

/// A network namespace: a thread that lives in it, and does there what it is told.
pub(crate) struct Namespace {
    pub(crate) thread: i32,
    jobs: Sender<Box<dyn FnOnce() + Send>>,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let (jobs, work) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (told, thread) = mpsc::channel();
        thread::spawn(move || {
            // SAFETY: only the network namespace is left; the descriptors stay shared.
            #[allow(unsafe_code)]
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
                .expect("needs root, for a network namespace");
            told.send(gettid().as_raw_nonzero().get()).unwrap();
            for job in work {
                job();
            }
        });
        Self { thread: thread.recv().expect("needs root, for a network namespace"), jobs }
    }

    /// Runs `job` in the namespace, and fails where it fails.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, answered) = mpsc::channel();
        let job = move || drop(answer.send(job()));
        self.jobs.send(Box::new(job)).expect("the namespace lives as long as its jobs succeed");
        answered.recv().expect("a job has failed; it says why above")
    }

    /// Runs `job` in the namespace, on a thread of its own.
    pub(crate) fn beside(&self, job: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.thread)).unwrap();
        thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).unwrap();
            job();
        })
    }

    /// Runs `ip` with these words in the namespace.
    pub(crate) fn ip(&self, words: &str) -> String {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        self.run(move || {
            let output = Command::new("ip").args(&words).output().expect("needs iproute2");
            assert!(
                output.status.success(),
                "ip {words:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap()
        })
    }

    /// Waits until what `ip` says with these words contains `part`.
    pub(crate) fn wait_for(&self, words: &str, part: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let said = self.ip(words);
            if said.contains(part) {
                return;
            }
            assert!(Instant::now() < end, "ip {words}: no {part} in {said:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
