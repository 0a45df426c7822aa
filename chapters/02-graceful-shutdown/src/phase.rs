//! What a server is doing: one value, watched by everything that may have to stop.
//!
//! The invariant: the phase is set in one place, [`Server`](crate::Server), and a task that watches it sees every drain that
//! is not called off at once.

use tokio::sync::watch;

// ANCHOR: phase
/// In this order, each phase leaves less to do than the one before it; only [`Retiring`](Phase::Retiring) has a way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Accept and answer.
    Serving,
    /// Drain, and leave the queues of the listeners to another process that has them open.
    Retiring,
    /// Drain, and answer the clients in the accept queues, too: no other process will.
    Stopping,
    /// The deadline has passed: end at once.
    Cut,
}

impl Phase {
    /// Whether connections should end as soon as they can.
    pub(crate) fn drains(self) -> bool {
        self > Phase::Serving
    }
}

/// Completes as soon as the phase is `least` or a later one, and returns it.
pub(crate) async fn at_least(least: Phase, phase: &mut watch::Receiver<Phase>) -> Phase {
    // `Err`: the server was dropped, and no deadline will come any more.
    phase.wait_for(|now| *now >= least).await.map_or(Phase::Cut, |now| *now)
}
// ANCHOR_END: phase
