//! Descriptors into their places, on the way through exec.

use std::os::fd::RawFd;

/// The place of the first one; the others follow it.
pub const FIRST: RawFd = 3;

/// From here on, numbers are free: copies may be put there for a while.
pub const SPARE: RawFd = 100;

/// Plans the calls of dup2(2), as pairs of (old, new), after which the place `FIRST + i` holds what `sources[i]` held
/// before, open across exec.
///
/// Remember what dup2(2) says about the descriptor that `new` was, about the flags of the copy, and about two numbers
/// that are the same.
#[must_use]
pub fn plan(sources: &[RawFd]) -> Vec<(RawFd, RawFd)> {
    // All out of the way first: a place may be the source of another, or its own, and dup2 of a number onto itself
    // would leave CLOEXEC set.
    let away = sources.iter().copied().zip(SPARE..);
    let home = (SPARE..).zip(FIRST..).take(sources.len());
    away.chain(home).collect()
}
