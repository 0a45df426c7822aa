//! Which program the successor runs: the one that is on disk *now*, where this one was started from.
//!
//! The invariant: everything is found out at the start. Later the kernel knows the file only as "(deleted)", a relative
//! path means something else in another working directory, and `PATH` may have changed.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use graceful_shutdown::absolute;

/// The program and the arguments to start a successor with.
#[derive(Debug, Clone)]
pub struct Program {
    /// Absolute: where the program is on disk.
    pub path: PathBuf,
    /// The arguments of this process, without its name.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// Must be called before the working directory or the environment changes. A successor trusts the absolute path that
    /// its predecessor gave it as its name: the file may have been replaced once more while it was starting.
    ///
    /// # Errors
    /// If `/proc` is not mounted.
    pub fn of_this_process(is_successor: bool) -> io::Result<Program> {
        let mut arguments = env::args_os();
        let running = env::current_exe()?;
        let started_as = PathBuf::from(arguments.next().unwrap_or_default());
        let given = Some(&started_as).filter(|path| is_successor && path.is_absolute()).cloned();
        let path = given.or_else(|| as_started(&started_as, &running)).unwrap_or(running);
        // The successor gets the absolute path as its name, and so finds the program in its turn.
        Ok(Program { path, arguments: arguments.collect() })
    }
}

/// The path that was typed, made absolute: with its symbolic links, since a deployment may switch `current` from one
/// release to the next, and `/proc/self/exe` has resolved them. `None` if the name is wrong: `exec -a` can give any.
fn as_started(name: &Path, running: &Path) -> Option<PathBuf> {
    let id = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    // Not its path, which may be gone or replaced already: the file itself.
    let running = id(Path::new("/proc/self/exe")).or_else(|| id(running))?;
    let is_running = |path: &PathBuf| id(path) == Some(running);
    if name.as_os_str().as_bytes().contains(&b'/') {
        return absolute(name).ok().filter(is_running);
    }
    // A shell searches a bare name on PATH, and so do we (nginx does not, and fails to upgrade).
    let directories = env::var_os("PATH")?;
    env::split_paths(&directories).filter_map(|dir| absolute(&dir.join(name)).ok()).find(is_running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_not_believed() {
        let running = env::current_exe().unwrap();
        assert_eq!(as_started(Path::new("/bin/sh"), &running), None);
        assert_eq!(as_started(Path::new("no-such-program"), &running), None);
        assert_eq!(as_started(&running, &running), Some(running.clone()));
    }
}
