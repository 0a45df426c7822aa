//! How much longer an upgrade takes with many listeners to hand over.
//!
//! The invariant: the client probes at the listener that a generation accepts from last; so its first answer means that
//! all of them are served. And the sizes take turns.

use std::time::Duration;

use lab::curve::{Chart, Curve, Unit};

use crate::fresh::{Fresh, LIGHT};
use crate::measured::Measured;
use crate::row::Row;
use crate::servers::Binaries;

/// Far enough apart for a line, and the first one is what most servers have.
const LISTENERS: [u16; 6] = [1, 32, 64, 128, 192, 256];

/// How often a server of each size is started, and how often each of them is upgraded.
const STARTS: usize = 5;
const UPGRADES: usize = 10;

/// From the signal on.
struct Times {
    /// Until a client was answered by the new process.
    first_answer: Duration,
    /// Until the old one was gone.
    old_gone: Duration,
}

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let mut by_size = LISTENERS.map(|listeners| (listeners, Vec::new()));
    for _ in 0..STARTS {
        for (listeners, times) in &mut by_size {
            times.extend(upgrades(binaries, *listeners));
        }
    }
    let (mut rows, mut answers, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for (listeners, times) in by_size {
        let name = if listeners == 1 { "1 listener".to_owned() } else { format!("{listeners} listeners") };
        let mut row = |key: &str, what: &str, of: fn(&Times) -> Duration, points: &mut Vec<_>| {
            let row = Row::millis(format!("{key}_{listeners}"), format!("{what}, {name}"), times.iter().map(of));
            points.push(row.point(listeners.into()));
            rows.push(row);
        };
        row("listeners", "until the first answer at the last one", |times| times.first_answer, &mut answers);
        row("listeners_gone", "  old process gone", |times| times.old_gone, &mut gone);
    }
    let chart = Chart {
        name: "listeners",
        title: "What an upgrade takes, by the number of listeners",
        many: "listeners",
        one: "listener",
        unit: Unit::Millis,
        curves: vec![
            Curve { key: "listeners", what: "SIGUSR2 to the first answer", points: answers },
            Curve { key: "listeners_gone", what: "SIGUSR2 to the end of the old process", points: gone },
        ],
    };
    Measured::all(rows).and_charts([chart])
}

fn upgrades(binaries: &Binaries, listeners: u16) -> Vec<Times> {
    let mut server = binaries.ours_listening(listeners.into());
    let fresh = Fresh::start(&server.address, 1, LIGHT);
    let mut upgrade = || {
        let upgrade = server.upgrade(&fresh);
        let first_answer = upgrade.first_answer(server.generation) - upgrade.asked;
        Times { first_answer, old_gone: upgrade.old_gone - upgrade.asked }
    };
    (0..UPGRADES).map(|_| upgrade()).collect()
}
