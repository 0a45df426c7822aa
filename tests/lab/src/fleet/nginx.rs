//! nginx, told what to do by a new configuration.
//!
//! The invariant: a reload is over when no worker of the configuration before is left: only then has every request that the
//! instance may still have got from it been answered.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use testkit::{GaveUp, Program, children};

use crate::restart::CannotMeasure;

use super::balancer::Balancer;
use super::instance::Instance;
use super::machines::{FRONT, MACHINES, SCRATCH, address};
use super::until::until;

const CONFIGURATION: &str = include_str!("../../fleet/nginx.conf");

/// nginx, and where it keeps its files.
#[derive(Debug)]
pub(super) struct Nginx {
    path: PathBuf,
    program: Program,
    directory: TempDir,
}

impl Nginx {
    pub(super) fn start(path: &Path) -> Result<Nginx, CannotMeasure> {
        let failed = |error| CannotMeasure::Start(path.into(), error);
        let directory = TempDir::new_in(SCRATCH).map_err(failed)?;
        configure(directory.path(), None).map_err(failed)?;
        let program = Program::try_start(&mut command(path, directory.path())).map_err(failed)?;
        Ok(Nginx { path: path.into(), program, directory })
    }

    fn reload(&self, without: Option<u32>) -> Result<(), CannotMeasure> {
        let failed = |error: io::Error| GaveUp(format!("nginx cannot be configured: {error}"));
        let before = children(self.program.pid());
        configure(self.directory.path(), without).map_err(failed)?;
        let told = command(&self.path, self.directory.path()).args(["-s", "reload"]).output().map_err(failed)?;
        if !told.status.success() {
            return Err(GaveUp(format!("nginx does not reload: {}", String::from_utf8_lossy(&told.stderr))).into());
        }
        Ok(until("the workers with the configuration before have ended", || {
            let now = children(self.program.pid());
            !now.is_empty() && before.iter().all(|worker| !now.contains(worker))
        })?)
    }
}

impl Balancer for Nginx {
    fn drain(&mut self, machine: u32) -> Result<(), CannotMeasure> {
        self.reload(Some(machine))
    }

    fn undrain(&mut self, _machine: u32) -> Result<(), CannotMeasure> {
        self.reload(None)
    }

    /// It does not say, but it is the only one who connects to the instances.
    fn opened(&self, instances: &[Instance]) -> Result<u64, GaveUp> {
        instances.iter().map(Instance::accepted).sum()
    }

    fn sent_again(&self) -> Result<u64, GaveUp> {
        let file = self.directory.path().join("tries.log");
        let text = fs::read_to_string(&file).map_err(|error| GaveUp(format!("{}: {error}", file.display())))?;
        Ok(sent_again(&text))
    }
}

fn command(path: &Path, directory: &Path) -> Command {
    let mut command = Command::new(path);
    command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(directory);
    command
}

/// Writes the configuration, in which an instance may be `down`.
fn configure(directory: &Path, without: Option<u32>) -> io::Result<()> {
    let server = |machine| {
        let down = if without == Some(machine) { " down" } else { "" };
        format!("        server {}{down};", address(machine))
    };
    let text =
        CONFIGURATION.replace("@FRONT@", &FRONT.to_string()).replace("@SERVERS@", &MACHINES.map(server).join("\n"));
    fs::write(directory.join("nginx.conf"), text)
}

/// A request that was tried at several instances has their addresses in its line, between commas.
fn sent_again(log: &str) -> u64 {
    log.matches(", ").count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_after_the_first_counts() {
        assert_eq!(sent_again("10.77.0.11:8080\n10.77.0.11:8080, 10.77.0.12:8080\n-\n"), 1);
    }
}
