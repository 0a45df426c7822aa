//! The program under test, and a place where it can be replaced.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{Generations, Wire};
use tempfile::TempDir;

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_graceful-upgrade");

/// Starts the program on one free port.
pub(crate) fn start(more: &[&str]) -> Generations {
    Generations::start(Command::new(BINARY).args(["--listen", "127.0.0.1:0"]).args(more), 1)
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
    pub(crate) fn start(&self, more: &[&str]) -> Generations {
        let mut command = Command::new(self.server());
        Generations::start(command.args(["--listen", "127.0.0.1:0"]).args(more), 1)
    }
}
