//! What the kernel says about a socket that somebody else made.
//!
//! The invariant: nothing is believed. A descriptor is served only after it was found to be a socket of the right type,
//! in the right state, at the right address; and looking changes nothing about it.

use std::os::fd::OwnedFd;

use graceful_shutdown::Address;
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Pid, getppid};
use socket2::{SockRef, Type};

use crate::InheritError;

/// A descriptor with the name it came by.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) fd: OwnedFd,
}

impl Named {
    // ANCHOR: check_listener
    /// Whether it is a stream socket that listens on `address`.
    pub(crate) fn check_listener(&self, address: &Address) -> Result<(), InheritError> {
        self.check_type(Type::STREAM)?;
        if !self.socket().is_listener().unwrap_or(false) {
            return Err(InheritError::NotListening { name: self.name.clone() });
        }
        self.check_address(address)
    }
    // ANCHOR_END: check_listener

    /// Whether it is a UDP socket bound to `address`.
    pub(crate) fn check_udp(&self, address: &Address) -> Result<(), InheritError> {
        self.check_type(Type::DGRAM)?;
        self.check_address(address)
    }

    // ANCHOR: check_parent
    /// Whether it is one end of a `SOCK_SEQPACKET` socketpair that our parent made.
    ///
    /// The kernel notes who calls socketpair(2), and nobody can forge that (`SO_PEERCRED`, unix(7)).
    pub(crate) fn check_parent(&self) -> Result<(), InheritError> {
        let refuse = |because| Err(InheritError::Vouch { channel: self.name.clone(), because });
        if self.socket().r#type().ok() != Some(Type::SEQPACKET) {
            return refuse("it is not a socket of type SOCK_SEQPACKET");
        }
        let Ok(maker) = getsockopt(&self.fd, sockopt::PeerCredentials) else {
            return refuse("it is not connected");
        };
        // Pid 0 stands for all processes outside our pid namespace, and the parent of a container's first one is there.
        let parent = getppid();
        if parent == Pid::from_raw(0) || parent != Pid::from_raw(maker.pid()) {
            return refuse("it was not made by the parent of this process");
        }
        Ok(())
    }
    // ANCHOR_END: check_parent

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.fd)
    }

    fn check_type(&self, expected: Type) -> Result<(), InheritError> {
        let actual = self.socket().r#type().map_err(|_| InheritError::NotASocket { name: self.name.clone() })?;
        if actual == expected {
            return Ok(());
        }
        Err(InheritError::Type { name: self.name.clone(), actual, expected })
    }

    fn check_address(&self, asked: &Address) -> Result<(), InheritError> {
        let bound = self.socket().local_addr().ok();
        let unix = || Some(Address::Unix(bound.as_ref()?.as_pathname()?.to_owned()));
        let actual = bound.as_ref().and_then(socket2::SockAddr::as_socket).map(Address::Tcp).or_else(unix);
        if actual.as_ref().is_some_and(|actual| asked.matches(actual)) {
            return Ok(());
        }
        // An abstract or unnamed unix socket, or a family that is neither IP nor unix.
        let actual =
            actual.map_or_else(|| "no address of a kind that we serve".to_owned(), |actual| actual.to_string());
        Err(InheritError::OtherAddress { name: self.name.clone(), actual, asked: asked.clone() })
    }
}
