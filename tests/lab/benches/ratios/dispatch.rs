//! What each way from a signal to code costs.
//!
//! The invariant: all ways wait at the same time, each in a process of its own, and take turns; so whatever else the
//! machine does falls on all of them. Their threads sleep when the signal is sent, as those of a waiting server do.
//!
//! The time is from right before kill(2), in this process, to the first code of ours that has the signal, in the other:
//! so it includes half a system call of the sender, the kernel's choice of a thread, the switch to it, and whatever the
//! way does then. It is measured twice: with all processors [kept awake](awake::Awake), and as they are on a machine
//! that has nothing to do.

mod awake;
mod calls;
mod clock;
mod go;
pub(crate) mod receive;
mod receiver;
pub(crate) mod way;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::measured::Measured;
use crate::roles::Role;
use crate::row::Row;
use crate::servers::Binaries;
use awake::Awake;
use receiver::Receiver;
use way::Way;

/// The signal that is sent: one that no other code here uses.
const SIGNAL: Signal = Signal::SIGUSR1;

/// What a process says when it waits for the first signal, and when it has one.
const READY: &str = "ready";
const AT: &str = "at";

/// How often all are started, and how many turns each then has.
const STARTS: usize = 10;
const TURNS: usize = 100;

/// Signals after which a receiver ends by itself: more than it gets here.
const MORE_THAN_ENOUGH: usize = 1_000_000;

/// Between two signals. Long enough for the last receiver to fall asleep again; and, if its processor may sleep, too,
/// for that to be a deep sleep.
const SHORT: Duration = Duration::from_micros(200);
const LONG: Duration = Duration::from_millis(1);

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let mut left_out = Vec::new();
    let go = go::build().map_err(|why| left_out.push(why)).ok();
    let ways: Vec<_> = Way::ALL.into_iter().filter(|way| *way != Way::Go || go.is_some()).collect();
    let command = |way: Way, count: usize| command(binaries, go.as_ref(), way, count);

    let mut all: Vec<_> = ways.iter().map(|way| Samples::of(*way)).collect();
    for _ in 0..STARTS {
        let mut receivers: Vec<_> =
            ways.iter().map(|way| Receiver::start(&mut command(*way, MORE_THAN_ENOUGH))).collect();
        take_turns(&mut receivers, LONG, |index, time| all[index].asleep.push(time));
        let _awake = Awake::keep();
        take_turns(&mut receivers, SHORT, |index, time| all[index].awake.push(time));
        for (receiver, samples) in receivers.iter().zip(&mut all) {
            samples.threads = receiver.threads();
            samples.memory.push(receiver.memory());
        }
    }

    let cannot_count = calls::cannot_count();
    let row = |mut samples: Samples| {
        let way = samples.way;
        let count = || calls::per_signal(&|count| command(way, count)).saturating_sub(way.calls_for_the_clock());
        let calls = cannot_count.is_none().then(|| ("system calls", count().to_string()));
        // A row that becomes a cell of another one: only its median is used.
        let asleep = Row::micros("asleep", "", samples.asleep).median();
        samples.memory.sort_unstable();
        let memory = format!("{}\u{a0}KiB", samples.memory[STARTS / 2]);
        let also = [("asleep", asleep), ("threads", samples.threads.to_string()), ("memory", memory)];
        Row::micros(way.key(), way.what(), samples.awake).and(also.into_iter().chain(calls))
    };
    let rows: Vec<_> = all.into_iter().map(row).collect();
    left_out.extend(cannot_count);
    Measured::all(rows).without(left_out)
}

/// What was measured of one way.
struct Samples {
    way: Way,
    threads: u64,
    /// In KiB, once for each start.
    memory: Vec<u32>,
    awake: Vec<Duration>,
    asleep: Vec<Duration>,
}

impl Samples {
    fn of(way: Way) -> Samples {
        Samples { way, threads: 0, memory: Vec::new(), awake: Vec::new(), asleep: Vec::new() }
    }
}

/// Signals each of them in turn.
fn take_turns(receivers: &mut [Receiver], pause: Duration, mut took: impl FnMut(usize, Duration)) {
    let last = receivers.len() - 1;
    for turn in 0..TURNS {
        for index in 0..=last {
            // No receiver always comes after the same other one.
            let index = if turn % 2 == 0 { index } else { last - index };
            wait(pause);
            took(index, receivers[index].signal());
        }
    }
}

/// The command that receives this many signals.
fn command(binaries: &Binaries, go: Option<&PathBuf>, way: Way, count: usize) -> Command {
    match go {
        Some(program) if way == Way::Go => {
            let mut command = Command::new(program);
            command.arg(count.to_string());
            command
        }
        _ => binaries.command(Role::Receiver(way, count)),
    }
}

/// Without sleep: the figure would be about waking up the sender, too.
fn wait(pause: Duration) {
    let began = Instant::now();
    while began.elapsed() < pause {
        std::hint::spin_loop();
    }
}
