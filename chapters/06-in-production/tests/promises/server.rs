//! The program under test, and moments in its life that are held open.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::yield_now;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use testkit::{Deployment, Generations, TIMEOUT, Wire, is_in_mask};

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_graceful-demo");

/// The program, with these options and none from the environment.
pub(crate) fn command(program: impl AsRef<Path>, options: &[&str]) -> Command {
    let mut command = Command::new(program.as_ref());
    command.args(options);
    for variable in ["LISTEN", "DRAIN_TIMEOUT", "READY_TIMEOUT", "PID_FILE", "HANDOVER", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// Starts the program on one free port.
pub(crate) fn start(more: &[&str]) -> Generations {
    Generations::start(command(BINARY, &["--listen", "127.0.0.1:0"]).args(more), 1)
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

/// Lets the request of [`hold`] come to its end.
#[track_caller]
pub(crate) fn let_go(mut held: Wire) {
    held.send("rest.");
    assert_eq!(held.reply().text(), "firstrest.", "a request that was under way should be answered");
}

/// The children of a process, living and dead.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    let of = |task: std::io::Result<fs::DirEntry>| fs::read_to_string(task.ok()?.path().join("children")).ok();
    let children: String = tasks.filter_map(of).collect();
    children.split_whitespace().map(|child| Pid::from_raw(child.parse().expect("a pid is a number"))).collect()
}

/// The one child of a process. The kernel's list lacks one while that changes hands between the threads of its parent.
pub(crate) fn child(pid: Pid) -> Pid {
    wait_until("the process has one child", || children(pid).len() == 1);
    children(pid).first().copied().unwrap_or_else(|| child(pid))
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
    wait_until("the process is stopped", || is_stopped(pid));
}

pub(crate) fn is_stopped(pid: Pid) -> bool {
    state(Path::new(&format!("/proc/{pid}/stat"))) == Some('T')
}

pub(crate) fn thaw(pid: Pid) {
    kill(pid, Signal::SIGCONT).expect("the process is there");
}

fn state(stat: &Path) -> Option<char> {
    fs::read_to_string(stat).ok()?.rsplit_once(") ")?.1.chars().next()
}

/// A program that says `started`, and becomes the real one when its gate is opened.
pub(crate) struct Gate(PathBuf);

impl Gate {
    pub(crate) fn put_into(deployment: &Deployment) -> Gate {
        let gate = deployment.path().join("gate");
        mkfifo(&gate, Mode::S_IRWXU).expect("our own directory");
        // To open a pipe for reading is to wait until it is open for writing (fifo(7)).
        let script = format!("echo started >&2; : < '{}'; exec '{BINARY}' \"$@\"", gate.display());
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
    let gate = Gate::put_into(deployment);
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    let successor = child(server.serving);
    freeze(server.serving);
    gate.open();
    waits_for_its_turn(successor);
    (server, successor)
}

/// Waits until a successor has nothing to do but to wait for its turn: it listens to signals before it says that it is ready.
pub(crate) fn waits_for_its_turn(successor: Pid) {
    wait_until("the successor waits for its turn", || {
        is_in_mask(successor, "SigCgt", Signal::SIGUSR2) && waits(successor)
    });
}

/// Whether no thread of a process has anything to do.
fn waits(pid: Pid) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    let threads: Vec<_> = tasks.filter_map(|task| state(&task.ok()?.path().join("stat"))).collect();
    // One that has threads has come to its runtime, which is after it has said that it is ready.
    threads.len() > 3 && threads.iter().all(|state| *state == 'S')
}
