//! What a machine may lack. A person without it sees the test skipped, and why; CI, which installs everything, fails.

use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::thread;

/// Returns whether `present` holds, and otherwise says what is missing and how to get it.
///
/// Use it as `if !require(…) { return; }`.
///
/// # Panics
/// Where the environment variable `CI` is set: there, nothing may be skipped.
#[must_use]
pub fn require(present: bool, missing: &str) -> bool {
    if !present {
        assert!(std::env::var_os("CI").is_none(), "{missing}; CI may not skip this test");
        // libtest names the thread of a test after it.
        let test = thread::current().name().filter(|name| *name != "main").map(|name| format!(" {name}"));
        // Not `eprintln!`, which libtest captures, and shows only if the test fails. One write, so that the lines of tests that
        // run side by side do not mix. If standard error is closed, the note is lost.
        let _ = stderr().write_all(format!("skipped{}: {missing}\n", test.unwrap_or_default()).as_bytes());
    }
    present
}

/// Finds `program` on `PATH`, or says which Debian package has it (see [`require`]).
#[must_use]
pub fn require_program(program: &str, debian_package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| is_file(file));
    let missing = format!("this test needs `{program}`: install it with `apt-get install {debian_package}`");
    require(found.is_some(), &missing).then_some(found).flatten()
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file())
}
