//! What operators look at: counters of a service that do not jump back at an upgrade.
//!
//! The invariant: a total is that of all generations since the service was started, and never goes back. A generation that is
//! killed takes what it has counted in its last second with it.

mod page;
mod streams;
mod text;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use connection_handover::Counts;
use graceful_upgrade::{Observe, Transition, Upgrader};

use crate::progress::Progress;
use page::{NUMBERS, Page, Slot};
use streams::Streams;

/// The name under which a successor finds the page.
pub(crate) const COUNTERS: &str = "counters";

/// How long a count may be known to this process alone.
const INTERVAL: Duration = Duration::from_secs(1);

/// The gauge of a slot.
const OPEN: (&str, &str) = ("connections_open", "Connections that are open now");

/// The numbers of a slot, in this order; a further one comes last. There is room for fifteen.
const KINDS: [(&str, &str); 10] = [
    ("connections_accepted", "Connections accepted from a listener"),
    ("connections_adopted", "Connections taken over from an older generation"),
    ("connections_handed_over", "Connections handed over to a newer generation"),
    ("connections_closed", "Connections that have ended"),
    ("connections_closed_without_notice", "Idle connections that a deadline has closed without notice"),
    ("requests", "Requests that the service has begun to answer, and tunnels such as websockets"),
    ("requests_finished", "Requests and tunnels that have ended, answered in full or given up by the client"),
    ("requests_cut", "Requests, tunnels, streams and background tasks that a deadline has cut"),
    ("upgrades_succeeded", "Upgrades after which the new generation was trusted"),
    ("upgrades_failed", "Upgrades that came to nothing, with the old generation serving on"),
];

/// Numbers by name.
pub(crate) type Numbers = BTreeMap<String, u64>;

/// What is known at a moment.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Of all generations.
    pub(crate) totals: Numbers,
    /// Of each generation that is alive, by its number.
    pub(crate) generations: BTreeMap<u64, Numbers>,
}

/// The counters of this process, and those of the generations before it.
pub(crate) struct Counters {
    generation: u64,
    /// `None`: this process counts for itself.
    page: Option<Page>,
    /// What is in our slot.
    slot: Mutex<Slot>,
    counts: Box<dyn Fn() -> Counts + Send + Sync>,
    progress: Progress,
    pub(crate) since: SystemTime,
    pub(crate) streams: Arc<Streams>,
}

impl Counters {
    /// Counts on from where the predecessors are, or from zero if that cannot be. Call it before [`Upgrader::listen`].
    pub(crate) fn inherit(
        upgrader: &mut Upgrader,
        counts: impl Fn() -> Counts + Send + Sync + 'static,
        progress: Progress,
    ) -> Arc<Counters> {
        let generation = upgrader.generation();
        let ours = match upgrader.take(COUNTERS) {
            None => Page::create(generation),
            Some(inherited) => Page::adopt(inherited, generation).or_else(|error| {
                tracing::warn!(%error, "the counters begin at zero: this is not what this version counts in");
                Page::create(generation)
            }),
        };
        let ours = ours.map_err(|error| tracing::warn!(%error, "the counters are those of this process alone"));
        let zero = Slot { generation, ..Slot::default() };
        let (page, slot) = ours.map_or((None, zero), |(page, slot)| (Some(page), slot));
        let (slot, since, streams) = (Mutex::new(slot), SystemTime::now(), Arc::default());
        let counters =
            Arc::new(Counters { generation, page, slot, counts: Box::new(counts), progress, since, streams });
        let passed = Arc::clone(&counters);
        upgrader.pass(move || Ok(passed.for_successor().map(|page| (COUNTERS.to_owned(), page)).into_iter().collect()));
        upgrader.observe(Writer(Arc::clone(&counters)));
        counters
    }

    /// What the HTTP server of this process has counted.
    pub(crate) fn counts(&self) -> Counts {
        (self.counts)()
    }

    /// No reason for an upgrade to fail.
    fn for_successor(&self) -> Option<OwnedFd> {
        let page = self.page.as_ref()?.for_successor();
        page.inspect_err(|error| tracing::warn!(%error, "the counters of the successor begin at zero")).ok()
    }

    /// Writes down what this process counts, for as long as it lives.
    pub(crate) async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.write();
        }
    }

    /// Writes our slot if something has changed.
    pub(crate) fn write(&self) {
        self.written();
    }

    /// The same, and what is in it now.
    fn written(&self) -> Slot {
        // Read under the lock: an older reading must not be written after a newer one.
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let server = self.counts();
        let Streams { accepted, closed, cut } = &*self.streams;
        let [accepted, closed, cut] = [accepted, closed, cut].map(|number| number.load(Relaxed));
        let (succeeded, failed) = self.progress.upgrades();
        let now: [usize; KINDS.len()] = [
            server.accepted + accepted,
            server.adopted,
            server.handed_over,
            server.closed + closed,
            server.untold,
            server.requests,
            server.finished,
            server.cut + cut,
            succeeded,
            failed,
        ];
        let open = server.open + accepted.saturating_sub(closed);
        let mut new = Slot { gauge: open as u64, ..*slot };
        for ((number, found), now) in new.numbers.iter_mut().zip(new.found).zip(now) {
            *number = found.saturating_add(now as u64);
        }
        if new != *slot
            && let Some(page) = &self.page
            && let Err(error) = page.write(&new)
        {
            tracing::warn!(%error, "cannot count for the generations to come");
        }
        *slot = new;
        new
    }

    /// Reads the counters of all generations.
    pub(crate) fn read(&self) -> Reading {
        let ours = self.written();
        let all = self.page.as_ref().and_then(|page| page.read().ok());
        let slots = all.unwrap_or_else(|| vec![(ours, true)]);
        let alive = || slots.iter().filter(|(_, alive)| *alive).map(|(slot, _)| slot);
        let sum = |index: usize| slots.iter().fold(0_u64, |sum, (slot, _)| sum.saturating_add(slot.numbers[index]));
        let own = |slot: &Slot| named(slot.gauge, |index| slot.numbers[index].saturating_sub(slot.found[index]));
        let open = alive().fold(0_u64, |sum, slot| sum.saturating_add(slot.gauge));
        Reading { totals: named(open, sum), generations: alive().map(|slot| (slot.generation, own(slot))).collect() }
    }
}

fn named(open: u64, number: impl Fn(usize) -> u64) -> Numbers {
    let kinds = KINDS.iter().enumerate().map(|(index, (name, _))| ((*name).to_owned(), number(index)));
    kinds.chain([(OPEN.0.to_owned(), open)]).collect()
}

const _: () = assert!(KINDS.len() <= NUMBERS, "a slot has no more room");

/// Writes after every step in the life of this process, and at its end.
struct Writer(Arc<Counters>);

impl Observe for Writer {
    fn after(&mut self, _transition: &Transition) {
        self.0.write();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.write();
    }
}
