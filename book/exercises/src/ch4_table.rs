//! A small life as a table: a server that can be upgraded and stopped.

/// Where in its life the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Accepting, alone.
    Serving,
    /// Accepting, with a successor starting.
    Upgrading,
    /// No longer accepting, and finishing what it owes.
    Draining,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// SIGUSR2.
    UpgradeAsked,
    /// SIGTERM.
    StopAsked,
    /// The successor says that it can accept.
    SuccessorReady,
    /// The successor is dead.
    SuccessorGone,
}

/// What has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a successor.
    Start,
    /// Stop accepting. If there is a successor, it accepts from now on.
    Retire,
    /// Kill the successor, which has served no client yet.
    Kill,
}

/// The table.
#[must_use]
pub fn next(state: State, event: Event) -> (State, Vec<Action>) {
    match (state, event) {
        (_, Event::UpgradeAsked) => (State::Upgrading, vec![Action::Start]),
        (_, Event::SuccessorReady | Event::StopAsked) => (State::Draining, vec![Action::Retire]),
        (_, Event::SuccessorGone) => (state, vec![]),
    }
}
