// ANCHOR: all
//! The listeners of all services: kept for as long as this process may have to accept from them, or pass them on.
//!
//! The invariant: a listener is held here by every generation that serves or may come back, the server only ever gets
//! copies; and the file of a unix socket is removed by the last generation alone.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use graceful_shutdown::{Address, Draining, HttpService, Idle, Listener, Server, SocketFile};
use inherited_fds::{Bequest, Inherited, NameError};

use crate::channel::{FileIds, Names};
use crate::error::StartError;
use crate::handover::CONNECTIONS;
use crate::keeper::KEEPER;
use crate::successor::CHANNEL;

// ANCHOR: service
/// What a service may know of the process that serves it.
#[derive(Debug, Clone)]
pub struct Context {
    /// 1 for the first process, and one more with each upgrade.
    pub generation: u64,
    /// Tells when a drain begins: a handler that answers `/readyz` asks it.
    pub draining: Draining,
}

/// An HTTP service, the address it is served on, and the name by which its listener goes from generation to generation.
pub struct Service {
    name: String,
    address: Address,
    make: Make,
}

type Make = Box<dyn FnOnce(&Context) -> (Serve, Adopt)>;
type Serve = Box<dyn Fn(&Server, Listener, Queue) -> io::Result<()>>;
/// Prepares to serve a connection that a predecessor had accepted.
pub(crate) type Adopt = Box<dyn Fn(&Server, Idle) -> io::Result<Box<dyn FnOnce() + Send>> + Send>;

/// Which connections of a listener to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    /// All that will come.
    AllToCome,
    /// Those that wait now, then close it.
    WhatIsThere,
}

impl Service {
    /// A service called `name`, made by `make` once the process knows its generation, and before it binds anything.
    ///
    /// Names are 1 to 255 printable ASCII characters without a colon (`FileDescriptorName=` in systemd.socket(5)), and
    /// not `predecessor`, `keeper` or `connections`, which are the names of channels between processes.
    pub fn new<S: HttpService>(
        name: impl Into<String>,
        address: Address,
        make: impl FnOnce(&Context) -> S + 'static,
    ) -> Service {
        let name = name.into();
        let listener_name = name.clone();
        let make: Make = Box::new(move |context| {
            let service = make(context);
            let adopted = service.clone();
            let serve: Serve = Box::new(move |server, listener, queue| match queue {
                Queue::AllToCome => server.serve_named(&listener_name, listener, service.clone()),
                Queue::WhatIsThere => server.serve_queue(listener, service.clone()),
            });
            let adopt: Adopt = Box::new(move |server, idle| Ok(Box::new(server.adopt(idle, adopted.clone())?)));
            (serve, adopt)
        });
        Service { name, address, make }
    }
}
// ANCHOR_END: service

/// The listeners of all services.
pub(crate) struct Listeners(Vec<Held>);

// ANCHOR: held
struct Held {
    name: String,
    /// As bound: with the port that the kernel chose, if none was asked for.
    address: Address,
    /// `None` once it is closed: the successor has no use for it.
    listener: Option<Listener>,
    /// The file of this unix socket, if that is the last generation's to remove. One that systemd made is systemd's.
    file_id: Option<(u64, u64)>,
    /// The file, while we are the last generation.
    file: Option<SocketFile>,
    serve: Serve,
    /// `None` once connections come from a predecessor.
    adopt: Option<Adopt>,
}
// ANCHOR_END: held

impl Listeners {
    // ANCHOR: inherit_or_bind
    /// Claims each service's listener from what was inherited, makes the service, and then binds those that are missing.
    /// `files` and `file_ids` are those that the predecessor says are the last generation's to remove.
    ///
    /// # Errors
    /// If one cannot be had. Those that were bound before it are closed again, their files removed.
    pub(crate) fn inherit_or_bind(
        services: Vec<Service>,
        context: &Context,
        inherited: &mut Inherited,
        files: &Names,
        file_ids: &FileIds,
    ) -> Result<Listeners, StartError> {
        let claim = |Service { name, address, make }: Service| {
            if [CHANNEL, KEEPER, CONNECTIONS].contains(&name.as_str()) {
                return Err(StartError::Reserved(name));
            }
            let listener = inherited.listener(&name, &address)?;
            let address = listener.as_ref().map_or(Ok(address), Listener::address)?;
            let file_id = match &address {
                Address::Unix(path) if listener.is_some() && files.contains(&name) => {
                    file_ids.get(&name).copied().or_else(|| id_of_file_at(path))
                }
                _ => None,
            };
            let (serve, adopt) = make(context);
            Ok(Held { name, address, listener, file_id, file: None, serve, adopt: Some(adopt) })
        };
        let mut listeners = services.into_iter().map(claim).collect::<Result<_, StartError>>().map(Listeners)?;
        // Last: a service that hangs in the making gets us killed, and the files of what was bound would stay.
        for held in &mut listeners.0 {
            if held.listener.is_none() {
                held.listener = Some(held.bind()?);
            }
        }
        Ok(listeners)
    }
    // ANCHOR_END: inherit_or_bind

    /// Accepts from all of them, as the last generation.
    ///
    /// # Errors
    /// If one cannot be accepted from; the others are.
    pub(crate) fn accept(&mut self, server: &Server, generation: u64) -> Result<(), StartError> {
        // All copies first: as soon as one is served, connections take descriptors.
        let copies: Vec<_> = self.0.iter_mut().map(Held::copy).collect();
        let mut first_error = Ok(());
        for (held, copy) in self.0.iter_mut().zip(copies) {
            match copy.and_then(|copy| held.accept(server, copy)) {
                Ok(()) => {
                    let (name, address, pid) = (&held.name, &held.address, std::process::id());
                    tracing::info!(%address, pid, generation, name, "listening");
                }
                Err(error) => first_error = first_error.and(Err(error)),
            }
        }
        first_error
    }

    // ANCHOR: leave_to_successor
    /// Leaves the files to the successor; closes for good the listeners it has no use for, so that their clients are
    /// refused and not kept waiting, and answers those that wait already.
    pub(crate) fn leave_to_successor(&mut self, server: &Server, unused: &Names) {
        for held in &mut self.0 {
            let file = held.file.take();
            if unused.contains(&held.name) {
                drop(file);
                held.close_for_good(server);
            } else if let Some(file) = file {
                file.leave();
            }
        }
    }
    // ANCHOR_END: leave_to_successor

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// How connections of each are served that a predecessor had accepted. To be asked once.
    pub(crate) fn adopt(&mut self) -> BTreeMap<String, Adopt> {
        self.0.iter_mut().filter_map(|held| Some((held.name.clone(), held.adopt.take()?))).collect()
    }

    /// Closes all, and removes the files that are ours.
    pub(crate) fn close(&mut self) {
        self.0.clear();
    }

    /// All of them, for a successor.
    ///
    /// # Errors
    /// If two have the same name, or one has a name that cannot be passed on.
    pub(crate) fn bequeath(&self) -> Result<Bequest<'_>, NameError> {
        let mut bequest = Bequest::new();
        for Held { name, listener, .. } in &self.0 {
            if let Some(listener) = listener {
                bequest.add(name, listener.as_fd())?;
            }
        }
        Ok(bequest)
    }

    /// The files that are the last generation's to remove.
    pub(crate) fn file_ids(&self) -> FileIds {
        self.0.iter().filter_map(|held| Some((held.name.clone(), held.file_id?))).collect()
    }
}

impl Held {
    // ANCHOR: accept
    /// What the server gets.
    fn copy(&mut self) -> Result<Listener, StartError> {
        if let Some(listener) = &self.listener {
            return Ok(listener.try_clone()?);
        }
        // The successor had no use for it, then it was lost: the address is ours again.
        let listener = self.bind()?;
        Ok(self.listener.insert(listener).try_clone()?)
    }

    fn bind(&mut self) -> Result<Listener, StartError> {
        let mut listener = self.address.bind()?;
        self.address = listener.address()?;
        self.file = file_of(&mut listener);
        self.file_id = self.file.as_ref().map(SocketFile::id);
        Ok(listener)
    }

    fn accept(&mut self, server: &Server, copy: Listener) -> Result<(), StartError> {
        (self.serve)(server, copy, Queue::AllToCome)?;
        if let (Address::Unix(path), Some(id), None) = (&self.address, self.file_id, &self.file) {
            let file = SocketFile::bound(path, id);
            if !file.is_there() {
                tracing::warn!(path = %path.display(), "the file of a socket is gone, clients do not find it");
            }
            self.file = Some(file);
        }
        Ok(())
    }
    // ANCHOR_END: accept

    fn close_for_good(&mut self, server: &Server) {
        let Some(listener) = self.listener.take() else { return };
        if let Err(error) = (self.serve)(server, listener, Queue::WhatIsThere) {
            tracing::warn!(%error, name = self.name, "cannot answer the connections that wait");
        }
    }
}

/// For a predecessor that goes by the path alone: the file that is there now is taken for its own.
fn id_of_file_at(path: &Path) -> Option<(u64, u64)> {
    // One that is not there cannot be removed.
    let file = SocketFile::at(path).ok()?;
    let id = file.id();
    file.leave();
    Some(id)
}

/// Takes the file away from a listener: it is the business of the last generation, not of whoever drops the listener.
fn file_of(listener: &mut Listener) -> Option<SocketFile> {
    match listener {
        Listener::Unix(_, file) => file.take(),
        Listener::Tcp(_) => None,
    }
}
// ANCHOR_END: all

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use graceful_shutdown::RequestBody;
    use hyper::service::service_fn;
    use hyper::{Request, Response};

    use super::*;

    #[test]
    fn nothing_is_bound_before_all_services_are_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let answer = async |_: Request<RequestBody>| Ok::<_, Infallible>(Response::new(String::new()));
        let seen = path.clone();
        let services = vec![
            Service::new("first", Address::Unix(path.clone()), move |_| service_fn(answer)),
            Service::new("second", "127.0.0.1:0".parse().unwrap(), move |_| {
                assert!(!seen.exists(), "if this hangs and is killed, the file of the first stays");
                service_fn(answer)
            }),
        ];
        let context = Context { generation: 2, draining: Server::new().draining() };
        let (files, file_ids) = (Names::new(), FileIds::new());
        let listeners =
            Listeners::inherit_or_bind(services, &context, &mut Inherited::default(), &files, &file_ids).unwrap();
        assert!(path.exists());
        drop(listeners);
        assert!(!path.exists());
    }
}
