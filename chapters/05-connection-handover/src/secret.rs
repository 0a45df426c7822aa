//! What all generations know and no client does: tickets that one process has sealed, another can open.
//!
//! The invariant: it is random, and only in memory. A successor gets it in a memfd, which no path leads to (memfd_create(2)). If a
//! version in between knows nothing of it, the next one begins with another.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

/// Its bytes.
const LENGTH: usize = 32;

pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// # Errors
    /// What getrandom(2) says.
    pub(crate) fn new() -> io::Result<Secret> {
        let mut secret = Secret(Zeroizing::new(vec![0; LENGTH]));
        match getrandom(&mut secret.0[..], GetRandomFlags::empty())? {
            LENGTH => Ok(secret),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// What the predecessor has passed on.
    ///
    /// # Errors
    /// If this is something else.
    pub(crate) fn inherit(passed: OwnedFd) -> io::Result<Secret> {
        let mut secret = Secret(Zeroizing::new(vec![0; LENGTH]));
        File::from(passed).read_exact_at(&mut secret.0, 0)?;
        Ok(secret)
    }

    /// For a successor.
    ///
    /// # Errors
    /// What memfd_create(2) says.
    pub(crate) fn pass(&self) -> io::Result<OwnedFd> {
        // Linux before 6.3 does not know the second flag, and a later one may insist on it (vm.memfd_noexec).
        let created = memfd_create(c"secret", MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL);
        let mut file = File::from(created.or_else(|_| memfd_create(c"secret", MemfdFlags::CLOEXEC))?);
        file.write_all(&self.0)?;
        Ok(file.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_passed_on_as_it_is_and_no_two_are_the_same() {
        let [one, other] = [(); 2].map(|()| Secret::new().expect("there is randomness"));
        let passed = Secret::inherit(one.pass().expect("there is memory")).expect("it is one");
        assert_eq!(one.bytes(), passed.bytes());
        assert_ne!(one.bytes(), other.bytes());
    }

    #[test]
    fn what_is_no_secret_is_not_inherited() {
        let empty = memfd_create(c"empty", MemfdFlags::CLOEXEC).expect("there is memory");
        assert!(Secret::inherit(empty).is_err());
        assert!(Secret::inherit(crate::channel::pair().expect("there are descriptors left").0).is_err());
    }
}
