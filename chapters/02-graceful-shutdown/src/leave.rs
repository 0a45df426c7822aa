//! When a connection should leave.
//!
//! The invariant: silence is counted only while a drain is under way and nobody is owed an answer, and starts anew with
//! every byte.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::heir::Place;
use crate::phase::Draining;
use crate::traffic::Traffic;

// ANCHOR: leave
/// How long a drain waits for a client that says nothing, and a close for a client that does not close its side.
///
/// A choice. A request that was on its way when the drain began arrives within a network round trip; the rest is for
/// clients that think between requests. Below the default deadline of 5 s, so that there silence does not use it up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Why a connection should leave.
#[derive(Debug)]
pub(crate) enum Leave {
    /// A drain is under way, and the client has been silent for all its patience.
    Politely,
    /// A drain is under way, the connection is between two requests, and it is its turn to go to the heir.
    ToHeir(Place),
    /// A deadline has passed: the drain's, or that of a request's head.
    Now,
}

/// Ready when an HTTP/1 connection should leave.
///
/// Must be polled by the task that drives the connection, after the connection: what happens there is what wakes it.
pub(crate) async fn leave(traffic: &Traffic) -> Leave {
    let draining = &traffic.draining;
    loop {
        let turn = concerned(traffic).await;
        let way = async {
            let Some(place) = turn else {
                silent(traffic).await;
                return Leave::Politely;
            };
            tokio::select! {
                biased;
                place = ready_to_go(traffic, place) => Leave::ToHeir(place),
                // It may never come to the point: the rest of a body that nobody reads is in the way.
                () = silent(traffic) => Leave::Politely,
            }
        };
        tokio::select! {
            () = draining.cut() => return Leave::Now,
            why = way => return why,
            () = draining.called_off() => {}
        }
    }
}

/// Ready when the client has been silent for all its patience.
async fn silent(traffic: &Traffic) {
    let mut seen = traffic.activity();
    let mut patience = pin!(sleep(PATIENCE));
    poll_fn(|cx| {
        let activity = traffic.activity();
        if activity != seen || traffic.is_busy() {
            seen = activity;
            patience.as_mut().reset(Instant::now() + PATIENCE);
        }
        patience.as_mut().poll(cx)
    })
    .await;
}
// ANCHOR_END: leave

// ANCHOR: concerned
/// Ready when a drain concerns the connection: with its turn to go to the heir, or with none, if it is to be closed.
async fn concerned(traffic: &Traffic) -> Option<Place> {
    let draining = &traffic.draining;
    let concerned = async {
        loop {
            let goes_over = traffic.listener.is_some() && !traffic.was_declined();
            tokio::select! {
                biased;
                () = draining.closing() => return None,
                // It may be the next drain, in which another heir has declined nothing.
                () = draining.begun(), if !goes_over => if !traffic.is_to_go_over() { return None },
                Some(place) = draining.place(), if goes_over => return Some(place),
            }
        }
    };
    sleeping(draining, concerned).await
}
// ANCHOR_END: concerned

// ANCHOR: turn
/// Ready when the connection can go to the heir.
///
/// Until it is its turn, it is served as always. Then nothing is read on, or a client that sends one request behind the
/// other would keep it here for ever. If it owes an answer, the next one's turn comes meanwhile: a long answer would hold up
/// all others.
async fn ready_to_go(traffic: &Traffic, mut place: Place) -> Place {
    let _reads_nothing = traffic.hold_back();
    poll_fn(|cx| {
        if traffic.is_between_requests(cx.waker()) {
            return Poll::Ready(());
        }
        place.turn = None;
        Poll::Pending
    })
    .await;
    place
}
// ANCHOR_END: turn

// ANCHOR: goaway
/// Ready when an HTTP/2 connection should be told to leave, by the same rule about who polls it.
///
/// A client that gets a GOAWAY before its first request was answered may take the connection for broken (curl does). So a
/// fresh connection is given the time to speak and be answered; after that, everything goes by GOAWAY's own rules.
pub(crate) async fn goaway_due(traffic: &Traffic) {
    let draining = &traffic.draining;
    loop {
        begun(draining).await;
        // No waker is left here, and none is needed: an answer wakes the connection's task, which has to write it.
        let answered = poll_fn(|_| if traffic.was_answered() { Poll::Ready(()) } else { Poll::Pending });
        tokio::select! {
            () = answered => return,
            () = sleep(PATIENCE) => return,
            () = draining.called_off() => {}
        }
    }
}
// ANCHOR_END: goaway

// ANCHOR: begun
/// [`Draining::begun`], for a task that is polled with every request.
async fn begun(draining: &Draining) {
    sleeping(draining, draining.begun()).await;
}

/// Waits for something that only comes in a drain, in a task that is polled with every request.
///
/// Polling `Notified` takes a lock. Our waker is always the same task's, so one poll for each change of the phase is
/// enough, as long as the server serves. To poll only "once a drain is under way" would be too few: a drain that began and
/// was called off before we looked has woken us and used the wait up, and without another poll nothing would wake us for
/// the next drain. And a poll before everybody was told of a change does not count: the wake-up comes after it, and uses
/// the wait up.
async fn sleeping<T>(draining: &Draining, wait: impl Future<Output = T>) -> T {
    let mut wait = pin!(wait);
    let mut looked_at = None;
    poll_fn(|cx| {
        let changes = draining.changes();
        if changes.is_some() && changes == looked_at && !draining.is_draining() {
            return Poll::Pending;
        }
        looked_at = changes;
        wait.as_mut().poll(cx)
    })
    .await
}
// ANCHOR_END: begun

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::task::{Context, Wake, Waker};

    use tokio::task::yield_now;

    use super::*;
    use crate::phase::{Phase, PhaseSetter};

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    // On one thread, a change that was entered is told when the test yields, and not before.
    #[tokio::test(flavor = "current_thread")]
    async fn a_connection_that_is_polled_before_it_is_told_of_a_drain_does_not_wait_to_be_told() {
        let setter = PhaseSetter::default();
        let draining = setter.watch();
        let (mut wait, mut cx) = (pin!(begun(&draining)), Context::from_waker(Waker::noop()));
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Pending);
        setter.enter(Phase::Retiring);
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(()), "the drain is under way");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_connection_that_is_polled_before_it_is_told_of_a_drain_called_off_hears_of_the_next() {
        let setter = PhaseSetter::default();
        let draining = setter.watch();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let (mut wait, mut cx) = (pin!(begun(&draining)), Context::from_waker(&waker));
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Pending);
        setter.enter(Phase::Retiring);
        setter.enter(Phase::Serving);
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Pending, "it was called off");
        yield_now().await;
        assert!(woken.0.swap(false, Relaxed), "everybody is told of every change");
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Pending, "it was called off");

        setter.enter(Phase::Retiring);
        yield_now().await;
        assert!(woken.0.load(Relaxed), "the next drain has begun, and nobody told the connection");
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(()));
    }
}
