//! How a server is restarted.
//!
//! The invariant: each way is what an operator, or a script of theirs, would do, and nobody waits without need.

use nix::sys::signal::Signal;

/// How a server is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Killed, and started again at once.
    Kill,
    /// Told to stop, and started again as soon as it has.
    StopStart,
    /// Told to upgrade itself.
    Upgrade,
}

impl Way {
    /// All of them, from the worst to the best.
    pub const ALL: [Way; 3] = [Way::Kill, Way::StopStart, Way::Upgrade];

    /// The name of its picture.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Way::Kill => "kill",
            Way::StopStart => "stop-start",
            Way::Upgrade => "upgrade",
        }
    }

    /// What it is, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Way::Kill => "Killed and started again",
            Way::StopStart => "Stopped gracefully, then started again",
            Way::Upgrade => "Upgraded",
        }
    }

    /// What begins it.
    #[must_use]
    pub fn signal(self) -> Signal {
        match self {
            Way::Kill => Signal::SIGKILL,
            Way::StopStart => Signal::SIGTERM,
            Way::Upgrade => Signal::SIGUSR2,
        }
    }
}
