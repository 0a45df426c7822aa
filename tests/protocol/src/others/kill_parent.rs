//! Kill the parent: chapter 4's `s2_kill_parent`, as in the article and in grace.
//!
//! Mended: the new process tells the one that handed it the listener, on a channel, whoever its parent is.

use super::{Other, Step, outside, within};

/// An old process, a new one, and perhaps a script between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    old: Process,
    script: Process,
    new: Process,
    mended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Process {
    NotStarted,
    Starts,
    Runs,
    Drains,
    Gone,
}

use Process::{Drains, Gone, NotStarted, Runs, Starts};

const STEPS: &[Step<World>] = &[
    outside(
        "The operator installs the new program, and sends SIGUSR2. The old process starts it.",
        |it| it.old == Runs && it.script == NotStarted && it.new == NotStarted,
        |it| it.new = Starts,
    ),
    outside(
        "The operator installs a script that runs the new program, and sends SIGUSR2. The old process starts the script.",
        |it| it.old == Runs && it.script == NotStarted && it.new == NotStarted,
        |it| it.script = Runs,
    ),
    within(
        "The script starts the new program, and is its parent.",
        |it| it.script == Runs && it.new == NotStarted,
        |it| it.new = Starts,
    ),
    within(
        "The new process accepts, and sends SIGTERM to its parent: the script, which dies. The old process goes on accepting.",
        |it| it.new == Starts && it.script == Runs && !it.mended,
        |it| (it.new, it.script) = (Runs, Gone),
    ),
    within(
        "The new process accepts, and tells the old one, which stops accepting.",
        |it| it.new == Starts && (it.script == NotStarted || it.mended),
        |it| (it.new, it.old) = (Runs, Drains),
    ),
    within("The old process has drained, and ends.", |it| it.old == Drains, |it| it.old = Gone),
];

/// Kill the parent.
#[must_use]
pub fn other(mended: bool) -> Other<World> {
    Other {
        first: World { old: Runs, script: NotStarted, new: NotStarted, mended },
        steps: STEPS,
        promise: "only one process accepts in the end",
        holds: |it, settled| !settled || it.old != Runs || it.new != Runs,
    }
}
