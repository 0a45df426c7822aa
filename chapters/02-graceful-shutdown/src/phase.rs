//! The phase of a server's life, as every connection sees it.
//!
//! The invariant: there is one phase, one place sets it, and whoever waits for a change is woken by it; nobody polls.

use tokio::sync::watch;

/// What a server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Accepting connections and keeping them alive.
    Serving,
    /// Accepting nothing more, since a successor does, from the same sockets. Every connection ends after what it owes.
    Retiring,
    /// Accepting nothing more, for good. Every connection ends after what it owes.
    Stopping,
    /// The deadline has passed: every connection ends now.
    Cut,
}

/// Tells whether a server is draining, and when that begins.
///
/// A handler asks it to answer `/readyz`; the owner of an upgraded connection waits for it to say goodbye in its own
/// protocol.
#[derive(Debug, Clone)]
pub struct Draining(pub(crate) watch::Receiver<Phase>);

impl Draining {
    /// Whether a drain is under way.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase() != Phase::Serving
    }

    /// Returns as soon as a drain is under way.
    pub async fn begun(&mut self) {
        self.until(|phase| phase != Phase::Serving).await;
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Returns as soon as the server serves again: a successor failed, and the drain was called off.
    pub(crate) async fn called_off(&mut self) {
        self.until(|phase| phase == Phase::Serving).await;
    }

    /// Returns as soon as the deadline has passed.
    pub(crate) async fn cut(&mut self) {
        self.until(|phase| phase == Phase::Cut).await;
    }

    async fn until(&mut self, wanted: impl Fn(Phase) -> bool) {
        if self.0.wait_for(|phase| wanted(*phase)).await.is_err() {
            // The server is gone without a word: then its phase never changes again.
            std::future::pending::<()>().await;
        }
    }
}
