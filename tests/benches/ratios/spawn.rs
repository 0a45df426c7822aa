//! Whether starting a successor takes longer, or disturbs clients more, the larger the process is.
//!
//! The invariant: every size is compared with the smallest one of the same round, in a fresh process each. The successors
//! refuse to start serving, so that one large process can start many of them.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::fresh::{Fresh, Knock};
use crate::process::available;
use crate::roles::Role;
use crate::row::Row;
use crate::servers::{Binaries, Server};
use crate::sized::{FORKED, REAPED};

const ROUNDS: usize = 5;

/// How many programs each process starts.
const STARTS: u32 = 15;

/// The smallest one is what the others are compared with.
const SIZES: [Size; 4] =
    [Size("no memory", 0), Size("256 MiB", 256 << 20), Size("1 GiB", 1 << 30), Size("2 GiB", 2 << 30)];

/// Memory that the machine should have left, in bytes.
const TO_SPARE: usize = 512 << 20;

/// How long client and server are at work before a start, so that both are warm.
const WARM: Duration = Duration::from_millis(5);

/// What is touched: in words, and in bytes.
#[derive(Clone, Copy)]
struct Size(&'static str, usize);

/// A process that starts programs, and what it says after each: that it is started, and that it is gone.
#[derive(Clone, Copy)]
struct Starter {
    role: fn(usize) -> Role,
    started: &'static str,
    over: &'static str,
}

const OURS: Starter = Starter { role: Role::Sized, started: "upgrading", over: "upgrade failed" };
const BY_HAND: Starter = Starter { role: Role::Forking, started: FORKED, over: REAPED };

/// What was measured on one process, on average: whether a request meets a start on its processor or not is like heads and
/// tails, which a median would take for all or nothing.
struct Start {
    /// From the signal to the line that says that the program is started.
    took: Duration,
    /// The longest that a fresh connection took meanwhile.
    worst: Duration,
}

pub(crate) fn measure(binaries: &Binaries) -> Vec<Row> {
    let available = available() as usize * 1024;
    let (sizes, too_large): (Vec<_>, Vec<_>) = SIZES.into_iter().partition(|size| size.1 + TO_SPARE <= available);
    for Size(name, _) in too_large {
        eprintln!("spawn: {name} is left out: the machine has not so much memory to spare");
    }
    let by_size = |starter: Starter| -> Vec<_> { sizes.iter().map(|size| starts(binaries, starter, size.1)).collect() };
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (by_size(OURS), by_size(BY_HAND))).collect();

    let mut rows = Vec::new();
    for (index, Size(name, _)) in sizes.iter().enumerate() {
        let mut compare = |what: &str, of: fn(&Start) -> Duration| {
            if index > 0 {
                let ratios = rounds.iter().map(|(ours, _)| of(&ours[index]).div_duration_f64(of(&ours[0])));
                rows.push(Row::ratio(format!("{what} with {name} touched / with none"), ratios).at_most(2.0));
            }
            rows.push(Row::millis(format!("  {what}, {name}"), rounds.iter().map(|(ours, _)| of(&ours[index]))));
            let by_hand = rounds.iter().map(|(_, by_hand)| of(&by_hand[index]));
            rows.push(Row::millis("  the same with fork(2), as in chapter 3", by_hand));
        };
        compare("time to spawn", |start| start.took);
        compare("worst request", |start| start.worst);
    }
    rows
}

/// Has a fresh process of so many bytes start programs, while a client asks back to back.
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
    let knocks = fresh.until_all_began_after(now_runs);
    let meanwhile = knocks.iter().filter(|knock| knock.overlaps(asked, now_runs));
    // If the client itself had no processor meanwhile, the next one tells as much.
    let worst = meanwhile.map(Knock::latency).max().or_else(|| knocks.last().map(Knock::latency));
    let worst = worst.expect("one began after that");
    (now_runs - asked, worst)
}

fn mean(times: &[Duration]) -> Duration {
    times.iter().sum::<Duration>() / STARTS
}
