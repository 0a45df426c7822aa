//! A descriptor that came through `exec`, and what the kernel says about it.
//!
//! The invariant: it has one owner, and looking changes nothing about it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use graceful_shutdown::Address;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::sys::stat::fstat;
use nix::unistd::getppid;
use socket2::{SockRef, Type};

use crate::{InheritError, Problem};

/// How long, in milliseconds, a parent that has just been killed may take to hang up. One with gigabytes to free loses
/// its children before its descriptors are closed.
const HANGUP_TIMEOUT: u16 = 2_000;

/// A descriptor and the name that it was passed under.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub(crate) name: String,
    pub(crate) fd: OwnedFd,
}

/// Whether two paths lead to the same file: they are equal, or have the same last name in the same directory, which can
/// be written in many ways.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let directory = |path: &Path| {
        let meta = Path::new(".").join(path.parent()?).metadata().ok()?;
        Some((meta.dev(), meta.ino()))
    };
    one == other
        || one.file_name() == other.file_name() && directory(one).is_some_and(|it| directory(other) == Some(it))
}

/// Whether the descriptor has CLOEXEC; `None` if no open one has this number.
pub(crate) fn has_cloexec(number: RawFd) -> Option<bool> {
    // SAFETY: F_GETFD reads a flag, takes no pointer, and returns EBADF if the number is not open (fcntl(2)).
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    (flags != -1).then_some(flags & libc::FD_CLOEXEC != 0)
}

/// Becomes the owner of a descriptor that came through `exec`.
pub(crate) fn own(number: RawFd) -> Result<OwnedFd, Problem> {
    // What crossed an exec has no CLOEXEC. What the standard library opened has it, and would get a second owner.
    if has_cloexec(number).ok_or(Problem::NotOpen)? {
        return Err(Problem::OpenedHere);
    }
    // SAFETY: the descriptor is open, and nothing else in this process owns it (io-safety, `std::os::fd`): it came
    // through exec, and the protocol gives it to the code that takes the variables, which are gone now.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|_| Problem::NotOpen)?;
    Ok(fd)
}

impl Descriptor {
    /// Checks that it is a socket of this type, that it listens if it is a stream socket, and that it serves `asked`.
    pub(crate) fn check(&self, expected: Type, asked: Option<&Address>) -> Result<(), InheritError> {
        let problem = match (self.socket().r#type(), asked) {
            (Err(_), _) => Problem::NotASocket,
            (Ok(actual), _) if actual != expected => Problem::Type(actual, expected),
            (Ok(Type::STREAM), _) if !self.socket().is_listener().unwrap_or(false) => Problem::NotListening,
            (Ok(_), Some(asked)) if !self.serves(asked) => Problem::OtherAddress(self.address_or_none(), asked.clone()),
            _ => return Ok(()),
        };
        Err(InheritError::Descriptor(self.fd.as_raw_fd(), self.name.clone(), problem))
    }

    /// Whether it is bound to `asked`, or accepts what comes for it, as `[::]` does for `0.0.0.0` if `IPV6_V6ONLY` is
    /// not set (ipv6(7)).
    fn serves(&self, asked: &Address) -> bool {
        match (asked, self.address()) {
            (Address::Tcp(asked), Some(Address::Tcp(actual))) => {
                let (ip, ours) = (asked.ip().to_canonical(), actual.ip().to_canonical());
                [0, actual.port()].contains(&asked.port())
                    && (ip == ours || ip == Ipv4Addr::UNSPECIFIED && self.takes_both_families(ours))
            }
            (Address::Unix(asked), Some(Address::Unix(actual))) => is_same_file(asked, &actual),
            _ => false,
        }
    }

    /// Whether it is a listener that is in the way of `asked`: the ports are equal, one of the two stands for every
    /// address, and some addresses belong to both.
    pub(crate) fn is_in_the_way(&self, asked: &Address) -> bool {
        let (Address::Tcp(asked), Some(Address::Tcp(actual))) = (asked, self.address()) else { return false };
        let (ip, ours) = (asked.ip().to_canonical(), actual.ip().to_canonical());
        let family_in_common =
            ip.is_ipv4() == ours.is_ipv4() || ip == Ipv6Addr::UNSPECIFIED || self.takes_both_families(ours);
        let overlap = (ip.is_unspecified() || ours.is_unspecified()) && family_in_common;
        overlap && asked.port() == actual.port() && self.check(Type::STREAM, None).is_ok()
    }

    fn takes_both_families(&self, ours: IpAddr) -> bool {
        ours == Ipv6Addr::UNSPECIFIED && !self.socket().only_v6().unwrap_or(true)
    }

    /// Whether the two are copies of one socket, whatever their names.
    pub(crate) fn is_same_socket(&self, other: &Descriptor) -> bool {
        let id = |descriptor: &Descriptor| fstat(&descriptor.fd).ok().map(|stat| (stat.st_dev, stat.st_ino));
        id(self).is_some_and(|ours| id(other) == Some(ours))
    }

    // ANCHOR: authenticate
    /// Whether this channel shows that the descriptors were passed to this process: it is one end of a
    /// `SOCK_SEQPACKET` socketpair, and the other end is our parent's, or was until it ended.
    ///
    /// The kernel notes which process calls socketpair(2), and no process can forge that (`SO_PEERCRED`, unix(7)). If
    /// it was our parent, the channel is for us. If not, either we got the channel by accident, from a parent that had
    /// it from *its* parent; or our parent has ended, and another process, mostly process 1, has adopted us. The other
    /// end tells which: its maker keeps it to itself, with CLOEXEC, so the kernel hangs up when the maker is gone.
    pub(crate) fn authenticate(&self) -> Result<(), &'static str> {
        if self.check(Type::SEQPACKET, None).is_err() {
            return Err("the descriptor that should stand in for it is not a socket of type SOCK_SEQPACKET");
        }
        let maker = getsockopt(&self.fd, PeerCredentials).map_or(0, |maker| maker.pid());
        // Pid 0 stands for every process outside our pid namespace, so it identifies none.
        if maker != 0 && maker == getppid().as_raw() {
            return Ok(());
        }
        let mut channel = [PollFd::new(self.fd.as_fd(), PollFlags::empty())];
        let polled = poll(&mut channel, PollTimeout::from(HANGUP_TIMEOUT));
        let hung_up = channel[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP));
        if polled.is_ok() && hung_up {
            Ok(())
        } else {
            Err("the channel that should stand in for it was not made by our parent")
        }
    }
    // ANCHOR_END: authenticate

    fn address(&self) -> Option<Address> {
        Address::of(&self.socket().local_addr().ok()?)
    }

    /// The address that it is bound to, for a person.
    pub(crate) fn address_or_none(&self) -> String {
        self.address().map_or_else(|| "no address that we know".to_owned(), |address| address.to_string())
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.fd)
    }
}
