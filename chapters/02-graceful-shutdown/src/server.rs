//! The server: what listens, what is connected, and how both come to an end.
//!
//! The invariant: a connection is counted from the moment it is accepted until its socket is closed, so "none left"
//! means that nobody is waiting for us; and whoever waits for that is woken by it.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::accept::Acceptor;
use crate::address::Listener;
use crate::connection::{self, HttpService};
use crate::heir::{Heir, Idle};
use crate::outcome::Outcome;
use crate::phase::{Draining, Phase, PhaseSetter};
use crate::traffic::{Ledger, Traffic};
use crate::transport::{self, Entry, Stream, Transport};

// ANCHOR: cut_grace
/// How long connections that are told to end now get to notice. Their tasks only have to be polled once more; what takes
/// longer is a handler that blocks its thread, and no waiting helps there.
const CUT_GRACE: Duration = Duration::from_millis(250);
// ANCHOR_END: cut_grace

type Hook = Box<dyn FnOnce() + Send>;

// ANCHOR: server
/// An HTTP server that can stop.
///
/// It speaks HTTP/1.1 and, to clients with prior knowledge, HTTP/2, on any number of listeners.
///
/// ```
/// # use std::{convert::Infallible, time::Duration};
/// # use graceful_shutdown::{Address, Outcome, RequestBody, Server};
/// # use hyper::{Request, Response, service::service_fn};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hello = service_fn(async |_: Request<RequestBody>| Ok::<_, Infallible>(Response::new("hello\n".to_owned())));
///
/// let server = Server::new();
/// server.serve("127.0.0.1:0".parse::<Address>()?.bind()?, hello)?;
/// // … until a signal comes …
/// let outcome = server.shutdown(Duration::from_secs(5)).await;
/// assert_eq!(outcome, Outcome { finished: 0, cut: 0 });
/// # Ok(())
/// # }
/// ```
pub struct Server {
    phase: PhaseSetter,
    /// The accept loops. A drain is not over before they are: each may still bring a connection.
    acceptors: TaskTracker,
    /// A token for every open socket, see [`Transport`].
    connections: TaskTracker,
    ledger: Arc<Ledger>,
    hooks: Mutex<Vec<Hook>>,
}
// ANCHOR_END: server

impl Default for Server {
    fn default() -> Server {
        Server::new()
    }
}

impl Server {
    // ANCHOR: new
    /// A server that serves nothing yet.
    #[must_use]
    pub fn new() -> Server {
        let server = Server {
            phase: PhaseSetter::default(),
            acceptors: TaskTracker::new(),
            connections: TaskTracker::new(),
            ledger: Arc::default(),
            hooks: Mutex::default(),
        };
        // A tracker that is closed still tracks; it only lets `wait` return once nothing is left.
        server.acceptors.close();
        server.connections.close();
        server
    }
    // ANCHOR_END: new

    // ANCHOR: serve
    /// Accepts connections from `listener` and answers their requests with `service`, until a drain begins.
    ///
    /// # Errors
    /// If the runtime cannot wait on the listener: epoll_ctl(2).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve<S: HttpService>(&self, listener: Listener, service: S) -> io::Result<()> {
        self.accept(None, listener, service)
    }
    // ANCHOR_END: serve

    /// The same, and its connections can be [handed over](Self::hand_over) to whoever serves a listener of that `name`.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    ///
    /// # Panics
    /// As [`serve`](Self::serve).
    pub fn serve_named<S: HttpService>(&self, name: &str, listener: Listener, service: S) -> io::Result<()> {
        self.accept(Some(name.into()), listener, service)
    }

    fn accept<S: HttpService>(&self, name: Option<Arc<str>>, listener: Listener, service: S) -> io::Result<()> {
        let acceptor = Acceptor::new(listener)?;
        self.acceptors.spawn(acceptor.run(self.draining(), self.taker(name, service)));
        Ok(())
    }

    /// Answers the connections that wait in the queue of `listener`, then closes it. For one that nobody else accepts
    /// from, in a drain: those who are connected are answered, all others refused.
    ///
    /// # Errors
    /// If the runtime cannot wait on the listener: epoll_ctl(2).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve_queue<S: HttpService>(&self, listener: Listener, service: S) -> io::Result<()> {
        let acceptor = Acceptor::new(listener)?;
        self.acceptors.spawn(acceptor.empty_the_queue(self.draining(), self.taker(None, service)));
        Ok(())
    }

    // ANCHOR: taker
    /// What is done with each connection.
    fn taker<S: HttpService>(&self, name: Option<Arc<str>>, service: S) -> impl Fn(Stream) + Send + use<S> {
        let (draining, connections, ledger) = (self.draining(), self.connections.clone(), Arc::clone(&self.ledger));
        move |stream| {
            transport::prepare(&stream);
            let traffic = Arc::new(Traffic::new(name.clone(), draining.clone(), Arc::clone(&ledger)));
            // The token is taken here, not in the task: a drain must not end between accept and the task's first step.
            let transport = Transport::new(stream, Entry::new(Arc::clone(&traffic), connections.token()));
            tokio::spawn(connection::serve(transport, service.clone(), traffic));
        }
    }
    // ANCHOR_END: taker

    // ANCHOR: adopt
    /// Prepares to serve a connection that another server [handed over](Self::hand_over), and returns what begins it.
    /// Before that nothing is read, and dropping it leaves the connection to whoever has another descriptor of it.
    ///
    /// # Errors
    /// If the runtime cannot wait on the socket: epoll_ctl(2).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn adopt<S: HttpService>(&self, idle: Idle, service: S) -> io::Result<impl FnOnce() + Send + use<S>> {
        let traffic = Traffic::new(Some(Arc::clone(&idle.listener)), self.draining(), Arc::clone(&self.ledger));
        let traffic = Arc::new(traffic);
        let transport = Transport::adopt(idle, Entry::new(Arc::clone(&traffic), self.connections.token()))?;
        Ok(move || drop(tokio::spawn(connection::serve(transport, service, traffic))))
    }

    /// Runs `task`, which may bring connections as a listener does: no drain is over before its end.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn expect_more_from(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.acceptors.spawn(task);
    }
    // ANCHOR_END: adopt

    /// Tells handlers, and whoever else wants to know, when a drain begins.
    #[must_use]
    pub fn draining(&self) -> Draining {
        self.phase.watch()
    }

    /// Runs `hook` when the server stops for good, before its connections are waited for. It must not block.
    pub fn on_shutdown(&self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    // ANCHOR: stop
    /// Stops accepting and lets every request that was sent be answered, until `deadline` has passed; then cuts the rest.
    pub async fn shutdown(&self, deadline: Duration) -> Outcome {
        self.stop();
        // Either way the outcome tells.
        let _ = tokio::time::timeout(deadline, self.drained()).await;
        self.cut().await
    }

    /// Begins a drain for good: the queues of the listeners are emptied, then the listeners are closed.
    pub fn stop(&self) {
        self.enter(Phase::Stopping);
        let hooks = std::mem::take(&mut *self.hooks.lock().unwrap_or_else(PoisonError::into_inner));
        for hook in hooks {
            hook();
        }
    }
    // ANCHOR_END: stop

    /// Begins a drain in favour of a successor that accepts from the same sockets: what is in their queues is left to it.
    ///
    /// The server closes its own descriptors of them; to [`resume`](Self::resume), it needs others.
    pub fn retire(&self) {
        self.enter(Phase::Retiring);
    }

    /// Begins a drain in favour of a successor that also takes the connections: each goes to `heir` as soon as it owes
    /// nothing. One that cannot go ends as in [`retire`](Self::retire): HTTP/2, upgraded ones, those that were not
    /// [named](Self::serve_named), those that the heir declines.
    pub fn hand_over(&self, heir: Arc<dyn Heir>) {
        self.phase.hand_over(heir);
    }

    /// Calls a drain off. Connections are kept alive again, and [`serve`](Self::serve) accepts again.
    pub fn resume(&self) {
        self.ledger.finished.store(0, Relaxed);
        self.enter(Phase::Serving);
    }

    // ANCHOR: cut
    /// Ready the moment the last connection is closed, in a drain.
    pub async fn drained(&self) {
        self.acceptors.wait().await;
        self.connections.wait().await;
    }

    /// Ends every connection now, and says what the drain came to.
    pub async fn cut(&self) -> Outcome {
        self.enter(Phase::Cut);
        // Those that do not notice in time are counted below.
        let _ = tokio::time::timeout(CUT_GRACE, self.drained()).await;
        Outcome {
            finished: self.ledger.finished.load(Relaxed),
            cut: self.ledger.cut.load(Relaxed) + self.connections.len(),
        }
    }
    // ANCHOR_END: cut

    fn enter(&self, phase: Phase) {
        self.phase.enter(phase);
    }
}
