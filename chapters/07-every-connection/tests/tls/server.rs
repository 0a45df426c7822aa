//! The program under test, with a certificate that was made for it.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use testkit::{
    CERTIFICATE, CERTIFICATE_AND_KEY, Generations, assert_ends_well, await_exit, make_certificate, require_program,
};

use crate::client::{Client, config, connect};

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_every-connection");

/// A certificate, and what else a test wants to write. The files live as long as this.
pub(crate) struct Files(TempDir);

impl Files {
    /// `None`: there is no `openssl` here to make a certificate with.
    pub(crate) fn make() -> Option<Files> {
        let openssl = require_program("openssl", "openssl")?;
        let files = Files(tempfile::tempdir().expect("there is room"));
        make_certificate(&openssl, files.0.path()).expect("openssl makes one");
        Some(files)
    }

    /// What a server needs.
    pub(crate) fn certificate_and_key(&self) -> PathBuf {
        self.path(CERTIFICATE_AND_KEY)
    }

    /// What a client trusts.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.path(CERTIFICATE)
    }

    /// Where a file of this name is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Starts a program that has our options, on one free port.
pub(crate) fn start(mut command: Command) -> Generations {
    for variable in ["LISTEN", "DRAIN_TIMEOUT", "IDLE_TIMEOUT", "HEAD_TIMEOUT", "READY_TIMEOUT", "RUST_LOG"] {
        command.env_remove(variable);
    }
    Generations::start(command.args(["--listen", "127.0.0.1:0"]), 1)
}

/// rustls' own client, connected.
pub(crate) fn rustls(server: &Generations, files: &Files) -> Client {
    connect(server.address(), &config(&files.certificate()))
}

/// A server that encrypts.
pub(crate) struct Server {
    pub(crate) generations: Generations,
    pub(crate) files: Files,
}

impl Server {
    /// `None`: there is no certificate.
    pub(crate) fn start() -> Option<Server> {
        Server::start_by(Command::new(BINARY))
    }

    /// The same, by a command that only lacks the arguments.
    pub(crate) fn start_by(mut command: Command) -> Option<Server> {
        let files = Files::make()?;
        command.arg("--tls").arg(files.certificate_and_key());
        Some(Server { generations: start(command), files })
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.files.certificate()
    }

    /// Another file.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path(name)
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
    pub(crate) fn ends_well(self) {
        self.generations.signal(nix::sys::signal::Signal::SIGTERM);
        assert_ends_well(self.generations);
    }
}
