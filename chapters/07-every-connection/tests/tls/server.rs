//! The program under test, with a certificate that was made for it.

use std::fs::write;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use testkit::{End, Generations, await_exit, require_program};

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_every-connection");

/// A server that encrypts. Its files live as long.
pub(crate) struct Server {
    pub(crate) generations: Generations,
    files: TempDir,
}

/// Of a certificate that is no authority's.
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

impl Server {
    /// `None`: there is no `openssl` here to make a certificate with.
    pub(crate) fn start() -> Option<Server> {
        Server::start_by(Command::new(BINARY))
    }

    /// The same, by a command that only lacks the arguments.
    pub(crate) fn start_by(mut command: Command) -> Option<Server> {
        let openssl = require_program("openssl", "openssl")?;
        let files = tempfile::tempdir().expect("there is room");
        let file = |name| files.path().join(name);
        write(file("config"), CONFIG).expect("there is room");
        let mut request = Command::new(openssl);
        request.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        request.arg("-config").arg(file("config")).arg("-keyout").arg(file("key")).arg("-out").arg(file("certificate"));
        let made = request.output().expect("it can be started");
        assert!(made.status.success(), "no certificate: {}", String::from_utf8_lossy(&made.stderr));
        let read = |name| std::fs::read_to_string(file(name)).expect("it was just written");
        write(file("both"), read("certificate") + &read("key")).expect("there is room");
        for variable in ["LISTEN", "DRAIN_TIMEOUT", "IDLE_TIMEOUT", "HEAD_TIMEOUT", "READY_TIMEOUT", "RUST_LOG"] {
            command.env_remove(variable);
        }
        command.args(["--listen", "127.0.0.1:0", "--tls"]).arg(file("both"));
        Some(Server { generations: Generations::start(&mut command, 1), files })
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.files.path().join("certificate")
    }

    /// Another file.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
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
