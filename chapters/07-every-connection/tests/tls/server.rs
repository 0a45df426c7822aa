//! The program under test, with a certificate that was made for it.

use std::fs::write;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use testkit::{End, Generations, await_exit, require_program};

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_every-connection");

/// A certificate that is no authority's, and its key. The files live as long as this.
pub(crate) struct Files(TempDir);

/// What `openssl` is told about it.
const CONFIG: &str = "
    [req]
    distinguished_name = name
    x509_extensions = extensions
    prompt = no
    [name]
    CN = localhost
    [extensions]
    basicConstraints = critical, CA:FALSE
    subjectAltName = DNS:localhost, IP:127.0.0.1
";

impl Files {
    /// `None`: there is no `openssl` here to make a certificate with.
    pub(crate) fn make() -> Option<Files> {
        let openssl = require_program("openssl", "openssl")?;
        let files = Files(tempfile::tempdir().expect("there is room"));
        write(files.path("config"), CONFIG).expect("there is room");
        let mut request = Command::new(openssl);
        request.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        request.arg("-config").arg(files.path("config"));
        request.arg("-keyout").arg(files.path("key")).arg("-out").arg(files.path("certificate"));
        let made = request.output().expect("it can be started");
        assert!(made.status.success(), "no certificate: {}", String::from_utf8_lossy(&made.stderr));
        let read = |name| std::fs::read_to_string(files.path(name)).expect("it was just written");
        write(files.path("both"), read("certificate") + &read("key")).expect("there is room");
        Some(files)
    }

    /// Where a file of this name is. What a server needs is in `both`, and what a client trusts in `certificate`.
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
        command.arg("--tls").arg(files.path("both"));
        Some(Server { generations: start(command), files })
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.files.path("certificate")
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
        assert_ended_well(self.generations);
    }
}

/// Waits for the end of the process that was started, and of all others, and asserts that nothing was cut.
#[track_caller]
pub(crate) fn assert_ended_well(mut generations: Generations) {
    let end = generations.program.wait();
    let log = generations.program.wait_all();
    assert_eq!(end, End::Exited(0), "everything was answered, so the status should be 0; the log:\n{log}");
    assert!(!log.contains("ERROR"), "{log}");
}
