//! What a server has done so far, and what a drain came to.
//!
//! The invariant: a count only grows, also when a drain is called off. What a drain came to is the difference of two readings.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A reading of a server's counts, from the beginning of its process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that are open in this process: the only number that also gets smaller.
    pub open: usize,
    /// Connections accepted from a listener.
    pub accepted: usize,
    /// Connections taken over from the predecessor.
    pub adopted: usize,
    /// Connections that another process has now.
    pub handed_over: usize,
    /// Connections that ended here.
    pub closed: usize,
    /// Of these, the idle ones that were closed without notice at a deadline.
    pub untold: usize,
    /// Requests that the server has begun to answer. A tunnel, such as a websocket, counts as one more.
    pub requests: usize,
    /// Requests that have ended, because the answer was complete or because the client gave up.
    pub finished: usize,
    /// Requests, tunnels and half heads that a deadline has cut.
    pub cut: usize,
}

/// What the connections of a server count.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) accepted: AtomicUsize,
    pub(crate) adopted: AtomicUsize,
    pub(crate) handed_over: AtomicUsize,
    pub(crate) closed: AtomicUsize,
    pub(crate) untold: AtomicUsize,
    pub(crate) cut: AtomicUsize,
}

impl Tally {
    /// A reading. The other numbers are counted elsewhere.
    pub(crate) fn read(&self) -> Counts {
        let Tally { accepted, adopted, handed_over, closed, untold, cut } = self;
        let [accepted, adopted, handed_over, closed, untold, cut] =
            [accepted, adopted, handed_over, closed, untold, cut].map(|number| number.load(Relaxed));
        Counts { accepted, adopted, handed_over, closed, untold, cut, ..Counts::default() }
    }
}

impl Counts {
    /// Logs what became of the connections since an earlier reading.
    pub(crate) fn report(&self, before: &Counts) {
        let (handed_over, closed) = (self.handed_over - before.handed_over, self.closed - before.closed);
        let untold = self.untold - before.untold;
        if untold > 0 {
            tracing::warn!(
                handed_over,
                closed,
                untold,
                "idle connections were closed without notice: the drain timeout is too short"
            );
        } else if handed_over + closed > 0 {
            tracing::info!(handed_over, closed, "every connection was handed over or closed politely");
        }
    }
}
