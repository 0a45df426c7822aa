//! The processes that hold one end of a channel, whichever process started them.
//!
//! The invariant: a process is signalled only if it holds that socket, and the signal reaches that process or none. A
//! socket that only a child was given is held by the child and by what it has started, and by no others. A process
//! group or the tree of parents would miss those that have left it (setsid(2), or a parent that ended first).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{Signal, pidfd_send_signal};

/// A socket, by the name that `/proc/PID/fd` has for it in every process (proc_pid_fd(5)).
#[derive(Debug)]
pub(crate) struct Socket(OsString);

impl Socket {
    /// Takes the name of a socket, and closes it here.
    ///
    /// # Errors
    /// None is expected: fstat(2) works for every open descriptor.
    pub(crate) fn of(fd: OwnedFd) -> io::Result<Socket> {
        Ok(Socket(format!("socket:[{}]", File::from(fd).metadata()?.ino()).into()))
    }

    /// Kills every process that holds it, except this one.
    ///
    /// # Errors
    /// If `/proc` cannot be read, for instance because the descriptor limit is reached.
    pub(crate) fn kill_holders(&self) -> io::Result<()> {
        // Not by our pid: `/proc` may be that of another PID namespace.
        let us = fs::read_link("/proc/self")?;
        for entry in fs::read_dir("/proc")?.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let is_other = name.to_string_lossy().parse::<u32>().is_ok() && us != Path::new(&name);
            // An open `/proc/PID` stands for its process, as a pidfd does (pidfd_send_signal(2)): opened first, it
            // never leads to a later process with that pid. Those that we may not look into are not our children.
            if is_other
                && let Ok(process) = File::open(&path)
                && let Ok(descriptors) = fs::read_dir(path.join("fd"))
                && descriptors.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == Path::new(&self.0)))
            {
                // `Err`: it has ended.
                let _ = pidfd_send_signal(process, Signal::KILL);
            }
        }
        Ok(())
    }
}
