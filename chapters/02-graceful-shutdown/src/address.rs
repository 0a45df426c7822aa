//! Where a server listens.
//!
//! The invariant: an [`Address`] was understood and a [`Listener`] is bound and listening. What cannot be bound is refused
//! with a sentence that names the address and the fix, and leaves nothing behind.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs, io};

use socket2::{Domain, SockAddr, Socket, Type};

/// Connections that the kernel keeps for us until we accept them.
///
/// The standard library asks for 128; a burst beyond that waits a second for its SYN to be sent again. 4096 is what the
/// kernel itself caps it at by default (`net.core.somaxconn`, listen(2)).
const BACKLOG: i32 = 4096;

/// `HOST:PORT`, where port 0 means any free one, or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a unix socket, absolute: the process may change its working directory.
    Unix(PathBuf),
}

/// A stream socket that listens. Closed when dropped.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// The file of a unix socket, if that is ours to remove: a socket that was handed to us has none.
    pub(crate) file: Option<SocketFile>,
}

/// The file of a unix socket, removed when this is dropped: the socket's last owner holds it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Its device and inode. A file that was put in its place stays.
    id: (u64, u64),
}

/// Why an address was not understood.
#[derive(Debug, thiserror::Error)]
pub enum ParseAddressError {
    /// Neither `HOST:PORT` nor `unix:PATH`.
    #[error("cannot listen on {0:?}: write it as HOST:PORT, say 127.0.0.1:48567, or as unix:PATH")]
    Form(String),
    /// The host is unknown.
    #[error("cannot listen on {0:?}: {1}; check the name of the host")]
    Resolve(String, io::Error),
    /// `unix:` with a path that no socket can have (`sun_path` has 108 bytes, the last one a NUL: unix(7)).
    #[error("cannot listen on {0:?}: the path of a unix socket has 1 to 107 bytes; choose another one")]
    PathLength(String),
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process serves there.
    #[error("cannot listen on {0}: it is taken; stop whatever listens there, or choose another address with --listen")]
    InUse(Address),
    /// The file of a unix socket outlived its owner.
    #[error("cannot listen on {0}: the socket file was left behind by a process that is gone; remove it: rm {path}", path = quoted(.1))]
    Stale(Address, PathBuf),
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
            let path = std::path::absolute(path).ok().filter(|path| (1..=107).contains(&path.as_os_str().len()));
            return path.map(Address::Unix).ok_or_else(|| ParseAddressError::PathLength(text.to_owned()));
        }
        let form = || ParseAddressError::Form(text.to_owned());
        text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).ok_or_else(form)?;
        let mut found = text.to_socket_addrs().map_err(|error| ParseAddressError::Resolve(text.to_owned(), error))?;
        found.next().map(Address::Tcp).ok_or_else(form)
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
    /// The address of a socket. `None`: of a family that we do not serve, or a unix socket without a path.
    #[must_use]
    pub fn of(socket: &SockAddr) -> Option<Address> {
        let unix = || socket.as_pathname().map(|path| Address::Unix(path.to_owned()));
        socket.as_socket().map(Address::Tcp).or_else(unix)
    }

    /// Binds and listens.
    ///
    /// # Errors
    /// A sentence for a person; nothing is left behind.
    pub fn bind(&self) -> Result<Listener, BindError> {
        self.try_bind().map_err(|error| match (error.kind(), self) {
            (io::ErrorKind::AddrInUse, Address::Unix(path)) => why_taken(path, self.clone()),
            (io::ErrorKind::AddrInUse, Address::Tcp(_)) => BindError::InUse(self.clone()),
            _ => BindError::Other(self.clone(), error),
        })
    }

    fn try_bind(&self) -> io::Result<Listener> {
        let (domain, address) = match self {
            Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), None)?;
        // Connections in TIME_WAIT do not keep us from the port.
        socket.set_reuse_address(true)?;
        socket.bind(&address)?;
        let file = address.as_pathname().map(SocketFile::at).transpose()?;
        socket.listen(BACKLOG)?;
        Ok(Listener { socket, file })
    }
}

impl Listener {
    /// A socket that another process bound, and told to listen.
    ///
    /// Makes `accept` return at once when the queue is empty. `O_NONBLOCK` belongs to the socket, not to the descriptor, so
    /// every process that shares it is affected: it is only ever set, never cleared (golang/go#24942 shows what clearing it
    /// does). And listens again, which only makes the queue as long as ours.
    ///
    /// # Errors
    /// What fcntl(2) and listen(2) say.
    pub fn inherited(socket: OwnedFd) -> io::Result<Listener> {
        let socket = Socket::from(socket);
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        Ok(Listener { socket, file: None })
    }

    /// The address it is bound to, with the port the kernel chose if none was asked for.
    ///
    /// # Errors
    /// What getsockname(2) says; `InvalidData` for a unix socket without a path.
    pub fn address(&self) -> io::Result<Address> {
        Address::of(&self.socket.local_addr()?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// A second descriptor of the same socket: both take from one queue, and it lives until both are closed. The file
    /// of a unix socket stays with the first.
    ///
    /// # Errors
    /// What fcntl(2) says: the descriptor limit is reached.
    pub fn try_clone(&self) -> io::Result<Listener> {
        Ok(Listener { socket: self.socket.try_clone()?, file: None })
    }

    /// Takes the file of a unix socket away from it, if that is ours to remove.
    pub fn take_file(&mut self) -> Option<SocketFile> {
        self.file.take()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> OwnedFd {
        listener.socket.into()
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

    /// Takes charge of the socket file that was bound at `path` as this device and inode, whatever is there now.
    #[must_use]
    pub fn with_id(path: &Path, id: (u64, u64)) -> SocketFile {
        SocketFile { path: path.to_owned(), id }
    }

    /// Its device and inode, which tell it from a file that was put in its place.
    #[must_use]
    pub fn id(&self) -> (u64, u64) {
        self.id
    }

    /// Whether it is where it was bound.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.path.symlink_metadata().is_ok_and(|meta| (meta.dev(), meta.ino()) == self.id)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_there() {
            // `Err`: the directory is no longer ours to write to, and the file no longer ours to remove.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A unix path is taken as long as the file exists, served or not: only a connection tells.
fn why_taken(path: &Path, address: Address) -> BindError {
    if !path.metadata().is_ok_and(|meta| meta.file_type().is_socket()) {
        return BindError::NotASocket(address);
    }
    // Non-blocking: a server that hangs, its queue full, must not make us hang too.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None);
    match probe.and_then(|socket| socket.connect(&SockAddr::unix(path)?)) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => BindError::Stale(address, path.to_owned()),
        _ => BindError::InUse(address),
    }
}

/// The path as a shell takes it: a sentence that is pasted must not run what a file name says.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
