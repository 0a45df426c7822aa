//! An instance of the service: a machine, and the server on it.
//!
//! The invariant: `serving` is the process that serves, a member of the group of `program`; whatever the instance does, it
//! returns when that is true again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use testkit::{End, GaveUp, Program, try_await_exit};

use crate::restart::CannotMeasure;
use crate::upgrade_run::next_listening_as;

use super::machines::{SCRATCH, address, on_machine};

/// Longer than a balancer keeps an idle connection: HAProxy for a minute, as it is told, and nginx for a minute by default. So
/// it is never the server that ends one.
const IDLE_TIMEOUT: &str = "5m";

/// What is deployed, and what upgrades it.
#[derive(Debug)]
pub struct Programs {
    /// `graceful-demo`.
    server: PathBuf,
    /// A program that ends at once, and fails: a version that was never tried.
    broken: PathBuf,
    /// `graceful`, which asks a server for an upgrade and waits for its outcome.
    upgrader: PathBuf,
    /// Where copies of the first two are.
    _directory: TempDir,
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Good,
    Broken,
}

/// A machine and its server.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) machine: u32,
    directory: TempDir,
    upgrader: PathBuf,
    program: Program,
    serving: Pid,
}

impl Programs {
    /// Copies the programs to where instances can link to them.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(server: &Path, upgrader: &Path) -> io::Result<Programs> {
        let directory = TempDir::new_in(SCRATCH)?;
        let copy = |from: &Path, name: &str| {
            let to = directory.path().join(name);
            fs::copy(from, &to).map(|_| to)
        };
        let good = copy(server, "good")?;
        let broken = copy(Path::new("/bin/false"), "broken")?;
        Ok(Programs { server: good, broken, upgrader: upgrader.into(), _directory: directory })
    }

    fn version(&self, version: Version) -> &Path {
        match version {
            Version::Good => &self.server,
            Version::Broken => &self.broken,
        }
    }
}

impl Instance {
    /// Deploys the good version on a machine, and starts it.
    pub(super) fn new(machine: u32, programs: &Programs) -> Result<Instance, CannotMeasure> {
        let failed = |error| CannotMeasure::Start(programs.server.clone(), error);
        let directory = TempDir::new_in(SCRATCH).map_err(failed)?;
        put(programs.version(Version::Good), directory.path()).map_err(failed)?;
        let (program, serving) = start(machine, directory.path())?;
        Ok(Instance { machine, directory, upgrader: programs.upgrader.clone(), program, serving })
    }

    /// The process that serves.
    pub(super) fn pid(&self) -> Pid {
        self.serving
    }

    /// Puts a version in the place of the program that runs, which goes on with the file that it was started from.
    pub(super) fn deploy(&self, programs: &Programs, version: Version) -> Result<(), CannotMeasure> {
        put(programs.version(version), self.directory.path())
            .map_err(|error| GaveUp(format!("cannot deploy a version: {error}")).into())
    }

    /// Upgrades it with the command that does so. The inner `Err` is what the command says if its exit status is not 0.
    pub(super) fn upgrade(&mut self) -> Result<Result<(), String>, CannotMeasure> {
        let mut command = Command::new(&self.upgrader);
        command.arg("--control").arg(control(self.directory.path())).arg("upgrade");
        let failed = |error| CannotMeasure::Start(self.upgrader.clone(), error);
        let mut asked = Program::try_start(&mut command).map_err(failed)?;
        try_await_exit(asked.pid())?;
        if asked.wait() == End::Exited(0) {
            self.serving = next_serving(self.machine, &mut self.program)?;
            return Ok(Ok(()));
        }
        // The reason comes last.
        Ok(Err(asked.wait_all().lines().last().unwrap_or("it does not say why").to_owned()))
    }

    /// Stops it gracefully, and waits until it has ended.
    pub(super) fn stop(&mut self) -> Result<(), CannotMeasure> {
        kill(self.serving, Signal::SIGTERM)?;
        try_await_exit(self.serving)?;
        Ok(())
    }

    /// Starts the version that is deployed, and waits until it listens.
    pub(super) fn start(&mut self) -> Result<(), CannotMeasure> {
        (self.program, self.serving) = start(self.machine, self.directory.path())?;
        Ok(())
    }

    /// How many TCP connections the machine has accepted since it exists (`TcpPassiveOpens`, RFC 4022).
    pub(super) fn accepted(&self) -> Result<u64, GaveUp> {
        let file = format!("/proc/{}/net/snmp", self.serving);
        let text = fs::read_to_string(&file).map_err(|error| GaveUp(format!("cannot read {file}: {error}")))?;
        passive_opens(&text).ok_or_else(|| GaveUp(format!("{file} does not say how many connections were accepted")))
    }
}

/// The name of the server in its directory.
const SERVER: &str = "server";

/// The socket on which it takes commands.
fn control(directory: &Path) -> PathBuf {
    directory.join("control")
}

/// A link will do for a copy, and takes no time.
fn put(program: &Path, directory: &Path) -> io::Result<()> {
    let new = directory.join("new");
    fs::hard_link(program, &new)?;
    fs::rename(new, directory.join(SERVER))
}

fn start(machine: u32, directory: &Path) -> Result<(Program, Pid), CannotMeasure> {
    let server = directory.join(SERVER);
    let mut command = on_machine(machine, &server);
    command.args(["--listen", &address(machine), "--idle-timeout", IDLE_TIMEOUT, "--control"]).arg(control(directory));
    // Its log is for us to read: with the line we wait for, and without colours in it.
    command.envs([("RUST_LOG", "info"), ("NO_COLOR", "1")]);
    let mut program = Program::try_start(&mut command).map_err(|error| CannotMeasure::Start(server, error))?;
    let serving = next_serving(machine, &mut program)?;
    Ok((program, serving))
}

/// The process that says next that it listens for clients. It listens on its control socket, too.
fn next_serving(machine: u32, program: &mut Program) -> Result<Pid, GaveUp> {
    next_listening_as(program, &format!("listening address={} ", address(machine))).map(|listening| listening.pid)
}

/// Two lines for each protocol: the names, and the numbers.
fn passive_opens(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: ")).map(str::split_whitespace);
    let (names, numbers) = (lines.next()?, lines.next()?);
    names.zip(numbers).find(|(name, _)| *name == "PassiveOpens")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_connections_are_found_by_name() {
        let snmp = "Ip: Forwarding\nIp: 1\nTcp: RtoMin MaxConn ActiveOpens PassiveOpens\nTcp: 200 -1 7 42\n";
        assert_eq!(passive_opens(snmp), Some(42));
        assert_eq!(passive_opens("Tcp: RtoMin\nTcp: 200\n"), None);
    }
}
