//! What an idle keep-alive connection costs in memory.
//!
//! The invariant: only what connections add is counted. The first ones, which bring in code, threads and the
//! allocator's arenas, are there before and after.

use crate::descriptors;
use crate::measured::Measured;
use crate::process::memory;
use crate::row::Row;
use crate::servers::{Binaries, Server};

const ROUNDS: usize = 7;

/// Connections that are open before the first look, and those whose memory is counted.
const BEFORE: u32 = 100;
const COUNTED: u32 = 4000;

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let wanted = BEFORE + COUNTED;
    let allowed = descriptors::allow_connections(wanted);
    assert!(allowed >= wanted, "{wanted} connections do not fit below `ulimit -Hn`: raise it");
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
    let _before = server.idle(BEFORE);
    let before = memory(server.serving);
    let _counted = server.idle(COUNTED);
    (memory(server.serving) - before) / f64::from(COUNTED)
}
