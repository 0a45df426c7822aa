//! The file of a unix socket, which outlives the socket unless it is removed.
//!
//! The invariant: a file is removed if it is our own, or if its owner is provably gone; never that of a socket that listens,
//! and never one that is no socket.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::address::{Address, BindError};

/// How long to wait for the lock on a directory. A server that starts holds it for milliseconds; `flock DIRECTORY
/// server` (flock(1)) holds it for as long as the server runs, which must not wait for itself.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The file of a unix socket, removed when this is dropped: the socket's last owner holds it.
///
/// Drop it before the socket is closed: until then, the kernel gives the inode to no other file, and no server that
/// starts takes the file for one that was left behind.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Its device and inode. Another file that was put in its place stays.
    id: (u64, u64),
}

impl SocketFile {
    /// Takes charge of the socket file that is at `path` now.
    ///
    /// # Errors
    /// If stat(2) fails.
    pub fn at(path: &Path) -> io::Result<SocketFile> {
        let meta = path.symlink_metadata()?;
        Ok(SocketFile::with_id(path, (meta.dev(), meta.ino())))
    }

    /// Takes charge of the socket file that was bound at `path` with this device and inode, whatever is there now.
    #[must_use]
    pub fn with_id(path: &Path, id: (u64, u64)) -> SocketFile {
        SocketFile { path: path.to_owned(), id }
    }

    /// Its device and inode, which tell it from a file that was put in its place.
    #[must_use]
    pub fn id(&self) -> (u64, u64) {
        self.id
    }

    /// Whether the file is still where it was bound.
    #[must_use]
    pub fn is_there(&self) -> bool {
        is_at(&self.path, self.id)
    }
}

fn is_at(path: &Path, id: (u64, u64)) -> bool {
    path.symlink_metadata().is_ok_and(|meta| (meta.dev(), meta.ino()) == id)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_there() {
            // `Err`: the directory is no longer ours to write to, and the file no longer ours to remove.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Locks the directory of a socket; hold the lock from before bind(2) until after listen(2).
///
/// A socket that is bound but does not listen yet refuses connections, and so does one whose owner is gone. While it
/// has the lock, a server of ours never takes the one for the other. (Another program that binds and is slow to listen
/// cannot be told from one that is gone.)
pub(crate) fn lock_directory(path: &Path) -> io::Result<Flock<File>> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    // `O_DIRECTORY`: to open a pipe might wait.
    let mut directory = OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(directory)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            // flock(2) has no timeout.
            Err((unlocked, Errno::EWOULDBLOCK)) if Instant::now() < deadline => directory = unlocked,
            locked => return locked.map_err(|(_, error)| error.into()),
        }
        sleep(Duration::from_millis(1));
    }
}

/// Removes a socket file that was left behind by a process that is gone. The path is taken as long as the file exists,
/// whether a process serves there or not: only a connection tells.
pub(crate) fn make_way(asked: &Address, path: &Path, lock: &io::Result<Flock<File>>) -> Result<(), BindError> {
    // The file is gone by now: binding again will tell.
    let Ok(found) = path.symlink_metadata() else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket(asked.clone()));
    }
    // Non-blocking: a server that hangs, its queue full, must not make us hang too.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None);
    let answer = probe.and_then(|socket| socket.connect(&SockAddr::unix(path)?));
    if !answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        // A process serves there; or it may, and we are not allowed to connect.
        return Err(BindError::InUse(asked.clone()));
    }
    let removed = match lock {
        // Only what was probed: another program may have bound its own socket there since.
        Ok(_) if is_at(path, (found.dev(), found.ino())) => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) => Err(io::Error::other(format!(
            "its directory cannot be locked, perhaps because a server is starting there: {error}"
        ))),
    };
    removed.map_err(|error| BindError::Stale(asked.clone(), path.to_owned(), error))?;
    tracing::info!(path = %path.display(), "removed a socket file that was left behind by a process that is gone");
    Ok(())
}
