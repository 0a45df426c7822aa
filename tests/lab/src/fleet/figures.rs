//! What a roll cost, in numbers.
//!
//! The invariant: a number is what clients or the balancer saw in one run; over several runs, the median of them, or the worst
//! where the name says so.

use std::time::Duration;

use serde::Serialize;
use testkit::load::{Latency, Tally};

use super::clients::Seen;
use super::way::Roll;
use crate::sample::{count, median, millis};

/// One roll.
#[derive(Debug)]
pub struct Run {
    pub(super) roll: Roll,
    pub(super) seen: Seen,
    /// Connections that the balancer opened to the instances.
    pub(super) opened: u64,
    /// Requests that it sent once more.
    pub(super) sent_again: u64,
    /// The longest time in which no fresh connection was answered.
    pub(super) gap: Duration,
    /// The same before the roll.
    pub(super) calm_gap: Duration,
    pub(super) took: Duration,
}

/// A roll in numbers: those of one run, or medians over several. Times are in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Requests, on kept connections and on fresh ones.
    pub requests: f64,
    /// Requests without an answer of 200 to 299: cut, refused, or answered by the balancer itself.
    pub lost: f64,
    /// The same in the run of several that lost most: what must never happen, must not happen in one of them.
    pub lost_in_worst_run: f64,
    /// Requests that the balancer sent to an instance once more, because the first time came to nothing.
    pub sent_again: f64,
    /// Connections that the balancer opened to the instances during the roll.
    pub opened: f64,
    /// The same in the run of several in which it opened most.
    pub opened_in_worst_run: f64,
    /// Kept connections of clients that the balancer closed.
    pub closed: f64,
    /// Longest time in which no fresh connection was answered.
    pub gap: f64,
    /// The same before the roll.
    pub calm_gap: f64,
    /// Worst latency of an answer during the roll.
    pub worst: f64,
    /// The same before the roll.
    pub calm_worst: f64,
    /// Instances that serve with the new version.
    pub done: f64,
    /// How long the roll took.
    pub took: f64,
}

impl Run {
    /// The run in numbers.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let Run { roll, seen: Seen { kept, fresh }, opened, sent_again, gap, calm_gap, took } = self;
        let worst = |latencies: [&Latency; 2]| latencies.map(|latency| millis(latency.quantile(1.0)));
        let lost = count(kept.lost + fresh.lost);
        Figures {
            requests: count(kept.requests + fresh.requests),
            lost,
            lost_in_worst_run: lost,
            sent_again: count(*sent_again),
            opened: count(*opened),
            opened_in_worst_run: count(*opened),
            closed: count(kept.closed_announced + kept.closed_unannounced),
            gap: millis(*gap),
            calm_gap: millis(*calm_gap),
            worst: most(worst([&kept.latency.during, &fresh.latency.during])),
            calm_worst: most(worst([&kept.latency.rest, &fresh.latency.rest])),
            done: count(roll.done as u64),
            took: millis(*took),
        }
    }

    /// What the command said that stopped the roll, if one did.
    #[must_use]
    pub fn stopped(&self) -> Option<&str> {
        self.roll.stopped.as_deref()
    }

    /// Why requests were lost, one reason a line; empty if none were.
    #[must_use]
    pub fn losses(&self) -> String {
        let Seen { kept, fresh } = &self.seen;
        let losing = [kept, fresh].into_iter().filter(|tally| tally.lost > 0);
        losing.map(Tally::describe_losses).collect::<Vec<_>>().join("\n")
    }
}

impl Figures {
    /// The median of each figure, but for those that are of the worst run.
    #[must_use]
    pub fn medians(runs: &[Figures]) -> Figures {
        let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure));
        let worst = |figure: fn(&Figures) -> f64| most(runs.iter().map(figure));
        Figures {
            requests: of(|run| run.requests),
            lost: of(|run| run.lost),
            lost_in_worst_run: worst(|run| run.lost_in_worst_run),
            sent_again: of(|run| run.sent_again),
            opened: of(|run| run.opened),
            opened_in_worst_run: worst(|run| run.opened_in_worst_run),
            closed: of(|run| run.closed),
            gap: of(|run| run.gap),
            calm_gap: of(|run| run.calm_gap),
            worst: of(|run| run.worst),
            calm_worst: of(|run| run.calm_worst),
            done: of(|run| run.done),
            took: of(|run| run.took),
        }
    }
}

fn most(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, f64::max)
}
