//! Connections that are not the HTTP server's.
//!
//! The invariant: each is counted when it is accepted, and once more when its task is over, also if that has panicked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What the stream services of this process have counted.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(super) accepted: AtomicUsize,
    pub(super) closed: AtomicUsize,
    pub(super) cut: AtomicUsize,
}

/// A connection that was accepted. Dropping it counts its end.
#[derive(Debug)]
pub(crate) struct Open(Arc<Streams>);

impl Streams {
    pub(crate) fn accepted(self: &Arc<Self>) -> Open {
        self.accepted.fetch_add(1, Relaxed);
        Open(Arc::clone(self))
    }

    /// A deadline has cut this many tasks.
    pub(crate) fn cut(&self, tasks: usize) {
        self.cut.fetch_add(tasks, Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Relaxed);
    }
}
