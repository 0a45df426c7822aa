//! A process that waits for signals, from outside.
//!
//! The invariant: it gets one signal at a time, and the next only after it has said that it had the last; so no two are
//! merged, and each report belongs to one.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::{Pid, getpgid};
use testkit::{Census, Program, field};

use super::clock::now;
use super::{AT, READY, SIGNAL};
use crate::process::private_memory;

pub(crate) struct Receiver {
    program: Program,
    /// The program itself, or a child of it, where it is strace(1).
    pid: Pid,
}

impl Receiver {
    /// Starts `command`, and waits until signals may be sent.
    pub(crate) fn start(command: &mut Command) -> Receiver {
        let mut program = Program::start(command);
        let line = program.line(READY);
        let pid = field(&line, "pid").and_then(|pid| pid.parse().ok()).map(Pid::from_raw);
        let pid = pid.unwrap_or_else(|| panic!("no pid in {line:?}"));
        assert_eq!(getpgid(Some(pid)), Ok(program.pid()), "we signal our own children and no other process");
        Receiver { program, pid }
    }

    /// Sends a signal, and returns the time from there to the code that has it.
    pub(crate) fn signal(&mut self) -> Duration {
        let sent = now();
        kill(self.pid, SIGNAL).expect("it waits for signals");
        let line = self.program.line(AT);
        let at = field(&line, AT).and_then(|nanos| nanos.parse().ok()).map(Duration::from_nanos);
        let took = at.and_then(|at| at.checked_sub(sent));
        took.unwrap_or_else(|| panic!("no time, or one before the signal, in {line:?}"))
    }

    pub(crate) fn threads(&self) -> u64 {
        Census::of(self.pid).threads
    }

    /// In KiB.
    pub(crate) fn memory(&self) -> u32 {
        private_memory(self.pid)
    }

    /// Waits for the end of a process that has had all its signals.
    pub(crate) fn wait(mut self) {
        self.program.wait();
    }
}
