//! What clients notice of a service that is upgraded twice a second.
//!
//! The invariant: half a second with one upgrade in it and half a second with none follow each other, on the same server under the
//! same load; so whatever else the machine does falls on both.

use std::time::{Duration, Instant};

use testkit::load::{Plan, Tally};

use crate::busy::{CLIENTS, INTERVAL};
use crate::measured::Measured;
use crate::row::Row;
use crate::servers::Binaries;

const EACH: Duration = Duration::from_millis(500);

/// Upgrades of one server, and how many servers there are.
const UPGRADES: u32 = 20;
const ROUNDS: usize = 9;

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let rounds: Vec<_> = (0..ROUNDS).map(|_| round(binaries)).collect();
    Measured::all([
        Row::ratio(
            "upgrades_ratio",
            "p99 under two upgrades a second / under none",
            rounds.iter().map(|[during, rest]| during.div_duration_f64(*rest)),
        )
        .at_most(1.1),
        Row::millis("upgrades_during", "  under two a second", rounds.iter().map(|[during, _]| *during)),
        Row::millis("upgrades_rest", "  under none", rounds.iter().map(|[_, rest]| *rest)),
    ])
}

/// The p99 in the halves with an upgrade, and in those without.
fn round(binaries: &Binaries) -> [Duration; 2] {
    let mut server = binaries.ours();
    let load = Plan::new(&server.address).connections(CLIENTS).every(INTERVAL).start();
    load.wait_until_warm();
    let answers_until = |end: Instant| {
        while Instant::now() < end {
            load.wait_for_answers(u64::from(CLIENTS));
        }
    };
    for _ in 0..UPGRADES {
        answers_until(Instant::now() + EACH);
        let window = load.during();
        let end = Instant::now() + EACH;
        server.replace();
        answers_until(end);
        drop(window);
    }
    let latency = kept(load.stop(), CLIENTS).latency;
    [latency.during, latency.rest].map(|latency| latency.quantile(0.99))
}

/// The tally of a load that lost nothing, and no connection.
pub(crate) fn kept(tally: Tally, connections: u32) -> Tally {
    tally.assert_nothing_lost();
    assert_eq!(tally.connections, u64::from(connections), "a connection was closed");
    tally
}
