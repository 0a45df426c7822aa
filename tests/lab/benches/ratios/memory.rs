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
    let round = |_| [binaries.ours(), binaries.polite(), binaries.plain()].map(|server| per_connection(&server));
    let rounds: Vec<_> = (0..ROUNDS).map(round).collect();
    let name = |whose| format!("after one request each, {whose} / plain");
    Measured::all([
        Row::ratio("memory_ratio", name("ours"), rounds.iter().map(|[ours, _, plain]| ours / plain)).at_most(1.2),
        Row::kib("memory_idle", "  ours", rounds.iter().map(|[ours, ..]| *ours)),
        Row::ratio("memory_polite_ratio", name("chapter 4's"), rounds.iter().map(|[_, polite, plain]| polite / plain)),
        Row::kib("memory_plain", "  plain hyper", rounds.iter().map(|[.., plain]| *plain)),
    ])
}

/// In KiB.
fn per_connection(server: &Server) -> f64 {
    let _before = server.idle(BEFORE);
    let before = memory(server.serving);
    let _counted = server.idle(COUNTED);
    (memory(server.serving) - before) / f64::from(COUNTED)
}
