//! The program under test, with a certificate that was made for it.

use std::path::PathBuf;
use std::process::Command;

use testkit::{End, Generations, await_exit};

use crate::certificate::Certificate;

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_every-connection");

/// How many upgrades a client has to keep its connections through. `UPGRADES=100` tries as many.
pub(crate) fn upgrades() -> u32 {
    std::env::var("UPGRADES").ok().map_or(20, |upgrades| upgrades.parse().expect("UPGRADES is a number"))
}

/// A server that encrypts. Its files live as long.
pub(crate) struct Server {
    pub(crate) generations: Generations,
    certificate: Certificate,
}

impl Server {
    /// `None`: there is no `openssl` here to make a certificate with.
    pub(crate) fn start() -> Option<Server> {
        Server::start_by(Command::new(BINARY))
    }

    /// The same, by a command that only lacks the arguments.
    pub(crate) fn start_by(mut command: Command) -> Option<Server> {
        let certificate = Certificate::make()?;
        for variable in ["LISTEN", "DRAIN_TIMEOUT", "IDLE_TIMEOUT", "HEAD_TIMEOUT", "READY_TIMEOUT", "RUST_LOG"] {
            command.env_remove(variable);
        }
        command.args(["--listen", "127.0.0.1:0", "--tls"]).arg(certificate.with_key());
        Some(Server { generations: Generations::start(&mut command, 1), certificate })
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.certificate.file("certificate")
    }

    /// Another file.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.certificate.file(name)
    }

    pub(crate) fn address(&self) -> String {
        self.generations.address().to_owned()
    }

    /// Upgrades, and returns how many connections the new process has taken over.
    pub(crate) fn replace(&mut self) -> usize {
        await_exit(self.generations.upgrade());
        let line = self.generations.program.line("connections taken over");
        let taken = testkit::field(&line, "taken").expect("it says how many");
        assert!(line.contains("declined=0"), "{line}");
        taken.parse().expect("it is a number")
    }

    /// Ends it, and asserts that nothing was cut.
    #[track_caller]
    pub(crate) fn ends_well(mut self) {
        self.generations.signal(nix::sys::signal::Signal::SIGTERM);
        let end = self.generations.program.wait();
        let log = self.generations.program.wait_all();
        assert_eq!(end, End::Exited(0), "everything was answered, so the status should be 0; the log:\n{log}");
        assert!(!log.contains("ERROR"), "{log}");
    }
}
