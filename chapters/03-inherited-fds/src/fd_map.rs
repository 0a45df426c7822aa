//! Which number each descriptor gets in the new process.
//!
//! The invariant: no source is a target, so the dup2(2) calls can be made in any order, and each makes a descriptor
//! without CLOEXEC.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::spawn::PosixSpawnFileActions;

use crate::descriptor::has_cloexec;
use crate::listen_env::FIRST;

// ANCHOR: fd_map
/// Which descriptor gets which number. Dropping it closes the copies here; exec(2) closes them in the new process.
#[derive(Debug)]
pub(crate) struct FdMap {
    /// They go to [`FIRST`] and the numbers after it, in this order. Each has CLOEXEC and a number above all targets.
    copies: Vec<OwnedFd>,
    /// What is open at a target without CLOEXEC: it crosses at the number of its copy, as it would at its own if that
    /// were not needed. A lock that a shell opened (`9>lock`, flock(1)) is held whatever its number is.
    displaced: Vec<(RawFd, OwnedFd)>,
}

impl FdMap {
    /// # Errors
    /// If the descriptor limit is reached.
    pub(crate) fn new(passed: Vec<OwnedFd>) -> io::Result<FdMap> {
        let above = FIRST + RawFd::try_from(passed.len()).map_err(io::Error::other)?;
        let out_of_the_way =
            |fd: OwnedFd| if fd.as_raw_fd() < above { copy_above(fd.as_raw_fd(), above) } else { Ok(fd) };
        let copies = passed.into_iter().map(out_of_the_way).collect::<io::Result<_>>()?;
        let in_the_way = (FIRST..above).filter(|target| has_cloexec(*target) == Some(false));
        let displaced = in_the_way.map(|target| Ok((target, copy_above(target, above)?))).collect::<io::Result<_>>()?;
        Ok(FdMap { copies, displaced })
    }

    /// What the new process does before exec(2).
    pub(crate) fn file_actions(&self) -> io::Result<PosixSpawnFileActions> {
        let mut actions = PosixSpawnFileActions::init()?;
        for (target, copy) in &self.displaced {
            actions.add_dup2(*target, copy.as_raw_fd())?;
        }
        for (copy, target) in self.copies.iter().zip(FIRST..) {
            actions.add_dup2(copy.as_raw_fd(), target)?;
        }
        Ok(actions)
    }
}
// ANCHOR_END: fd_map

/// A copy with CLOEXEC and a number of at least `lowest`.
fn copy_above(number: RawFd, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes two numbers, and returns EBADF if the first is not open (fcntl(2)).
    let copy = Errno::result(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, lowest) })?;
    // SAFETY: it is new, and no other code knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn no_copy_stands_where_another_one_has_to_be() {
        let stdin = || io::stdin().as_fd().try_clone_to_owned().expect("there are descriptors left");
        let map = FdMap::new(vec![stdin(), stdin(), stdin()]).expect("there are descriptors left");
        assert!(map.copies.iter().all(|copy| copy.as_raw_fd() > 5), "3, 4 and 5 are targets: {map:?}");
        assert!(map.displaced.iter().all(|(_, copy)| copy.as_raw_fd() > 5), "3, 4 and 5 are targets: {map:?}");
    }
}
