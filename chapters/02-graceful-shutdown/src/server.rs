//! The server: what listens, what is connected, and how both come to an end.
//!
//! The invariant: a connection is counted from the moment it is accepted until its task has ended, so once none is left, no
//! client waits for this server.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::either::Either;
use tokio_util::task::TaskTracker;

use crate::accept::{Acceptor, Stream};
use crate::address::Listener;
use crate::client::ClientAddress;
use crate::connection::{self, ClientTimeouts, HttpService};
use crate::exchange::Count;
use crate::outcome::Outcome;
use crate::phase::{Phase, at_least};

/// How long connections get to end once they are cut. Their tasks only have to be polled once more; what takes longer
/// is a handler that blocks its thread, and waiting does not help there.
const CUT_GRACE: Duration = Duration::from_millis(250);

/// An HTTP/1.1 server that can stop, with any number of listeners.
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
///
/// Dropping it cuts what is under way.
#[derive(Debug)]
pub struct Server {
    /// The phase, for the acceptors: they are few, and must learn of a change at once.
    goal: watch::Sender<Phase>,
    /// The same for the connections, a moment later: waking ten thousand of them takes tens of milliseconds.
    phase: watch::Sender<Phase>,
    /// The accept loops and the connections: a drain is over when none is left. A tracker counts a task before the task
    /// runs, so none is missed between accept(2) and its first step.
    tasks: TaskTracker,
    timeouts: ClientTimeouts,
    exchanges: Arc<Count>,
    /// How many exchanges had ended when the drain began.
    ended_before: AtomicUsize,
}

impl Default for Server {
    fn default() -> Server {
        Server::new()
    }
}

impl Server {
    /// A server that serves nothing yet.
    #[must_use]
    pub fn new() -> Server {
        let tasks = TaskTracker::new();
        // A tracker that is closed still tracks; it only lets `wait` return once nothing is left.
        tasks.close();
        let [goal, phase] = [(); 2].map(|()| watch::Sender::new(Phase::Serving));
        let (timeouts, exchanges, ended_before) = (ClientTimeouts::default(), Arc::default(), AtomicUsize::new(0));
        Server { goal, phase, tasks, timeouts, exchanges, ended_before }
    }

    /// Sets how long the server waits for its clients. It counts requests, and sees none before its head is whole: so
    /// it notices an idle connection after one to two idle timeouts, and half a head does not change that.
    #[must_use]
    pub fn with_timeouts(self, timeouts: ClientTimeouts) -> Server {
        Server { timeouts, ..self }
    }

    /// Accepts connections from `listener` and answers their requests with `service`, until a drain begins. This calls
    /// off an earlier [`retire`](Self::retire).
    ///
    /// # Errors
    /// If the runtime cannot wait on the listener: epoll_ctl(2).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve<S: HttpService>(&self, listener: Listener, service: S) -> io::Result<()> {
        let acceptor = Acceptor::new(listener)?;
        self.enter(Phase::Serving);
        let (mut goal, take) = (self.goal.subscribe(), self.connections(service));
        self.tasks.spawn(async move {
            let acceptor = acceptor.run(at_least(Phase::Retiring, &mut goal), &take).await;
            if *goal.borrow() == Phase::Stopping {
                acceptor.empty_queue(|| *goal.borrow() < Phase::Cut, &take).await;
            }
        });
        Ok(())
    }

    /// Answers the connections that are in the accept queue of `listener` now, then closes it.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    ///
    /// # Panics
    /// As [`serve`](Self::serve).
    pub fn answer_queue<S: HttpService>(&self, listener: Listener, service: S) -> io::Result<()> {
        let acceptor = Acceptor::new(listener)?;
        let (goal, take) = (self.goal.subscribe(), self.connections(service));
        self.tasks.spawn(async move { acceptor.empty_queue(|| *goal.borrow() < Phase::Cut, &take).await });
        Ok(())
    }

    /// What to do with each accepted connection.
    fn connections<S: HttpService>(&self, service: S) -> impl Fn(Stream, ClientAddress) + Send + use<S> {
        let (tasks, exchanges) = (self.tasks.clone(), Arc::clone(&self.exchanges));
        let (timeouts, goal, phase) = (self.timeouts, self.goal.subscribe(), self.phase.subscribe());
        move |stream, client| {
            if let Either::Left(tcp) = &stream {
                // Answers are written whole; waiting for more to send with them (Nagle) only delays them.
                let _ = tcp.set_nodelay(true);
            }
            let exchanges = Arc::clone(&exchanges);
            let serve =
                connection::serve(stream, client, service.clone(), exchanges, timeouts, goal.clone(), phase.clone());
            tasks.spawn(serve);
        }
    }

    // ANCHOR: stop
    /// Stops accepting and drains; the accept queues are left to another process that has the listeners open, too. The
    /// server closes its own descriptors of them: to [`serve`](Self::serve) again, it needs others.
    pub fn retire(&self) {
        self.drain(Phase::Retiring);
    }

    /// Stops accepting for good and drains: answers the clients in the accept queues, closes the listeners, and removes
    /// their socket files.
    pub fn stop(&self) {
        self.drain(Phase::Stopping);
    }

    fn drain(&self, to: Phase) {
        if !self.goal.borrow().drains() {
            self.ended_before.store(self.exchanges.ended(), Relaxed);
        }
        self.enter(to);
    }

    fn enter(&self, to: Phase) {
        self.goal.send_replace(to);
        let (goal, phase) = (self.goal.clone(), self.phase.clone());
        // Reads the goal when it runs: of two such tasks, the one that runs last must not bring back an older goal.
        tokio::spawn(async move { phase.send_modify(|phase| *phase = *goal.borrow()) });
    }

    /// Completes the moment the last connection is closed, in a drain.
    pub async fn drained(&self) {
        self.tasks.wait().await;
    }

    /// Ends every connection now, and returns what the drain came to.
    pub async fn cut(&self) -> Outcome {
        // `ended` is read once, so that the two numbers add up.
        let (begun, ended) = (self.exchanges.begun(), self.exchanges.ended());
        let finished = ended.saturating_sub(self.ended_before.load(Relaxed));
        let outcome = Outcome { finished, cut: begun.saturating_sub(ended) };
        self.enter(Phase::Cut);
        // So that the sockets are closed when we return. A connection that does not notice in time has been counted.
        let _ = timeout(CUT_GRACE, self.drained()).await;
        outcome
    }

    /// Stops for good, waits until nothing is left to answer or `deadline` has passed, and cuts the rest.
    pub async fn shutdown(&self, deadline: Duration) -> Outcome {
        self.stop();
        // The outcome tells which of the two it was.
        let _ = timeout(deadline, self.drained()).await;
        self.cut().await
    }
    // ANCHOR_END: stop

    /// Whether this server, or another process in its place, will answer the next client: false from the moment it stops.
    /// For a handler that tells a load balancer.
    pub fn readiness(&self) -> impl Fn() -> bool + Clone + Send + Sync + use<> {
        let goal = self.goal.subscribe();
        move || *goal.borrow() < Phase::Stopping
    }
}
