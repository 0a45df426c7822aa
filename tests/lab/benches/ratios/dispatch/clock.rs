//! One clock for all processes.
//!
//! The invariant: it is CLOCK_MONOTONIC, which counts from the same moment in every process (clock_gettime(2)); the
//! standard library's `Instant` is the same clock, and does not say what it reads.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Since some moment before everything.
pub(crate) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock").into()
}
