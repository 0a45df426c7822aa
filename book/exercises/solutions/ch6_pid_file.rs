//! A file that says which process serves, and never half of it.

use std::path::Path;
use std::{fs, io};

/// Writes `pid` to the file at `path`, in place of what was there.
///
/// # Errors
/// If the directory is missing, or not ours to write to.
pub fn write(path: &Path, pid: u32) -> io::Result<()> {
    // In the same directory: rename(2) works within one file system only. It replaces the old file in one step.
    let whole = path.with_extension(format!("{pid}.new"));
    fs::write(&whole, format!("{pid}\n"))?;
    fs::rename(&whole, path).inspect_err(|_| {
        let _ = fs::remove_file(&whole);
    })
}
