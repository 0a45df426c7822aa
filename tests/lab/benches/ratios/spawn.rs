//! Whether starting a successor takes longer, or disturbs clients more, the larger the process is.
//!
//! The invariant: every size is compared with the smallest one of the same round, in a fresh process each. The successors
//! refuse to start serving, so that one large process can start many of them.

use std::time::{Duration, Instant};

use lab::curve::{Chart, Curve, Unit};
use nix::sys::signal::Signal;

use crate::fresh::{Fresh, Probe};
use crate::measured::Measured;
use crate::process::available;
use crate::roles::Role;
use crate::row::Row;
use crate::servers::{Binaries, Server};
use crate::sized::{FORKED, REAPED};

const ROUNDS: usize = 5;

/// How many programs each process starts.
const STARTS: u32 = 15;

/// The others are compared with the smallest one.
const SIZES: [Size; 4] = [
    Size { key: "empty", name: "no memory", bytes: 0 },
    Size { key: "256mib", name: "256 MiB", bytes: 256 << 20 },
    Size { key: "1gib", name: "1 GiB", bytes: 1 << 30 },
    Size { key: "2gib", name: "2 GiB", bytes: 2 << 30 },
];

/// Memory that the machine should have left, in bytes.
const TO_SPARE: usize = 512 << 20;

/// How long client and server are at work before a start, so that both are warm.
const WARM: Duration = Duration::from_millis(5);

/// What is touched: for the book, in words, and in bytes.
#[derive(Clone, Copy)]
struct Size {
    key: &'static str,
    name: &'static str,
    bytes: usize,
}

/// A process that starts programs, and the lines that it logs for each: started, and gone.
#[derive(Clone, Copy)]
struct Starter {
    role: fn(usize) -> Role,
    started: &'static str,
    over: &'static str,
}

const OURS: Starter = Starter { role: Role::Sized, started: "upgrading", over: "upgrade failed" };
const BY_HAND: Starter = Starter { role: Role::Forking, started: FORKED, over: REAPED };

/// What was measured on one process, on average: whether a request meets a start on its processor is a coin toss, which
/// a median would take for all or nothing.
struct Start {
    /// From the signal to the line that says that the program is started.
    took: Duration,
    /// The longest that a fresh connection took meanwhile.
    worst: Duration,
}

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let available = available() as usize * 1024;
    let (sizes, too_large): (Vec<_>, Vec<_>) = SIZES.into_iter().partition(|size| size.bytes + TO_SPARE <= available);
    let left_out = |size: Size| format!("spawn, {}: the machine has not so much memory to spare", size.name);
    let by_size =
        |starter: Starter| -> Vec<_> { sizes.iter().map(|size| starts(binaries, starter, size.bytes)).collect() };
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (by_size(OURS), by_size(BY_HAND))).collect();

    let mut rows = Vec::new();
    for (index, Size { key, name, .. }) in sizes.iter().enumerate() {
        let mut compare = |what: &str, suffix: &str, of: fn(&Start) -> Duration| {
            let ours = || rounds.iter().map(|(ours, _)| of(&ours[index]));
            if index > 0 {
                let smallest = rounds.iter().map(|(ours, _)| of(&ours[0]));
                let ratios = ours().zip(smallest).map(|(ours, smallest)| ours.div_duration_f64(smallest));
                let what = format!("{what} with {name} touched / with none");
                rows.push(Row::ratio(format!("spawn_{key}{suffix}_ratio"), what, ratios).at_most(2.0));
            }
            rows.push(Row::millis(format!("spawn_{key}{suffix}"), format!("  {what}, {name}"), ours()));
            let by_hand = rounds.iter().map(|(_, by_hand)| of(&by_hand[index]));
            let what = format!("  {what}, {name}, with fork(2)");
            rows.push(Row::millis(format!("fork_{key}{suffix}"), what, by_hand));
        };
        compare("time to spawn", "", |start| start.took);
        compare("worst request", "_worst", |start| start.worst);
    }
    let chart = chart(&rows, &sizes);
    Measured::all(rows).and_charts([chart]).without(too_large.into_iter().map(left_out))
}

/// The two ways to start a program, by what the process that starts it has touched.
fn chart(rows: &[Row], sizes: &[Size]) -> Chart {
    let curve = |key, what| {
        let row = |size: &Size| rows.iter().find(|row| row.key == format!("{key}_{}", size.key));
        let mib = |size: &Size| u16::try_from(size.bytes >> 20).ok().map(f64::from);
        let point = |size| Some(row(size)?.point(mib(size)? / 1024.0));
        Curve { key, what, points: sizes.iter().filter_map(point).collect() }
    };
    Chart {
        name: "spawn",
        title: "How long it takes to start a program, by the memory of the process that starts it",
        many: "GiB touched",
        one: "GiB",
        unit: Unit::Millis,
        curves: vec![curve("fork", "with fork(2)"), curve("spawn", "with posix_spawn(3), as our servers do")],
    }
}

/// Has a fresh process of this many bytes start programs, while a client asks back to back.
fn starts(binaries: &Binaries, starter: Starter, bytes: usize) -> Start {
    let mut server = binaries.playing((starter.role)(bytes));
    let fresh = Fresh::start(&server.address, 1, Duration::ZERO);
    let (took, worst): (Vec<_>, Vec<_>) = (0..STARTS).map(|_| start(&mut server, &fresh, starter)).unzip();
    Start { took: mean(&took), worst: mean(&worst) }
}

/// How long it took, and the longest that a connection took meanwhile.
fn start(server: &mut Server, fresh: &Fresh, starter: Starter) -> (Duration, Duration) {
    fresh.until_all_began_after(Instant::now() + WARM);
    let asked = server.signal(Signal::SIGUSR2);
    server.program.line(starter.started);
    let now_runs = Instant::now();
    server.program.line(starter.over);
    let probes = fresh.until_all_began_after(now_runs);
    let meanwhile = probes.iter().filter(|probe| probe.overlaps(asked, now_runs));
    // If the client itself had no processor meanwhile, the next connection shows it.
    let worst = meanwhile.map(Probe::latency).max().or_else(|| probes.last().map(Probe::latency));
    let worst = worst.expect("one began after that");
    (now_runs - asked, worst)
}

fn mean(times: &[Duration]) -> Duration {
    times.iter().sum::<Duration>() / STARTS
}
