//! What restarts cost, in numbers.
//!
//! The invariant: a number is what clients saw; counts are of a whole run, times of one restart, and where a run has many,
//! the median of them, or the worst where the name says so.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use testkit::load::{Fate, Latency, Tally};

use super::prober::Probe;
use crate::sample::{count, median, millis};

/// One restart, from the signal on.
#[derive(Debug, Clone, Copy)]
pub struct Restart {
    /// Until the new process had given its first answer.
    pub first_answer: Duration,
    /// Until every old process was gone.
    pub old_gone: Duration,
    /// The longest stretch in which no fresh connection was answered.
    pub without_service: Duration,
    /// The same shortly before the restart: what the machine and the timetable of the clients make of it.
    pub calm: Duration,
    /// How long after the first answer of the new process an old one still answered fresh connections. Zero if it did not.
    pub both_serve: Duration,
}

/// A number of restarts of one server.
#[derive(Debug)]
pub struct Run {
    /// The restarts, in order.
    pub restarts: Vec<Restart>,
    /// What became of the requests on keep-alive connections.
    pub kept: Tally,
    /// Fresh connections.
    pub fresh: Fresh,
}

/// What became of the fresh connections.
#[derive(Debug, Default)]
pub struct Fresh {
    /// How many there were.
    pub requests: u64,
    /// Those that met nobody.
    pub refused: u64,
    /// Those that were cut.
    pub cut: u64,
    /// Latencies of those that were under way during a restart.
    pub during: Latency,
    /// And of the others.
    pub rest: Latency,
}

/// A way to restart in numbers: those of one run, or medians over several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Requests, of both clients.
    pub requests: f64,
    /// Requests without an answer, refused ones included.
    pub lost: f64,
    /// The same in the run of several that lost most: what must never happen, must not happen in one of them.
    pub lost_in_worst_run: f64,
    /// Requests for which no connection came about.
    pub refused: f64,
    /// Keep-alive connections that the server closed with notice.
    pub closed_announced: f64,
    /// Keep-alive connections that it closed without.
    pub closed_unannounced: f64,
    /// Worst latency during restarts, in milliseconds, as all that follow.
    pub worst: f64,
    /// The latency that one in a thousand exceeds, during restarts.
    pub p999: f64,
    /// Worst latency of the same load, without restarts.
    pub calm_worst: f64,
    /// The latency that one in a thousand exceeds, without restarts.
    pub calm_p999: f64,
    /// From the signal to the first answer of the new process.
    pub first_answer: f64,
    /// Longest time without an answer to a fresh connection.
    pub without_service: f64,
    /// The same shortly before a restart, which is nobody's fault.
    pub calm_without_service: f64,
    /// How long both processes answered fresh connections.
    pub both_serve: f64,
    /// From the signal to the end of the old process.
    pub old_gone: f64,
}

impl Restart {
    /// What the probes around one restart say about it: those shortly before it, and all up to some time after it. `None` if
    /// no new process answered any.
    pub(super) fn seen_in(
        probes: &[Probe],
        signalled: Instant,
        old: &BTreeSet<u32>,
        old_gone: Instant,
    ) -> Option<Restart> {
        let by_new = |probe: &&Probe| probe.pid().is_some_and(|pid| !old.contains(&pid));
        let first_new = probes.iter().filter(by_new).map(|probe| probe.ended).min()?;
        let by_old_later =
            probes.iter().filter(|probe| probe.began > first_new && probe.pid().is_some_and(|pid| old.contains(&pid)));
        let last_old = by_old_later.map(|probe| probe.ended).max();
        let mut answers: Vec<_> =
            probes.iter().filter(|probe| probe.pid().is_some()).map(|probe| probe.ended).collect();
        answers.sort_unstable();
        let longest = |after_signal: bool| {
            let pairs = answers.windows(2).filter(|pair| (pair[1] > signalled) == after_signal);
            pairs.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
        };
        Some(Restart {
            first_answer: first_new.saturating_duration_since(signalled),
            old_gone: old_gone.saturating_duration_since(signalled),
            without_service: longest(true),
            calm: longest(false),
            both_serve: last_old.map_or(Duration::ZERO, |last| last - first_new),
        })
    }
}

impl Fresh {
    /// Counts probes, those of a restart or others.
    pub(super) fn count(&mut self, probes: &[Probe], during: bool) {
        for probe in probes {
            self.requests += 1;
            match probe.fate {
                Fate::Refused => self.refused += 1,
                Fate::Cut => self.cut += 1,
                Fate::Answered(_) => if during { &mut self.during } else { &mut self.rest }.record(probe.latency()),
            }
        }
    }
}

impl Run {
    /// The run in numbers.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let Run { restarts, kept, fresh } = self;
        let time = |of: fn(&Restart) -> Duration| median(restarts.iter().map(|restart| millis(of(restart))));
        let merged = |latencies: [&Latency; 2], share| {
            let mut both = Latency::default();
            for latency in latencies {
                both.merge(latency);
            }
            millis(both.quantile(share))
        };
        let (during, rest) = ([&kept.latency.during, &fresh.during], [&kept.latency.rest, &fresh.rest]);
        Figures {
            requests: count(kept.requests + fresh.requests),
            lost: count(kept.lost + fresh.refused + fresh.cut),
            lost_in_worst_run: count(kept.lost + fresh.refused + fresh.cut),
            refused: count(kept.refused + fresh.refused),
            closed_announced: count(kept.closed_announced),
            closed_unannounced: count(kept.closed_unannounced),
            worst: merged(during, 1.0),
            p999: merged(during, 0.999),
            calm_worst: merged(rest, 1.0),
            calm_p999: merged(rest, 0.999),
            first_answer: time(|restart| restart.first_answer),
            without_service: time(|restart| restart.without_service),
            calm_without_service: time(|restart| restart.calm),
            both_serve: time(|restart| restart.both_serve),
            old_gone: time(|restart| restart.old_gone),
        }
    }
}

impl Figures {
    /// Keep-alive connections that the server closed, with notice or without.
    #[must_use]
    pub fn closed(&self) -> f64 {
        self.closed_announced + self.closed_unannounced
    }

    /// The median of each figure, but for the one that is of the worst run.
    #[must_use]
    pub fn medians(runs: &[Figures]) -> Figures {
        let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure));
        Figures {
            requests: of(|run| run.requests),
            lost: of(|run| run.lost),
            lost_in_worst_run: runs.iter().map(|run| run.lost_in_worst_run).fold(0.0, f64::max),
            refused: of(|run| run.refused),
            closed_announced: of(|run| run.closed_announced),
            closed_unannounced: of(|run| run.closed_unannounced),
            worst: of(|run| run.worst),
            p999: of(|run| run.p999),
            calm_worst: of(|run| run.calm_worst),
            calm_p999: of(|run| run.calm_p999),
            first_answer: of(|run| run.first_answer),
            without_service: of(|run| run.without_service),
            calm_without_service: of(|run| run.calm_without_service),
            both_serve: of(|run| run.both_serve),
            old_gone: of(|run| run.old_gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: u32 = 7;
    const NEW: u32 = 8;

    /// Probes of no length, from (milliseconds, who answered).
    fn probes(start: Instant, all: &[(u64, Option<u32>)]) -> Vec<Probe> {
        let probe = |(millis, pid): &(u64, Option<u32>)| {
            let at = start + Duration::from_millis(*millis);
            Probe { due: at, began: at, ended: at, fate: pid.map_or(Fate::Refused, Fate::Answered) }
        };
        all.iter().map(probe).collect()
    }

    fn seen(all: &[(u64, Option<u32>)]) -> [u64; 4] {
        let start = Instant::now();
        let signalled = start + Duration::from_millis(10);
        let restart = Restart::seen_in(&probes(start, all), signalled, &BTreeSet::from([OLD]), signalled);
        let Restart { first_answer, without_service, calm, both_serve, .. } = restart.expect("the new one answered");
        [first_answer, without_service, calm, both_serve]
            .map(|time| u64::try_from(time.as_millis()).expect("it is short"))
    }

    #[test]
    fn service_ends_with_the_last_answer_before_the_signal() {
        let all = [(5, Some(OLD)), (8, Some(OLD)), (12, None), (20, Some(NEW)), (21, Some(NEW))];
        assert_eq!(seen(&all), [10, 12, 3, 0]);
    }

    #[test]
    fn both_serve_while_the_old_one_answers_after_the_new_one_has() {
        let all = [(8, Some(OLD)), (12, Some(NEW)), (13, Some(OLD)), (15, Some(OLD)), (17, Some(NEW))];
        assert_eq!(seen(&all), [2, 4, 0, 3]);
    }
}
