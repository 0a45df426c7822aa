//! A place where a program can be put, replaced and broken.
//!
//! The invariant: the real program is never touched, and the place is gone with its [`Deployment`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Gate, Generations, Lease};

/// A place where a program can be put, replaced and broken without harm to the real one.
#[derive(Debug)]
pub struct Deployment {
    directory: TempDir,
    /// Elsewhere: the path of a unix socket has to fit in 107 bytes, wherever this repository is.
    short: TempDir,
    binary: PathBuf,
}

impl Deployment {
    /// A directory with `binary` in it, called `server`.
    ///
    /// # Panics
    /// If there is no room for it beside the binary.
    #[must_use]
    pub fn of(binary: impl Into<PathBuf>) -> Deployment {
        let binary = binary.into();
        // On the file system of the binary, so that a link will do for a copy.
        let directory = TempDir::new_in(binary.parent().unwrap_or(Path::new("."))).expect("Cargo can write there, too");
        let short = tempfile::tempdir().expect("there is room in /tmp");
        let deployment = Deployment { directory, short, binary };
        deployment.put_binary();
        deployment
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where a unix socket may be.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.short.path().join("socket")
    }

    /// The program in it.
    #[must_use]
    pub fn server(&self) -> PathBuf {
        self.path().join("server")
    }

    /// Puts the good program in place.
    ///
    /// # Panics
    /// As [`put`](Deployment::put).
    pub fn put_binary(&self) {
        self.put(&self.binary);
    }

    /// Puts a program in place, atomically, as a deployment should.
    ///
    /// # Panics
    /// If there is no such program on the same file system.
    pub fn put(&self, program: &Path) {
        let new = self.path().join("server.new");
        fs::hard_link(program, &new).expect("a link on the same file system");
        fs::rename(new, self.server()).expect("both are in our directory");
    }

    /// Puts a shell script in place of the program.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn put_script(&self, script: &str) {
        let (text, new) = (self.path().join("script"), self.path().join("server.new"));
        fs::write(&text, format!("#!/bin/sh\n{script}\n")).expect("our own directory");
        // Not written from here: a child that another test forks meanwhile would hold it open for writing for a moment,
        // and what is open for writing cannot be executed (ETXTBSY, execve(2)).
        let installed = Command::new("install").arg("-m755").args([&text, &new]).status();
        assert!(installed.expect("coreutils are there").success());
        fs::rename(new, self.server()).expect("both are in our directory");
    }

    /// Puts a program in place that says `started` on standard error, and becomes the good one when its gate is opened; `more`
    /// are arguments for the good one, in the shell's words.
    ///
    /// # Panics
    /// If it cannot be written, or if there is a gate already.
    #[must_use]
    pub fn put_gate(&self, more: &str) -> Gate {
        let gate = Gate::at(self.path().join("gate"));
        // To open a pipe for reading is to wait until it is open for writing (fifo(7)).
        let (pipe, binary) = (gate.path().display(), self.binary.display());
        self.put_script(&format!("echo started >&2; : < '{pipe}'; exec '{binary}' \"$@\" {more}"));
        gate
    }

    /// Puts the good program in place so that its exec(2) does not finish before the lease is dropped, as on a slow
    /// file system: to open a file on which another process has a lease is to wait for that process (fcntl(2)), for
    /// `/proc/sys/fs/lease-break-time` at most. `None` where there are no leases (see [`require`](crate::require)).
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn put_slow(&self) -> Option<Lease> {
        self.put_script(&format!("exec '{}' \"$@\"", self.binary.display()));
        Lease::of(&self.server())
    }

    /// Starts the program from here, on one free port.
    ///
    /// # Panics
    /// If it does not listen, with its log.
    #[must_use]
    pub fn start(&self, more: &[&str]) -> Generations {
        let mut command = Command::new(self.server());
        Generations::start(command.args(["--listen", "127.0.0.1:0"]).args(more), 1)
    }
}
