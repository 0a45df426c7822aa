//! Load by programs that others wrote, and their own reports of what became of it.
//!
//! The invariant: a verdict is read from the client's own report. A figure that the report lacks is a failure, never a
//! zero; and no report counts unless every generation, from the first to the last, held the client's connections.
//!
//! Our own [`load`](crate::load) says more. But it has the same authors as the servers, and what both misunderstand in
//! the same way, neither shows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::yield_now;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::timeout::TIMEOUT;
use crate::{Generations, Program, await_exit, require_program};

/// The server listens on one address.
const LISTENERS: usize = 1;

/// A client that others wrote, and how it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThirdParty {
    /// wrk: HTTP/1.1 as fast as it can. It takes `Connection: close` for what it is, and connects again.
    Wrk,
    /// `ApacheBench`: HTTP/1.0, where keeping a connection is what has to be announced. It does not try again: the first
    /// refused connection, or one that is reset, ends it without a report.
    Ab,
    /// The same with a connection for each request.
    AbPerRequest,
    /// h2load, with HTTP/1.1: it connects again after `Connection: close`. After the GOAWAY of HTTP/2 it does not, and
    /// counts as failed what it has not even sent.
    H2load,
}

impl ThirdParty {
    /// How many connections a client has open at a time.
    pub const CONNECTIONS: u32 = 16;

    /// How many requests it is asked for: enough for it to outlast the upgrades. `None` if it runs until it is told to stop.
    #[must_use]
    pub fn asked(self) -> Option<u64> {
        match self {
            ThirdParty::Wrk => None,
            ThirdParty::Ab | ThirdParty::H2load => Some(20_000),
            ThirdParty::AbPerRequest => Some(8_000),
        }
    }

    /// Starts it, or says aloud that it is not installed.
    #[must_use]
    pub fn start(self, address: &str) -> Option<Program> {
        let (program, package) = match self {
            ThirdParty::Wrk => ("wrk", "wrk"),
            ThirdParty::Ab | ThirdParty::AbPerRequest => ("ab", "apache2-utils"),
            ThirdParty::H2load => ("h2load", "nghttp2-client"),
        };
        let mut command = Command::new(require_program(program, package)?);
        match self {
            // It is told to stop long before. If that comes before it sleeps, it ends by itself within our timeout.
            ThirdParty::Wrk => command.args(["-t", "1", "-d", "15s"]),
            // -l: an answer of another length is no failure; generations have numbers of one and of two digits.
            ThirdParty::Ab => command.args(["-q", "-l", "-k"]),
            ThirdParty::AbPerRequest => command.args(["-q", "-l"]),
            ThirdParty::H2load => command.arg("--h1"),
        };
        if let Some(asked) = self.asked() {
            command.args(["-n", &asked.to_string()]);
        }
        command.args(["-c", &ThirdParty::CONNECTIONS.to_string(), &format!("http://{address}/")]);
        Some(Program::start(&mut command))
    }

    /// Upgrades a server `times` times under the client's load, asserts that by its own account everything that it
    /// asked was answered, and returns its verdict; `None` if it is not installed.
    ///
    /// The next upgrade begins when the last one is over: the old process is gone, and the new one holds the client's
    /// connections.
    ///
    /// # Panics
    /// If an upgrade fails, or the client ends before the last one is over, or something was lost: with what it says.
    #[track_caller]
    pub fn assert_nothing_lost(self, server: &mut Generations, times: u32) -> Option<Verdict> {
        let client = self.start(server.address())?;
        self.await_connections(&client, server.serving);
        for _ in 0..times {
            await_exit(server.upgrade());
            self.await_connections(&client, server.serving);
        }
        assert!(client.is_running(), "{self:?} ended before the last upgrade did:\n{}", client.output());
        let verdict = self.verdict(client);
        verdict.assert_nothing_lost(self);
        Some(verdict)
    }

    /// Waits until the process holds the client's connections.
    ///
    /// # Panics
    /// If it does not come to that, with what the client says.
    pub fn await_connections(self, client: &Program, server: Pid) {
        let wanted = if self == ThirdParty::AbPerRequest { 1 } else { ThirdParty::CONNECTIONS as usize };
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let held = sockets(server).saturating_sub(LISTENERS);
            if held >= wanted {
                return;
            }
            let fair = Instant::now() < deadline && client.is_running();
            assert!(fair, "pid {server} holds {held} of {wanted} connections of {self:?}:\n{}", client.output());
            yield_now();
        }
    }

    /// Waits until it has done what it was asked for, and returns what it says.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn verdict(self, mut client: Program) -> Verdict {
        if self.asked().is_none() {
            client.signal(Signal::SIGINT);
        }
        Verdict(client.wait_all())
    }
}

/// Everything that a client wrote, and so what it says became of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict(String);

impl Verdict {
    /// The figure that stands behind these words: `after("Complete requests:")`.
    ///
    /// # Panics
    /// If there is none, with the report.
    #[track_caller]
    #[must_use]
    pub fn after(&self, words: &str) -> u64 {
        let figure = self.0.split_once(words).and_then(|(_, rest)| rest.split_whitespace().next());
        self.number(figure, words)
    }

    /// The figure that stands before these words: `before("requests in")`.
    ///
    /// # Panics
    /// If there is none, with the report.
    #[track_caller]
    #[must_use]
    pub fn before(&self, words: &str) -> u64 {
        let figure = self.0.split_once(words).and_then(|(rest, _)| rest.split_whitespace().next_back());
        self.number(figure, words)
    }

    #[track_caller]
    fn number(&self, figure: Option<&str>, words: &str) -> u64 {
        let number = figure.and_then(|figure| figure.trim_end_matches(',').parse().ok());
        number.unwrap_or_else(|| panic!("no figure for {words:?} in:\n{}", self.0))
    }

    /// Asserts that, by the client's own account, everything that it asked was answered.
    ///
    /// # Panics
    /// If it was not, with the report.
    #[track_caller]
    fn assert_nothing_lost(&self, client: ThirdParty) {
        match client {
            ThirdParty::Wrk => {
                // It mentions these only where there are some.
                for complaint in ["Socket errors", "Non-2xx"] {
                    assert!(!self.0.contains(complaint), "{complaint}:\n{}", self.0);
                }
                assert!(self.before("requests in") > 0, "nothing was answered:\n{}", self.0);
            }
            ThirdParty::Ab | ThirdParty::AbPerRequest => {
                assert_eq!(
                    Some(self.after("Complete requests:")),
                    client.asked(),
                    "not all were answered:\n{}",
                    self.0
                );
                assert_eq!(self.after("Failed requests:"), 0, "some failed:\n{}", self.0);
                // It mentions these only where there are some.
                for complaint in ["Write errors:", "Non-2xx responses:"] {
                    assert!(!self.0.contains(complaint), "{complaint}\n{}", self.0);
                }
            }
            ThirdParty::H2load => {
                for kind in ["total, ", "started,", "done,", "succeeded,", "2xx,"] {
                    assert_eq!(Some(self.before(kind)), client.asked(), "not all are {kind:?}:\n{}", self.0);
                }
                for kind in ["failed,", "errored,", "timeout\n"] {
                    assert_eq!(self.before(kind), 0, "some are {kind:?}:\n{}", self.0);
                }
            }
        }
    }
}

/// Counts the TCP sockets of a process, its listener among them. Two descriptors of one socket count once.
///
/// By the name that lsof(8) shows: the kernel's table of all connections, /proc/net/tcp, takes longer to read than an
/// upgrade. Descriptors come and go meanwhile, which a [`Census`](crate::Census) does not forgive.
fn sockets(pid: Pid) -> usize {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return 0 };
    let socket = |descriptor: &Path| {
        let mut name = [0; 16];
        let length = rustix::fs::getxattr(descriptor, c"system.sockprotoname", &mut name).ok()?;
        name[..length].starts_with(b"TCP").then(|| fs::read_link(descriptor).ok()).flatten()
    };
    descriptors.filter_map(|descriptor| socket(&descriptor.ok()?.path())).collect::<BTreeSet<_>>().len()
}
