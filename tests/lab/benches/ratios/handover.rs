//! What it costs to hand ten thousand connections to a successor, and who notices.
//!
//! The invariant: every connection that is counted has had one answer, is idle when the upgrade begins, and is still open
//! when it is over: the new process answers on it.

use std::time::Duration;

use lab::curve::{Chart, Curve, Unit};
use testkit::Wire;
use testkit::load::Plan;

use crate::busy::{CLIENTS, INTERVAL};
use crate::descriptors;
use crate::many_idle::ManyIdle;
use crate::measured::Measured;
use crate::others;
use crate::process::memory;
use crate::row::Row;
use crate::servers::Binaries;
use crate::upgrades::kept;

const CONNECTIONS: [u32; 4] = [100, 2_500, 5_000, 10_000];

/// How often each of them is handed over, by a server of its own.
const ROUNDS: usize = 5;

/// Two upgrades a second, against none, for this many seconds in turn.
const SECONDS: u64 = 4;
const TURNS: usize = 9;

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let most = CONNECTIONS[CONNECTIONS.len() - 1];
    let allowed = descriptors::allow_connections(most);
    let start = || binaries.ours();
    let idle = |count| ManyIdle { key: "handover", count, what: "connections", start: &start, connect: &Wire::connect };
    let (sizes, too_many): (Vec<_>, Vec<_>) = CONNECTIONS.map(idle).into_iter().partition(|idle| idle.count <= allowed);
    let left_out = |idle: ManyIdle<'_, Wire>| {
        format!("{idle} handed over: `ulimit -Hn` leaves room for {allowed}, so raise it in this shell")
    };
    let mut samples = vec![Vec::new(); sizes.len()];
    for _ in 0..ROUNDS {
        for (idle, samples) in sizes.iter().zip(&mut samples) {
            samples.push(idle.hand_over());
        }
    }
    let row = |(idle, samples): (&ManyIdle<'_, Wire>, &Vec<Duration>)| {
        let what = format!("{idle} handed over, and the old process gone");
        let row = Row::millis(format!("handover_{}", idle.count), what, samples.iter().copied());
        if idle.count == most { row.at_most(500.0) } else { row }
    };
    let rows: Vec<_> = sizes.iter().zip(&samples).map(row).collect();
    let points = rows.iter().zip(&sizes).map(|(row, idle)| row.point(f64::from(idle.count))).collect();
    let curve = Curve { key: "handover", what: "handed over, and the old process gone", points };
    let chart = Chart {
        name: "handover",
        title: "How long it takes to hand connections over, by their number",
        many: "connections",
        one: "connection",
        unit: Unit::Millis,
        curves: vec![curve],
    };
    Measured::all(rows)
        .and_charts([chart])
        .and(others::measure(&sizes[sizes.len() - 1], &others::P999))
        .and(Measured::all(twice_a_second(binaries).into_iter().chain([adopted(binaries)])))
        .without(too_many.into_iter().map(left_out))
}

/// What clients notice of two upgrades a second.
fn twice_a_second(binaries: &Binaries) -> Vec<Row> {
    let run = |upgrades_a_second: u64| {
        let mut server = binaries.ours();
        let load = Plan::new(&server.address).connections(CLIENTS).every(INTERVAL).start();
        load.wait_until_warm();
        let answers =
            |seconds: u64| seconds * u64::from(CLIENTS) * 1_000 / u64::try_from(INTERVAL.as_millis()).unwrap_or(1);
        for _ in 0..SECONDS * upgrades_a_second {
            load.wait_for_answers(answers(1) / upgrades_a_second);
            server.replace();
        }
        if upgrades_a_second == 0 {
            load.wait_for_answers(answers(SECONDS));
        }
        kept(load.stop(), CLIENTS).latency.rest.quantile(0.99)
    };
    let pairs: Vec<_> = (0..TURNS).map(|_| (run(2), run(0))).collect();
    vec![
        Row::ratio(
            "handover_twice",
            "p99 with two upgrades a second / without",
            pairs.iter().map(|(with, without)| with.div_duration_f64(*without)),
        ),
        Row::millis("handover_twice_with", "  with", pairs.iter().map(|(with, _)| *with)),
        Row::millis("handover_twice_without", "  without", pairs.iter().map(|(_, without)| *without)),
    ]
}

/// What a connection costs the process that adopted it, against one that accepted it.
fn adopted(binaries: &Binaries) -> Row {
    const BEFORE: u32 = 100;
    const COUNTED: u32 = 4_000;
    let per_connection = |hand_over: bool| {
        let of = |connections| {
            let mut server = binaries.ours();
            // The second generation in both cases, so that they differ in nothing else.
            let mut idle = if hand_over { server.idle(connections) } else { Vec::new() };
            server.replace();
            if !hand_over {
                idle = server.idle(connections);
            }
            // One more answer on each: what is counted is a connection in use, wherever it was opened.
            for client in &mut idle {
                client.ask("/");
            }
            memory(server.serving)
        };
        (of(BEFORE + COUNTED) - of(BEFORE)) / f64::from(COUNTED)
    };
    let ratios: Vec<_> = (0..2).map(|_| per_connection(true) / per_connection(false)).collect();
    Row::ratio("handover_memory", "memory of a connection, adopted / accepted", ratios).at_most(1.2)
}
