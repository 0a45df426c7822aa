//! A pipe whose reader has stopped reading.
//!
//! The invariant: once it is full, it stays so until the test reads it.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

/// A pipe that is full, with a name: `2>NAME` makes it a program's standard error.
#[derive(Debug)]
pub struct StalledPipe {
    _directory: TempDir,
    path: PathBuf,
    pipe: File,
}

impl StalledPipe {
    /// A full one.
    ///
    /// # Panics
    /// If none can be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an empty one would be another thing")]
    pub fn new() -> StalledPipe {
        let directory = tempfile::tempdir().expect("there is room in /tmp");
        let path = directory.path().join("pipe");
        mkfifo(&path, Mode::S_IRWXU).expect("our own directory");
        // Both ends, so that no open(2) waits for the other one (fifo(7)).
        let open = OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open(&path);
        let mut pipe = StalledPipe { _directory: directory, path, pipe: open.expect("we have just made it") };
        pipe.fill();
        pipe
    }

    /// Fills it (again).
    pub fn fill(&mut self) {
        while self.pipe.write(b"\n").is_ok() {}
    }

    /// Its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what is there, which makes room.
    pub fn read(&mut self) -> String {
        let mut bytes = Vec::new();
        // `Err`: that was all for now.
        let _ = self.pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).trim_start().to_owned()
    }
}
