//! The program under test, and moments in its life that are held open.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::yield_now;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use testkit::{Deployment, Generations, TIMEOUT, Wire, field, is_in_mask};

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_graceful-upgrade");

/// Starts the program on one free port.
pub(crate) fn start(more: &[&str]) -> Generations {
    Generations::start(Command::new(BINARY).args(["--listen", "127.0.0.1:0"]).args(more), 1)
}

/// The body of one answer, over a connection of its own.
pub(crate) fn get(address: &str, path: &str) -> String {
    Wire::connect(address).ask(path).text()
}

/// A place with the program in it.
pub(crate) fn deployment() -> Deployment {
    Deployment::of(BINARY)
}

/// A connection whose request keeps its generation until `rest.` is sent.
pub(crate) fn hold(address: &str) -> Wire {
    let mut wire = Wire::connect(address);
    wire.send("POST /echo HTTP/1.1\r\nhost: lab\r\ncontent-length: 10\r\n\r\nfirst");
    wire.wait_for("first");
    wire
}

/// The children of a process, living and dead.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    let of = |task: std::io::Result<fs::DirEntry>| fs::read_to_string(task.ok()?.path().join("children")).ok();
    let children: String = tasks.filter_map(of).collect();
    children.split_whitespace().map(|child| Pid::from_raw(child.parse().expect("a pid is a number"))).collect()
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: this did not come about");
        yield_now();
    }
}

/// Waits until no process listens any more.
#[track_caller]
pub(crate) fn await_refusal(address: &str) {
    wait_until("the address refuses connections", || Wire::try_connect(address).is_err());
}

/// Stops a process, so that it neither accepts nor answers nor receives anything until it is thawed.
pub(crate) fn freeze(pid: Pid) {
    kill(pid, Signal::SIGSTOP).expect("the process is there");
    wait_until("the process is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    });
}

pub(crate) fn thaw(pid: Pid) {
    kill(pid, Signal::SIGCONT).expect("the process is there");
}

/// A program that says `started`, and becomes the real one when its gate is opened.
pub(crate) struct Gate(PathBuf);

impl Gate {
    /// Puts it in the place of the program; `more` are arguments for the real one.
    pub(crate) fn put_into(deployment: &Deployment, more: &str) -> Gate {
        let gate = deployment.path().join("gate");
        mkfifo(&gate, Mode::S_IRWXU).expect("our own directory");
        // To open a pipe for reading is to wait until it is open for writing (fifo(7)).
        let script = format!("echo started >&2; : < '{}'; exec '{BINARY}' \"$@\" {more}", gate.display());
        deployment.put_script(&script);
        Gate(gate)
    }

    pub(crate) fn open(&self) {
        fs::OpenOptions::new().write(true).open(&self.0).expect("the program waits at the gate");
    }
}

/// A server that is frozen between its successor's *ready* and its own answer to it, and the successor.
pub(crate) fn frozen_in_an_upgrade(deployment: &Deployment, more: &[&str]) -> (Generations, Pid) {
    let mut server = deployment.start(more);
    let gate = Gate::put_into(deployment, "");
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    let line = server.program.line("upgrading");
    let successor = field(&line, "successor").and_then(|pid| pid.parse().ok()).map(Pid::from_raw);
    let successor = successor.expect("the line names the process that was started");
    freeze(server.serving);
    gate.open();
    // It hears signals before it says that it is ready, and does nothing from then on but wait for its turn.
    wait_until("the successor waits for its turn", || {
        is_in_mask(successor, "SigCgt", Signal::SIGUSR2) && waits(successor)
    });
    (server, successor)
}

/// Whether no thread of a process has anything to do.
fn waits(pid: Pid) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    let mut states = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    // The first thread comes to its runtime after it has said that it is ready.
    states.all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S')))
}

/// The unix socket at this path, as an address.
pub(crate) fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}
