//! What an initialiser has to work with: it says what serves each listener.
//!
//! The invariant: the initialiser runs to its end before this process says that it is ready; until then, the old process serves.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use connection_handover::{GatedListener, Http2Gate, Server, TlsLayer, TunnelProtocol};
use graceful_shutdown::{ClientAddress, HttpService, Outcome, Stream};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;

use crate::counters::Counters;
use crate::serve::{Background, Draining, Phase, Streams};

/// A service in the making.
pub struct Setup {
    pub(crate) generation: u64,
    pub(crate) server: Server,
    pub(crate) served: Vec<String>,
    pub(crate) streams: BTreeMap<String, Streams>,
    pub(crate) shared: BTreeMap<String, OwnedFd>,
    pub(crate) background: Vec<Background>,
    pub(crate) phase: watch::Sender<(u64, Phase)>,
    pub(crate) stays: watch::Sender<bool>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) on_drain: Vec<Box<dyn Fn() + Send>>,
    pub(crate) on_end: Vec<Box<dyn Fn(Outcome) + Send>>,
}

impl Setup {
    /// 1 for the first process, and one more with each upgrade.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Serves the listener `name` with a tower service over HTTP, such as an axum `Router` or a tonic `Routes`.
    pub fn tower<S>(&mut self, name: &str, service: S)
    where
        TowerToHyperService<S>: HttpService,
    {
        self.hyper(name, TowerToHyperService::new(service));
    }

    /// Serves the listener `name` with a hyper service over HTTP, such as a `service_fn`. A handler finds its client as an
    /// extension of the request: [`ClientAddress`].
    pub fn hyper(&mut self, name: &str, service: impl HttpService) {
        self.served.push(name.to_owned());
        self.server.add(name, service);
    }

    /// Serves the listener `name`, which speaks HTTP, with another server, such as axum's or tonic's: it accepts from this one, and
    /// its HTTP/1.1 connections are handed over, and closed politely, as ours are. See
    /// [`Server::listener`](connection_handover::Server::listener) for what stays.
    pub fn listener(&mut self, name: &str) -> GatedListener {
        self.served.push(name.to_owned());
        self.server.listener(name)
    }

    /// Hands the HTTP/2 connections of the listener `name` over, too, through gates that this makes (chapter 7 has one); without, they
    /// are closed politely, as they are where [`handover`](crate::Builder::handover) is off.
    pub fn hand_over_http2(&mut self, name: &str, gate: impl Http2Gate) {
        self.server.hand_over_http2(name, gate);
    }

    /// Hands over the tunnels of this protocol, too, such as websockets of chapter 7.
    pub fn hand_over_tunnels(&mut self, protocol: impl TunnelProtocol) {
        self.server.hand_over_tunnels(protocol);
    }

    /// Encrypts the connections of the listener `name`, which speaks HTTP, with this layer (chapter 7 has one).
    pub fn encrypt(&mut self, name: &str, layer: impl TlsLayer) {
        self.server.encrypt(name, layer);
    }

    /// Serves the listener `name` with a task for each connection. It should end soon after [`Draining`] says so; what is left
    /// at the deadline is dropped, and counted as cut. Such connections stay in the process that accepted them.
    pub fn streams<F>(
        &mut self,
        name: &str,
        serve: impl Fn(Stream, ClientAddress, Draining) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.served.push(name.to_owned());
        let serve = move |stream, client, draining| -> crate::serve::Work { Box::pin(serve(stream, client, draining)) };
        self.streams.insert(name.to_owned(), Arc::new(serve));
    }

    /// The UDP socket that [`Builder::udp`](crate::Builder::udp) has bound or inherited under this name, once. All generations
    /// read from the same queue: a [background task](Self::background) should stop reading when it is told to drain.
    pub fn udp(&mut self, name: &str) -> Option<UdpSocket> {
        self.shared.remove(name).map(UdpSocket::from)
    }

    /// What [`Builder::keep`](crate::Builder::keep) has made or inherited under this name, once.
    ///
    /// # Errors
    /// If there is nothing, in a sentence.
    pub fn kept(&mut self, name: &str) -> Result<OwnedFd, String> {
        self.shared.remove(name).ok_or_else(|| format!("nothing is kept under the name {name:?}"))
    }

    /// Runs a task while this process serves. A drain waits for its end. If this process comes back, the task runs anew, once
    /// the last run has ended. A successor's runs meanwhile: what must run once in all needs a lock that both processes see.
    pub fn background<F>(&mut self, work: impl Fn(Draining) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.background.push(Box::new(move |draining| Box::pin(work(draining))));
    }

    /// Whether the service stays: false from the moment a stop begins. For a handler that a balancer asks; an upgrade is no
    /// reason to say no.
    pub fn readiness(&self) -> impl Fn() -> bool + Clone + Send + Sync + use<> {
        let stays = self.stays.subscribe();
        move || *stays.borrow()
    }

    /// The service's counters as a text for Prometheus, which do not jump back at an upgrade. For a handler that Prometheus asks;
    /// its answer has the content type `text/plain; version=0.0.4`.
    pub fn metrics(&self) -> impl Fn() -> String + Clone + Send + Sync + use<> {
        let counters = Arc::clone(&self.counters);
        // `Err`: never, a string takes everything.
        move || counters.text().unwrap_or_default()
    }

    /// Tells whatever runs for long, such as server-sent events, when it should end.
    #[must_use]
    pub fn draining(&self) -> Draining {
        Draining::of(&self.phase)
    }

    /// Calls `hook` whenever a drain begins.
    pub fn on_drain(&mut self, hook: impl Fn() + Send + 'static) {
        self.on_drain.push(Box::new(hook));
    }

    /// Calls `hook` last of all, with what the drain came to.
    pub fn on_end(&mut self, hook: impl Fn(Outcome) + Send + 'static) {
        self.on_end.push(Box::new(hook));
    }
}
