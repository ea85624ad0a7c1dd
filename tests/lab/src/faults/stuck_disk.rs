//! Acts as a disk that has died, or as one that takes its time.
//!
//! A file system whose server never answers, or answers late (`fuse(4)`), mounted over a file: a process that uses
//! the file waits, and can only be killed.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount};

/// Puts one that never answers over the file at `path`, for as long as what this returns is held. The mount is one
/// of the calling thread's.
///
/// # Errors
///
/// When there is no `/dev/fuse`, or it is not ours to open.
pub(crate) fn put_over(path: &Path) -> io::Result<OwnedFd> {
    let server = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| {
            let kind = io::Error::from(error).kind();
            io::Error::new(kind, format!("/dev/fuse: {error}: load the driver (modprobe fuse)"))
        })?;
    // A file and no folder, of root's, that root may read and write.
    let options = format!("fd={},rootmode=100600,user_id=0,group_id=0", server.as_raw_fd());
    let options = CString::new(options)?;
    mount("stuck", path, "fuse", MountFlags::NOSUID | MountFlags::NODEV, Some(&*options))?;
    Ok(server)
}

/// Does that until this process is killed.
///
/// # Errors
///
/// As [`put_over`].
pub(crate) fn hold_up(file: &str) -> io::Result<()> {
    let _server = put_over(Path::new(file))?;
    loop {
        std::thread::park();
    }
}

/// A file that can be opened at once, and whose content comes when it is told to. It ends with this.
#[derive(Debug)]
pub(crate) struct Late {
    asked: Receiver<()>,
    go: Sender<()>,
}

impl Late {
    /// Serves `content` in the place of the file behind `server`, which [`put_over`] has put there.
    pub(crate) fn serve(server: OwnedFd, content: String) -> Self {
        let (tell, asked) = channel();
        let (go, told) = channel();
        std::thread::spawn(move || serve(&server, content.as_bytes(), &tell, &told));
        Self { asked, go }
    }

    /// Waits until somebody reads it, and tells whether somebody does.
    pub(crate) fn is_read(&self, patience: Duration) -> bool {
        self.asked.recv_timeout(patience) != Err(RecvTimeoutError::Timeout)
    }

    /// Lets the content come.
    pub(crate) fn go_on(&self) {
        // Once for each time that it is read.
        let _ = self.go.send(()).and_then(|()| self.go.send(()));
    }
}

/// Answers until the file system is gone.
fn serve(server: &OwnedFd, content: &[u8], tell: &Sender<()>, told: &Receiver<()>) {
    let mut request = vec![0; REQUEST_MAX];
    while let Ok(length) = rustix::io::read(server, &mut request) {
        let Some(request) = Request::read(&request[..length]) else { return };
        let answer = match request.opcode {
            INIT => Some(init()),
            GETATTR => Some(attributes(content.len() as u64)),
            // By no cache of the kernel: a word for it, and a flag.
            OPEN => Some([1_u64.to_ne_bytes(), 1_u64.to_ne_bytes()].concat()),
            READ => {
                let _ = tell.send(());
                if told.recv().is_err() {
                    return;
                }
                Some(content.get(request.offset..).unwrap_or_default().to_vec())
            }
            RELEASE | FLUSH => Some(Vec::new()),
            // Nobody waits for an answer to it.
            FORGET => continue,
            _ => None,
        };
        let error = if answer.is_some() { 0 } else { -libc::ENOSYS };
        let body = answer.unwrap_or_default();
        let length = HEADER_OUT + body.len() as u32;
        let head = [length.to_ne_bytes(), error.to_ne_bytes()].concat();
        let answer = [&head, request.unique.to_ne_bytes().as_slice(), &body].concat();
        if rustix::io::write(server, &answer).is_err() {
            return;
        }
    }
}

/// What the kernel asks (`struct fuse_in_header` of `linux/fuse.h`).
struct Request {
    opcode: u32,
    unique: u64,
    /// Of what is to be read.
    offset: usize,
}

impl Request {
    fn read(bytes: &[u8]) -> Option<Self> {
        let opcode = u32::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        let unique = u64::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
        let offset = bytes.get(HEADER_IN + 8..).and_then(|rest| rest.first_chunk::<8>());
        let offset = offset.map_or(0, |offset| u64::from_ne_bytes(*offset) as usize);
        Some(Self { opcode, unique, offset })
    }
}

/// `struct fuse_init_out`: this version, and nothing that is optional.
fn init() -> Vec<u8> {
    let mut answer: Vec<u8> = [7_u32, 31, 0, 0, 0, 4096, 1].map(u32::to_ne_bytes).concat();
    answer.resize(64, 0);
    answer
}

/// `struct fuse_attr_out`: a file of root's.
fn attributes(size: u64) -> Vec<u8> {
    let times = [0_u64, 0, 1, size, 1, 0, 0, 0].map(u64::to_ne_bytes).concat();
    // No fractions of the times; mode, links, user, group, device, length of a block, flags.
    let rest = [0_u32, 0, 0, 0o100_600, 1, 0, 0, 0, 4096, 0].map(u32::to_ne_bytes).concat();
    [times, rest].concat()
}

const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;

const HEADER_IN: usize = 40;
const HEADER_OUT: u32 = 16;

/// The least that the kernel wants room for (`FUSE_MIN_READ_BUFFER`).
const REQUEST_MAX: usize = 8192;
