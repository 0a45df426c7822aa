//! The parent's side: what a new process gets, and how it is started.
//!
//! The invariant: a new process gets what was added, by the names it was added under, and of the rest only what has no
//! CLOEXEC, whatever its number. The library starts no process in any other way.

use std::ffi::{CString, OsString};
use std::io;
use std::iter;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use socket2::{Domain, Socket, Type};

use crate::fd_map::FdMap;
use crate::listen_env::{environment, is_name};
use crate::{AddError, Child};

/// The descriptors that a new process gets besides its standard streams, by name.
///
/// It holds copies, so the originals may be closed, and it can go to another thread.
///
/// More crosses than the set. As with any exec(2), so do 0, 1 and 2, and every descriptor that this process has without
/// CLOEXEC: those that it was started with and that no protocol made ours, such as a lock that a shell opened.
/// Everything that Rust's standard library opens has CLOEXEC, and stays here.
#[derive(Debug, Default)]
pub struct PassedFds {
    names: Vec<String>,
    copies: Vec<OwnedFd>,
}

impl PassedFds {
    /// An empty set: the program gets its standard streams and nothing else of ours.
    #[must_use]
    pub fn new() -> Self {
        PassedFds::default()
    }

    /// Adds a copy of `fd`. The first one added becomes descriptor 3.
    ///
    /// # Errors
    /// If it cannot have this name (`FileDescriptorName=` in systemd.socket(5)), or the descriptor limit is reached.
    pub fn add(&mut self, name: &str, fd: impl AsFd) -> Result<(), AddError> {
        if !is_name(name) || self.names.iter().any(|taken| taken == name) {
            return Err(AddError::Name(name.to_owned()));
        }
        self.copies.push(fd.as_fd().try_clone_to_owned()?);
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Adds one end of a new `SOCK_SEQPACKET` socketpair, which authenticates all that is passed
    /// ([`Inherited::from_parent`](crate::Inherited::from_parent)), and returns the other.
    ///
    /// Pass the returned end to no other process: its end of file tells the child that this process is gone.
    ///
    /// # Errors
    /// As [`PassedFds::add`].
    pub fn add_channel(&mut self, name: &str) -> Result<OwnedFd, AddError> {
        let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        self.add(name, theirs)?;
        Ok(ours.into())
    }

    // ANCHOR: spawn
    /// Starts `program`, which is not searched for on `PATH`, with `args` after its name, and closes the copies here.
    ///
    /// It takes the same time however much memory this process has, and blocks until the child has reached its exec(2):
    /// in async code, call it from a thread that may block.
    ///
    /// The child has this thread's signal mask, and signals that are ignored stay ignored, as always across exec. Only
    /// SIGPIPE gets its default action back: Rust's runtime ignores it, and other programs do not expect that.
    ///
    /// # Errors
    /// If posix_spawn(3) or execve(2) fails: no such file, not executable, the limit on descriptors or processes is
    /// reached. Then no child is left behind.
    pub fn spawn(self, program: &Path, args: &[OsString]) -> io::Result<Child> {
        let arguments = iter::once(program.as_os_str()).chain(args.iter().map(OsString::as_os_str));
        let arguments = arguments.map(|it| CString::new(it.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let map = FdMap::new(self.copies)?;
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
        attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
        let pid = posix_spawn(program, &map.file_actions()?, &attributes, &arguments, &environment(&self.names))?;
        Ok(Child { pid, end: None })
    }
    // ANCHOR_END: spawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_protocol_does_not_allow_is_refused() {
        for name in ["", "a:b", "a\nb", "caf\u{e9}", &"x".repeat(256)] {
            let refused = PassedFds::new().add(name, io::stdin());
            assert!(matches!(refused, Err(AddError::Name(_))), "{name:?}");
        }
        let mut passed = PassedFds::new();
        passed.add(&"x".repeat(255), io::stdin()).expect("255 is the limit of systemd.socket(5)");
        passed.add("web", io::stdin()).expect("the name is free");
        assert!(matches!(passed.add("web", io::stdin()), Err(AddError::Name(_))), "the child could not tell two apart");
    }
}
