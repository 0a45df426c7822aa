//! The file that names the process in charge.
//!
//! The invariant: a reader gets a whole pid, and that of the process in charge: a signal sent to it concerns the
//! service, and not a process that is about to take over or has handed over.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::{fs::File, process};

use graceful_upgrade::lifecycle::{Action, Event};
use graceful_upgrade::{Observe, Transition, Upgrader};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};

/// The name under which a successor finds the directory that a relative path begins at.
pub(crate) const DIRECTORY: &str = "pid-file-directory";

/// Why there can be no pid file.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot write the pid file {path:?}: {error}; with --pid-file, name a file in a directory that exists and is ours"
)]
pub struct PidFileError {
    path: PathBuf,
    error: io::Error,
}

/// A file that holds our pid while we serve. Dropping this removes the file, unless another process has written its own
/// pid there, or is about to.
#[derive(Debug)]
pub struct PidFile {
    /// Where the path begins, if it is relative: the working directory of the first generation. Ours may be another one,
    /// or deleted, and then has no path any more.
    directory: OwnedFd,
    path: PathBuf,
    /// The file beside it that will replace it.
    beside: PathBuf,
    /// Whether `beside` is there, with our pid in it.
    written: bool,
    /// Whether it is ours to remove: no successor was told to write its pid there.
    ours: bool,
}

impl PidFile {
    /// Keeps the pid of the generation that accepts in `path`: this one's, and then its successors'. Call it before
    /// [`Upgrader::listen`].
    ///
    /// # Errors
    /// If there is something else at this path, or the directory is missing or not ours to write to: found out now, and not
    /// when it is too late.
    pub fn keep(path: PathBuf, upgrader: &mut Upgrader) -> Result<(), PidFileError> {
        let file = PidFile::new(&path, upgrader.take(DIRECTORY)).map_err(|error| PidFileError { path, error })?;
        let directory = file.directory.try_clone();
        upgrader.pass(move || {
            let directory = directory.as_ref().map_err(|error| io::Error::from(error.kind()))?;
            Ok(vec![(DIRECTORY.to_owned(), directory.try_clone()?)])
        });
        upgrader.observe(file);
        Ok(())
    }

    fn new(path: &Path, directory: Option<OwnedFd>) -> io::Result<PidFile> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = directory.map_or_else(|| openat(CWD, ".", flags, Mode::empty()), Ok)?;
        let name = path.file_name().ok_or_else(|| io::Error::other("this is no name of a file"))?;
        let beside = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), process::id()));
        let file = PidFile { directory, path: path.with_file_name(name), beside, written: false, ours: false };
        let there = statat(&file.directory, &file.path, AtFlags::empty());
        if there.is_ok_and(|there| FileType::from_raw_mode(there.st_mode) != FileType::RegularFile) {
            // A directory, or /dev/null, which must not be replaced.
            return Err(io::Error::other("there is something in its place that is not a file"));
        }
        file.write_beside()?;
        unlinkat(&file.directory, &file.beside, AtFlags::empty())?;
        Ok(file)
    }

    fn write_beside(&self) -> io::Result<()> {
        // A process that was killed may have left it; in a container, it may have had our pid.
        let _ = unlinkat(&self.directory, &self.beside, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        // Readable by all, as the pid files of other servers are.
        let mut file = File::from(openat(&self.directory, &self.beside, flags, Mode::from_raw_mode(0o644))?);
        writeln!(file, "{}", process::id()).inspect_err(|_| {
            let _ = unlinkat(&self.directory, &self.beside, AtFlags::empty());
        })
    }

    /// The same on a full disk, in the room of the file that is there. It names a process that accepts no longer.
    fn write_in_its_room(&self) -> io::Result<()> {
        unlinkat(&self.directory, &self.path, AtFlags::empty())?;
        self.write_beside()
    }

    fn names_us(&self) -> bool {
        let mut text = String::new();
        // This must not wait if a pipe has taken its place.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.directory, &self.path, flags, Mode::empty());
        file.is_ok_and(|file| File::from(file).read_to_string(&mut text).is_ok())
            && text.trim_end() == process::id().to_string()
    }

    fn remove(&self) {
        if self.names_us() {
            // `Err`: a stale pid file is overwritten by the next start.
            let _ = unlinkat(&self.directory, &self.path, AtFlags::empty());
        }
    }
}

// ANCHOR: observe
impl Observe for PidFile {
    fn before(&mut self, transition: &Transition) {
        for action in transition.actions {
            match action {
                // Now, while a descriptor is free: once we accept, clients may take them all.
                Action::Accept => {
                    let written = self.write_beside();
                    self.written = self.succeeds(written.or_else(|error| self.write_in_its_room().map_err(|_| error)));
                }
                // From now on the file is the successor's, even if we end before it has written its pid.
                Action::ActivateSuccessor => self.ours = false,
                _ => {}
            }
        }
    }

    /// In one step, so that nothing ever reads half a pid, or the pid of a process that does not accept yet.
    fn after(&mut self, transition: &Transition) {
        if transition.actions.contains(&Action::Accept) {
            self.ours = true;
            if self.written {
                self.succeeds(renameat(&self.directory, &self.beside, &self.directory, &self.path));
            }
        }
        if transition.event == Event::SuccessorAccepts {
            // A successor that uses this file has its pid in it by now. This one may use another file, or none.
            self.remove();
        }
        // The successor was lost before it wrote its pid.
        self.ours |= transition.event == Event::SuccessorGone && self.names_us();
    }
}
// ANCHOR_END: observe

impl PidFile {
    /// Says so if not.
    fn succeeds(&self, outcome: Result<(), impl Into<io::Error>>) -> bool {
        let complain = |error: &io::Error| {
            tracing::error!(%error, path = %self.path.display(), "cannot write the pid file");
        };
        outcome.map_err(Into::into).inspect_err(complain).is_ok()
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.ours {
            self.remove();
        }
    }
}
