//! What an upgrade costs while thousands of connections are open and silent, if it closes them.
//!
//! The invariant: every connection has had one answer and is silent from then on, until the old process closes it; so
//! all of them wait out a drain's idle timeout, and what grows with their number is work and not waiting. A fresh
//! process for each sample.

use std::time::{Duration, Instant};

use indicatif::HumanCount;
use lab::curve::{Chart, Curve, Unit};

use crate::descriptors;
use crate::fresh::{Fresh, LIGHT, Probe};
use crate::measured::Measured;
use crate::process::{cpu_time, cpu_time_of_reaped};
use crate::row::Row;
use crate::servers::Binaries;

const CONNECTIONS: [u32; 4] = [100, 2_500, 5_000, 10_000];

/// Each takes more than two seconds for each size: that is the idle timeout of a drain.
const ROUNDS: usize = 5;

/// How long client and server are at work before the signal, so that both are warm.
const WARM: Duration = Duration::from_millis(20);

struct Upgraded {
    /// From the signal until a client was answered by the new process.
    first_answer: Duration,
    /// The longest that a fresh connection took, until the old process was gone.
    worst: Duration,
    /// The processor time of the old process, from the signal to its end.
    cpu: Duration,
    /// From the signal until it was gone.
    gone: Duration,
}

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let allowed = descriptors::allow_connections(CONNECTIONS[CONNECTIONS.len() - 1]);
    let (sizes, too_many): (Vec<_>, Vec<_>) = CONNECTIONS.into_iter().partition(|connections| *connections <= allowed);
    let left_out = |connections: u32| {
        format!(
            "{} idle connections: `ulimit -Hn` leaves room for {allowed}, so raise it in this shell",
            HumanCount(connections.into())
        )
    };
    let mut by_size: Vec<_> = sizes.into_iter().map(|connections| (connections, Vec::new())).collect();
    for _ in 0..ROUNDS {
        for (connections, samples) in &mut by_size {
            samples.push(upgrade(binaries, *connections));
        }
    }
    let mut rows = Vec::new();
    let mut curve = |key, what, title: &str, of: fn(&Upgraded) -> Duration| {
        let row = |(connections, samples): &(u32, Vec<_>)| {
            let name = format!("{title}, {} idle connections", HumanCount((*connections).into()));
            Row::millis(format!("{key}_{connections}"), name, samples.iter().map(of))
        };
        let of_sizes: Vec<_> = by_size.iter().map(row).collect();
        let points = of_sizes.iter().zip(&by_size).map(|(row, (size, _))| row.point(f64::from(*size))).collect();
        rows.extend(of_sizes);
        Curve { key, what, points }
    };
    let clients = vec![
        curve("idle_answer", "SIGUSR2 to the first answer", "until the first answer", |it| it.first_answer),
        curve("idle_worst", "worst fresh connection meanwhile", "  worst fresh connection", |it| it.worst),
    ];
    let cpu =
        vec![curve("idle_cpu", "processor time of the old process", "processor time of the old process", |it| it.cpu)];
    let gone = vec![curve("idle_gone", "SIGUSR2 to the end of the old process", "  old process gone", |it| it.gone)];
    let chart = |name, title, curves| {
        let [many, one] = ["idle connections", "connection"];
        Chart { name, title, many, one, unit: Unit::Millis, curves }
    };
    let charts = [
        chart("idle", "What clients notice of an upgrade, by the number of idle connections", clients),
        chart("idle-cpu", "What an upgrade costs the old process, by the number of idle connections", cpu),
        chart("idle-gone", "When the old process is gone, by the number of idle connections", gone),
    ];
    Measured::all(rows).and_charts(charts).without(too_many.into_iter().map(left_out))
}

fn upgrade(binaries: &Binaries, connections: u32) -> Upgraded {
    let mut server = binaries.polite();
    let _idle = server.idle(connections);
    let fresh = Fresh::start(&server.address, 1, LIGHT);
    fresh.until_all_began_after(Instant::now() + WARM);
    let before = cpu_time(server.serving) + cpu_time_of_reaped();
    let upgrade = server.upgrade(&fresh);
    server.program.wait();
    let meanwhile = upgrade.probes.iter().filter(|probe| probe.overlaps(upgrade.asked, upgrade.old_gone));
    Upgraded {
        first_answer: upgrade.first_answer(server.generation) - upgrade.asked,
        worst: meanwhile.map(Probe::latency).max().expect("the client probes all the time"),
        cpu: cpu_time_of_reaped().saturating_sub(before),
        gone: upgrade.old_gone - upgrade.asked,
    }
}
