//! The parent's side: which descriptors the next program gets, and by which names.
//!
//! The invariant: a bequest only borrows. Nothing is opened, moved or closed until a program is started with it, and a
//! descriptor that is not in it does not cross, for everything that Rust opens is CLOEXEC.

use std::env;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt as _;

use nix::fcntl::{FcntlArg, fcntl};

use crate::protocol::{COUNT, FIRST, NAMES, VARIABLES, is_name};

// ANCHOR: bequest
/// Descriptors with names, for a program that is about to be started.
///
/// ```
/// # use std::{net::TcpListener, os::fd::AsFd, path::Path};
/// # use inherited_fds::Bequest;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut bequest = Bequest::new();
/// bequest.add("web", listener.as_fd())?;
///
/// let script = r#"test -S /proc/$$/fd/3 && test "$LISTEN_FDNAMES $LISTEN_PID" = "web $$""#;
/// let mut child = bequest.fork_exec(Path::new("/bin/sh"), &["-c".into(), script.into()])?;
/// drop(listener); // The child has its own.
/// # use nix::sys::wait::WaitStatus;
/// assert_eq!(child.wait()?, WaitStatus::Exited(child.pid(), 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Bequest<'fd> {
    /// The first one becomes descriptor 3, and so on.
    entries: Vec<(String, BorrowedFd<'fd>)>,
}
// ANCHOR_END: bequest

/// Why a descriptor cannot have this name.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// The protocol does not allow it.
    #[error("{0:?} cannot name a descriptor: use 1 to 255 printable ASCII characters, and no colon")]
    Form(String),
    /// The child could not tell the two apart.
    #[error("two descriptors are called {0:?}; give each a name of its own")]
    Taken(String),
}

/// Copies of the descriptors of a [`Bequest`], each with the number it has to get in the new program.
///
/// The copies are CLOEXEC and numbered above all targets, so putting one in its place never overwrites another.
#[derive(Debug)]
pub struct Placements(Vec<(OwnedFd, RawFd)>);

impl<'fd> Bequest<'fd> {
    /// One that is empty: the program gets its standard streams and nothing else.
    #[must_use]
    pub fn new() -> Self {
        Bequest::default()
    }

    // ANCHOR: add
    /// Adds a descriptor.
    ///
    /// # Errors
    /// If it cannot have this name: `FileDescriptorName=` in systemd.socket(5).
    pub fn add(&mut self, name: &str, fd: BorrowedFd<'fd>) -> Result<(), NameError> {
        if !is_name(name) {
            return Err(NameError::Form(name.to_owned()));
        }
        if self.entries.iter().any(|(taken, _)| taken == name) {
            return Err(NameError::Taken(name.to_owned()));
        }
        self.entries.push((name.to_owned(), fd));
        Ok(())
    }
    // ANCHOR_END: add

    // ANCHOR: environment
    /// The environment of the new program: ours, with `LISTEN_FDS` and `LISTEN_FDNAMES` for this bequest.
    ///
    /// `LISTEN_PID` is not in it, neither this bequest's nor one that we were given: only the new process knows it.
    #[must_use]
    pub fn environment(&self) -> Vec<CString> {
        let ours = env::vars_os().filter(|(key, _)| VARIABLES.iter().all(|variable| key != variable));
        let mut all: Vec<_> = ours.map(|(key, value)| assignment(key, value)).collect();
        if !self.entries.is_empty() {
            let names: Vec<_> = self.entries.iter().map(|(name, _)| name.as_str()).collect();
            all.push(assignment(COUNT.into(), self.entries.len().to_string().into()));
            all.push(assignment(NAMES.into(), names.join(":").into()));
        }
        // The kernel ends each string at its first NUL, so no variable that we were given holds one.
        all.into_iter().filter_map(|assignment| CString::new(assignment).ok()).collect()
    }
    // ANCHOR_END: environment

    // ANCHOR: placements
    /// Copies the descriptors out of each other's way, with the numbers they have to get.
    ///
    /// Between fork and exec, or in the file actions of a `posix_spawn(3)`, one dup2(2) each puts them there; the copy
    /// at the target has no CLOEXEC (dup(2)).
    ///
    /// # Errors
    /// If the descriptor limit is reached.
    pub fn placements(&self) -> io::Result<Placements> {
        let above = FIRST + RawFd::try_from(self.entries.len()).map_err(io::Error::other)?;
        let placed = self.entries.iter().zip(FIRST..).map(|((_, fd), target)| Ok((copy_above(*fd, above)?, target)));
        placed.collect::<io::Result<_>>().map(Placements)
    }
    // ANCHOR_END: placements
}

impl Placements {
    /// Each copy, and the number it has to get.
    pub fn iter(&self) -> impl Iterator<Item = (BorrowedFd<'_>, RawFd)> {
        self.0.iter().map(|(copy, target)| (copy.as_fd(), *target))
    }

    /// The lowest number that is not a target.
    pub(crate) fn above(&self) -> RawFd {
        self.0.iter().map(|(_, target)| target + 1).max().unwrap_or(FIRST)
    }
}

// ANCHOR: copy
/// A copy of `fd` with CLOEXEC and a number of at least `lowest`.
pub(crate) fn copy_above(fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(lowest))?;
    // SAFETY: F_DUPFD_CLOEXEC returned a new descriptor, and nobody else knows its number (fcntl(2)).
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
// ANCHOR_END: copy

fn assignment(key: OsString, value: OsString) -> Vec<u8> {
    [key.into_vec(), value.into_vec()].join(&b'=')
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn a_name_that_the_protocol_does_not_allow_is_refused() {
        let stdin = io::stdin();
        for name in ["", "a:b", "a\nb", "caf\u{e9}", &"x".repeat(256)] {
            let refused = Bequest::new().add(name, stdin.as_fd());
            assert!(matches!(refused, Err(NameError::Form(_))), "{name:?}");
        }
        let mut bequest = Bequest::new();
        bequest.add(&"x".repeat(255), stdin.as_fd()).expect("255 is the limit of systemd.socket(5)");
        bequest.add("web", stdin.as_fd()).expect("the name is free");
        assert!(matches!(bequest.add("web", stdin.as_fd()), Err(NameError::Taken(_))));
    }

    #[test]
    fn no_copy_stands_where_another_one_has_to_be() {
        let stdin = io::stdin();
        let mut bequest = Bequest::new();
        for name in ["a", "b", "c"] {
            bequest.add(name, stdin.as_fd()).expect("the name is free");
        }
        let placements = bequest.placements().expect("there are descriptors left");
        let targets: Vec<_> = placements.iter().map(|(_, target)| target).collect();
        assert_eq!(targets, [3, 4, 5]);
        assert!(placements.iter().all(|(copy, _)| copy.as_raw_fd() > 5), "{placements:?}");
    }
}
