//! The failed spawn of ecdysis 1.1.1: `upgrade` in its `executioner.rs` sets `UPGRADING`, and returns on an error of `spawn`
//! before the line that takes it back.
//!
//! Mended: it takes that back on every way out.

use super::{Other, Step, outside, within};

/// A process that uses it, and the program that is to replace it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    program: Program,
    upgrade: Upgrade,
    /// What the process remembers.
    upgrading: bool,
    mended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Program {
    Good,
    Missing,
    Repaired,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Upgrade {
    None,
    Begins,
    Refused,
    Done,
}

const STEPS: &[Step<World>] = &[
    outside(
        "A deployment goes wrong: for a moment, the program is not where it should be.",
        |it| it.program == Program::Good && it.upgrade == Upgrade::None,
        |it| it.program = Program::Missing,
    ),
    outside(
        "The program is back in its place.",
        |it| it.program == Program::Missing,
        |it| it.program = Program::Repaired,
    ),
    outside(
        "The operator sends SIGUSR2. The process remembers that an upgrade is under way.",
        |it| it.upgrade == Upgrade::None && !it.upgrading,
        |it| (it.upgrade, it.upgrading) = (Upgrade::Begins, true),
    ),
    within(
        "The program cannot be started. The upgrade ends with an error, and the process does not forget it.",
        |it| it.upgrade == Upgrade::Begins && it.program == Program::Missing && !it.mended,
        |it| it.upgrade = Upgrade::None,
    ),
    within(
        "The program cannot be started. The upgrade ends with an error, and the process forgets it.",
        |it| it.upgrade == Upgrade::Begins && it.program == Program::Missing && it.mended,
        |it| (it.upgrade, it.upgrading) = (Upgrade::None, false),
    ),
    within(
        "The new process says that it is ready, and the old one retires.",
        |it| it.upgrade == Upgrade::Begins && it.program != Program::Missing,
        |it| (it.upgrade, it.upgrading) = (Upgrade::Done, false),
    ),
    outside(
        "The operator sends SIGUSR2. The process refuses: “Already in upgrade”.",
        |it| it.upgrading && it.upgrade == Upgrade::None,
        |it| it.upgrade = Upgrade::Refused,
    ),
];

/// The failed spawn of ecdysis.
#[must_use]
pub fn other(mended: bool) -> Other<World> {
    Other {
        first: World { program: Program::Good, upgrade: Upgrade::None, upgrading: false, mended },
        steps: STEPS,
        promise: "a good program replaces the old one when it is asked for, unless an upgrade is under way",
        holds: |it, _| it.program != Program::Repaired || it.upgrade != Upgrade::Refused,
    }
}
