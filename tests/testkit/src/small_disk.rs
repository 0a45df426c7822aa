//! A disk that a test can fill.
//!
//! The invariant: it is in a mount namespace of its own, and gone with the last process in there.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::require;

/// Room for 16 pages and 16 files (tmpfs(5)).
const MOUNT: &str = r#"mount -t tmpfs -o size=64k,nr_inodes=16 tmpfs "$1" && shift && exec "$@""#;

/// A command that runs its arguments with an empty little file system at `directory`, or says why there can be none here (see
/// [`require`]). From outside, it is at the same path below `/proc/PID/root`.
#[must_use]
pub fn small_disk(directory: &Path) -> Option<Command> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"]).arg(directory);
        command
    };
    let allowed = unshare().arg("true").output().is_ok_and(|output| output.status.success());
    let missing = "this test needs a mount namespace: run it as root, or allow unprivileged user namespaces";
    require(allowed, missing).then(unshare)
}

/// What a disk can lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Room for what is written.
    Blocks,
    /// Room for another file.
    Inodes,
}

impl Lack {
    /// Both.
    pub const ALL: [Lack; 2] = [Lack::Blocks, Lack::Inodes];

    /// Fills a small disk, with files whose names begin with `filler`.
    ///
    /// # Panics
    /// If it does not get full.
    pub fn fill(self, disk: &Path) {
        let create = |number| File::create(disk.join(format!("filler-{number:02}")));
        let files = if self == Lack::Inodes { 16 } else { 1 };
        let is_full = (0..files).any(|number| match create(number) {
            Ok(mut file) => self == Lack::Blocks && (0..=16).any(|_| file.write_all(&[0; 4096]).is_err()),
            Err(_) => self == Lack::Inodes,
        });
        assert!(is_full, "there is still room on {}", disk.display());
    }

    /// Makes room again.
    ///
    /// # Panics
    /// If it was not filled.
    pub fn relieve(disk: &Path) {
        let files = fs::read_dir(disk).expect("the disk is there").map(|file| file.expect("it is there").path());
        let fillers: Vec<_> = files.filter(|path| path.display().to_string().contains("/filler-")).collect();
        assert!(!fillers.is_empty(), "it was not filled");
        for filler in fillers {
            fs::remove_file(filler).expect("it is ours");
        }
    }
}
