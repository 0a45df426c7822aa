//! The child's side: what came through `exec`, by name.
//!
//! The invariant: every inherited descriptor has exactly one owner, from the first look at it to its close. What is
//! claimed belongs to whoever claimed it; what nobody claims is closed with the [`Inherited`], for a listener that is
//! open and never accepted from swallows connections.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use graceful_shutdown::{Address, Listener};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;

use crate::InheritError;
use crate::promise::Promise;
use crate::protocol::FIRST;
use crate::socket::Named;

/// The descriptors this process was started with, by name. Dropping it closes those that nobody claimed.
///
/// ```
/// # use graceful_shutdown::Address;
/// # use inherited_fds::Inherited;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut inherited = Inherited::from_env()?; // first thing in main
/// let address: Address = "127.0.0.1:0".parse()?;
/// let listener = match inherited.listener("web", &address)? {
///     Some(listener) => listener,
///     None => address.bind()?,
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Inherited {
    /// In the order of their numbers. Names may repeat: all sockets of a systemd unit have the name of the unit.
    held: Vec<Named>,
}

impl Inherited {
    // ANCHOR: from_env
    /// Takes the descriptors that `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` promise: `sd_listen_fds(3)`.
    ///
    /// Empty if nothing is promised, and when called again. Each descriptor is made CLOEXEC. The variables are removed
    /// from the environment, whether this succeeds or not.
    ///
    /// Where `sd_listen_fds(3)` ignores a `LISTEN_PID` that is not ours, this refuses it: a server that binds anew
    /// while somebody meant to pass it a listener is worse than one that does not start.
    ///
    /// # Errors
    /// If more than one thread runs (nothing was touched then), or if the promise is malformed, for somebody else, or
    /// broken: every promised descriptor that is open is closed then, or was never ours.
    pub fn from_env() -> Result<Inherited, InheritError> {
        let Some(promise) = Promise::take()? else { return Ok(Inherited::default()) };
        if promise.addressed { adopt_all(promise) } else { Err(InheritError::NoPid) }
    }
    // ANCHOR_END: from_env

    // ANCHOR: vouched
    /// Like [`Inherited::from_env`], for a parent that could not set `LISTEN_PID`: with `posix_spawn(3)`, nobody knows
    /// the pid before `exec`.
    ///
    /// Then a descriptor vouches for all: the one named `channel` must be one end of a `SOCK_SEQPACKET` socketpair that
    /// our parent made (`SO_PEERCRED`, unix(7)). A grandchild that got the variables by accident has another parent.
    ///
    /// # Errors
    /// As [`Inherited::from_env`]; also if the channel is missing or was made by anybody else.
    pub fn from_env_vouched_by(channel: &str) -> Result<Inherited, InheritError> {
        let Some(promise) = Promise::take()? else { return Ok(Inherited::default()) };
        let addressed = promise.addressed;
        if !addressed && !promise.names.iter().any(|name| name == channel) {
            return Err(InheritError::Vouch { channel: channel.to_owned(), because: "it is not among them" });
        }
        let inherited = adopt_all(promise)?;
        if let Some(voucher) = inherited.held.iter().find(|held| held.name == channel && !addressed) {
            voucher.check_parent()?;
        }
        Ok(inherited)
    }
    // ANCHOR_END: vouched

    // ANCHOR: listener
    /// Claims the listener for `address`, made non-blocking. `None`: there is none, so bind it.
    ///
    /// Of several that pass the checks, the one called `name` is meant. One by another name will do: systemd names a
    /// socket after its unit, and an address that is taken could not be bound anew anyway. Only for port 0, any port,
    /// it has to be the name.
    ///
    /// # Errors
    /// If there is a descriptor called `name` that is not a listener for `address`, and no other one is.
    pub fn listener(&mut self, name: &str, address: &Address) -> Result<Option<Listener>, InheritError> {
        let Some(Named { name, fd }) = self.claim(name, address, Named::check_listener)? else { return Ok(None) };
        let listener = match address {
            Address::Tcp(_) => Listener::Tcp(TcpListener::from(fd)),
            // Its file belongs to whoever bound it.
            Address::Unix(_) => Listener::Unix(UnixListener::from(fd), None),
        };
        listener.set_nonblocking().map_err(|error| InheritError::Prepare { name, error })?;
        Ok(Some(listener))
    }
    // ANCHOR_END: listener

    /// Claims the UDP socket for `address`, made non-blocking; otherwise like [`Inherited::listener`].
    ///
    /// # Errors
    /// If there is a descriptor called `name` that is not a UDP socket bound to `address`, and no other one is.
    pub fn udp(&mut self, name: &str, address: SocketAddr) -> Result<Option<UdpSocket>, InheritError> {
        let address = Address::Tcp(address);
        let Some(Named { name, fd }) = self.claim(name, &address, Named::check_udp)? else { return Ok(None) };
        let socket = UdpSocket::from(fd);
        socket.set_nonblocking(true).map_err(|error| InheritError::Prepare { name, error })?;
        Ok(Some(socket))
    }

    /// Claims the first descriptor called `name`, whatever it is, unchecked.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        let index = self.held.iter().position(|held| held.name == name)?;
        Some(self.held.remove(index).fd)
    }

    /// Claims the channel called `name`: one end of a `SOCK_SEQPACKET` socketpair that our parent made, so that nobody but
    /// our parent can be at the other end. `None`: there is none.
    ///
    /// # Errors
    /// If it is something else, or somebody else made it.
    pub fn channel(&mut self, name: &str) -> Result<Option<OwnedFd>, InheritError> {
        let Some(index) = self.held.iter().position(|held| held.name == name) else { return Ok(None) };
        self.held[index].check_parent()?;
        Ok(Some(self.held.remove(index).fd))
    }

    /// Whether there is nothing to claim.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The names of what nobody has claimed yet; `unknown` stands for a descriptor without a name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.held.iter().map(|held| held.name.as_str())
    }

    // ANCHOR: claim
    fn claim(
        &mut self,
        name: &str,
        address: &Address,
        check: fn(&Named, &Address) -> Result<(), InheritError>,
    ) -> Result<Option<Named>, InheritError> {
        // Any socket will do for port 0, so it must have the name: another address may ask for that port by number.
        let any_port = matches!(address, Address::Tcp(address) if address.port() == 0);
        let by_name = |held: &Named| held.name == name && check(held, address).is_ok();
        let by_address = |held: &Named| !any_port && check(held, address).is_ok();
        let index = self.held.iter().position(by_name).or_else(|| self.held.iter().position(by_address));
        if let Some(index) = index {
            return Ok(Some(self.held.remove(index)));
        }
        match self.held.iter().find(|held| held.name == name) {
            Some(misfit) => check(misfit, address).map(|()| None),
            None => Ok(None),
        }
    }
    // ANCHOR_END: claim
}

// ANCHOR: adopt
fn adopt_all(promise: Promise) -> Result<Inherited, InheritError> {
    // All before the first error is returned: what is open but has no owner would never be closed.
    let adopted: Vec<_> = promise.names.into_iter().zip(FIRST..).map(|(name, number)| adopt(name, number)).collect();
    Ok(Inherited { held: adopted.into_iter().collect::<Result<_, _>>()? })
}

fn adopt(name: String, number: RawFd) -> Result<Named, InheritError> {
    // SAFETY: F_GETFD reads a flag, takes no pointer, and says EBADF if the number is not open (fcntl(2)).
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags == -1 {
        return Err(InheritError::Closed { number, name });
    }
    // What crossed an exec has no CLOEXEC, and what the standard library opens has: it would have two owners.
    if flags & libc::FD_CLOEXEC != 0 {
        return Err(InheritError::OpenedHere { number, name });
    }
    // SAFETY: the descriptor is open, and nothing else in this process owns it (io-safety, `std::os::fd`): it came
    // through exec, and the protocol gives it to whoever takes the variables, which are gone now.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    match fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        Ok(_) => Ok(Named { name, fd }),
        Err(errno) => Err(InheritError::Prepare { name, error: errno.into() }),
    }
}
// ANCHOR_END: adopt
