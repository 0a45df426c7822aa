//! The program under test.

use std::process::Command;

use nix::sys::signal::Signal;
use testkit::{End, Program, Wire};

/// The chapter's program, and where it listens.
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) address: String,
}

/// The command that runs the program with these options and none from the environment.
pub(crate) fn command(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graceful-shutdown"));
    command.args(options);
    for variable in ["LISTEN", "DRAIN_TIMEOUT", "IDLE_TIMEOUT", "HEAD_TIMEOUT", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

impl Server {
    /// Starts it on any free port, with these options as well.
    pub(crate) fn start(options: &[&str]) -> Server {
        Server::listening(&[&["--listen", "127.0.0.1:0"], options].concat())
    }

    /// Starts it with these options and no others.
    pub(crate) fn listening(options: &[&str]) -> Server {
        let mut program = Program::start(&mut command(options));
        let address = program.listening();
        Server { program, address }
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(&self.address)
    }

    /// Sends SIGTERM, and returns when the drain has begun.
    pub(crate) fn drain(&mut self) {
        self.program.signal(Signal::SIGTERM);
        self.program.line("draining");
    }

    /// Stops the process in its tracks (SIGSTOP) until SIGCONT: the kernel goes on accepting for it.
    pub(crate) fn freeze(&self) {
        testkit::freeze(self.program.pid());
    }

    /// Waits for the end, and asserts that every request was answered.
    #[track_caller]
    pub(crate) fn assert_ends_well(mut self) {
        let end = self.program.wait();
        let log = self.program.wait_all();
        assert_eq!(end, End::Exited(0), "everything was answered, so the status should be 0; the log:\n{log}");
        assert!(!log.contains("ERROR"), "everything was answered, so there is nothing to complain about:\n{log}");
    }

    /// Waits for the end, and asserts that the deadline cut this many requests, and that the log says so.
    #[track_caller]
    pub(crate) fn assert_cuts(mut self, requests: usize) {
        let end = self.program.wait();
        let log = self.program.wait_all();
        assert_eq!(end, End::Exited(3), "requests were cut, so the status should be 3; the log:\n{log}");
        let requests = if requests == 1 { "1 request was".to_owned() } else { format!("{requests} requests were") };
        let said = format!("{requests} cut: the drain ended first");
        assert!(log.contains(&said), "the log should say {said:?}:\n{log}");
    }
}
