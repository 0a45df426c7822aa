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
use testkit::{GaveUp, Program, TIMEOUT, field, is_in_mask, probe, try_await_exit};

use crate::restart::{CannotMeasure, Running};

use super::peer::Kind;
use super::port::Port;
use super::tls::Relay;

/// What HAProxy's master says when its worker serves.
const HAPROXY_IS_READY: &str = "Loading success";

/// How often to look again for what no line announces. Only where a peer offers nothing to wait for.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

/// Longer than any server takes to write a line.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Where clients come in.
#[derive(Debug)]
pub(super) struct Doors {
    /// The port that every server has.
    pub(super) plain: Port,
    /// A proxy's port for another protocol.
    pub(super) more: Option<Port>,
    /// What speaks TLS to one of them, for clients that do not.
    pub(super) relay: Option<Relay>,
    /// Whether a plain request on the first one is answered with `x-pid`. A server of ours that does not do that says in its
    /// log which process listens.
    pub(super) probed: bool,
}

impl Doors {
    /// One, for everything.
    pub(super) fn new(plain: Port) -> Doors {
        Doors { plain, more: None, relay: None, probed: true }
    }

    /// The server's own port for the protocol.
    pub(super) fn of_protocol(&self) -> &str {
        self.more.as_ref().unwrap_or(&self.plain).address()
    }
}

/// A server of the field.
#[derive(Debug)]
pub(super) struct Server {
    kind: Kind,
    pub(super) program: Program,
    pub(super) directory: TempDir,
    doors: Doors,
    /// The process that gets the signal.
    pub(super) leader: Pid,
    /// nginx's master before the one that is the leader now.
    last: Option<Pid>,
}

impl Server {
    pub(super) fn new(kind: Kind, program: Program, directory: TempDir, doors: Doors) -> Result<Server, CannotMeasure> {
        let leader = program.pid();
        let mut server = Server { kind, program, directory, doors, leader, last: None };
        server.wait("an answer", |server| server.answerer().is_ok())?;
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
        self.doors.plain.address().parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Where clients that speak the server's protocol come in.
    pub(super) fn clients_address(&self) -> &str {
        self.doors.relay.as_ref().map_or(self.doors.of_protocol(), |relay| &relay.address)
    }

    /// Fails if what stands before the server is gone: then it ended connections, and not the server.
    pub(super) fn check_relay(&self) -> Result<(), GaveUp> {
        let Some(Relay { program, .. }) = self.doors.relay.as_ref().filter(|relay| !relay.program.is_running()) else {
            return Ok(());
        };
        Err(GaveUp(format!("the relay has ended; it said:\n{}", program.output())))
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
        let pid = if self.doors.probed {
            probe(self.socket_address()).map_err(|error| GaveUp(error.to_string()))?.pid
        } else {
            self.listener().ok_or_else(|| GaveUp("no process listens".to_owned()))?
        };
        self.ours(pid)
            .ok_or_else(|| GaveUp(format!("pid {pid} answers, and is no process of the server that was started")))
    }

    /// The process that listens, as the log of a server of ours has it.
    fn listener(&self) -> Option<u32> {
        let log = self.program.output();
        let line = log.lines().rfind(|line| line.contains("listening"))?;
        field(line, "pid")?.parse().ok()
    }

    /// nginx's master, as its pid file has it.
    fn nginx_master(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.directory.path().join("nginx.pid")).ok()?;
        self.ours(text.trim().parse().ok()?)
    }
}

impl Running for Server {
    fn address(&self) -> &str {
        self.doors.plain.address()
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
