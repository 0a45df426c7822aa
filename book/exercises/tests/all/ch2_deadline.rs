use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use exercises::ch2_deadline::{Outcome, drain};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longer than anything here should take.
const FOR_EVER: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_client_that_never_ends_is_cut_at_the_deadline() {
    let mut connections = JoinSet::new();
    let open = Arc::new(());
    connections.spawn(async {});
    let stuck = Arc::clone(&open);
    connections.spawn(async move {
        pending::<()>().await;
        drop(stuck);
    });

    let outcome = timeout(FOR_EVER, drain(connections, Duration::from_millis(50))).await;

    let outcome = outcome.expect("one silent client holds the drain for ever: where is the deadline?");
    assert_eq!(outcome, Outcome { finished: 1, cut: 1 });
    assert_eq!(Arc::strong_count(&open), 1, "the connection was counted as cut, and its socket is still open");
}

#[tokio::test]
async fn a_drain_ends_with_its_last_connection_and_not_with_its_deadline() {
    let mut connections = JoinSet::new();
    connections.spawn(async {});
    let outcome = timeout(FOR_EVER, drain(connections, Duration::from_secs(3600))).await;
    let outcome = outcome.expect("no connection is left, so what is it waiting for?");
    assert_eq!(outcome, Outcome { finished: 1, cut: 0 });
}
