//! What an idle keep-alive connection costs in memory.
//!
//! The invariant: only what connections add is counted. The first ones, which bring in code, threads and the
//! allocator's arenas, are there before and after.

use lab::Wire;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::measured::Measured;
use crate::process::memory;
use crate::row::Row;
use crate::servers::{Binaries, Server};

const ROUNDS: usize = 7;

/// Connections that are open before the first look, and those whose memory is counted.
const BEFORE: u32 = 100;
const COUNTED: u32 = 4000;

/// Descriptors for all else that this process does.
const OTHERS: u32 = 256;

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    allow_descriptors();
    // Fresh processes each time: what a process has freed once, it has for the next connection.
    let pairs: Vec<_> =
        (0..ROUNDS).map(|_| (per_connection(&binaries.ours()), per_connection(&binaries.plain()))).collect();
    Measured::all([
        Row::ratio(
            "memory_ratio",
            "after one request each, ours / plain",
            pairs.iter().map(|(ours, plain)| ours / plain),
        )
        .at_most(1.2),
        Row::kib("memory_idle", "  ours", pairs.iter().map(|(ours, _)| *ours)),
        Row::kib("memory_plain", "  plain hyper", pairs.iter().map(|(_, plain)| *plain)),
    ])
}

/// In KiB.
fn per_connection(server: &Server) -> f64 {
    let open = |count: u32| -> Vec<_> { (0..count).map(|_| used_once(server)).collect() };
    let _before = open(BEFORE);
    let before = memory(server.serving);
    let _counted = open(COUNTED);
    (memory(server.serving) - before) / f64::from(COUNTED)
}

fn used_once(server: &Server) -> Wire {
    let mut connection = Wire::connect(&server.address);
    connection.ask("/");
    connection
}

/// The servers inherit the limit.
fn allow_descriptors() {
    let wanted = u64::from(BEFORE + COUNTED + OTHERS);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process may read its own limits");
    assert!(hard >= wanted, "so many connections need {wanted} descriptors: raise `ulimit -Hn` from {hard}");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard).expect("a soft limit may be raised to the hard one");
}
