//! The clients of the fleet, who know the balancer alone.
//!
//! The invariant: every way meets the same ones. A client of these never repeats a request, and an answer of the balancer's own
//! (502, 503) is a lost request to it.

use std::time::{Duration, Instant};

use testkit::load::{Fate, Load, Plan, Request, Tally};

/// Kept connections with pauses that ask, and as many that send something: what is sent with POST, a balancer may not send
/// again once an instance has seen any of it (RFC 9110, section 9.2.2).
const KEPT: u32 = 16;
const LONGEST_THOUGHT: Duration = Duration::from_millis(20);
const SENT: usize = 100;

/// Clients with a fresh connection for each request, and the timetable of each: a thousand requests a second, together. So many
/// of them that the requests which a balancer holds back for an instance that is away do not hold all of them up.
const FRESH: u32 = 32;
const INTERVAL: Duration = Duration::from_millis(32);

/// Kept connections and fresh ones that may be in use at a time.
pub(super) const AT_A_TIME: u32 = 2 * KEPT + FRESH;

/// All of them at work.
pub(super) struct Clients {
    asking: Load,
    sending: Load,
    fresh: Load,
}

/// What they saw.
#[derive(Debug)]
pub(super) struct Seen {
    /// Of requests on kept connections.
    pub(super) kept: Tally,
    /// Of those on fresh ones.
    pub(super) fresh: Tally,
}

impl Clients {
    pub(super) fn start(front: &str) -> Clients {
        let kept = Plan::new(front).connections(KEPT).think(Duration::ZERO..LONGEST_THOUGHT);
        Clients {
            asking: kept.clone().start(),
            sending: kept.request(Request::echo(SENT)).start(),
            fresh: Plan::new(front).connections(FRESH).per_request().every(INTERVAL).journal().start(),
        }
    }

    /// Marks a stretch of time, for as long as what it returns is kept.
    pub(super) fn during(&self) -> impl Sized + '_ {
        [&self.asking, &self.sending, &self.fresh].map(Load::during)
    }

    pub(super) fn stop(self) -> Seen {
        let asking = self.asking.stop();
        Seen { kept: asking.merge(self.sending.stop()), fresh: self.fresh.stop() }
    }
}

impl Seen {
    /// The longest time in which no fresh connection was answered, of those of which any is between these moments.
    pub(super) fn gap_between(&self, from: Instant, to: Instant) -> Duration {
        self.longest_gap(|begin, end| end > from && begin < to)
    }

    /// The same, of those that were over by then.
    pub(super) fn gap_before(&self, moment: Instant) -> Duration {
        self.longest_gap(|_, end| end <= moment)
    }

    fn longest_gap(&self, counts: impl Fn(Instant, Instant) -> bool) -> Duration {
        let answered = self.fresh.journal.iter().filter(|entry| matches!(entry.fate, Fate::Answered(_)));
        let mut answers: Vec<_> = answered.map(|entry| entry.to).collect();
        answers.sort_unstable();
        let pairs = answers.windows(2).filter(|pair| counts(pair[0], pair[1]));
        pairs.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use testkit::load::Entry;

    use super::*;

    #[test]
    fn a_gap_counts_if_any_of_it_is_in_the_stretch_of_time() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let answer = |millis| Entry { client: 0, from: start, to: at(millis), fate: Fate::Answered(1) };
        let lost = Entry { fate: Fate::Cut, ..answer(15) };
        let journal = vec![answer(1), answer(10), lost, answer(22), answer(23), answer(60)];
        let seen = Seen { kept: Tally::default(), fresh: Tally { journal, ..Tally::default() } };
        let gap = |from, to| seen.gap_between(at(from), at(to)).as_millis();
        assert_eq!([gap(0, 9), gap(11, 12), gap(22, 23), gap(9, 59)], [9, 12, 1, 37]);
        assert_eq!(seen.gap_before(at(21)).as_millis(), 9);
    }
}
