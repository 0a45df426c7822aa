//! Everything that a builder's service is made of, behind chapter 4's [`Serve`].
//!
//! The invariant: the parts begin and end together. A drain is over when the HTTP server, the stream services and the background
//! tasks have nothing left to do, and no successor needs this process to come back.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connection_handover::Server;
use graceful_shutdown::{Acceptor, Address, ClientAddress, Outcome, Stream};
use graceful_upgrade::{Named, Serve};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use crate::control::{CONTROL, Control};
use crate::systemd::Systemd;

/// How long tasks get to end once they are cut.
const CUT_GRACE: Duration = Duration::from_millis(250);

/// What the service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Does not accept yet, or not again yet.
    Standby,
    Serving,
    Draining,
    Cut,
}

/// Tells a task that runs for long that the service drains. A clone for each: it counts from the moment at which it is made.
#[derive(Debug)]
pub struct Draining {
    /// With the number of times that this process has begun to accept: one that comes back begins anew, and what was told to
    /// end, or would have been, still ends.
    phase: watch::Receiver<(u64, Phase)>,
    since: u64,
}

impl Clone for Draining {
    fn clone(&self) -> Draining {
        let phase = self.phase.clone();
        let since = phase.borrow().0;
        Draining { phase, since }
    }
}

impl Draining {
    pub(crate) fn of(phase: &watch::Sender<(u64, Phase)>) -> Draining {
        let phase = phase.subscribe();
        let since = phase.borrow().0;
        Draining { phase, since }
    }

    /// Completes when the service begins to drain: because it stops, or because a successor has taken over. Cancel safe.
    pub async fn begun(&mut self) {
        // `Err`: the service is gone.
        let since = self.since;
        let _ = self.phase.wait_for(|(times, phase)| *times != since || *phase > Phase::Serving).await;
    }

    /// Whether it drains now.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        let (times, phase) = *self.phase.borrow();
        times != self.since || phase > Phase::Serving
    }

    async fn cut(&mut self) {
        let _ = self.phase.wait_for(|(_, phase)| *phase == Phase::Cut).await;
    }
}

pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
pub(crate) type Background = Box<dyn Fn(Draining) -> Work + Send>;
pub(crate) type Streams = Arc<dyn Fn(Stream, ClientAddress, Draining) -> Work + Send + Sync>;

/// The parts.
pub(crate) struct Parts {
    pub(crate) server: Server,
    pub(crate) streams: BTreeMap<String, Streams>,
    /// Each with a lock, so that one begins when the last one has ended.
    pub(crate) background: Vec<(Background, Arc<tokio::sync::Mutex<()>>)>,
    pub(crate) control: Arc<Control>,
    pub(crate) addresses: Arc<Mutex<Vec<(String, Address)>>>,
    /// Beside the listeners, for systemd.
    pub(crate) shared: Vec<(String, Arc<OwnedFd>)>,
    pub(crate) systemd: Option<Systemd>,
    pub(crate) phase: watch::Sender<(u64, Phase)>,
    /// False from the moment a stop begins.
    pub(crate) stays: watch::Sender<bool>,
    /// How long everything goes on after a stop was asked for.
    pub(crate) pause: Duration,
    pub(crate) stop_at: Option<Instant>,
    pub(crate) tasks: TaskTracker,
    pub(crate) on_drain: Vec<Box<dyn Fn() + Send>>,
    pub(crate) on_end: Vec<Box<dyn Fn(Outcome) + Send>>,
}

impl Parts {
    fn draining(&self) -> Draining {
        Draining::of(&self.phase)
    }

    fn enter(&self, to: Phase) {
        self.phase.send_modify(|(_, phase)| *phase = to);
    }

    fn drain(&self) {
        self.enter(Phase::Draining);
        self.on_drain.iter().for_each(|hook| hook());
    }

    /// Accepts from a listener that is not the HTTP server's.
    fn accept_from(&self, named: Named, mut until: Draining) -> io::Result<Option<Named>> {
        let (name, listener) = named;
        if name == CONTROL {
            let (acceptor, control) = (Acceptor::new(listener)?, Arc::clone(&self.control));
            // Not among the tasks: a caller that says nothing must not hold up a drain.
            tokio::spawn(async move {
                let take = move |stream, _| {
                    let control = Arc::clone(&control);
                    tokio::spawn(async move { control.serve(stream).await });
                };
                acceptor.run(until.begun(), &take).await;
            });
            return Ok(None);
        }
        let Some(streams) = self.streams.get(&name).cloned() else { return Ok(Some((name, listener))) };
        let (acceptor, take) = (Acceptor::new(listener)?, self.take(&streams));
        let (stays, phase) = (self.stays.subscribe(), self.phase.subscribe());
        self.tasks.spawn(async move {
            let acceptor = acceptor.run(until.begun(), &take).await;
            if !*stays.borrow() {
                acceptor.empty_queue(|| phase.borrow().1 != Phase::Cut, &take).await;
            }
        });
        Ok(None)
    }

    /// What to do with each accepted connection of a stream service.
    fn take(&self, streams: &Streams) -> impl Fn(Stream, ClientAddress) + Send + Sync + use<> {
        let (tasks, draining, streams) = (self.tasks.clone(), self.draining(), Arc::clone(streams));
        let counted = Arc::clone(&self.control.counters.streams);
        move |stream, client| {
            let (work, open) = (streams(stream, client, draining.clone()), counted.accepted());
            let work = until_cut(work, draining.clone());
            tasks.spawn(async move {
                let _open = open;
                work.await;
            });
        }
    }

    fn stop_now(&mut self) {
        self.drain();
        if let Some(systemd) = &self.systemd {
            let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            systemd.forget(addresses.iter().map(|(name, _)| name).chain(self.shared.iter().map(|(name, _)| name)));
        }
        self.server.stop();
    }
}

/// Work that is dropped when the service cuts what is left.
async fn until_cut(work: impl Future<Output = ()>, mut draining: Draining) {
    tokio::select! {
        () = work => {}
        () = draining.cut() => {}
    }
}

impl Serve for Parts {
    fn accept(&mut self, listeners: Vec<Named>) -> io::Result<()> {
        // One that comes back begins anew.
        self.phase.send_modify(|(times, phase)| {
            *times += u64::from(*phase > Phase::Serving);
            *phase = Phase::Standby;
        });
        let known = listeners.iter().map(|(name, listener)| Ok((name.clone(), listener.address()?)));
        let known = known.collect::<io::Result<_>>()?;
        if let Some(systemd) = &self.systemd {
            let shared = self.shared.iter().map(|(name, fd)| (name, fd.as_fd()));
            systemd.store(listeners.iter().map(|(name, listener)| (name, listener.as_fd())).chain(shared));
        }
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = known;
        let mut http = Vec::new();
        for named in listeners {
            http.extend(self.accept_from(named, self.draining())?);
        }
        for (background, runs) in &self.background {
            let (work, runs) = (background(self.draining()), Arc::clone(runs));
            let alone = async move {
                let _alone = runs.lock().await;
                work.await;
            };
            self.tasks.spawn(until_cut(alone, self.draining()));
        }
        self.server.accept(http)?;
        self.enter(Phase::Serving);
        Ok(())
    }

    fn retire(&mut self, abandoned: Vec<Named>) {
        self.drain();
        if let Some(systemd) = &self.systemd {
            // The successor stores those that it shares.
            systemd.forget(abandoned.iter().map(|(name, _)| name).chain(self.shared.iter().map(|(name, _)| name)));
        }
        let mut http = Vec::new();
        for (name, listener) in abandoned.into_iter().filter(|(name, _)| name != CONTROL) {
            let Some(streams) = self.streams.get(&name) else {
                http.push((name, listener));
                continue;
            };
            let (take, phase) = (self.take(streams), self.phase.subscribe());
            match Acceptor::new(listener) {
                Ok(acceptor) => {
                    let go_on = move || phase.borrow().1 != Phase::Cut;
                    self.tasks.spawn(async move { acceptor.empty_queue(go_on, &take).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "the connections in the queue of an abandoned listener are reset");
                }
            }
        }
        self.server.retire(http);
    }

    fn stop(&mut self) {
        self.stays.send_replace(false);
        // One that could not even accept has no client to be patient with.
        if self.pause.is_zero() || self.phase.borrow().1 != Phase::Serving {
            return self.stop_now();
        }
        tracing::info!(pause = ?self.pause, "stopping: not ready any more, and still accepting");
        self.stop_at = Some(Instant::now() + self.pause);
    }

    async fn drained(&mut self) {
        if let Some(at) = self.stop_at {
            sleep_until(at).await;
            self.stop_at = None;
            self.stop_now();
        }
        self.server.drained().await;
        self.tasks.wait().await;
        self.control.progress.released().await;
        self.control.answers.wait().await;
    }

    async fn cut(&mut self) -> Outcome {
        let Outcome { finished, cut } = self.server.cut().await;
        let left = self.tasks.len();
        self.control.counters.streams.cut(left);
        self.enter(Phase::Cut);
        // `Err`: a task blocks its thread, and ends with the process.
        let _ = timeout(CUT_GRACE, self.tasks.wait()).await;
        let outcome = Outcome { finished, cut: cut + left };
        self.on_end.iter().for_each(|hook| hook(outcome));
        outcome
    }
}
