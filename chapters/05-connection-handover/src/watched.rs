//! Work, and what ends it, which is rarely ready.
//!
//! The invariant: what ends the work is polled once, and then only after it was woken. A connection's task runs for every
//! request; to look at the phase of the server each time would cost as much as framing the request.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::task::{Context, Poll, Wake, Waker};

/// Drives `work` until it is over, or until `end` is ready (`Err`). In this order: what ends it may depend on what it has done.
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

/// Tells a task not only that it was woken, but by what.
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
