//! The server: its listeners, its connections, their handover to a successor, and how all of them end.
//!
//! The invariant: a connection is counted from the moment it is accepted or taken over until its socket is closed here, so
//! once none is left, no client waits for this process.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use graceful_shutdown::{Acceptor, ClientAddress, ClientTimeouts, HttpService, Listener, Outcome, Stream};
use graceful_upgrade::{Named, Serve, Upgrader};
use tokio::time::timeout;

use crate::arrivals::adopt_all;
use crate::channel::{Channel, pair};
use crate::connection::{Connection, Library, Origin};
use crate::counts::Counts;
use crate::drain::{Phase, Shared, Timeouts, becomes};
use crate::http2::Http2Gate;
use crate::listener::GatedListener;
use crate::secret::Secret;
use crate::service::OwnLibrary;
use crate::socket::Socket;
use crate::tls::TlsLayer;
use crate::transfer::{Begin, Departures};
use crate::tunnel::TunnelProtocol;

/// The name under which a successor finds its end of the channel for connections.
const CONNECTIONS: &str = "connections";

/// The same, of what all layers share.
const SECRET: &str = "tls-secret";

/// How long connections get to end once they are cut. Their tasks only have to be polled once more; what takes longer
/// is a handler that blocks its thread, and waiting does not help there.
const CUT_GRACE: Duration = Duration::from_millis(250);

/// What to do with the connections of one listener.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) serve: Serving,
    pub(crate) tls: Option<Arc<dyn TlsLayer>>,
    pub(crate) origin: Arc<Origin>,
}

type Serving = Arc<dyn Fn(Socket, ClientAddress, Begin) + Send + Sync>;

type Service = Box<dyn Fn(Arc<Origin>) -> Serving + Send>;

/// An HTTP/1 and HTTP/2 server for an [`Upgrader`], whose connections can go to the next process.
pub struct Server {
    shared: Arc<Shared>,
    services: BTreeMap<String, Service>,
    layers: BTreeMap<String, Arc<dyn TlsLayer>>,
    http2: BTreeMap<String, Arc<dyn Http2Gate>>,
    timeouts: Timeouts,
    client_timeouts: ClientTimeouts,
    /// Our end of the channel from the predecessor, until we serve.
    arrivals: Option<OwnedFd>,
    /// Our end of the channel to the successor that was started last.
    departures: Arc<Mutex<Option<OwnedFd>>>,
    /// What all layers share, if there is one.
    secret: Arc<OnceLock<Secret>>,
    /// What was counted when the drain began.
    before: Counts,
}

impl Server {
    /// A server that serves nothing yet, and drains within `drain_timeout`.
    #[must_use]
    pub fn new(drain_timeout: Duration) -> Server {
        Server {
            shared: Shared::new(),
            services: BTreeMap::new(),
            layers: BTreeMap::new(),
            http2: BTreeMap::new(),
            timeouts: Timeouts::within(drain_timeout),
            client_timeouts: ClientTimeouts::default(),
            arrivals: None,
            departures: Arc::default(),
            secret: Arc::default(),
            before: Counts::default(),
        }
    }

    /// Sets how long the server waits for silent clients. An HTTP/2 client that is silent for the idle timeout gets a
    /// PING, and keeps its connection if it answers within 20 s.
    #[must_use]
    pub fn with_timeouts(self, client_timeouts: ClientTimeouts) -> Server {
        Server { client_timeouts, ..self }
    }

    // ANCHOR: hand_over
    /// Takes over the predecessor's connections, and hands ours to each successor; without this, an upgrade closes them
    /// politely. Call it before [`Upgrader::listen`].
    pub fn hand_over(&mut self, upgrader: &mut Upgrader) {
        self.arrivals = upgrader.take(CONNECTIONS);
        let departures = Arc::clone(&self.departures);
        upgrader.pass(move || {
            let (ours, theirs) = pair()?;
            *departures.lock().unwrap_or_else(PoisonError::into_inner) = Some(ours);
            Ok(vec![(CONNECTIONS.to_owned(), theirs)])
        });
        self.share_secret(upgrader);
    }
    // ANCHOR_END: hand_over

    /// Takes over what the predecessor's layers share, and passes on what ours do.
    fn share_secret(&mut self, upgrader: &mut Upgrader) {
        match upgrader.take(SECRET).map(Secret::inherit).transpose() {
            Ok(inherited) => self.secret = Arc::new(inherited.map_or_else(OnceLock::new, OnceLock::from)),
            Err(error) => tracing::warn!(%error, "TLS sessions of the predecessor cannot be resumed"),
        }
        let secret = Arc::clone(&self.secret);
        upgrader.pass(move || {
            // No reason for an upgrade to fail.
            let passed = secret.get().map(Secret::pass).transpose().inspect_err(|error| {
                tracing::warn!(%error, "TLS sessions cannot be resumed in the successor");
            });
            Ok(passed.ok().flatten().map(|passed| (SECRET.to_owned(), passed)).into_iter().collect())
        });
    }

    /// Hands the HTTP/2 connections of the listener `name` over, too, through gates that this makes; without this, they are closed
    /// politely.
    pub fn hand_over_http2(&mut self, name: impl Into<String>, gate: impl Http2Gate) {
        self.http2.insert(name.into(), Arc::new(gate));
    }

    /// Hands over the tunnels of this protocol, too, in which a handler [begins](crate::tunnel) one, and ends those that cannot go;
    /// all others stay with their handlers. Of two protocols with one name, the first is taken.
    pub fn hand_over_tunnels(&mut self, protocol: impl TunnelProtocol) {
        self.shared.tunnels.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(protocol));
    }

    /// Puts a layer on the connections of the listener `name`. They go to a successor whose listener of this address has one, too.
    /// Call it after [`hand_over`](Self::hand_over).
    pub fn encrypt(&mut self, name: impl Into<String>, mut layer: impl TlsLayer) {
        let name = name.into();
        match Secret::new() {
            Ok(secret) => layer.share(&name, self.secret.get_or_init(|| secret).bytes()),
            Err(error) => tracing::warn!(%error, "TLS sessions cannot be resumed in another process"),
        }
        self.layers.insert(name, Arc::new(layer));
    }

    /// Serves the listener `name` with `service`.
    pub fn add<S: HttpService>(&mut self, name: impl Into<String>, service: S) {
        self.serve(name.into(), move || OwnLibrary(service.clone()));
    }

    /// Serves the listener `name` with another server, which accepts from this one. It need not stop its connections, nor accept no
    /// more: that happens here.
    ///
    /// Three kinds of connections stay until the client ends them, or that server, or the deadline: HTTP/2 without
    /// [`hand_over_http2`](Self::hand_over_http2), tunnels, and HTTP/1 that is [unsure](crate::gate::Protocol::Unsure). That server
    /// also has to limit how long these, and HTTP/2 as a whole, may be idle. Requests are counted where they are answered: not here.
    pub fn listener(&mut self, name: impl Into<String>) -> GatedListener {
        let (library, listener) = GatedListener::new();
        self.serve(name.into(), move || library.clone());
        listener
    }

    fn serve<L: Library>(&mut self, name: String, library: impl Fn() -> L + Clone + Send + Sync + 'static) {
        let shared = Arc::clone(&self.shared);
        let start = move |origin: Arc<Origin>| -> Serving {
            let (library, shared) = (library.clone(), Arc::clone(&shared));
            Arc::new(move |socket, client, begin| {
                let connection = Connection::new(library(), Arc::clone(&origin), client, Arc::clone(&shared));
                shared.tasks.spawn(connection.serve(socket, begin));
            })
        };
        self.services.insert(name, Box::new(start));
    }

    /// Whether this server or a successor will answer the next client: false from the moment this service stops. For a
    /// handler that tells a load balancer.
    pub fn readiness(&self) -> impl Fn() -> bool + Clone + Send + Sync + use<> {
        let goal = self.shared.goal.subscribe();
        move || !goal.borrow().stops()
    }

    /// Reads what this server has counted so far.
    pub fn counts(&self) -> impl Fn() -> Counts + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.counts()
    }

    fn start(&self, name: &str, listener: &Listener) -> io::Result<(String, Start)> {
        let service = self.services.get(name);
        let service = service.ok_or_else(|| io::Error::other(format!("no service is called {name:?}")))?;
        let address = listener.address()?.to_string();
        let (tls, http2) = (self.layers.get(name).cloned(), self.http2.get(name).cloned());
        let origin = Arc::new(Origin { address: address.as_str().into(), timeouts: self.client_timeouts, http2 });
        Ok((address, Start { serve: service(Arc::clone(&origin)), tls, origin }))
    }

    /// What to do with each accepted connection.
    fn take(&self, start: Start) -> impl Fn(Stream, ClientAddress) + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        // The token is taken here, not in the task: a drain must not end between accept(2) and the task's first step.
        move |stream, client| {
            shared.tally.accepted.fetch_add(1, Relaxed);
            let socket = Socket::accepted(stream, shared.sockets.token());
            let wrap = start.tls.as_ref().map(|layer| layer.accept());
            (start.serve)(socket.wrap(wrap), client, Begin::Bytes(Bytes::new()));
        }
    }

    /// Hands over, but stops before the deadline, which would cut the remaining connections without notice.
    fn hand_over_to(&mut self, departures: Arc<Departures>) {
        self.drain(Phase::HandingOver(Arc::clone(&departures)));
        let (shared, Timeouts { handover, late, .. }) = (Arc::clone(&self.shared), self.timeouts);
        // Subscribed here: the handover may end before the task begins.
        let mut goal = shared.goal.subscribe();
        tokio::spawn(async move {
            // `Ok`: the handover has ended already.
            if timeout(handover, goal.changed()).await.is_err() {
                shared.end_handover(&departures, late);
            }
        });
    }

    fn drain(&mut self, to: Phase) {
        if self.shared.goal.borrow().accepts() {
            self.before = self.shared.counts();
        }
        self.shared.enter(to);
    }

    /// Answers the connections in the queue of a listener from which no process will accept, and closes it.
    fn answer_queue(&self, (name, listener): Named) -> io::Result<()> {
        let (_, start) = self.start(&name, &listener)?;
        let (acceptor, take, goal) = (Acceptor::new(listener)?, self.take(start), self.shared.goal.subscribe());
        self.shared.tasks.spawn(async move { acceptor.empty_queue(|| !goal.borrow().is_cut(), &take).await });
        Ok(())
    }
}

impl Serve for Server {
    fn accept(&mut self, listeners: Vec<Named>) -> io::Result<()> {
        self.shared.enter(Phase::Serving);
        let mut by_address = BTreeMap::new();
        for (name, listener) in listeners {
            let (address, start) = self.start(&name, &listener)?;
            by_address.insert(address, start.clone());
            let (acceptor, take) = (Acceptor::new(listener)?, self.take(start));
            let mut goal = self.shared.goal.subscribe();
            self.shared.tasks.spawn(async move {
                let acceptor = acceptor.run(becomes(&mut goal, |phase| !phase.accepts()), &take).await;
                if matches!(*goal.borrow(), Phase::Stopping(_)) {
                    acceptor.empty_queue(|| !goal.borrow().is_cut(), &take).await;
                }
            });
        }
        if let Some(arrivals) = self.arrivals.take() {
            let (arrivals, shared) = (Channel::new(arrivals)?, Arc::clone(&self.shared));
            let mut goal = shared.goal.subscribe();
            // Once we close connections ourselves, those that have not arrived are the old process's to close.
            self.shared.tasks.spawn(async move {
                tokio::select! {
                    biased;
                    () = becomes(&mut goal, Phase::closes) => {}
                    () = adopt_all(arrivals, by_address, shared) => {}
                }
            });
        }
        Ok(())
    }

    fn retire(&mut self, abandoned: Vec<Named>) {
        let channel = self.departures.lock().unwrap_or_else(PoisonError::into_inner).take();
        match channel.map(Departures::new).transpose() {
            Ok(Some(departures)) => self.hand_over_to(departures),
            Ok(None) => self.drain(Phase::Closing(self.timeouts.idle)),
            Err(error) => {
                tracing::error!(%error, "connections cannot be handed over, and are closed politely");
                self.drain(Phase::Closing(self.timeouts.idle));
            }
        }
        for named in abandoned {
            if let Err(error) = self.answer_queue(named) {
                tracing::warn!(%error, "the connections in the queue of an abandoned listener are reset");
            }
        }
    }

    fn stop(&mut self) {
        self.drain(Phase::Stopping(self.timeouts.idle));
    }

    async fn drained(&mut self) {
        self.shared.tasks.wait().await;
        self.shared.sockets.wait().await;
    }

    async fn cut(&mut self) -> Outcome {
        let shared = Arc::clone(&self.shared);
        let Shared { exchanges, tally, sockets, .. } = &*shared;
        let finished = exchanges.ended() - self.before.finished;
        shared.cut();
        // Each connection counts what it owes. As long as some end, more will. A handler that blocks its thread does
        // not notice the cut, and its exchange stays open.
        loop {
            let left = sockets.len();
            if timeout(CUT_GRACE, self.drained()).await.is_ok() {
                break;
            }
            if sockets.len() == left {
                let blocked = exchanges.begun().saturating_sub(exchanges.ended());
                tally.untold.fetch_add(left.saturating_sub(blocked), Relaxed);
                tally.closed.fetch_add(left, Relaxed);
                tally.cut.fetch_add(blocked, Relaxed);
                break;
            }
        }
        let counts = shared.counts();
        counts.report(&self.before);
        Outcome { finished, cut: counts.cut - self.before.cut }
    }
}
