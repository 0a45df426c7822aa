//! Moments in the life of a process, held open for as long as a test needs them.
//!
//! The invariant: no test sleeps to catch a moment. It stops a process, keeps one behind a gate, or holds a request under way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::thread::yield_now;
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::{TIMEOUT, Wire, require};

/// Waits until `is_so` is true.
///
/// # Panics
/// If it is not within [`TIMEOUT`].
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "this did not happen within {TIMEOUT:?}: {what}");
        yield_now();
    }
}

/// Waits until no process listens at an address: one that has ended may not have closed its listener yet.
///
/// # Panics
/// If one still listens after [`TIMEOUT`].
#[track_caller]
pub fn await_refusal(address: &str) {
    // Not any error: where no process accepts, the queue fills up, and connections time out.
    let is_refused = |error: io::Error| matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound);
    wait_until(&format!("{address} refuses connections"), || Wire::try_connect(address).is_err_and(is_refused));
}

/// Stops a process (SIGSTOP), so that it neither accepts nor answers nor receives anything until it is thawed. The kernel
/// goes on accepting for it.
///
/// # Panics
/// If it is gone, or does not stop.
#[track_caller]
pub fn freeze(pid: Pid) {
    kill(pid, Signal::SIGSTOP).expect("the process is there");
    wait_until("the process is stopped", || is_stopped(pid));
}

/// Lets a process go on (SIGCONT).
///
/// # Panics
/// If it is gone.
pub fn thaw(pid: Pid) {
    kill(pid, Signal::SIGCONT).expect("the process is there");
}

/// Whether every thread of a process is stopped: they stop one by one.
///
/// # Panics
/// If it is gone.
#[must_use]
pub fn is_stopped(pid: Pid) -> bool {
    let states = thread_states(pid);
    !states.is_empty() && states.iter().all(|state| *state == 'T')
}

/// What each thread of a process does, as proc_pid_stat(5) says it: `S` sleeps, `T` is stopped.
fn thread_states(pid: Pid) -> Vec<char> {
    // The command's name comes first, in parentheses; it may hold parentheses, too.
    let state = |stat: String| stat.rsplit_once(") ")?.1.chars().next();
    threads(pid, "stat").into_iter().filter_map(state).collect()
}

/// Whether a process has started its multi-threaded tokio runtime, and all its threads sleep.
///
/// # Panics
/// If it is gone.
#[must_use]
pub fn sleeps_in_its_runtime(pid: Pid) -> bool {
    let has_runtime = threads(pid, "comm").iter().any(|name| name.starts_with("tokio"));
    has_runtime && thread_states(pid).iter().all(|state| *state == 'S')
}

/// The children of a process, living and dead. The kernel's list lacks a child while it changes hands between the
/// threads of its parent.
///
/// # Panics
/// If it is gone.
#[must_use]
pub fn children(pid: Pid) -> Vec<Pid> {
    let children = threads(pid, "children").concat();
    children.split_whitespace().map(|child| Pid::from_raw(child.parse().expect("a pid is a number"))).collect()
}

/// The children of a process, their children, and so on; without those that end meanwhile.
#[must_use]
pub fn descendants(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let lists: Vec<_> = lists.collect();
    let children = lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|child| child.parse().ok());
    children.map(Pid::from_raw).flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

/// A file of each thread of a process.
fn threads(pid: Pid, file: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join(file)).ok()).collect()
}

/// A connection whose request keeps its generation until [`let_go`] sends the rest of the body.
///
/// # Panics
/// If the server does not answer the first half.
#[must_use]
pub fn hold(address: &str) -> Wire {
    let mut wire = Wire::connect(address);
    wire.send("POST /echo HTTP/1.1\r\nhost: lab\r\ncontent-length: 10\r\n\r\nfirst");
    wire.wait_for("first");
    wire
}

/// Lets the request of [`hold`] come to its end, and returns the connection.
///
/// # Panics
/// If it is not answered.
#[expect(clippy::must_use_candidate, reason = "most tests are done with the connection then")]
#[track_caller]
pub fn let_go(mut held: Wire) -> Wire {
    held.send("rest.");
    assert_eq!(held.reply().text(), "firstrest.", "a request that was under way should be answered");
    held
}

/// What keeps a program from starting: see [`Deployment::put_gate`](crate::Deployment::put_gate).
#[derive(Debug)]
pub struct Gate(PathBuf);

impl Gate {
    pub(crate) fn at(path: PathBuf) -> Gate {
        mkfifo(&path, Mode::S_IRWXU).expect("our own directory");
        Gate(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Lets the program start.
    ///
    /// # Panics
    /// If there is no gate any more.
    pub fn open(&self) {
        OpenOptions::new().write(true).open(&self.0).expect("the program waits at the gate");
    }
}

/// What keeps an exec(2) from coming to its end: see [`Deployment::put_slow`](crate::Deployment::put_slow). Dropping it lets
/// the exec go on.
#[derive(Debug)]
pub struct Lease(#[expect(dead_code, reason = "held, and never used")] File);

/// Sets the signal that tells of the exec (asm-generic/fcntl.h; the crate libc lacks it). By default it is SIGIO, which
/// would end us; SIGURG does nothing, and does not even interrupt a system call.
const F_SETSIG: libc::c_int = 10;

impl Lease {
    pub(crate) fn of(program: &Path) -> Option<Lease> {
        let file = File::open(program).expect("the program is there");
        // SAFETY: fcntl(2) takes numbers here: an open descriptor, a command, and a signal or a kind of lease.
        let leased = unsafe {
            Errno::result(libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG))
                .and_then(|_| Errno::result(libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK)))
        };
        let missing = "this test needs leases (fcntl(2)): build on ext4, xfs, btrfs or tmpfs";
        require(leased.is_ok(), missing).then_some(Lease(file))
    }
}
