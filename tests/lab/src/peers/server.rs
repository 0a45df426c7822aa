//! A peer that runs.
//!
//! The invariant: only a process of its own group is ever signalled, whatever an answer or a file says.

use std::fs;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};
use tempfile::TempDir;
use testkit::{GaveUp, Program, TIMEOUT, is_in_mask, probe, try_await_exit};

use crate::restart::{CannotMeasure, Running};

use super::peer::Kind;
use super::port::Port;

/// What HAProxy's master says when its worker serves.
const HAPROXY_IS_READY: &str = "Loading success";

/// How often to look again for what no line announces. Only where a peer offers nothing to wait for.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

/// Longer than any server takes to write a line.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// A server of the field.
#[derive(Debug)]
pub(super) struct Server {
    kind: Kind,
    pub(super) program: Program,
    pub(super) directory: TempDir,
    port: Port,
    /// The process that gets the signal.
    pub(super) leader: Pid,
    /// nginx's master before the one that is the leader now.
    last: Option<Pid>,
}

impl Server {
    pub(super) fn new(kind: Kind, program: Program, directory: TempDir, port: Port) -> Result<Server, CannotMeasure> {
        let leader = program.pid();
        let mut server = Server { kind, program, directory, port, leader, last: None };
        server.wait("an answer", |server| probe(server.socket_address()).is_ok())?;
        if kind == Kind::NginxBinary {
            // The shell that started it.
            kill(leader, Signal::SIGTERM)?;
            try_await_exit(leader)?;
        }
        server.settle()?;
        Ok(server)
    }

    pub(super) fn socket_address(&self) -> SocketAddr {
        // It came out of a socket.
        self.port.address().parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn wait(&self, what: &str, mut there: impl FnMut(&Server) -> bool) -> Result<(), GaveUp> {
        let deadline = Instant::now() + TIMEOUT;
        while !there(self) {
            if Instant::now() > deadline {
                return Err(GaveUp(format!("{what} did not come; the server's log:\n{}", self.program.output())));
            }
            sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// A pid from an answer or a file, if it is one of ours.
    fn ours(&self, pid: u32) -> Option<Pid> {
        let pid = Pid::from_raw(pid.cast_signed());
        (getpgid(Some(pid)) == Ok(self.program.pid())).then_some(pid)
    }

    /// Asks for an upgrade, again and again until the log says that it was heard: a signal that comes before a server
    /// listens for it again may be lost.
    pub(super) fn ask_for_an_upgrade(&self, whom: Pid) -> Result<(), CannotMeasure> {
        let signal = self.kind.signal();
        let Some(note) = self.kind.takes_note() else { return Ok(kill(whom, signal)?) };
        let noted = self.program.count(note);
        let mut asked = None::<Instant>;
        self.wait("a note of the signal", |server| {
            if asked.is_none_or(|asked| asked.elapsed() > ASK_AGAIN) {
                // A process that is gone takes no note.
                let _ = kill(whom, signal);
                asked = Some(Instant::now());
            }
            server.program.count(note) > noted
        })?;
        Ok(())
    }

    /// The same, right behind the first signal, but not before that was taken: signals do not queue (signal(7)).
    pub(super) fn ask_once_more(&self, whom: Pid) -> Result<(), CannotMeasure> {
        let signal = self.kind.signal();
        self.wait("the end of the first signal's wait", |_| !is_in_mask(whom, "ShdPnd", signal))?;
        Ok(kill(whom, signal)?)
    }

    /// The process that answers now.
    pub(super) fn answerer(&self) -> Result<Pid, GaveUp> {
        let pid = probe(self.socket_address()).map_err(|error| GaveUp(error.to_string()))?.pid;
        self.ours(pid)
            .ok_or_else(|| GaveUp(format!("pid {pid} answers, and is no process of the server that was started")))
    }

    /// nginx's master, as its pid file has it.
    fn nginx_master(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.directory.path().join("nginx.pid")).ok()?;
        self.ours(text.trim().parse().ok()?)
    }
}

impl Running for Server {
    fn address(&self) -> &str {
        self.port.address()
    }

    fn restart(&mut self) -> Result<(), CannotMeasure> {
        let old = self.leader;
        match self.kind {
            Kind::UpgradesItself | Kind::Haproxy { .. } => kill(old, Signal::SIGUSR2)?,
            Kind::NginxReload => kill(old, Signal::SIGHUP)?,
            Kind::NginxBinary => {
                let workers = self.answerer()?;
                kill(old, Signal::SIGUSR2)?;
                self.wait("a new pid file", |server| server.nginx_master().is_some_and(|master| master != old))?;
                // Its manual: when the new one works, the old one may go.
                self.wait("a new worker's answer", |server| server.answerer().is_ok_and(|pid| pid != workers))?;
                kill(old, Signal::SIGQUIT)?;
                self.last = Some(old);
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), CannotMeasure> {
        match self.kind {
            Kind::UpgradesItself => self.leader = self.answerer()?,
            Kind::NginxReload => {}
            Kind::NginxBinary => {
                if let Some(last) = self.last.take() {
                    try_await_exit(last)?;
                }
                self.wait("the pid file", |server| server.nginx_master().is_some())?;
                self.leader = self.nginx_master().unwrap_or(self.leader);
            }
            Kind::Haproxy { .. } => {
                self.program.try_line(HAPROXY_IS_READY)?;
                // It executes itself once more then, and ignores the signal until it has.
                let (leader, signal) = (self.leader, self.kind.signal());
                self.wait("a handler", |_| is_in_mask(leader, "SigCgt", signal))?;
            }
        }
        Ok(())
    }
}
