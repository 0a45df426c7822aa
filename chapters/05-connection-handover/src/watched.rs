//! Work that another future ends, one that is rarely ready.
//!
//! The invariant: the future that ends the work is polled once, and then only after its own wake-up. A connection's
//! task runs for every request; a look at the server's phase each time would cost as much as framing the request.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::task::{Context, Poll, Wake, Waker};

/// Drives `work` until it is over, or until `end` is ready (`Err`). `work` is polled first: `end` may depend on it.
///
/// All polls must come from one task.
pub(crate) async fn until<W: Future, E: Future>(mut work: Pin<&mut W>, end: E) -> Result<W::Output, E::Output> {
    let mut end = pin!(end);
    let task = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let bell = Arc::new(Bell { rang: AtomicBool::new(true), task });
    let waker = Waker::from(Arc::clone(&bell));
    poll_fn(|cx| {
        if let Poll::Ready(over) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(over));
        }
        if bell.rang.swap(false, AcqRel) {
            end.as_mut().poll(&mut Context::from_waker(&waker)).map(Err)
        } else {
            Poll::Pending
        }
    })
    .await
}

/// Wakes the task, and records that it was `end` that did.
struct Bell {
    rang: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.rang.store(true, Release);
        self.task.wake_by_ref();
    }
}
