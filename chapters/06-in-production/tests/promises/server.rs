//! The program under test, and moments in its life that are held open.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Deployment, Generations, children, freeze, is_in_mask, sleeps_in_its_runtime, wait_until};

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_graceful-demo");

/// The program, with these options and none from the environment.
pub(crate) fn command(program: impl AsRef<Path>, options: &[&str]) -> Command {
    let mut command = without_options(Command::new(program.as_ref()));
    command.args(options);
    command
}

/// Without options from the environment.
pub(crate) fn without_options(mut command: Command) -> Command {
    for variable in [
        "LISTEN",
        "DRAIN_TIMEOUT",
        "READY_TIMEOUT",
        "PID_FILE",
        "SUPERVISE",
        "HANDOVER",
        "CONTROL",
        "PROBATION",
        "PAUSE",
        "STOP_TIMEOUT",
        "HEALTH_CHECK",
        "RUST_LOG",
        "NOTIFY_SOCKET",
        "SYSTEMD_EXEC_PID",
        "WATCHDOG_USEC",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Starts the program on one free port.
pub(crate) fn start(more: &[&str]) -> Generations {
    Generations::start(command(BINARY, &["--listen", "127.0.0.1:0"]).args(more), 1)
}

/// How many upgrades a test makes: `UPGRADES=1000 cargo test -p graceful` makes more than the default.
pub(crate) fn upgrades(default: u64) -> u64 {
    std::env::var("UPGRADES").map_or(default, |number| number.parse().expect("UPGRADES is a number"))
}

/// What a process has, by its directory in /proc: open descriptors, and kilobytes of memory of its own.
pub(crate) fn size(process: &Path) -> (usize, u64) {
    let descriptors = std::fs::read_dir(process.join("fd")).expect("the process is there").count();
    let memory = std::fs::read_to_string(process.join("smaps_rollup")).expect("the process is there");
    let memory =
        memory.lines().find_map(|line| line.strip_prefix("Anonymous:")?.split_whitespace().next()?.parse().ok());
    (descriptors, memory.expect("the kernel says it"))
}

/// Asserts that a process is no larger than an earlier generation was: no descriptor more, once it knows that its predecessor
/// is gone, and at most a tenth more memory.
#[track_caller]
pub(crate) fn assert_not_grown(early: (usize, u64), process: &Path) {
    wait_until("no more descriptors are open than in the beginning", || size(process).0 <= early.0);
    let (descriptors, memory) = size(process);
    println!("descriptors: {}, then {descriptors}; memory: {} kB, then {memory} kB", early.0, early.1);
    assert!(memory * 10 <= early.1 * 11, "memory grew from {} to {memory} kB", early.1);
}

/// A place with the program in it.
pub(crate) fn deployment() -> Deployment {
    Deployment::of(BINARY)
}

/// The one child of a process.
pub(crate) fn child(pid: Pid) -> Pid {
    wait_until("the process has one child", || children(pid).len() == 1);
    children(pid).first().copied().unwrap_or_else(|| child(pid))
}

/// A server that is frozen between its successor's *ready* and its own answer to it, and the successor.
pub(crate) fn frozen_in_an_upgrade(deployment: &Deployment, more: &[&str]) -> (Generations, Pid) {
    let mut server = deployment.start(more);
    let successor = freeze_in_an_upgrade(&mut server, deployment);
    (server, successor)
}

/// Freezes a server there, and returns its successor.
pub(crate) fn freeze_in_an_upgrade(server: &mut Generations, deployment: &Deployment) -> Pid {
    let gate = deployment.put_gate("");
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    let successor = child(server.serving);
    freeze(server.serving);
    gate.open();
    waits_for_its_turn(successor);
    successor
}

/// Waits until a successor has nothing to do but to wait for its turn: it listens to signals before it says that it is ready.
pub(crate) fn waits_for_its_turn(successor: Pid) {
    wait_until("the successor waits for its turn", || {
        // One that sleeps in its runtime has said that it is ready.
        is_in_mask(successor, "SigCgt", Signal::SIGUSR2) && sleeps_in_its_runtime(successor)
    });
}
