//! The listeners of a server: kept for as long as this process may have to accept from them, or pass them on.
//!
//! The invariant: a listener is held here by every generation that serves or may come back, the server only ever gets
//! copies; and the file of a unix socket is removed by the last generation alone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use graceful_shutdown::{Address, Listener, SocketFile};
use inherited_fds::{AddError, Inherited, PassedFds};

use crate::channel::FileIds;
use crate::error::StartError;
use crate::serve::Named;

/// The listeners of a server, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Vec<Held>);

#[derive(Debug)]
struct Held {
    name: String,
    /// As bound: with the port that the kernel chose, if none was asked for.
    address: Address,
    /// `None` once it is abandoned, since the successor has no use for it; and if it could not be had again.
    listener: Option<Listener>,
    /// The file of this unix socket, if that is the last generation's to remove. One that systemd made is systemd's.
    file: Option<File>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    id: (u64, u64),
    /// Removes it, while we are the last generation.
    ours: Option<SocketFile>,
}

impl Listeners {
    /// Claims each listener from what was inherited, and binds those that are missing. `files` are those that the predecessor
    /// leaves to the last generation.
    ///
    /// # Errors
    /// If one cannot be had. Those that were bound before it are closed again, their files removed.
    pub(crate) fn claim_or_bind(
        asked: impl IntoIterator<Item = (String, Address)>,
        inherited: &mut Inherited,
        files: &FileIds,
    ) -> Result<Listeners, StartError> {
        let claim = |(name, address): (String, Address)| {
            let listener = inherited.listener(&name, &address)?;
            let address = listener.as_ref().map_or(Ok(address), Listener::address)?;
            let file = match (&address, files.get(&name)) {
                (Address::Unix(path), Some(id)) => Some(File { path: path.clone(), id: *id, ours: None }),
                _ => None,
            };
            Ok(Held { name, address, listener, file })
        };
        let mut listeners = Listeners(asked.into_iter().map(claim).collect::<Result<_, StartError>>()?);
        // After all were claimed: an address may be held by a descriptor that another name claims.
        for held in listeners.0.iter_mut().filter(|held| held.listener.is_none()) {
            held.bind()?;
        }
        Ok(listeners)
    }

    /// A copy of each that can be had, for the server to accept from; and why the others cannot: the descriptor limit is reached,
    /// or one that was abandoned cannot be bound again.
    pub(crate) fn copies(&mut self) -> (Vec<Named>, Vec<StartError>) {
        let (mut copies, mut errors) = (Vec::new(), Vec::new());
        for held in &mut self.0 {
            match held.copy() {
                Ok(copy) => copies.push((held.name.clone(), copy)),
                Err(error) => {
                    // Its clients are to be refused, and not kept waiting.
                    held.listener = None;
                    errors.push(error);
                }
            }
        }
        (copies, errors)
    }

    /// Takes charge of the files, as the last generation.
    pub(crate) fn take_files(&mut self) {
        for file in self.0.iter_mut().filter_map(|held| held.file.as_mut()) {
            let ours = file.ours.get_or_insert_with(|| SocketFile::with_id(&file.path, file.id));
            if !ours.is_there() {
                tracing::warn!(path = %file.path.display(), "the file of a socket is gone, clients do not find it");
            }
        }
    }

    /// Logs where the server accepts.
    pub(crate) fn log(&self, generation: u64) {
        for Held { name, address, .. } in self.0.iter().filter(|held| held.listener.is_some()) {
            tracing::info!(%address, pid = std::process::id(), generation, name, "listening");
        }
    }

    /// Leaves the files to the successor, and gives away the listeners that it has no use for: their clients are to be
    /// refused, and not kept waiting.
    pub(crate) fn leave_to_successor(&mut self, unused: &BTreeSet<String>) -> Vec<Named> {
        let mut abandoned = Vec::new();
        for held in &mut self.0 {
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
        self.0.clear();
    }

    /// All of them, for a successor.
    ///
    /// # Errors
    /// If two have the same name, one has a name that cannot be passed on, or the descriptor limit is reached.
    pub(crate) fn pass(&self) -> Result<PassedFds, AddError> {
        let mut passed = PassedFds::new();
        for Held { name, listener, .. } in &self.0 {
            if let Some(listener) = listener {
                passed.add(name, listener)?;
            }
        }
        Ok(passed)
    }

    /// The files that are the last generation's to remove.
    pub(crate) fn file_ids(&self) -> FileIds {
        self.0.iter().filter_map(|held| Some((held.name.clone(), held.file.as_ref()?.id))).collect()
    }
}

impl Held {
    fn copy(&mut self) -> Result<Listener, StartError> {
        Ok(match &self.listener {
            Some(listener) => listener.try_clone()?,
            // The successor had no use for it, then it was lost: the address is ours again.
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
