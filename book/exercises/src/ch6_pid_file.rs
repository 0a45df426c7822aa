//! A file that says which process serves, and never half of it.

use std::path::Path;
use std::{fs, io};

/// Writes `pid` to the file at `path`, in place of what was there.
///
/// # Errors
/// If the directory is missing, or not ours to write to.
pub fn write(path: &Path, pid: u32) -> io::Result<()> {
    fs::write(path, format!("{pid}\n"))
}
