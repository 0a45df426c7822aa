//! Where a server listens.
//!
//! The invariant: an [`Address`] was understood and a [`Listener`] is bound, listening and non-blocking. What cannot be
//! bound is refused with a sentence that names the address and the mend, and leaves nothing behind.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs, io};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, connect, listen, socket};

// ANCHOR: backlog
/// Connections that the kernel keeps for us until we accept them.
///
/// The standard library asks for 128; a burst beyond that waits a second for its SYN to be sent again. 4096 is what the
/// kernel itself caps it at by default (`net.core.somaxconn`, listen(2)).
const BACKLOG: i32 = 4096;
// ANCHOR_END: backlog

/// `HOST:PORT`, where port 0 means any free one, or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a unix socket, absolute: the process may change its working directory.
    Unix(PathBuf),
}

/// A socket that listens on an [`Address`]. Closed when dropped.
#[derive(Debug)]
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A unix stream socket, and its file if that is ours to remove: a socket that somebody handed us has none.
    Unix(UnixListener, Option<SocketFile>),
}

/// The file of a unix socket, removed when this is dropped: who holds it is the socket's last owner.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode since [`Address::bind`], or since [`SocketFile::at`] looked. A file that somebody else has put in its
    /// place stays.
    id: (u64, u64),
}

/// Why an address was not understood.
#[derive(Debug, thiserror::Error)]
pub enum ParseAddressError {
    /// Neither `HOST:PORT` nor `unix:PATH`.
    #[error("write it as HOST:PORT, say 127.0.0.1:48567, or as unix:PATH")]
    Form,
    /// The host is unknown or the port is not a number.
    #[error("{0}")]
    Resolve(io::Error),
    /// `unix:` with a path that no socket can have (`sun_path` has 108 bytes, the last one a NUL: unix(7)).
    #[error("the path of a unix socket has 1 to 107 bytes")]
    PathLength,
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody serves there.
    #[error("cannot listen on {0}: it is taken; stop whoever listens there, or choose another address with --listen")]
    InUse(Address),
    /// The file of a unix socket outlived its owner.
    #[error("cannot listen on {0}: the socket file was left behind by a process that is gone; remove it: rm {path}", path = quoted(.0))]
    Stale(Address),
    /// There is a file where the socket should be, and it is not a socket.
    #[error("cannot listen on {0}: there is a file in its place that is not a socket; choose another path")]
    NotASocket(Address),
    /// Anything else: no such directory, no permission, an address this machine does not have.
    #[error("cannot listen on {0}: {1}; check the address and who may use it")]
    Other(Address, io::Error),
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = std::path::absolute(path).map_err(|_| ParseAddressError::PathLength)?;
            let fits = (1..=107).contains(&path.as_os_str().len());
            return fits.then_some(Address::Unix(path)).ok_or(ParseAddressError::PathLength);
        }
        let (_, port) = text.rsplit_once(':').ok_or(ParseAddressError::Form)?;
        port.parse::<u16>().map_err(|_| ParseAddressError::Form)?;
        let mut addresses = text.to_socket_addrs().map_err(ParseAddressError::Resolve)?;
        addresses.next().map(Address::Tcp).ok_or(ParseAddressError::Form)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    // ANCHOR: bind
    /// Binds and listens.
    ///
    /// # Errors
    /// A sentence for a person; nothing is left behind.
    pub fn bind(&self) -> Result<Listener, BindError> {
        let listener = match self {
            // The standard library sets SO_REUSEADDR, so connections in TIME_WAIT do not keep us from the port.
            Address::Tcp(address) => TcpListener::bind(address).map(Listener::Tcp),
            Address::Unix(path) => {
                UnixListener::bind(path).and_then(|listener| Ok(Listener::Unix(listener, Some(SocketFile::at(path)?))))
            }
        };
        let prepared = listener.and_then(|listener| {
            // A second listen(2) only changes the backlog.
            listen(&listener, Backlog::new(BACKLOG)?)?;
            listener.set_nonblocking()?;
            Ok(listener)
        });
        prepared.map_err(|error| match (error.kind(), self) {
            (io::ErrorKind::AddrInUse, Address::Unix(path)) => why_taken(path, self.clone()),
            (io::ErrorKind::AddrInUse, Address::Tcp(_)) => BindError::InUse(self.clone()),
            _ => BindError::Other(self.clone(), error),
        })
    }
    // ANCHOR_END: bind

    /// Whether a socket bound to `actual` is what was asked for: port 0 asks for any port.
    #[must_use]
    pub fn matches(&self, actual: &Address) -> bool {
        match (self, actual) {
            (Address::Tcp(asked), Address::Tcp(actual)) if asked.port() == 0 => asked.ip() == actual.ip(),
            (asked, actual) => asked == actual,
        }
    }
}

impl Listener {
    /// The address it is bound to, with the port the kernel chose if none was asked for.
    ///
    /// # Errors
    /// What getsockname(2) says; `InvalidData` for a unix socket without a path.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Listener::Unix(listener, _) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().ok_or(io::ErrorKind::InvalidData)?;
                Ok(Address::Unix(path.to_owned()))
            }
        }
    }

    /// A second descriptor of the same socket: both take from one queue, and it lives until both are closed. The file
    /// of a unix socket stays with the first.
    ///
    /// # Errors
    /// What fcntl(2) says: the descriptor limit is reached.
    pub fn try_clone(&self) -> io::Result<Listener> {
        match self {
            Listener::Tcp(listener) => listener.try_clone().map(Listener::Tcp),
            Listener::Unix(listener, _) => listener.try_clone().map(|listener| Listener::Unix(listener, None)),
        }
    }

    /// Makes `accept` return at once when the queue is empty.
    ///
    /// `O_NONBLOCK` belongs to the socket, not to the descriptor: every process that shares it is affected. So it is
    /// only ever set, never cleared (golang/go#24942 shows what clearing it does).
    ///
    /// # Errors
    /// What fcntl(2) says.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.set_nonblocking(true),
            Listener::Unix(listener, _) => listener.set_nonblocking(true),
        }
    }
}

impl SocketFile {
    /// Takes charge of the socket file that is at `path` now.
    ///
    /// # Errors
    /// What stat(2) says.
    pub fn at(path: &Path) -> io::Result<SocketFile> {
        let meta = path.symlink_metadata()?;
        Ok(SocketFile { path: path.to_owned(), id: (meta.dev(), meta.ino()) })
    }

    /// Takes charge of the socket file that was bound at `path` and has this [`id`](Self::id), whatever is there now.
    #[must_use]
    pub fn bound(path: &Path, id: (u64, u64)) -> SocketFile {
        SocketFile { path: path.to_owned(), id }
    }

    /// Its device and inode, by which the next owner tells it from a file that somebody else has put in its place.
    #[must_use]
    pub fn id(&self) -> (u64, u64) {
        self.id
    }

    /// Whether it is where it was bound.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.path.symlink_metadata().is_ok_and(|meta| (meta.dev(), meta.ino()) == self.id)
    }

    /// Leaves the file to its next owner.
    pub fn leave(mut self) {
        self.id = (0, 0);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_there() {
            // Whoever took the right to remove it from us also took the duty.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener, _) => listener.as_fd(),
        }
    }
}

/// A unix path is taken as long as the file exists, served or not: only a connection tells.
fn why_taken(path: &Path, address: Address) -> BindError {
    if !path.metadata().is_ok_and(|meta| meta.file_type().is_socket()) {
        return BindError::NotASocket(address);
    }
    // Non-blocking: a server that hangs, its queue full, must not make us hang too.
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let knock = socket(AddressFamily::Unix, SockType::Stream, flags, None)
        .and_then(|socket| connect(socket.as_raw_fd(), &UnixAddr::new(path)?));
    match knock {
        Err(Errno::ECONNREFUSED) => BindError::Stale(address),
        _ => BindError::InUse(address),
    }
}

/// The path as a shell takes it.
fn quoted(address: &Address) -> String {
    match address {
        Address::Unix(path) => format!("'{}'", path.display().to_string().replace('\'', r"'\''")),
        Address::Tcp(address) => address.to_string(),
    }
}
