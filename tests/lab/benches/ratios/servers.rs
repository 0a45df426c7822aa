//! The servers under test, followed from generation to generation.
//!
//! The invariant: the next upgrade begins when the last one is over, its old process gone; so every number belongs to
//! one upgrade. And only descendants of our own are signalled.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::server_binary::{BuildError, Built};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Program, Wire, await_exit, field};

use crate::fresh::{Fresh, Probe};
use crate::roles::{ANYWHERE, Role};

/// The programs that servers are made of.
pub(crate) struct Binaries {
    /// The whole server, or whatever was named in its place.
    pub(crate) ours: PathBuf,
    /// Part I's server.
    pub(crate) polite: PathBuf,
    /// This program.
    itself: PathBuf,
}

impl Binaries {
    /// `ours`: what to measure in place of the whole server.
    ///
    /// # Errors
    /// If one cannot be built.
    pub(crate) fn build(ours: Option<PathBuf>) -> Result<Binaries, BuildError> {
        Ok(Binaries {
            ours: ours.map_or_else(|| Built::WHOLE.build(), Ok)?,
            polite: Built::POLITE.build()?,
            itself: std::env::current_exe().expect("/proc is mounted"),
        })
    }

    pub(crate) fn ours(&self) -> Server {
        self.ours_listening(1)
    }

    /// Part I's, which closes its connections.
    pub(crate) fn polite(&self) -> Server {
        Server::start(Command::new(&self.polite).args(["--listen", ANYWHERE]), 1)
    }

    /// Ours, with this many listeners.
    pub(crate) fn ours_listening(&self, listeners: usize) -> Server {
        let listen = ["--listen", ANYWHERE].into_iter().cycle().take(2 * listeners);
        Server::start(Command::new(&self.ours).args(listen), listeners)
    }

    pub(crate) fn plain(&self) -> Server {
        self.playing(Role::Plain)
    }

    pub(crate) fn playing(&self, role: Role) -> Server {
        Server::start(&mut self.command(role), 1)
    }

    /// The command that plays a role.
    pub(crate) fn command(&self, role: Role) -> Command {
        role.command(self.itself.as_os_str())
    }
}

/// A server that was started, and the generation of it that serves.
pub(crate) struct Server {
    pub(crate) program: Program,
    /// Of the listener that it accepts from last, if there are several.
    pub(crate) address: String,
    listeners: usize,
    pub(crate) serving: Pid,
    pub(crate) generation: u64,
}

/// When an upgrade came to each of its points.
pub(crate) struct Change {
    /// The signal was sent.
    pub(crate) asked: Instant,
    /// The old process said `draining`.
    pub(crate) draining: Instant,
    /// The old process was gone.
    pub(crate) old_gone: Instant,
}

/// What one upgrade looked like to fresh connections.
pub(crate) struct Upgrade {
    /// When the signal was sent.
    pub(crate) asked: Instant,
    /// When the old process said that its successor was ready.
    pub(crate) ready: Instant,
    /// When the old process was gone.
    pub(crate) old_gone: Instant,
    /// The fresh connections of that time, and of a little before and after.
    pub(crate) probes: Vec<Probe>,
}

impl Upgrade {
    /// When the first fresh connection was answered by `generation`.
    pub(crate) fn first_answer(&self, generation: u64) -> Instant {
        let new = self.probes.iter().filter(|probe| probe.generation == generation);
        new.map(|probe| probe.answered).min().expect("every client has met the new generation")
    }

    /// From that first answer to the start of the last fresh connection that an older generation answered.
    pub(crate) fn overlap(&self, generation: u64) -> Duration {
        let old = self.probes.iter().filter(|probe| probe.generation < generation);
        let last = old.map(|probe| probe.began).max();
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(self.first_answer(generation)))
    }

    /// The longest that a fresh connection took, of those that overlap the time from the signal to that first answer.
    pub(crate) fn worst(&self, generation: u64) -> Duration {
        let first = self.first_answer(generation);
        let meanwhile = self.probes.iter().filter(|probe| probe.overlaps(self.asked, first));
        meanwhile.map(Probe::latency).max().expect("the first answer is one")
    }
}

impl Server {
    pub(crate) fn start(command: &mut Command, listeners: usize) -> Server {
        let mut program = Program::start(command.env("RUST_LOG", "info"));
        let (address, serving) = next_generation(&mut program, listeners);
        Server { program, address, listeners, serving, generation: 1 }
    }

    /// An idle keep-alive connection that has had one answer.
    pub(crate) fn used_once(&self) -> Wire {
        let mut connection = Wire::connect(&self.address);
        connection.ask("/");
        connection
    }

    /// So many of them.
    pub(crate) fn idle(&self, connections: u32) -> Vec<Wire> {
        (0..connections).map(|_| self.used_once()).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Instant {
        let now = Instant::now();
        kill(self.serving, signal).expect("the serving process is there");
        now
    }

    /// Upgrades, and returns the time from the line `draining` to the end of the old process.
    pub(crate) fn replace(&mut self) -> Duration {
        let Change { draining, old_gone, .. } = self.change();
        old_gone - draining
    }

    /// Upgrades while `fresh` clients probe, until each of them has met the new generation alone.
    pub(crate) fn upgrade(&mut self, fresh: &Fresh) -> Upgrade {
        let Change { asked, draining, old_gone } = self.change();
        Upgrade { asked, ready: draining, old_gone, probes: fresh.until_all_began_after(old_gone) }
    }

    /// Upgrades.
    pub(crate) fn change(&mut self) -> Change {
        let old = self.serving;
        let asked = self.signal(Signal::SIGUSR2);
        self.program.line("draining");
        let draining = Instant::now();
        let old_gone = await_exit(old);
        self.generation += 1;
        self.serving = next_generation(&mut self.program, self.listeners).1;
        Change { asked, draining, old_gone }
    }
}

fn next_generation(program: &mut Program, listeners: usize) -> (String, Pid) {
    let lines = (0..listeners).map(|_| program.line("listening"));
    let line = lines.last().expect("a server has a listener");
    let get = |key| field(&line, key).unwrap_or_else(|| panic!("no {key} in {line:?}"));
    let pid = get("pid").parse().expect("a pid is a number");
    (get("address").to_owned(), Pid::from_raw(pid))
}
