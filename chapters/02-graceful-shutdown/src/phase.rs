//! The phase of a server's life, as every connection sees it.
//!
//! The invariant: there is one phase, one place sets it, and whoever waits for a change is woken by it; nobody polls.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use crate::heir::{Heir, Place};

// ANCHOR: phases
/// What a server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Accepting connections and keeping them alive.
    Serving,
    /// Accepting nothing more, since a successor does, from the same sockets. Every connection ends after what it owes.
    Retiring,
    /// The same, and every connection goes to the successor as soon as it owes nothing.
    HandingOver,
    /// Accepting nothing more, for good. Every connection ends after what it owes.
    Stopping,
    /// The deadline has passed: every connection ends now.
    Cut,
}
// ANCHOR_END: phases

// ANCHOR: setter
/// The one place that sets the phase.
#[derive(Debug, Default)]
pub(crate) struct PhaseSetter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The phase in the lowest [`BITS`], and above them how often it has changed. Every request reads it, on every
    /// processor, so there is nothing to lock.
    word: AtomicUsize,
    /// Of how many changes everybody has been told.
    told: AtomicUsize,
    changed: Notify,
    /// For whoever has nothing to do in [`Phase::HandingOver`] before it is their turn, and sleeps on: ten thousand idle
    /// connections that all wake up at once keep the processors from those that are served.
    closing: Notify,
    /// Of the last phase [`Phase::HandingOver`].
    heir: Mutex<Option<Arc<dyn Heir>>>,
    /// A permit for each connection that may be on its way to the heir: none before a drain, [`Heir::at_a_time`] in it.
    /// Each drain has its own: a permit that comes back late must not be given to somebody who sleeps until the next one.
    pace: Mutex<Arc<Semaphore>>,
}

/// Enough for five phases.
const BITS: u32 = 3;

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            word: AtomicUsize::default(),
            told: AtomicUsize::default(),
            changed: Notify::default(),
            closing: Notify::default(),
            heir: Mutex::default(),
            pace: Mutex::new(no_turns()),
        }
    }
}

impl PhaseSetter {
    /// Enters `phase` and wakes everybody who waits for a change.
    pub(crate) fn enter(&self, phase: Phase) {
        if self.set(phase) == Phase::HandingOver {
            // Before anybody is told: whoever waits for a turn that will not come looks again, and waits for the next.
            std::mem::replace(&mut *self.0.pace(), no_turns()).close();
        }
        if phase == Phase::Cut {
            // What it has not taken by now comes back, and is cut.
            self.0.set_heir(None);
        }
        let shared = Arc::clone(&self.0);
        // Ten thousand connections take milliseconds to wake, and the caller may have a successor that waits for its turn.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { shared.tell(phase) })),
            Err(_) => shared.tell(phase),
        }
    }

    /// Sets the phase, and returns the one before it.
    fn set(&self, phase: Phase) -> Phase {
        // Calls that meet each count their change, and one of them has the last word.
        let next = |word: usize| Some(((word >> BITS).wrapping_add(1) << BITS) | phase as usize);
        // Always `Ok`: `next` always has a value. Before the wake-up: a task that is woken must find the new phase.
        let (Ok(before) | Err(before)) = self.0.word.fetch_update(Release, Acquire, next);
        phase_of(before)
    }

    /// Enters [`Phase::HandingOver`], in favour of `heir`.
    pub(crate) fn hand_over(&self, heir: Arc<dyn Heir>) {
        let at_a_time = heir.at_a_time().min(Semaphore::MAX_PERMITS);
        self.0.set_heir(Some(heir));
        self.enter(Phase::HandingOver);
        self.0.pace().add_permits(at_a_time);
    }

    pub(crate) fn watch(&self) -> Draining {
        Draining(Arc::clone(&self.0))
    }
}

impl Drop for PhaseSetter {
    fn drop(&mut self) {
        // Or the two would keep each other: what an heir was offered knows the phase.
        self.0.set_heir(None);
    }
}

impl Shared {
    fn pace(&self) -> MutexGuard<'_, Arc<Semaphore>> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_heir(&self, heir: Option<Arc<dyn Heir>>) {
        let before = std::mem::replace(&mut *self.heir(), heir);
        // Not with the lock held: an heir may wait for its thread.
        drop(before);
    }

    fn heir(&self) -> MutexGuard<'_, Option<Arc<dyn Heir>>> {
        self.heir.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, phase: Phase) {
        self.changed.notify_waiters();
        if phase != Phase::HandingOver {
            self.closing.notify_waiters();
        }
        self.told.fetch_add(1, Release);
    }
}
// ANCHOR_END: setter

/// Tells whether a server is draining, and when that begins.
///
/// A handler asks it to answer `/readyz`; the owner of an upgraded connection waits for it to say goodbye in its own
/// protocol.
#[derive(Debug, Clone)]
pub struct Draining(Arc<Shared>);

impl Draining {
    /// Whether a drain is under way.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase() != Phase::Serving
    }

    /// Returns as soon as a drain is under way.
    pub async fn begun(&self) {
        self.until(&self.0.changed, |phase| phase != Phase::Serving).await;
    }

    pub(crate) fn phase(&self) -> Phase {
        phase_of(self.0.word.load(Acquire))
    }

    /// Tells one drain from another: how often the phase has changed.
    pub(crate) fn number(&self) -> usize {
        self.0.word.load(Acquire) >> BITS
    }

    /// How often the phase has changed; `None` while somebody may still have to be told of the last time. As long as this
    /// stands still, a wait that was begun need not be looked after.
    pub(crate) fn changes(&self) -> Option<usize> {
        // In this order: it never runs ahead of the word, so if the two are equal now, they were when it was read.
        let told = self.0.told.load(Acquire);
        (told == self.number()).then_some(told)
    }

    /// Returns as soon as a drain is under way in which connections are closed, and not handed over.
    pub async fn closing(&self) {
        self.until(&self.0.closing, |phase| !matches!(phase, Phase::Serving | Phase::HandingOver)).await;
    }

    // ANCHOR: place
    /// Ready when it is the caller's turn to go to the heir, in a drain that has one. Turns come in the order in which they
    /// were first asked for, so ask early.
    pub(crate) async fn place(&self) -> Option<Place> {
        loop {
            let pace = Arc::clone(&self.0.pace());
            // `Err`, if that drain is over.
            let Ok(turn) = pace.acquire_owned().await else { continue };
            let word = self.0.word.load(Acquire);
            if phase_of(word) == Phase::HandingOver {
                let heir = Arc::downgrade(self.0.heir().as_ref()?);
                return Some(Place { heir, drain: word >> BITS, turn: Some(turn) });
            }
        }
    }
    // ANCHOR_END: place

    /// Returns as soon as the server serves again: a successor failed, and the drain was called off.
    pub(crate) async fn called_off(&self) {
        self.until(&self.0.changed, |phase| phase == Phase::Serving).await;
    }

    /// Returns as soon as the deadline has passed.
    pub(crate) async fn cut(&self) {
        self.until(&self.0.changed, |phase| phase == Phase::Cut).await;
    }

    // ANCHOR: until
    async fn until(&self, told: &Notify, wanted: impl Fn(Phase) -> bool) {
        loop {
            // Before the look: a change after it is not missed, for `notify_waiters` counts from here.
            let mut changed = pin!(told.notified());
            // And a look at each poll: who is polled for another reason need not wait to be told.
            let found = poll_fn(|cx| {
                if wanted(self.phase()) {
                    return Poll::Ready(true);
                }
                changed.as_mut().poll(cx).map(|()| false)
            });
            if found.await {
                return;
            }
        }
    }
    // ANCHOR_END: until
}

/// What is waited for until a drain begins.
fn no_turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

fn phase_of(word: usize) -> Phase {
    match word & ((1 << BITS) - 1) {
        0 => Phase::Serving,
        1 => Phase::Retiring,
        2 => Phase::HandingOver,
        3 => Phase::Stopping,
        _ => Phase::Cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_is_read_as_it_was_entered_and_every_entry_is_a_change() {
        let setter = PhaseSetter::default();
        let draining = setter.watch();
        assert_eq!((draining.phase(), draining.changes()), (Phase::Serving, Some(0)));
        let phases = [Phase::Retiring, Phase::Serving, Phase::HandingOver, Phase::Stopping, Phase::Cut];
        for (phase, changes) in phases.into_iter().zip(1..) {
            setter.enter(phase);
            assert_eq!((draining.phase(), draining.changes()), (phase, Some(changes)));
        }
    }
}
