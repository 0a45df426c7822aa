//! What all connections of a server share: what they should do, and where they are counted.
//!
//! The invariant: the phase follows the goal, which [`Server`](crate::Server) sets, and a task that watches either
//! misses a drain only if it was called off.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use graceful_shutdown::{Count, IDLE_TIMEOUT};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

use crate::counts::{Counts, Tally};
use crate::transfer::Departures;
use crate::tunnel::TunnelProtocol;

/// What a server is doing.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// Accept and answer.
    Serving,
    /// Hand every connection to the successor as soon as it owes nothing.
    HandingOver(Arc<Departures>),
    /// A successor serves, but takes no (more) connections: close each as soon as it owes nothing, and an idle one
    /// after this time.
    Closing(Duration),
    /// As `Closing`, and no other process will answer new clients.
    Stopping(Duration),
    /// The deadline has passed: end at once.
    Cut,
}

impl Phase {
    pub(crate) fn accepts(&self) -> bool {
        matches!(self, Phase::Serving)
    }

    /// Whether connections are closed, and no longer handed over or taken from a predecessor.
    pub(crate) fn closes(&self) -> bool {
        matches!(self, Phase::Closing(_) | Phase::Stopping(_) | Phase::Cut)
    }

    pub(crate) fn stops(&self) -> bool {
        matches!(self, Phase::Stopping(_) | Phase::Cut)
    }

    /// How long a connection may be idle in this drain.
    pub(crate) fn idle(&self) -> Duration {
        match self {
            Phase::Closing(idle) | Phase::Stopping(idle) => *idle,
            _ => IDLE_TIMEOUT,
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        matches!(self, Phase::Cut)
    }
}

/// Ready once `which` is true of the phase.
pub(crate) async fn becomes(phase: &mut watch::Receiver<Phase>, which: impl FnMut(&Phase) -> bool) {
    // `Err`: the server was dropped, which ends everything.
    let _ = phase.wait_for(which).await;
}

/// Of ten thousand connections, each group has eighty, which take a quarter of a millisecond.
const GROUPS: usize = 128;

/// What all connections of a server share.
pub(crate) struct Shared {
    /// What the server should do, for its acceptors: they are few, and must hear of it at once.
    pub(crate) goal: watch::Sender<Phase>,
    /// The same, for its connections: in groups, which are told one after the other. A task for each of ten thousand connections
    /// takes tens of milliseconds, and a client that asks meanwhile should not wait for all of them.
    groups: Arc<[watch::Sender<Phase>]>,
    /// The group of the next connection.
    next_group: AtomicUsize,
    /// Accept loops, the task that adopts a predecessor's connections, and the connections themselves.
    pub(crate) tasks: TaskTracker,
    /// A token for every open socket: a handler that took a connection over may keep its socket for longer.
    pub(crate) sockets: TaskTracker,
    pub(crate) exchanges: Arc<Count>,
    pub(crate) tally: Tally,
    /// Tunnels of other protocols stay here.
    pub(crate) tunnels: RwLock<Vec<Arc<dyn TunnelProtocol>>>,
}

impl Shared {
    pub(crate) fn new() -> Arc<Shared> {
        let (tasks, sockets) = (TaskTracker::new(), TaskTracker::new());
        // A closed tracker still tracks; closing it only lets `wait` return once nothing is left.
        tasks.close();
        sockets.close();
        let goal = watch::Sender::new(Phase::Serving);
        let groups = (0..GROUPS).map(|_| watch::Sender::new(Phase::Serving)).collect();
        let (exchanges, tally, tunnels) = (Arc::default(), Tally::default(), RwLock::default());
        Arc::new(Shared { goal, groups, next_group: AtomicUsize::new(0), tasks, sockets, exchanges, tally, tunnels })
    }

    /// The protocol of a tunnel in this state.
    pub(crate) fn tunnel_protocol(&self, state: &[u8]) -> Result<Arc<dyn TunnelProtocol>, String> {
        let name = state.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let known = self.tunnels.read().unwrap_or_else(PoisonError::into_inner);
        let protocol = known.iter().find(|protocol| protocol.name().as_bytes() == name);
        protocol.cloned().ok_or_else(|| format!("this version takes no {:?} over", String::from_utf8_lossy(name)))
    }

    pub(crate) fn counts(&self) -> Counts {
        let (open, exchanges) = (self.sockets.len(), &self.exchanges);
        Counts { open, requests: exchanges.begun(), finished: exchanges.ended(), ..self.tally.read() }
    }

    /// Sets the goal, and tells the connections. If that ends a handover, the connections on their way come back.
    pub(crate) fn enter(&self, phase: Phase) {
        if let Phase::HandingOver(to) = self.goal.send_replace(phase) {
            to.recall();
        }
        self.tell_connections();
    }

    /// Tells all connections to end, and at once: nothing is left that this could hold up.
    pub(crate) fn cut(&self) {
        self.enter(Phase::Cut);
        for group in &*self.groups {
            group.send_replace(Phase::Cut);
        }
    }

    /// Ends a handover that has run out of time, and closes the remaining connections politely.
    pub(crate) fn end_handover(&self, departures: &Arc<Departures>, late: Duration) {
        let ends = self.goal.send_if_modified(|goal| {
            let lasts = matches!(goal, Phase::HandingOver(to) if Arc::ptr_eq(to, departures));
            if lasts {
                departures.recall();
                *goal = Phase::Closing(late);
            }
            lasts
        });
        if ends {
            self.tell_connections();
        }
    }

    /// The phase, for the next connection.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Phase> {
        self.groups[self.next_group.fetch_add(1, Relaxed) % GROUPS].subscribe()
    }

    fn tell_connections(&self) {
        let (goal, groups) = (self.goal.clone(), Arc::clone(&self.groups));
        tokio::spawn(async move {
            for group in &*groups {
                // Read here: the goal may have changed by then, and the last task must not set an older goal.
                group.send_modify(|phase| *phase = goal.borrow().clone());
                yield_now().await;
            }
        });
    }
}

// ANCHOR: timeouts
/// How the time of a drain is spent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// How long a connection may be idle in a drain that hands none over.
    pub(crate) idle: Duration,
    /// How long connections are handed over. The rest of the time is for closing the others politely.
    pub(crate) handover: Duration,
    /// How long one of the others may be idle.
    pub(crate) late: Duration,
}

impl Timeouts {
    /// Divides the whole time of a drain.
    pub(crate) fn within(drain_timeout: Duration) -> Timeouts {
        let (idle, late) = (IDLE_TIMEOUT.min(drain_timeout / 2), IDLE_TIMEOUT.min(drain_timeout / 4));
        // Half as long again is left for the close itself.
        Timeouts { idle, handover: drain_timeout.saturating_sub(late * 3 / 2), late }
    }
}
// ANCHOR_END: timeouts
