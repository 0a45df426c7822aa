//! The child's side: what came through `exec`, by name.
//!
//! The invariant: every inherited descriptor has exactly one owner, from the first look at it to its close. What is
//! claimed belongs to the caller; the rest is closed with the [`Inherited`], because a listener that is open and never
//! accepted from swallows connections.

use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use graceful_shutdown::{Address, Listener};
use socket2::Type;

use crate::InheritError;
use crate::descriptor::{Descriptor, own};
use crate::listen_env::{FIRST, ListenEnv};

/// The descriptors that this process was started with, by name. Dropping it closes those that were not claimed.
///
/// ```
/// # use graceful_shutdown::Address;
/// # use inherited_fds::Inherited;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let inherited = Inherited::from_env()?; // first thing in main
/// let address: Address = "127.0.0.1:0".parse()?;
/// let listeners = inherited.listen([("web".to_owned(), address)])?; // inherited, or bound now
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Inherited {
    /// In the order of their numbers. Names may repeat: all sockets of a systemd unit have the name of the unit.
    held: Vec<Descriptor>,
}

impl Inherited {
    /// Takes the descriptors that `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` promise: `sd_listen_fds(3)`.
    ///
    /// Empty if none are promised, and when called again. Each descriptor is made CLOEXEC. The variables are removed
    /// from the environment, whether this succeeds or not.
    ///
    /// Where `sd_listen_fds(3)` ignores a `LISTEN_PID` that is not ours, this refuses it: a server that binds anew
    /// while its parent meant to pass it a listener is worse than one that does not start.
    ///
    /// # Errors
    /// If the promise is malformed or broken: every descriptor that was promised to us is then closed. If it was made
    /// to another process, or the count is not a number, no descriptor is touched; if several threads run, nothing is.
    pub fn from_env() -> Result<Inherited, InheritError> {
        Ok(Inherited::take_all(None)?.0)
    }

    /// Like [`Inherited::from_env`], but where `LISTEN_PID` is missing, the descriptor called `channel` takes its place:
    /// one end of a `SOCK_SEQPACKET` socketpair that our parent made ([`PassedFds::add_channel`]). It is returned, too.
    ///
    /// With `posix_spawn(3)`, no process knows the child's pid before `exec`, so none can set `LISTEN_PID`.
    ///
    /// A parent that has ended since counts as our parent: the channel is at end of file then.
    ///
    /// # Errors
    /// As [`Inherited::from_env`]; also if the channel is missing, or its maker runs and is not our parent.
    ///
    /// [`PassedFds::add_channel`]: crate::PassedFds::add_channel
    pub fn from_parent(channel: &str) -> Result<(Inherited, Option<OwnedFd>), InheritError> {
        Inherited::take_all(Some(channel))
    }

    fn take_all(channel: Option<&str>) -> Result<(Inherited, Option<OwnedFd>), InheritError> {
        let Some(env) = ListenEnv::take()? else { return Ok((Inherited::default(), None)) };
        // From here on, each has an owner, so every way out closes them.
        let owned: Vec<_> = (FIRST..=highest_descriptor()?).take(env.count).map(own).collect();
        if owned.len() < env.count {
            return Err(InheritError::Count(env.count.to_string()));
        }
        let mut held = Vec::new();
        for ((fd, number), name) in owned.into_iter().zip(FIRST..).zip(env.names()?) {
            match fd {
                Ok(fd) => held.push(Descriptor { name, fd }),
                Err(problem) => return Err(InheritError::Descriptor(number, name, problem)),
            }
        }
        let mut inherited = Inherited { held };
        if env.addressed {
            return Ok((inherited, None));
        }
        let missing = InheritError::NotAuthenticated("no descriptor has the name of the channel that stands in for it");
        let index = channel.and_then(|channel| inherited.position(channel)).ok_or(missing)?;
        inherited.held[index].authenticate().map_err(InheritError::NotAuthenticated)?;
        let channel = inherited.held.remove(index).fd;
        Ok((inherited, Some(channel)))
    }

    /// Claims the listener for `address`, made non-blocking and with a queue as long as if we had bound it. `None`:
    /// there is none, so bind it.
    ///
    /// If several serve the address, it is the one called `name`. If none has the name, another will do: systemd names
    /// a socket after its unit, and an address that is taken could not be bound again anyway. Only for port 0, which
    /// means any port, the name must match.
    ///
    /// # Errors
    /// If there is a descriptor called `name` that is not a listener for `address`, or one of any name that is in the
    /// way: `0.0.0.0:80` is open and `127.0.0.1:80` is asked for.
    pub fn listener(&mut self, name: &str, address: &Address) -> Result<Option<Listener>, InheritError> {
        Ok(self.claim(name, address, Type::STREAM)?.map(Listener::inherited).transpose()?)
    }

    /// Claims the UDP socket for `address`, made non-blocking; otherwise like [`Inherited::listener`].
    ///
    /// # Errors
    /// If there is a descriptor called `name` that is not a UDP socket bound to `address`, and no other one is.
    pub fn udp(&mut self, name: &str, address: SocketAddr) -> Result<Option<UdpSocket>, InheritError> {
        let socket = self.claim(name, &Address::Tcp(address), Type::DGRAM)?.map(UdpSocket::from);
        socket.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
        Ok(socket)
    }

    fn claim(&mut self, name: &str, address: &Address, kind: Type) -> Result<Option<OwnedFd>, InheritError> {
        // Any socket will do for port 0, so it must have the name: another address may ask for that port by number.
        let any_port = matches!(address, Address::Tcp(address) if address.port() == 0);
        let fits = |held: &Descriptor| held.check(kind, Some(address)).is_ok();
        let by_name = self.held.iter().position(|held| held.name == name && fits(held));
        let by_address = || self.held.iter().position(|held| !any_port && fits(held));
        if let Some(index) = by_name.or_else(by_address) {
            let claimed = self.held.remove(index);
            // systemd passes a socket twice that is in a unit and in its descriptor store.
            self.held.retain(|held| !held.is_same_socket(&claimed));
            return Ok(Some(claimed.fd));
        }
        let misfit = self.held.iter().find(|held| held.name == name || held.is_in_the_way(address));
        misfit.map_or(Ok(None), |misfit| misfit.check(kind, Some(address)).map(|()| None))
    }

    /// Claims the listeners that were inherited, closes what is not wanted, and binds the others.
    ///
    /// In this order: a refusal leaves no socket file behind, and no address is bound while an unwanted descriptor
    /// still holds it.
    ///
    /// # Errors
    /// As [`Inherited::listener`], [`Inherited::finish`] and [`Address::bind`]; nothing stays open then.
    pub fn listen(
        mut self,
        asked: impl IntoIterator<Item = (String, Address)>,
    ) -> Result<Vec<(String, Listener)>, InheritError> {
        let mut claimed = Vec::new();
        for (name, address) in asked {
            let listener = self.listener(&name, &address)?;
            claimed.push((name, address, listener));
        }
        self.finish()?;
        let bound = claimed.into_iter().map(|(name, address, listener)| {
            let listener = listener.map_or_else(|| address.bind(), Ok)?;
            Ok((name, listener))
        });
        bound.collect()
    }

    /// Closes what was not claimed. Each listener is named in a warning: clients may wait in its queue, and are reset.
    ///
    /// # Errors
    /// If one is not a listener: it was passed by mistake, and what should be in its place is missing.
    pub fn finish(self) -> Result<(), InheritError> {
        for left in &self.held {
            left.check(Type::STREAM, None)?;
            let (descriptor, name, address) = (left.fd.as_raw_fd(), &left.name, left.address_or_none());
            tracing::warn!(descriptor, name, address, "closing an inherited listener that no --listen asks for");
        }
        Ok(())
    }

    /// Claims the first descriptor called `name`, whatever it is, unchecked.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.position(name).map(|index| self.held.remove(index).fd)
    }

    /// Whether there is nothing to claim.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The names of what has not been claimed yet; `unknown` stands for a descriptor without a name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.held.iter().map(|held| held.name.as_str())
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.held.iter().position(|held| held.name == name)
    }
}

/// The highest open descriptor: a promise of four billion is refused without counting to it.
fn highest_descriptor() -> io::Result<RawFd> {
    let open = fs::read_dir("/proc/self/fd")?;
    Ok(open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).max().unwrap_or(0))
}
