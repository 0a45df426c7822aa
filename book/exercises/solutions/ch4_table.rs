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
#[expect(clippy::match_same_arms, reason = "grouped by state, to be read as a table")]
pub fn next(state: State, event: Event) -> (State, Vec<Action>) {
    match (state, event) {
        (State::Serving, Event::UpgradeAsked) => (State::Upgrading, vec![Action::Start]),
        (State::Serving, Event::StopAsked) => (State::Draining, vec![Action::Retire]),

        (State::Upgrading, Event::SuccessorReady) => (State::Draining, vec![Action::Retire]),
        (State::Upgrading, Event::SuccessorGone) => (State::Serving, vec![]),
        // No process may serve after a stop, so the successor goes first.
        (State::Upgrading, Event::StopAsked) => (State::Draining, vec![Action::Kill, Action::Retire]),

        // Everything else changes nothing: a second SIGUSR2, news of a successor that is not awaited.
        (state, _) => (state, vec![]),
    }
}
