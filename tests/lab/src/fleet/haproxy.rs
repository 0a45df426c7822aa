//! HAProxy, told what to do on its admin socket.
//!
//! The invariant: what it says of itself comes from its own statistics (`show stat`).

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use testkit::{GaveUp, Program, TIMEOUT};

use crate::restart::CannotMeasure;

use super::balancer::Balancer;
use super::instance::Instance;
use super::machines::{FRONT, MACHINES, SCRATCH, address};
use super::until::until;

const CONFIGURATION: &str = include_str!("../../fleet/haproxy.cfg");

/// The row of all instances together.
const ALL: &str = "BACKEND";

/// HAProxy, and where its socket is.
#[derive(Debug)]
pub(super) struct Haproxy {
    _program: Program,
    directory: TempDir,
}

impl Haproxy {
    pub(super) fn start(program: &Path) -> Result<Haproxy, CannotMeasure> {
        let failed = |error| CannotMeasure::Start(program.into(), error);
        let directory = TempDir::new_in(SCRATCH).map_err(failed)?;
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, configuration(directory.path())).map_err(failed)?;
        let program = Program::try_start(Command::new(program).args(["-db", "-f"]).arg(file)).map_err(failed)?;
        Ok(Haproxy { _program: program, directory })
    }

    /// Writes a command, and reads what it says to the end.
    fn ask(&self, command: &str) -> Result<String, GaveUp> {
        let ask = || -> io::Result<String> {
            let mut socket = UnixStream::connect(self.directory.path().join("admin"))?;
            socket.set_read_timeout(Some(TIMEOUT))?;
            socket.write_all(format!("{command}\n").as_bytes())?;
            socket.shutdown(Shutdown::Write)?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().map_err(|error| GaveUp(format!("HAProxy does not answer `{command}`: {error}")))
    }

    fn set_state(&self, machine: u32, state: &str) -> Result<(), GaveUp> {
        let command = format!("set server instances/{machine} state {state}");
        let answer = self.ask(&command)?;
        // It has nothing to say about what it does.
        let done = answer.trim().is_empty();
        done.then_some(()).ok_or_else(|| GaveUp(format!("HAProxy refuses `{command}`: {answer}")))
    }

    fn statistic(&self, of: &str, name: &str) -> Result<u64, GaveUp> {
        let csv = self.ask("show stat")?;
        statistic(&csv, of, name).ok_or_else(|| GaveUp(format!("HAProxy's statistics lack {name} of {of}: {csv}")))
    }
}

impl Balancer for Haproxy {
    fn drain(&mut self, machine: u32) -> Result<(), CannotMeasure> {
        self.set_state(machine, "drain")?;
        let of = machine.to_string();
        Ok(until("HAProxy has no request at the instance", || self.statistic(&of, "scur") == Ok(0))?)
    }

    fn undrain(&mut self, machine: u32) -> Result<(), CannotMeasure> {
        Ok(self.set_state(machine, "ready")?)
    }

    /// It counts attempts, and not those of its health checks. After one that failed, it tries once more, or gives up.
    fn opened(&self, _instances: &[Instance]) -> Result<u64, GaveUp> {
        let failed = self.sent_again()? + self.statistic(ALL, "econ")?;
        Ok(self.statistic(ALL, "connect")?.saturating_sub(failed))
    }

    fn sent_again(&self) -> Result<u64, GaveUp> {
        Ok(self.statistic(ALL, "wretr")? + self.statistic(ALL, "wredis")?)
    }
}

fn configuration(directory: &Path) -> String {
    let server = |machine| format!("    server {machine} {}", address(machine));
    CONFIGURATION
        .replace("@DIRECTORY@", &directory.to_string_lossy())
        .replace("@FRONT@", &FRONT.to_string())
        .replace("@SERVERS@", &MACHINES.map(server).join("\n"))
}

/// A number in the row of a server of the backend. The first row has the names of the columns.
fn statistic(csv: &str, of: &str, name: &str) -> Option<u64> {
    let mut rows = csv.trim_start_matches("# ").lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = rows.next()?;
    let column = names.iter().position(|column| *column == name)?;
    let row = rows.find(|row| row.starts_with(&["instances", of]))?;
    row.get(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statistic_is_found_by_row_and_column() {
        let csv = "# pxname,svname,scur,connect,\nclients,FRONTEND,9,,\ninstances,1,2,30,\ninstances,BACKEND,5,90,\n\n";
        assert_eq!(statistic(csv, "1", "scur"), Some(2));
        assert_eq!(statistic(csv, ALL, "connect"), Some(90));
        assert_eq!(statistic(csv, "2", "scur"), None);
    }
}
