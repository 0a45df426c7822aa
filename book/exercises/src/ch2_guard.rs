//! How many requests are being answered: what a drain waits for.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The requests in flight.
#[derive(Debug, Default)]
pub struct InFlight(AtomicUsize);

impl InFlight {
    /// Runs `handler` to its end, and counts it meanwhile.
    pub async fn answer<T>(&self, handler: impl Future<Output = T>) -> T {
        self.0.fetch_add(1, Relaxed);
        let answer = handler.await;
        self.0.fetch_sub(1, Relaxed);
        answer
    }

    /// How many requests are in flight now.
    pub fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}
