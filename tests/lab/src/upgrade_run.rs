//! A server, upgraded again and again under load.
//!
//! The invariant: the next upgrade begins when the last one is over, its old process gone; so every number belongs to
//! one upgrade. And only processes of our own are signalled: members of the group that we started.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};
use testkit::load::Tally;
use testkit::{GaveUp, Program, field, try_await_exit};

use crate::options::Scenario;

/// How long to look at the server before the first upgrade: the latencies to compare with.
const BEFORE: Duration = Duration::from_secs(1);

/// The calm between two upgrades, so that one does not show in the latencies of the next.
const BETWEEN: Duration = Duration::from_millis(150);

/// What a number of upgrades did to the clients.
#[derive(Debug)]
pub struct UpgradeRun {
    /// The load.
    pub scenario: Scenario,
    /// The upgrades, in order.
    pub upgrades: Vec<Upgrade>,
    /// What became of the requests.
    pub tally: Tally,
}

/// What one upgrade took, from the signal on.
#[derive(Debug, Clone, Copy)]
pub struct Upgrade {
    /// Until the new process had given its first answer.
    pub first_answer: Duration,
    /// Until the old process was gone.
    pub old_gone: Duration,
    /// Requests lost so far, in this upgrade and before.
    pub lost: u64,
}

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum CannotRun {
    /// There is no such program, or it cannot be executed.
    #[error("cannot start {0}: {1}; name another server with --server")]
    Start(PathBuf, std::io::Error),
    /// It did not say where it listens, and under which pid.
    #[error("{0} does not log where it listens (`listening address=… pid=…`): {1}")]
    Listen(PathBuf, GaveUp),
    /// SIGUSR2 did not bring a new process that serves.
    #[error("upgrade {number} of {server} failed: {why}")]
    Upgrade {
        /// Which upgrade, from 1.
        number: u32,
        /// Of which server.
        server: PathBuf,
        /// What did not come.
        why: GaveUp,
    },
}

/// Puts `server` under load, upgrades it, and tells `watch` after each upgrade.
///
/// # Errors
/// If it cannot be started or upgraded. Lost requests are no error, but the result.
pub fn upgrade_run(
    server: &Path,
    scenario: Scenario,
    upgrades: u32,
    mut watch: impl FnMut(u32, &Upgrade),
) -> Result<UpgradeRun, CannotRun> {
    let mut command = Command::new(server);
    command.args(["--listen", "127.0.0.1:0"]);
    // Its log is for us to read: with the line we wait for, and without colours in it.
    command.envs([("RUST_LOG", "info"), ("NO_COLOR", "1")]);
    let mut program = Program::try_start(&mut command).map_err(|error| CannotRun::Start(server.into(), error))?;
    let listening = next_listening(&mut program).map_err(|why| CannotRun::Listen(server.into(), why))?;
    let Listening { address, pid: mut serving } = listening;

    let load = scenario.plan(&address).start();
    sleep(BEFORE);
    let mut done = Vec::new();
    for number in 1..=upgrades {
        let failed = |why| CannotRun::Upgrade { number, server: server.into(), why };
        let during = load.during();
        let signalled = Instant::now();
        kill(serving, Signal::SIGUSR2)
            .map_err(|error| failed(GaveUp(format!("cannot signal pid {serving}: {error}"))))?;
        let first_answer = load.try_wait_for_generation(u64::from(number) + 1).map_err(failed)?;
        try_await_exit(serving).map_err(failed)?;
        let old_gone = signalled.elapsed();
        drop(during);
        serving = next_listening(&mut program).map_err(failed)?.pid;
        let upgrade = Upgrade { first_answer: first_answer.duration_since(signalled), old_gone, lost: load.lost() };
        watch(number, &upgrade);
        done.push(upgrade);
        sleep(BETWEEN);
    }
    Ok(UpgradeRun { scenario, upgrades: done, tally: load.stop() })
}

/// The process that serves, and its address.
pub(crate) struct Listening {
    pub(crate) address: String,
    pub(crate) pid: Pid,
}

/// What the next generation says when it is ready.
///
/// # Errors
/// If it says nothing, or names a pid that is not one of the program's.
pub(crate) fn next_listening(program: &mut Program) -> Result<Listening, GaveUp> {
    next_listening_as(program, "listening")
}

/// The same, for a server that has several listeners: the next line with `pattern` is about the one that matters.
pub(crate) fn next_listening_as(program: &mut Program, pattern: &str) -> Result<Listening, GaveUp> {
    let line = program.try_line(pattern)?;
    let address = field(&line, "address").map(str::to_owned);
    let pid = field(&line, "pid").and_then(|pid| pid.parse().ok()).map(Pid::from_raw);
    let (Some(address), Some(pid)) = (address, pid) else {
        return Err(GaveUp(format!("no address=… and pid=… in {line:?}")));
    };
    // A pid in a log may be a lie, and we are about to signal it.
    if getpgid(Some(pid)) != Ok(program.pid()) {
        return Err(GaveUp(format!("pid {pid} is no process of the server that was started")));
    }
    Ok(Listening { address, pid })
}
