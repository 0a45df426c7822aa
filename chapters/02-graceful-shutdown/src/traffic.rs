//! What is going on on one connection, as its two ends see it: the transport below hyper and the service above.
//!
//! The invariant: a connection that looks idle here owes nobody an answer that it knows of.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::phase::{Draining, Phase};

/// What a drain has done so far, over all connections.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Exchanges and upgraded connections that came to their own end since the drain began.
    pub(crate) finished: AtomicUsize,
    /// Those that the deadline ended.
    pub(crate) cut: AtomicUsize,
}

// ANCHOR: traffic
/// Notes that transport and service leave for the task that drives the connection.
///
/// All three run in that one task, so the atomics carry no ordering: they are there because a task may move between
/// threads. Each stream of HTTP/2 has its own task, but only counts itself and notes that an answer begins.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// Requests whose head has been read and whose answer has not been written to its end.
    exchanges: AtomicUsize,
    /// Changes with every byte read and every exchange that ends. A connection whose count stands still is silent.
    activity: AtomicU64,
    /// Whether an answer has begun at all.
    answered: AtomicBool,
    /// Bytes that hyper wrote may still be on their way to the socket.
    unflushed: AtomicBool,
    /// hyper asked for more and there was nothing. See [`Traffic::has_nothing_to_read`].
    quiet: AtomicBool,
    /// The client has closed its side: it sends no further request.
    ended: AtomicBool,
    /// The connection speaks another protocol now, in the hands of a handler.
    upgraded: AtomicBool,
    /// The number of the last request whose head has been read, from 1.
    request: AtomicUsize,
    /// The number of the request of whose body bytes may still come; 0 if of none.
    body_unread: AtomicUsize,
    /// Some of them cannot have come when its head had.
    incomplete: AtomicBool,
    /// Bytes that were read since a read last found nothing: hyper has no more than these in its buffer, beside the head
    /// that it is reading.
    ahead: AtomicU64,
    /// Nothing is read on, so that the connection comes to a point at which it can be handed over.
    leaving: AtomicBool,
    /// The number of the drain in which the heir did not take the connection: it ends here then, politely.
    declined_in: AtomicUsize,
    /// The task that waits for that point: the end of a body may come in another one.
    waiting: Mutex<Option<Waker>>,
    /// The name of the listener, where an heir may ask for it.
    pub(crate) listener: Option<Arc<str>>,
    /// The phase of the whole server.
    pub(crate) draining: Draining,
    /// The account book of the whole server.
    pub(crate) ledger: Arc<Ledger>,
}
// ANCHOR_END: traffic

impl Traffic {
    pub(crate) fn new(listener: Option<Arc<str>>, draining: Draining, ledger: Arc<Ledger>) -> Traffic {
        Traffic {
            exchanges: AtomicUsize::default(),
            activity: AtomicU64::default(),
            answered: AtomicBool::default(),
            unflushed: AtomicBool::default(),
            quiet: AtomicBool::default(),
            ended: AtomicBool::default(),
            upgraded: AtomicBool::default(),
            request: AtomicUsize::default(),
            body_unread: AtomicUsize::default(),
            incomplete: AtomicBool::default(),
            ahead: AtomicU64::default(),
            leaving: AtomicBool::default(),
            declined_in: AtomicUsize::new(usize::MAX),
            waiting: Mutex::default(),
            listener,
            draining,
            ledger,
        }
    }

    // ANCHOR: notes
    /// A request's head has been read.
    pub(crate) fn exchange_begins(&self) {
        self.exchanges.fetch_add(1, Relaxed);
        self.request.fetch_add(1, Relaxed);
        // What was read with this head may go on with another request: nobody knows yet.
        self.quiet.store(false, Relaxed);
    }

    /// The head of an answer is about to be written.
    pub(crate) fn answer_begins(&self) {
        self.answered.store(true, Relaxed);
    }

    /// A request's answer has been given to its end, or given up.
    pub(crate) fn exchange_ends(&self) {
        self.exchanges.fetch_sub(1, Relaxed);
        self.note_activity();
    }

    /// A read brought this many bytes; none means the client's end.
    pub(crate) fn read(&self, bytes: usize) {
        self.quiet.store(false, Relaxed);
        self.ended.store(bytes == 0, Relaxed);
        self.ahead.store(self.ahead.load(Relaxed) + bytes as u64, Relaxed);
        self.note_activity();
    }

    /// It only has to change: two notes at once, from two streams of HTTP/2, may well count as one.
    fn note_activity(&self) {
        self.activity.store(self.activity.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// A read found nothing.
    pub(crate) fn read_nothing(&self) {
        self.quiet.store(true, Relaxed);
        self.ahead.store(0, Relaxed);
    }
    // ANCHOR_END: notes

    /// The answer that is about to be written hands the connection to its handler.
    pub(crate) fn upgrades(&self) {
        self.upgraded.store(true, Relaxed);
        self.leaving.store(false, Relaxed);
    }

    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Relaxed)
    }

    pub(crate) fn set_unflushed(&self, unflushed: bool) {
        self.unflushed.store(unflushed, Relaxed);
    }

    // ANCHOR: quiet
    /// Whether, as far as anybody on this side can see, the client has sent nothing beyond the request being answered.
    ///
    /// hyper reads ahead while it answers (to notice a client that goes away), but only when its buffer is empty. So a
    /// read that found nothing since the request began means: no pipelined request in the buffer, none in the socket.
    /// And the same holds for a request whose body is longer than all that has come: behind it, nothing can have.
    pub(crate) fn has_nothing_to_read(&self) -> bool {
        self.quiet.load(Relaxed) || self.is_body_unread() && self.incomplete.load(Relaxed)
    }
    // ANCHOR_END: quiet

    /// Requests whose head was read, on HTTP/1: the number of the last one.
    pub(crate) fn requests(&self) -> usize {
        self.request.load(Relaxed)
    }

    /// Requests being answered.
    pub(crate) fn exchanges(&self) -> usize {
        self.exchanges.load(Relaxed)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.exchanges() > 0 || self.unflushed.load(Relaxed)
    }

    pub(crate) fn activity(&self) -> u64 {
        self.activity.load(Relaxed)
    }

    pub(crate) fn was_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    pub(crate) fn client_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// The request has a body of this length, if that is known. Returns the request's number.
    pub(crate) fn body_begins(&self, length: Option<u64>) -> usize {
        let request = self.request.load(Relaxed);
        self.body_unread.store(request, Relaxed);
        self.incomplete.store(length.is_some_and(|length| length > self.ahead.load(Relaxed)), Relaxed);
        request
    }

    /// The request has none. If there was one before it, that has come to its end.
    pub(crate) fn no_body(&self) {
        self.body_unread.store(0, Relaxed);
    }

    /// The end of this request's body has come. Whoever reads it may be another task than the connection's, and late: then
    /// the body that is unread by now is that of a later request, whose head could be read only after all of this one.
    pub(crate) fn body_ends(&self, request: usize) {
        // `Err` if it is a later one's.
        let _ = self.body_unread.compare_exchange(request, 0, Relaxed, Relaxed);
        if let Some(waiting) = self.waiting().take() {
            waiting.wake();
        }
    }

    pub(crate) fn is_body_unread(&self) -> bool {
        self.body_unread.load(Relaxed) != 0
    }

    // ANCHOR: boundary
    /// Whether the connection is between two requests: nobody is owed a byte, and the next one that comes from the client
    /// begins or continues a head. `waker` is woken if that may have changed.
    pub(crate) fn is_between_requests(&self, waker: &Waker) -> bool {
        // Before the look, or a change after it could be missed.
        *self.waiting() = Some(waker.clone());
        !self.is_busy() && !self.is_body_unread() && !self.is_upgraded()
    }
    // ANCHOR_END: boundary

    fn waiting(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is read on as long as what this returns lives.
    pub(crate) fn hold_back(&self) -> HoldsBack<'_> {
        self.leaving.store(true, Relaxed);
        HoldsBack(&self.leaving)
    }

    // ANCHOR: holds_back
    /// Whether what the client sends is left in the socket: it is for whoever serves the connection next. But a request
    /// whose head was read is answered here, and its body is part of it.
    pub(crate) fn holds_back(&self) -> bool {
        self.leaving.load(Relaxed)
            && !self.is_body_unread()
            // Not any more once the drain was called off, whether or not that has come round.
            && self.draining.phase() == Phase::HandingOver
    }
    // ANCHOR_END: holds_back

    /// The heir of this drain, which may be over by now, has not taken the connection.
    pub(crate) fn note_declined(&self, drain: usize) {
        self.declined_in.store(drain, Relaxed);
    }

    /// Whether the heir of this drain has declined the connection.
    pub(crate) fn was_declined(&self) -> bool {
        self.declined_in.load(Relaxed) == self.draining.number()
    }

    /// Whether this connection is to be closed after what it owes.
    pub(crate) fn is_to_close(&self) -> bool {
        self.draining.is_draining() && !self.is_to_go_over()
    }

    // ANCHOR: is_to_go_over
    /// Whether this connection goes to an heir, as far as we know, and is not closed.
    pub(crate) fn is_to_go_over(&self) -> bool {
        self.draining.phase() == Phase::HandingOver && self.listener.is_some() && !self.was_declined()
    }
    // ANCHOR_END: is_to_go_over
}

/// Of a connection that waits to leave: see [`Traffic::hold_back`].
pub(crate) struct HoldsBack<'traffic>(&'traffic AtomicBool);

impl Drop for HoldsBack<'_> {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::PhaseSetter;

    #[test]
    fn a_body_that_is_read_late_is_not_taken_for_the_next_one() {
        let traffic = Traffic::new(None, PhaseSetter::default().watch(), Arc::default());
        let [first, second] = [(); 2].map(|()| {
            traffic.exchange_begins();
            traffic.body_begins(Some(5))
        });
        // hyper had received the first one whole, or it would not have come to the second head.
        traffic.body_ends(first);
        assert!(traffic.is_body_unread(), "bytes of the second body may still come");
        traffic.body_ends(second);
        assert!(!traffic.is_body_unread());
    }
}
