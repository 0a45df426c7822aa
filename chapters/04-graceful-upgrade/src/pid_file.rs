// ANCHOR: all
//! The file that says which process serves.
//!
//! The invariant: whoever reads it gets a whole pid, and that of a process that serves or is just about to.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::StartError;

/// A path, made absolute, that holds our pid while we serve. Dropped, it removes the file, unless somebody else has written
/// theirs.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes our pid to `path`.
    ///
    /// # Errors
    /// If the directory is missing or not ours to write to.
    pub(crate) fn create(path: PathBuf) -> Result<PidFile, StartError> {
        let create = || {
            let file = PidFile(std::path::absolute(&path)?);
            file.write()?;
            Ok(file)
        };
        create().map_err(|error| StartError::PidFile { path, error })
    }

    // ANCHOR: write
    /// Writes our pid (again): to a file beside it, which then takes its place, so that nobody ever reads half of it.
    ///
    /// # Errors
    /// If the directory is missing or not ours to write to.
    pub(crate) fn write(&self) -> io::Result<()> {
        if self.is_ours() {
            return Ok(());
        }
        let directory = self.0.parent().unwrap_or(Path::new("/"));
        // Everybody may read it, as with the pid files of other servers.
        let permissions = Permissions::from_mode(0o644);
        let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(directory)?;
        writeln!(file, "{}", std::process::id())?;
        file.persist(&self.0)?;
        Ok(())
    }

    fn is_ours(&self) -> bool {
        fs::read_to_string(&self.0).is_ok_and(|text| text.trim_end() == std::process::id().to_string())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.is_ours() {
            // Nothing depends on it: a stale pid file is overwritten by the next start.
            let _ = fs::remove_file(&self.0);
        }
    }
}
// ANCHOR_END: write
// ANCHOR_END: all
