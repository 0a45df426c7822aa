//! What the clients have seen so far, for a caller who waits for it.
//!
//! The invariant: a waiting caller is woken by what it waits for and by nothing else, so that waiting does not disturb
//! the measurement; no caller polls.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::timeout::{GaveUp, TIMEOUT};

#[derive(Debug)]
pub(super) struct Progress {
    /// Written to by one thread, after every answer; contended only while a caller looks.
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    answered: u64,
    lost: u64,
    /// Clients that have not had their first answer, or loss.
    cold: u32,
    /// The number of answers that a caller waits for; the least, if several do.
    awaited: Option<u64>,
    /// When each generation first answered.
    generations: BTreeMap<u64, Instant>,
    windows: Vec<Window>,
}

#[derive(Debug)]
struct Window {
    start: Instant,
    end: Option<Instant>,
}

/// A stretch of time whose latencies are kept apart. It ends when this is dropped.
#[derive(Debug)]
pub struct During<'load> {
    progress: &'load Progress,
    /// Which of the windows this is.
    index: usize,
}

impl Drop for During<'_> {
    fn drop(&mut self) {
        self.progress.lock().windows[self.index].end = Some(Instant::now());
    }
}

impl Progress {
    pub(super) fn new(workers: u32) -> Progress {
        Progress { seen: Mutex::new(Seen { cold: workers, ..Seen::default() }), changed: Condvar::new() }
    }

    /// Takes note of an answer, a client's `first` or a later one, and returns whether any of the time between `from`
    /// and `to` fell into a window.
    pub(super) fn note_answer(&self, first: bool, from: Instant, to: Instant, generation: u64) -> bool {
        let mut seen = self.lock();
        seen.answered += 1;
        let reached = seen.awaited == Some(seen.answered);
        if reached {
            seen.awaited = None;
        }
        let newest = seen.generations.last_key_value().is_none_or(|(newest, _)| generation > *newest);
        if newest {
            seen.generations.insert(generation, to);
        }
        if seen.warm_up(first) || reached || newest {
            self.changed.notify_all();
        }
        seen.windows.iter().any(|window| window.start <= to && window.end.is_none_or(|end| end >= from))
    }

    /// Takes note of a loss, a client's `first` result or a later one.
    pub(super) fn note_loss(&self, first: bool) {
        let mut seen = self.lock();
        seen.lost += 1;
        if seen.warm_up(first) {
            self.changed.notify_all();
        }
    }

    pub(super) fn during(&self) -> During<'_> {
        let mut seen = self.lock();
        seen.windows.push(Window { start: Instant::now(), end: None });
        During { progress: self, index: seen.windows.len() - 1 }
    }

    pub(super) fn answered(&self) -> u64 {
        self.lock().answered
    }

    pub(super) fn lost(&self) -> u64 {
        self.lock().lost
    }

    pub(super) fn wait_until_warm(&self) -> Result<(), GaveUp> {
        self.wait("a first answer for every client", |seen| (seen.cold == 0).then_some(()))
    }

    pub(super) fn wait_for_answers(&self, count: u64) -> Result<(), GaveUp> {
        let awaited = self.lock().answered + count;
        self.wait(&format!("{count} more answers"), |seen| {
            let reached = seen.answered >= awaited;
            if !reached {
                seen.awaited = Some(seen.awaited.map_or(awaited, |other| other.min(awaited)));
            }
            reached.then_some(())
        })
    }

    pub(super) fn wait_for_generation(&self, generation: u64) -> Result<Instant, GaveUp> {
        let what = format!("an answer from generation {generation}");
        self.wait(&what, |seen| seen.generations.range(generation..).next().map(|(_, first)| *first))
    }

    fn wait<T>(&self, what: &str, reached: impl Fn(&mut Seen) -> Option<T>) -> Result<T, GaveUp> {
        let deadline = Instant::now() + TIMEOUT;
        let mut seen = self.lock();
        loop {
            if let Some(result) = reached(&mut seen) {
                return Ok(result);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (answered, lost) = (seen.answered, seen.lost);
                let newest = seen.generations.keys().next_back().copied().unwrap_or_default();
                return Err(GaveUp(format!(
                    "{what} did not come: {answered} requests answered, {lost} lost, newest generation {newest}"
                )));
            }
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A test that fails while it holds the lock must not fail the clients, too.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether this was the first result of the last cold client.
    fn warm_up(&mut self, first: bool) -> bool {
        self.cold -= u32::from(first);
        first && self.cold == 0
    }
}
