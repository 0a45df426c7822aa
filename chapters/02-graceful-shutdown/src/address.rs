//! Where a server listens.
//!
//! The invariant: an [`Address`] was understood and a [`Listener`] is bound and listening. What cannot be bound is refused
//! with a sentence that names the address and the fix, and leaves nothing behind.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::{env, fmt, io};

use nix::errno::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::socket_file::{SocketFile, lock_directory, make_way};

/// How many connections the kernel queues until we accept them.
///
/// The standard library asks for 128; in a larger burst, clients wait a second until they send their SYN again. 4096 is
/// the kernel's own limit by default (`net.core.somaxconn`, listen(2)).
const BACKLOG: i32 = 4096;

/// `sun_path` has 108 bytes, the last one a NUL (unix(7)).
const LONGEST_PATH: usize = 107;

/// `HOST:PORT`, where port 0 means any free one, or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a unix socket, which may be relative until the address is bound.
    Unix(PathBuf),
}

/// A stream socket that listens. Closed when dropped.
#[derive(Debug)]
pub struct Listener {
    /// The file of a unix socket, if it is ours to remove: that of an inherited socket is not. Dropped first.
    file: Option<SocketFile>,
    socket: Socket,
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
    /// `unix:` with a path that no socket can have.
    #[error("cannot listen on {0:?}: the path of a unix socket must have 1 to 107 bytes; choose another one")]
    PathLength(String),
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process serves there.
    #[error("cannot listen on {0}: it is taken; stop whatever listens there, or choose another address with --listen")]
    InUse(Address),
    /// The file of a unix socket outlived its owner, and cannot be removed.
    #[error(
        "cannot listen on {0}: the socket file was left behind by a process that is gone, and cannot be removed: {2}; \
         remove it: rm {path}", path = quoted(.1)
    )]
    Stale(Address, PathBuf, io::Error),
    /// There is a file where the socket should be, and it is not a socket.
    #[error("cannot listen on {0}: there is a file in its place that is not a socket; choose another path")]
    NotASocket(Address),
    /// The absolute path is too long (unix(7)).
    #[error("cannot listen on {0}: the absolute path of a unix socket must have 1 to 107 bytes; choose another one")]
    PathLength(Address),
    /// The working directory, where a relative path begins, was deleted.
    #[error("cannot listen on {0}: the working directory is gone ({1}); write an absolute path")]
    NoDirectory(Address, io::Error),
    /// EMFILE or ENFILE.
    #[error("cannot listen on {0}: {1}; raise the limit on descriptors: ulimit -n")]
    Descriptors(Address, io::Error),
    /// Anything else: no such directory, no permission, an address this machine does not have.
    #[error("cannot listen on {0}: {1}; check the address and who may use it")]
    Other(Address, io::Error),
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                1..=LONGEST_PATH => Ok(Address::Unix(path.into())),
                _ => Err(ParseAddressError::PathLength(text.to_owned())),
            };
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

    /// Binds and listens. A relative path is made absolute: a process may change its working directory. A socket file
    /// that was left behind by a process that is gone is removed first.
    ///
    /// # Errors
    /// A sentence for a person; nothing is left behind.
    pub fn bind(&self) -> Result<Listener, BindError> {
        match self {
            Address::Tcp(address) => {
                listen(Domain::for_address(*address), &(*address).into()).map_err(|error| self.refused(error))
            }
            Address::Unix(path) if path.is_absolute() => self.bind_unix(path),
            Address::Unix(path) => {
                Address::Unix(absolute(path).map_err(|error| BindError::NoDirectory(self.clone(), error))?).bind()
            }
        }
    }

    fn bind_unix(&self, path: &Path) -> Result<Listener, BindError> {
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(BindError::PathLength(self.clone()));
        }
        let address = SockAddr::unix(path).map_err(|error| self.refused(error))?;
        let lock = lock_directory(path);
        let mut bound = listen(Domain::UNIX, &address);
        if bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
            make_way(self, path, &lock)?;
            bound = listen(Domain::UNIX, &address);
        }
        bound.map_err(|error| self.refused(error))
    }

    fn refused(&self, error: io::Error) -> BindError {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EADDRINUSE) => BindError::InUse(self.clone()),
            Some(Errno::EMFILE | Errno::ENFILE) => BindError::Descriptors(self.clone(), error),
            _ => BindError::Other(self.clone(), error),
        }
    }
}

fn listen(domain: Domain, address: &SockAddr) -> io::Result<Listener> {
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), None)?;
    // Connections in TIME_WAIT do not keep us from the port.
    socket.set_reuse_address(true)?;
    socket.bind(address)?;
    let file = address.as_pathname().map(SocketFile::at).transpose()?;
    socket.listen(BACKLOG)?;
    Ok(Listener { file, socket })
}

/// The path, made absolute.
///
/// # Errors
/// If getcwd(2) is needed and fails.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    if path.is_absolute() { Ok(path.to_owned()) } else { Ok(absolute_in(env::current_dir()?, path)) }
}

/// A path that is relative to `directory`, made absolute and without a leading `..`: a directory that was deleted
/// has no parent. getcwd(2) returns no symbolic links, so going up is the same as taking the last name off.
#[must_use]
pub fn absolute_in(mut directory: PathBuf, path: &Path) -> PathBuf {
    let mut rest = path.components();
    while let Some(Component::CurDir | Component::ParentDir) = rest.clone().next() {
        if rest.next() == Some(Component::ParentDir) {
            directory.pop();
        }
    }
    directory.join(rest.as_path())
}

impl Listener {
    /// A listening socket that another process bound.
    ///
    /// Makes `accept` return at once when the queue is empty. `O_NONBLOCK` belongs to the socket, not to the
    /// descriptor, and affects every process that shares it: we only ever set it, never clear it (golang/go#24942 shows
    /// what clearing does). Also calls listen(2) again, which only makes the queue as long as ours.
    ///
    /// # Errors
    /// If fcntl(2) or listen(2) fails.
    pub fn inherited(socket: OwnedFd) -> io::Result<Listener> {
        let socket = Socket::from(socket);
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        Ok(Listener { file: None, socket })
    }

    /// The address it is bound to, with the port the kernel chose if none was asked for.
    ///
    /// # Errors
    /// If getsockname(2) fails; `InvalidData` for a unix socket without a path.
    pub fn address(&self) -> io::Result<Address> {
        Address::of(&self.socket.local_addr()?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// A second descriptor of the same socket: both take from one queue, which lives until both are closed. The
    /// file of a unix socket stays with the first.
    ///
    /// # Errors
    /// If fcntl(2) fails: the descriptor limit is reached.
    pub fn try_clone(&self) -> io::Result<Listener> {
        Ok(Listener { file: None, socket: self.socket.try_clone()? })
    }

    /// Takes the file of a unix socket out of the listener, if it is ours to remove.
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

/// The path, quoted for a shell: a command that is pasted must not run what a file name contains.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
