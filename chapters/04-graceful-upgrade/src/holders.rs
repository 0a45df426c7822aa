//! The processes that hold one end of a channel, whoever has started them.
//!
//! The invariant: a process is signalled only if it holds that socket, and the signal reaches that process or none. A socket
//! that only a child was given, and what the child has started, is held by these alone; a process group or the tree of their
//! parents would miss those that have left it (setsid(2), and a parent that ends first).

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
    /// None that fstat(2) knows for an open descriptor.
    pub(crate) fn of(fd: OwnedFd) -> io::Result<Socket> {
        Ok(Socket(format!("socket:[{}]", File::from(fd).metadata()?.ino()).into()))
    }

    /// Kills every process that holds it, this one excepted.
    ///
    /// # Errors
    /// If `/proc` cannot be read: the descriptor limit is reached, for one.
    pub(crate) fn kill_holders(&self) -> io::Result<()> {
        // Not our pid: `/proc` may be that of another PID namespace.
        let us = fs::read_link("/proc/self")?;
        for entry in fs::read_dir("/proc")?.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let is_other = name.to_string_lossy().parse::<u32>().is_ok() && us != Path::new(&name);
            // A directory of `/proc` stands for its process, as a pidfd does (pidfd_send_signal(2)): opened before we look, it
            // does not lead to another one that gets the pid meanwhile. Those that we may not look into are no children of ours.
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
