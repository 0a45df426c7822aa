//! The machines of the fleet: network namespaces (`network_namespaces(7)`), with a switch between them, inside of one that
//! holds the balancer and the clients.
//!
//! The invariant: what is made inside is gone when the lab has ended, even if it was killed: the kernel ends process 1 of the
//! PID namespace with its parent, everything in that namespace with process 1, and networks, mounts and files with the last
//! process that is in their namespace.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// How many instances there are.
pub const MACHINES: [u32; 3] = [1, 2, 3];

/// Where files go that are gone with the fleet. Every Linux has this directory, and nothing of ours needs what is in it outside.
pub(super) const SCRATCH: &str = "/dev/shm";

const NETWORK: &str = "10.77.0";
const SETUP: &str = include_str!("../../fleet/network.sh");

/// A process that loses its parent is killed (prctl(2), PR_SET_PDEATHSIG): unshare with the lab, process 1 with unshare.
const WITH_THE_LAB: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "unshare"];
const NAMESPACES: [&str; 6] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
/// What makes root of a user who may make user namespaces.
const AS_ROOT: [&str; 2] = ["--user", "--map-root-user"];

/// Namespaces cannot be made here.
#[derive(Debug, thiserror::Error)]
#[error(
    "the fleet needs network namespaces and a bridge, with `ip` (iproute2), `unshare` and `setpriv` (util-linux), as root or \
     with unprivileged user namespaces: {0}"
)]
pub struct NoMachines(String);

/// Where the balancer listens.
pub(super) const FRONT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1)), 8000);

/// Where the instance on a machine listens.
pub(super) fn address(machine: u32) -> String {
    format!("{NETWORK}.1{machine}:8080")
}

/// A command that runs a program on a machine, in its place.
pub(super) fn on_machine(machine: u32, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={SCRATCH}/machine-{machine}")).arg("--").arg(program);
    command
}

/// Finds out whether the machines can be made, by making them.
///
/// # Errors
/// If they cannot, with what the commands say.
pub fn probe() -> Result<(), NoMachines> {
    command().map(|_| ())
}

/// Runs this program once more with the same arguments and `more` of them, between the machines, and returns how it ended.
///
/// # Errors
/// If namespaces cannot be made, or the program cannot be started.
pub fn enter(more: &[OsString]) -> Result<ExitStatus, Box<dyn Error>> {
    let mut command = command()?;
    Ok(command.arg(env::current_exe()?).args(env::args_os().skip(1)).args(more).status()?)
}

/// A command that makes the machines and runs its arguments between them: as we are, or as root of a user namespace.
fn command() -> Result<Command, NoMachines> {
    tried(&[]).or_else(|_| tried(&AS_ROOT)).map_err(NoMachines)
}

/// Such a command, if a first one succeeds with nothing to run.
fn tried(root: &[&str]) -> Result<Command, String> {
    let make = || {
        let mut command = Command::new(WITH_THE_LAB[0]);
        command.args(&WITH_THE_LAB[1..]).args(root).args(NAMESPACES).args(["sh", "-c", SETUP, "fleet"]);
        command.envs([("SCRATCH", SCRATCH), ("NETWORK", NETWORK)]);
        command
    };
    let output = make().arg("true").output().map_err(|error| format!("cannot start {}: {error}", WITH_THE_LAB[0]))?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    output.status.success().then(make).ok_or_else(said)
}
