//! The new binary of nginx: its master ignores SIGUSR2 while the process that started it lives, and while the one that it has
//! started lives (`ngx_signal_handler` in its `ngx_process.c`).
//!
//! Mended: a master can be replaced whether or not an older one is left.

use super::{Other, Step, outside, within};

/// Two masters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    old: Old,
    new: New,
    mended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Old {
    Serves,
    Drains,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum New {
    None,
    Starts,
    Serves,
    Ignores,
    Upgrades,
}

const STEPS: &[Step<World>] = &[
    outside(
        "The operator installs a version, and sends SIGUSR2. The old master starts a new one.",
        |it| it.old == Old::Serves && it.new == New::None,
        |it| it.new = New::Starts,
    ),
    within(
        "The new master starts its workers. Both versions accept, until the operator ends one of them.",
        |it| it.new == New::Starts,
        |it| it.new = New::Serves,
    ),
    outside(
        "The operator sends SIGQUIT to the old master, whose workers drain.",
        |it| it.old == Old::Serves && it.new == New::Serves,
        |it| it.old = Old::Drains,
    ),
    within(
        "The last connection of the old workers is closed, and the old master ends.",
        |it| it.old == Old::Drains,
        |it| it.old = Old::Gone,
    ),
    outside(
        "The operator installs another version, and sends SIGUSR2 to the new master, which ignores it: its parent lives.",
        |it| it.new == New::Serves && it.old != Old::Gone && !it.mended,
        |it| it.new = New::Ignores,
    ),
    outside(
        "The operator installs another version, and sends SIGUSR2 to the new master, which starts a third one.",
        |it| it.new == New::Serves && (it.old == Old::Gone || it.mended),
        |it| it.new = New::Upgrades,
    ),
];

/// The new binary of nginx.
#[must_use]
pub fn other(mended: bool) -> Other<World> {
    Other {
        first: World { old: Old::Serves, new: New::None, mended },
        steps: STEPS,
        promise: "the newest process can be replaced once it serves",
        holds: |it, _| it.new != New::Ignores,
    }
}
