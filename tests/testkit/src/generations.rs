//! A server that replaces itself, followed from generation to generation.
//!
//! The invariant: `serving` is the process that said last that it listens, and the only one that is signalled.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[cfg(feature = "load")]
use crate::load::{Plan, Tally};
use crate::{Deployment, End, Program, Wire, await_exit, field};

/// A server that was started, and the generation of it that serves.
#[derive(Debug)]
pub struct Generations {
    /// The process that was started, and all that came after it.
    pub program: Program,
    /// Where it listens, in the order of `--listen`.
    pub addresses: Vec<String>,
    /// The process that serves.
    pub serving: Pid,
    /// Its generation, counted from 1.
    pub generation: u64,
}

impl Generations {
    /// Starts a command that listens on this many addresses.
    ///
    /// # Panics
    /// If it does not, with its log.
    #[must_use]
    pub fn start(command: &mut Command, addresses: usize) -> Generations {
        let program = Program::start(command);
        let serving = program.pid();
        let mut server = Generations { program, addresses: Vec::new(), serving, generation: 0 };
        server.addresses = server.next_generation(addresses);
        server
    }

    /// The first address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.addresses[0]
    }

    /// Waits until the next generation listens on this many addresses, and returns them.
    ///
    /// # Panics
    /// If it does not, with the whole log.
    pub fn next_generation(&mut self, addresses: usize) -> Vec<String> {
        self.generation += 1;
        // With the field's name, since a pid or a port may hold any digits; with the end, since 1 is in 10.
        let pattern = format!("generation={} ", self.generation);
        let lines: Vec<_> = (0..addresses).map(|_| self.program.line(&pattern)).collect();
        let get = |line: &str, key| field(line, key).unwrap_or_else(|| panic!("no {key} in {line:?}")).to_owned();
        self.serving = Pid::from_raw(get(&lines[0], "pid").parse().expect("a pid is a number"));
        lines.iter().map(|line| get(line, "address")).collect()
    }

    /// Sends a signal to the generation that serves.
    ///
    /// # Panics
    /// If it is gone.
    pub fn signal(&self, signal: Signal) {
        kill(self.serving, signal).expect("the serving process is there");
    }

    /// Upgrades, and returns the old process, which may still drain.
    ///
    /// # Panics
    /// If no new process serves, with the whole log.
    pub fn upgrade(&mut self) -> Pid {
        let old = self.serving;
        self.signal(Signal::SIGUSR2);
        self.next_generation(self.addresses.len());
        old
    }

    /// Puts it under a load, upgrades it `times` times, and returns what became of the requests.
    ///
    /// The next upgrade begins when the last one is over: the new process has answered a client, and the old one is gone.
    /// So each of the generations has answered.
    ///
    /// # Panics
    /// If an upgrade fails, if a new process does not answer, or if an old one stays.
    #[cfg(feature = "load")]
    pub fn upgrade_under(&mut self, plan: Plan, times: u32) -> Tally {
        let load = plan.start();
        load.wait_until_warm();
        for _ in 0..times {
            let old = self.upgrade();
            load.wait_for_generation(self.generation);
            await_exit(old);
        }
        load.stop()
    }

    /// As [`upgrade_under`](Generations::upgrade_under), and asserts that not one request was lost, that no connection
    /// was closed without notice, and that each of the generations answered.
    ///
    /// # Panics
    /// If not, or if an upgrade fails.
    #[cfg(feature = "load")]
    #[track_caller]
    pub fn assert_upgrades_lose_nothing(&mut self, plan: Plan, times: u32) -> Tally {
        let before = self.generation;
        let tally = self.upgrade_under(plan, times);
        tally.assert_nothing_lost();
        tally.assert_every_close_announced();
        let generations: Vec<_> = (before..=self.generation).collect();
        assert!(tally.by_generation.keys().eq(&generations), "each generation should have answered: {tally:#?}");
        tally
    }

    /// Asks for an upgrade that has to fail, and returns the line that says why.
    ///
    /// # Panics
    /// If it does not fail.
    pub fn upgrade_in_vain(&mut self) -> String {
        self.signal(Signal::SIGUSR2);
        self.program.line("upgrade failed")
    }

    /// Kills the process that was started while its successor starts, and waits until the successor serves. The
    /// deployed program is then the one with the gate: put another one there for the next upgrade.
    ///
    /// # Panics
    /// If it does not serve, with the whole log.
    pub fn kill_during_a_start(&mut self, deployment: &Deployment) {
        let gate = deployment.put_gate("");
        self.signal(Signal::SIGUSR2);
        self.program.line("started");
        self.signal(Signal::SIGKILL);
        self.program.wait();
        gate.open();
        self.next_generation(1);
    }

    /// Asserts that the given generation answers on the first address, on a fresh connection.
    ///
    /// # Panics
    /// If another one does.
    #[track_caller]
    pub fn assert_answered_by(&self, generation: u64) {
        let answer = Wire::connect(self.address()).ask("/").text();
        assert!(answer.contains(&format!("generation {generation}\n")), "expected generation {generation}: {answer:?}");
    }

    /// Ends the generation that serves and returns how it ended, if it was the process that was started.
    ///
    /// # Panics
    /// If it does not end, with the log.
    pub fn stop(&mut self) -> Option<End> {
        self.signal(Signal::SIGTERM);
        if self.serving == self.program.pid() {
            return Some(self.program.wait());
        }
        await_exit(self.serving);
        None
    }
}

/// Waits for the end of the process that was started, and of all others, and asserts that no request was cut.
///
/// # Panics
/// If one was, with the whole log.
#[track_caller]
pub fn assert_ends_well(mut server: Generations) {
    let end = server.program.wait();
    let log = server.program.wait_all();
    assert_eq!(end, End::Exited(0), "everything was answered, so the status should be 0; the log:\n{log}");
    assert!(!log.contains("ERROR"), "everything was answered, so there is nothing to complain about:\n{log}");
}
