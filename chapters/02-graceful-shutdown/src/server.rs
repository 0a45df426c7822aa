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
use crate::outcome::Outcome;
use crate::phase::{Draining, Phase, PhaseSetter};
use crate::traffic::{Ledger, Traffic};
use crate::transport::{Stream, Transport};

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
/// # use graceful_shutdown::{Address, Outcome, Server};
/// # use hyper::{Request, Response, body::Incoming, service::service_fn};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hello = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("hello\n".to_owned())));
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
        let acceptor = Acceptor::new(listener)?;
        self.acceptors.spawn(acceptor.run(self.draining(), self.taker(service)));
        Ok(())
    }
    // ANCHOR_END: serve

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
        self.acceptors.spawn(acceptor.empty_the_queue(self.draining(), self.taker(service)));
        Ok(())
    }

    // ANCHOR: taker
    /// What is done with each connection.
    fn taker<S: HttpService>(&self, service: S) -> impl Fn(Stream) + Send + use<S> {
        let (draining, connections, ledger) = (self.draining(), self.connections.clone(), Arc::clone(&self.ledger));
        move |stream| {
            let traffic = Arc::new(Traffic::new(draining.clone(), Arc::clone(&ledger)));
            // The token is taken here, not in the task: a drain must not end between accept and the task's first step.
            let transport = Transport::new(stream, Arc::clone(&traffic), connections.token());
            tokio::spawn(connection::serve(transport, service.clone(), traffic));
        }
    }
    // ANCHOR_END: taker

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
