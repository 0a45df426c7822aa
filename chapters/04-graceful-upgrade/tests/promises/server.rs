//! The server under test, followed from generation to generation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{End, Program, Wire, await_exit, field};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_graceful-upgrade");

/// A server that was started, and the generation of it that serves.
pub(crate) struct Server {
    pub(crate) program: Program,
    /// Where it listens, in the order of `--listen`.
    pub(crate) addresses: Vec<String>,
    pub(crate) serving: Pid,
    pub(crate) generation: u64,
}

impl Server {
    /// Starts the program on one free port.
    pub(crate) fn start(more: &[&str]) -> Server {
        let mut command = Command::new(BINARY);
        Server::start_command(command.args(["--listen", "127.0.0.1:0"]).args(more), 1)
    }

    /// Starts a command that is to listen on so many addresses.
    pub(crate) fn start_command(command: &mut Command, addresses: usize) -> Server {
        let program = Program::start(command);
        let serving = program.pid();
        let mut server = Server { program, addresses: Vec::new(), serving, generation: 0 };
        server.addresses = server.next_generation(addresses);
        server
    }

    pub(crate) fn address(&self) -> &str {
        &self.addresses[0]
    }

    /// Waits until the next generation listens on so many addresses.
    pub(crate) fn next_generation(&mut self, addresses: usize) -> Vec<String> {
        self.generation += 1;
        // With the field's name, since a pid or a port may hold any digits; with the end, since 1 is in 10.
        let pattern = format!("generation={} ", self.generation);
        let lines: Vec<_> = (0..addresses).map(|_| self.program.line(&pattern)).collect();
        let get = |line: &str, key| field(line, key).unwrap_or_else(|| panic!("no {key} in {line:?}")).to_owned();
        self.serving = Pid::from_raw(get(&lines[0], "pid").parse().expect("a pid is a number"));
        lines.iter().map(|line| get(line, "address")).collect()
    }

    /// Sends a signal to the generation that serves.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.serving, signal).expect("the serving process is there");
    }

    /// Upgrades, and returns the old process, which may still drain.
    pub(crate) fn upgrade(&mut self) -> Pid {
        let old = self.serving;
        self.signal(Signal::SIGUSR2);
        self.next_generation(self.addresses.len());
        old
    }

    /// Asks for an upgrade that is to fail, and returns the line that says why.
    pub(crate) fn upgrade_in_vain(&mut self) -> String {
        self.signal(Signal::SIGUSR2);
        self.program.line("upgrade failed")
    }

    /// Asserts that the given generation answers on the first address, on a fresh connection.
    #[track_caller]
    pub(crate) fn assert_answered_by(&self, generation: u64) {
        let answer = get(self.address(), "/");
        assert!(answer.contains(&format!("generation {generation}\n")), "expected generation {generation}: {answer:?}");
    }

    /// Ends the generation that serves and returns how it ended, if it was the process that was started.
    pub(crate) fn stop(&mut self) -> Option<End> {
        self.signal(Signal::SIGTERM);
        if self.serving == self.program.pid() {
            return Some(self.program.wait());
        }
        await_exit(self.serving);
        None
    }
}

/// The body of one answer, over a connection of its own.
pub(crate) fn get(address: &str, path: &str) -> String {
    Wire::connect(address).ask(path).text()
}

/// A place where a program can be put, replaced and broken without harm to the real one.
pub(crate) struct Deployment {
    pub(crate) directory: TempDir,
    /// Elsewhere, since wherever this repository is, the path of a unix socket has to fit in 107 bytes.
    short: TempDir,
}

impl Deployment {
    /// A directory with the program in it, called `server`.
    pub(crate) fn new() -> Deployment {
        // On the file system of the binary, so that a link will do for a copy.
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("cargo made its directory for tests");
        let short = tempfile::tempdir().expect("there is room in /tmp");
        let deployment = Deployment { directory, short };
        deployment.put_binary();
        deployment
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where a unix socket may be.
    pub(crate) fn socket(&self) -> PathBuf {
        self.short.path().join("socket")
    }

    pub(crate) fn server(&self) -> PathBuf {
        self.path().join("server")
    }

    /// Puts the good program in place.
    pub(crate) fn put_binary(&self) {
        self.put(Path::new(BINARY));
    }

    /// Puts a program in place, atomically, as a deployment should.
    pub(crate) fn put(&self, program: &Path) {
        let new = self.path().join("server.new");
        fs::hard_link(program, &new).expect("a link on the same file system");
        fs::rename(new, self.server()).expect("both are in our directory");
    }

    /// Puts a shell script in place of the program.
    pub(crate) fn put_script(&self, script: &str) {
        let (text, new) = (self.path().join("script"), self.path().join("server.new"));
        fs::write(&text, format!("#!/bin/sh\n{script}\n")).expect("our own directory");
        // Not written from here: a child that another test forks meanwhile would hold it open for writing for a moment,
        // and what is open for writing cannot be executed (ETXTBSY, execve(2)).
        let installed = Command::new("install").arg("-m755").args([&text, &new]).status();
        assert!(installed.expect("coreutils are there").success());
        fs::rename(new, self.server()).expect("both are in our directory");
    }

    /// Starts the program from here, on one free port.
    pub(crate) fn start(&self, more: &[&str]) -> Server {
        let mut command = Command::new(self.server());
        Server::start_command(command.args(["--listen", "127.0.0.1:0"]).args(more), 1)
    }
}
