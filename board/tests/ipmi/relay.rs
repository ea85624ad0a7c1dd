//! A relay in front of a BMC, that counts what passes and can lose, repeat, hold up and forge.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What becomes of an answer: the datagrams that arrive instead of it.
type ConfigOutcome = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>> + Send>;

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    questions: Arc<AtomicUsize>,
    fate: Arc<Mutex<ConfigOutcome>>,
}

impl Relay {
    pub(crate) fn new(bmc: SocketAddr) -> Self {
        let front = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let same = front.try_clone().unwrap();
        Self::answering_by(bmc, front, same)
    }

    /// One whose answers come from another address than the questions went to.
    pub(crate) fn strange(bmc: SocketAddr) -> Self {
        let front = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        Self::answering_by(bmc, front, UdpSocket::bind(("127.0.0.1", 0)).unwrap())
    }

    fn answering_by(bmc: SocketAddr, front: UdpSocket, to_asker: UdpSocket) -> Self {
        let back = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        back.connect(bmc).unwrap();
        let address = front.local_addr().unwrap();
        let questions = Arc::new(AtomicUsize::new(0));
        let fate: Arc<Mutex<ConfigOutcome>> =
            Arc::new(Mutex::new(Box::new(|answer: &[u8]| vec![answer.to_vec()])));
        let asker = Arc::new(Mutex::new(None));
        let (count, whom, answers) = (questions.clone(), asker.clone(), back.try_clone().unwrap());
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = front.recv_from(&mut buffer) {
                *whom.lock().unwrap() = Some(from);
                count.fetch_add(1, Ordering::Relaxed);
                let _ = back.send(&buffer[..length]);
            }
        });
        let decide = fate.clone();
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            loop {
                // A refused datagram is told here, and is no end.
                let Ok(length) = answers.recv(&mut buffer) else { continue };
                let Some(asker) = *asker.lock().unwrap() else { continue };
                let arrives = (decide.lock().unwrap())(&buffer[..length]);
                for datagram in arrives {
                    let _ = to_asker.send_to(&datagram, asker);
                }
            }
        });
        Self { address, questions, fate }
    }

    /// How many datagrams went to the BMC.
    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }

    /// What becomes of answers from now on.
    pub(crate) fn set(&self, fate: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) {
        *self.fate.lock().unwrap() = Box::new(fate);
    }
}
