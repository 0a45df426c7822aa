//! Retire first: chapter 4's `s1_retire_first`, and every script that stops the old server before the new one has shown that it
//! works.
//!
//! Mended: the old process goes on until the new one says that it is ready.

use super::{Other, Step, outside, within};

/// An old process and a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    old: Old,
    new: New,
    mended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Old {
    Accepts,
    Drains,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum New {
    None,
    Starts,
    Accepts,
    Failed,
}

const STEPS: &[Step<World>] = &[
    outside(
        "The operator sends SIGUSR2. The old process stops accepting, and drains.",
        |it| !it.mended && it.old == Old::Accepts,
        |it| it.old = Old::Drains,
    ),
    outside(
        "The operator sends SIGUSR2. The old process starts the new program, and goes on accepting.",
        |it| it.mended && it.old == Old::Accepts && it.new != New::Starts,
        |it| it.new = New::Starts,
    ),
    within(
        "The old process has drained. It starts the new program, and ends.",
        |it| it.old == Old::Drains && it.new == New::None,
        |it| (it.old, it.new) = (Old::Gone, New::Starts),
    ),
    outside("The new program is a bad version, and exits.", |it| it.new == New::Starts, |it| it.new = New::Failed),
    within("The new process accepts.", |it| it.new == New::Starts && !it.mended, |it| it.new = New::Accepts),
    within(
        "The new process says that it is ready. The old one stops accepting, the new one accepts.",
        |it| it.new == New::Starts && it.mended,
        |it| (it.old, it.new) = (Old::Drains, New::Accepts),
    ),
];

/// Retire first.
#[must_use]
pub fn other(mended: bool) -> Other<World> {
    Other {
        first: World { old: Old::Accepts, new: New::None, mended },
        steps: STEPS,
        promise: "one process accepts in the end, whatever becomes of the new program",
        holds: |it, settled| !settled || it.old == Old::Accepts || it.new == New::Accepts,
    }
}
