//! A drain that waits for its connections, but not for ever.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// What a drain came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Connections that came to their own end.
    pub finished: usize,
    /// Connections that the deadline ended.
    pub cut: usize,
}

/// Waits for all `connections`, for `timeout` at most. Those that are left are ended, and counted.
pub async fn drain(mut connections: JoinSet<()>, timeout: Duration) -> Outcome {
    // One deadline for all: a timeout that started again with each connection might never end.
    let deadline = Instant::now() + timeout;
    let mut finished = 0;
    while let Ok(Some(_)) = timeout_at(deadline, connections.join_next()).await {
        finished += 1;
    }
    let cut = connections.len();
    connections.shutdown().await;
    Outcome { finished, cut }
}
