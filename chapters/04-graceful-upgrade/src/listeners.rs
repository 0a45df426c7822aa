//! The listeners of a server: kept for as long as this process may have to accept from them, or pass them on.
//!
//! The invariant: every generation that serves or may come back holds its listeners here, and the server only ever gets
//! copies; and only the last generation removes the file of a unix socket.

use std::collections::BTreeSet;
use std::env;
use std::path::PathBuf;

use graceful_shutdown::{Address, BindError, Listener, SocketFile, absolute_in};
use inherited_fds::{AddError, Inherited, PassedFds};
use nix::sys::stat::fstat;

use crate::channel::Files;
use crate::error::StartError;
use crate::serve::Named;

/// The listeners of a server, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    held: Vec<Held>,
    /// See [`Files::directory`].
    directory: Option<PathBuf>,
}

#[derive(Debug)]
struct Held {
    name: String,
    /// As bound: with the port that the kernel chose, if none was asked for.
    address: Address,
    /// The file of this unix socket, if it is the last generation's to remove. One that systemd made is systemd's.
    /// Dropped before the socket.
    file: Option<File>,
    /// `None` once it is abandoned, because the successor has no use for it, or if it could not be copied or bound.
    listener: Option<Listener>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    id: (u64, u64),
    /// Removes the file; `Some` while we are the last generation.
    ours: Option<SocketFile>,
}

impl Listeners {
    /// Claims each listener from what was inherited, and binds those that are missing. `files` are those that the predecessor
    /// leaves to the last generation.
    ///
    /// # Errors
    /// If one cannot be claimed or bound. Those that were bound before it are closed again, and their files removed.
    pub(crate) fn claim_or_bind(
        asked: impl IntoIterator<Item = (String, Address)>,
        inherited: &mut Inherited,
        files: &Files,
    ) -> Result<Listeners, StartError> {
        let mut listeners = Listeners { held: Vec::new(), directory: files.directory.clone().map(PathBuf::from) };
        for (name, address) in asked {
            let address = listeners.absolute(address)?;
            let listener = inherited.listener(&name, &address)?;
            let address = listener.as_ref().map_or(Ok(address), Listener::address)?;
            let id = listener.as_ref().and_then(|listener| files.ids.get(&inode(listener)?));
            let file = match (&address, id) {
                (Address::Unix(path), Some(id)) => Some(File { path: path.clone(), id: *id, ours: None }),
                _ => None,
            };
            listeners.held.push(Held { name, address, file, listener });
        }
        // After all claims: a descriptor that another name claims may hold the address.
        for held in listeners.held.iter_mut().filter(|held| held.listener.is_none()) {
            held.bind()?;
        }
        Ok(listeners)
    }

    /// Resolves a relative path in the directory of the first generation with one: ours may be another, or deleted.
    fn absolute(&mut self, address: Address) -> Result<Address, BindError> {
        let Address::Unix(path) = &address else { return Ok(address) };
        if path.is_absolute() {
            return Ok(address);
        }
        let directory = self.directory.take().map_or_else(env::current_dir, Ok);
        let directory = directory.map_err(|error| BindError::NoDirectory(address.clone(), error))?;
        let absolute = absolute_in(directory.clone(), path);
        self.directory = Some(directory);
        Ok(Address::Unix(absolute))
    }

    /// A copy of each listener for the server to accept from, or the error: the descriptor limit is reached, or one
    /// that was abandoned cannot be bound again.
    pub(crate) fn copies(&mut self) -> (Vec<Named>, Vec<StartError>) {
        let (mut copies, mut errors) = (Vec::new(), Vec::new());
        for held in &mut self.held {
            match held.copy() {
                Ok(copy) => copies.push((held.name.clone(), copy)),
                Err(error) => {
                    // Its clients should be refused, and not kept waiting.
                    held.listener = None;
                    errors.push(error);
                }
            }
        }
        (copies, errors)
    }

    /// Takes charge of the files, as the last generation.
    pub(crate) fn take_files(&mut self) {
        for file in self.held.iter_mut().filter_map(|held| held.file.as_mut()) {
            let ours = file.ours.get_or_insert_with(|| SocketFile::with_id(&file.path, file.id));
            if !ours.is_there() {
                tracing::warn!(path = %file.path.display(), "the socket file is gone, so no client can connect there");
            }
        }
    }

    /// Logs where the server accepts.
    pub(crate) fn log(&self, generation: u64) {
        for Held { name, address, .. } in self.held.iter().filter(|held| held.listener.is_some()) {
            tracing::info!(%address, pid = std::process::id(), generation, name, "listening");
        }
    }

    /// Leaves the files to the successor, and returns the listeners that it has no use for: their clients should be
    /// refused, and not kept waiting.
    pub(crate) fn leave_to_successor(&mut self, unused: &BTreeSet<String>) -> Vec<Named> {
        let mut abandoned = Vec::new();
        for held in &mut self.held {
            let file = held.file.as_mut().and_then(|file| file.ours.take());
            if unused.contains(&held.name) {
                drop(file);
                held.file = None;
                abandoned.extend(held.listener.take().map(|listener| (held.name.clone(), listener)));
            } else {
                // Not dropped: that would remove the file.
                std::mem::forget(file);
            }
        }
        abandoned
    }

    /// Closes all, and removes the files that are ours.
    pub(crate) fn close(&mut self) {
        self.held.clear();
    }

    /// All of them, for a successor.
    ///
    /// # Errors
    /// If two have the same name, one has a name that cannot be passed on, or the descriptor limit is reached.
    pub(crate) fn pass(&self) -> Result<PassedFds, AddError> {
        let mut passed = PassedFds::new();
        for Held { name, listener, .. } in &self.held {
            if let Some(listener) = listener {
                passed.add(name, listener)?;
            }
        }
        Ok(passed)
    }

    /// What a successor needs to know about the files that are the last generation's to remove.
    pub(crate) fn files(&self) -> Files {
        let id = |held: &Held| Some((inode(held.listener.as_ref()?)?, held.file.as_ref()?.id));
        // A directory that JSON cannot express is not passed on: relative paths then begin where the successor starts.
        let directory = self.directory.as_ref().and_then(|path| path.to_str()).map(str::to_owned);
        Files { ids: self.held.iter().filter_map(id).collect(), directory }
    }
}

/// What tells a socket from all others, in every process that has it open.
fn inode(listener: &Listener) -> Option<u64> {
    fstat(listener).ok().map(|stat| stat.st_ino)
}

impl Held {
    fn copy(&mut self) -> Result<Listener, StartError> {
        Ok(match &self.listener {
            Some(listener) => listener.try_clone()?,
            // The successor had no use for it, and is lost: the address is ours again.
            None => self.bind()?.try_clone()?,
        })
    }

    fn bind(&mut self) -> Result<&Listener, StartError> {
        let mut listener = self.address.bind()?;
        self.address = listener.address()?;
        if let (Address::Unix(path), Some(ours)) = (&self.address, listener.take_file()) {
            self.file = Some(File { path: path.clone(), id: ours.id(), ours: Some(ours) });
        }
        Ok(self.listener.insert(listener))
    }
}
