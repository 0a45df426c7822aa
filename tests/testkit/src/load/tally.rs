//! What became of the requests.
//!
//! The invariant: `requests == answered + lost`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::answer::Loss;
use super::journal::Entry;

/// How many different reasons are kept: enough to tell one cause from two, few enough to read.
const REASONS: usize = 10;

/// The count of a load.
#[derive(Debug, Default)]
#[must_use = "a load may have lost requests"]
pub struct Tally {
    /// Requests that were due and came to an end.
    pub requests: u64,
    /// Requests with a full answer: status 200 to 299, all of the body, an echo unchanged.
    pub answered: u64,
    /// All others, refused ones included.
    pub lost: u64,
    /// Requests lost because no connection came about.
    pub refused: u64,
    /// Connections that came about. Always 0 for the pooled client, which does not tell.
    pub connections: u64,
    /// Connections the server closed with notice: `Connection: close` on an answer, or GOAWAY. (0 if pooled.)
    pub closed_announced: u64,
    /// Connections the server closed without notice: idle ones, and those on which a request was lost. (0 if pooled.)
    pub closed_unannounced: u64,
    /// HTTP/2 requests that a server which was about to close gave back unread, and that went out again on another
    /// connection: see [`Client::StrictHttp2`](super::Client::StrictHttp2).
    pub given_back: u64,
    /// Answers by `x-generation`; under 0, those without one.
    pub by_generation: BTreeMap<u64, u64>,
    /// How long answers took.
    pub latency: Latencies,
    /// Why requests were lost, and how many for each reason; at most ten reasons.
    pub reasons: BTreeMap<String, u64>,
    /// Every request, if the plan asked for a [`journal`](super::Plan::journal); in the order of each client.
    pub journal: Vec<Entry>,
}

/// Latencies inside and outside the windows that the caller marked with [`Load::during`](super::Load::during).
#[derive(Debug, Default)]
pub struct Latencies {
    /// Of requests that were under way, if only in part, while a window was open.
    pub during: Latency,
    /// Of all the others.
    pub rest: Latency,
}

/// How long answers took, from the moment a request was due to the last byte of its answer.
///
/// See [the module](super) for what "due" means to which load.
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    /// Microseconds with three significant digits; it grows as it must.
    fn default() -> Latency {
        Latency(Histogram::new(3).expect("3 is a valid number of digits"))
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        write!(f, "{} answers, p50 {p50:?}, p99 {p99:?}, max {max:?}", self.count())
    }
}

impl Latency {
    /// How many answers this is about.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time within which the given share of the answers came: 0.5 for the median, 0.99 for p99, 1.0 for the worst.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    /// Adds one.
    ///
    /// # Panics
    /// Never: a histogram that grows has room for it.
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.record(micros).expect("a histogram that grows has room for any latency");
    }

    /// Adds all of another.
    ///
    /// # Panics
    /// Never: a histogram that grows has room for them.
    pub fn merge(&mut self, other: &Latency) {
        self.0.add(&other.0).expect("a histogram that grows has room for another");
    }
}

impl Tally {
    /// Asserts that every request was answered, and that there were any.
    ///
    /// # Panics
    /// If not, with the reasons.
    #[track_caller]
    pub fn assert_nothing_lost(&self) {
        assert!(self.requests > 0, "the load asked nothing, so it proves nothing");
        let Tally { requests, lost, refused, .. } = self;
        let reasons = self.describe_losses();
        assert!(*lost == 0, "{lost} of {requests} requests were lost, {refused} of them refused:\n{reasons}");
    }

    /// Asserts that the server said so before it closed a connection.
    ///
    /// # Panics
    /// If it closed one without notice.
    #[track_caller]
    pub fn assert_every_close_announced(&self) {
        assert_eq!(self.closed_unannounced, 0, "a connection was closed without notice: {self:#?}");
    }

    /// The reasons, one a line, for people.
    #[must_use]
    pub fn describe_losses(&self) -> String {
        let lines = self.reasons.iter().map(|(reason, losses)| format!("  {losses} × {reason}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(super) fn note_answer(&mut self, generation: u64, latency: Duration, during: bool) {
        self.answered += 1;
        *self.by_generation.entry(generation).or_default() += 1;
        if during { &mut self.latency.during } else { &mut self.latency.rest }.record(latency);
    }

    pub(super) fn note_loss(&mut self, loss: Loss) {
        self.lost += 1;
        let reason = match loss {
            Loss::Refused(reason) => {
                self.refused += 1;
                reason
            }
            Loss::CutOff(reason) | Loss::Wrong(reason) => reason,
        };
        self.note_reason(reason, 1);
    }

    fn note_reason(&mut self, reason: String, losses: u64) {
        if self.reasons.len() < REASONS || self.reasons.contains_key(&reason) {
            *self.reasons.entry(reason).or_default() += losses;
        }
    }

    /// The sum of two tallies.
    pub fn merge(mut self, other: Tally) -> Tally {
        self.requests += other.requests;
        self.answered += other.answered;
        self.lost += other.lost;
        self.refused += other.refused;
        self.connections += other.connections;
        self.closed_announced += other.closed_announced;
        self.closed_unannounced += other.closed_unannounced;
        self.given_back += other.given_back;
        for (generation, answers) in other.by_generation {
            *self.by_generation.entry(generation).or_default() += answers;
        }
        self.latency.during.merge(&other.latency.during);
        self.latency.rest.merge(&other.latency.rest);
        for (reason, losses) in other.reasons {
            self.note_reason(reason, losses);
        }
        self.journal.extend(other.journal);
        self
    }
}
