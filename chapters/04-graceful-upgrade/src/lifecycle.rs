// ANCHOR: all
//! The life of a server that can be replaced, as a table: state × event → state × actions.
//!
//! The invariant: at no moment do two generations accept; and one does, or is told that it is its turn, until all were
//! told to stop. Nothing here does anything: the table is read, drawn and explored, and the shell performs it.
//!
//! | state | accepts | may come back | what it waits for |
//! | --- | --- | --- | --- |
//! | [`Standby`](State::Standby) | no | – | the word of its predecessor |
//! | [`Serving`](State::Serving) | yes | – | signals |
//! | [`Upgrading`](State::Upgrading) | yes | – | its successor's readiness |
//! | [`Retiring`](State::Retiring) | no | yes | its connections, and its predecessor's end |
//! | [`Settled`](State::Settled) | no | no | the same |
//! | [`Stopping`](State::Stopping) | no | no | its connections |
//! | [`Ended`](State::Ended) | no | no | nothing |

// ANCHOR: words
/// Where in its life a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A successor that has everything it needs and has said so, and may not accept yet.
    Standby,
    /// The one that accepts.
    Serving,
    /// Still the one that accepts, with a successor starting.
    Upgrading,
    /// Replaced, and finishing what it owes. Comes back if the successor is lost.
    Retiring,
    /// The same, but nobody needs it to come back.
    Settled,
    /// Asked to stop, and finishing what it owes.
    Stopping,
    /// Nothing left to do.
    Ended,
}

/// What can happen to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// SIGUSR2, while another generation may be started.
    UpgradeAsked,
    /// SIGUSR2, while as many generations as may be are alive.
    UpgradeAskedOfTooMany,
    /// SIGINT or SIGTERM.
    StopAsked,
    /// The predecessor has stopped accepting and said so.
    PredecessorYields,
    /// The predecessor's end of the channel is closed: it is gone.
    PredecessorGone,
    /// The successor says that it can accept.
    SuccessorReady,
    /// The successor says that it needs nobody to come back for it: it stops, or has a successor of its own.
    SuccessorSettled,
    /// The successor could not be started, did not become ready in time, or is gone.
    SuccessorGone,
    /// The last connection is closed; if a successor serves, the predecessor is gone too.
    Drained,
    /// The drain timeout has passed.
    DeadlinePassed,
}

/// What the shell has to do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Start the program on disk, with the listeners.
    StartSuccessor,
    /// Log this sentence: what was asked cannot be done now.
    Refuse(&'static str),
    /// Accept from all listeners.
    Accept,
    /// Stop accepting, leave the queues to the successor, and drain.
    Retire,
    /// Tell the successor that it is its turn to accept.
    YieldToSuccessor,
    /// Tell the predecessor that nobody needs it to come back.
    SettlePredecessor,
    /// Kill and reap the successor, log why, and take back what was its own: the pid file.
    DismissSuccessor,
    /// Kill and reap the successor, which has served nobody yet: or it would hold the listeners open while we stop.
    EndSuccessor,
    /// Stop accepting for good: remove socket files, empty the queues, close the listeners, and drain.
    Stop,
    /// Close the listeners of a drain that cannot be called off any more.
    GiveUpListeners,
    /// Cut what is not answered yet.
    Cut,
}
// ANCHOR_END: words

/// All states, for those who explore the table.
pub const STATES: [State; 7] =
    [State::Standby, State::Serving, State::Upgrading, State::Retiring, State::Settled, State::Stopping, State::Ended];

/// All events, for those who explore the table.
pub const EVENTS: [Event; 10] = [
    Event::UpgradeAsked,
    Event::UpgradeAskedOfTooMany,
    Event::StopAsked,
    Event::PredecessorYields,
    Event::PredecessorGone,
    Event::SuccessorReady,
    Event::SuccessorSettled,
    Event::SuccessorGone,
    Event::Drained,
    Event::DeadlinePassed,
];

// ANCHOR: next
/// The table.
#[must_use]
#[expect(clippy::match_same_arms, reason = "grouped by state, to be read as a table")]
pub fn next(state: State, event: Event) -> (State, &'static [Action]) {
    use Action::{
        Accept, Cut, DismissSuccessor, EndSuccessor, GiveUpListeners, Refuse, Retire, SettlePredecessor,
        StartSuccessor, Stop, YieldToSuccessor,
    };
    use Event::{
        DeadlinePassed, Drained, PredecessorGone, PredecessorYields, StopAsked, SuccessorGone, SuccessorReady,
        SuccessorSettled, UpgradeAsked, UpgradeAskedOfTooMany,
    };
    use State::{Ended, Retiring, Serving, Settled, Standby, Stopping, Upgrading};

    match (state, event) {
        // It is our turn because the predecessor says so; or because it is gone, and nobody else is there.
        (Standby, PredecessorYields | PredecessorGone) => (Serving, &[Accept]),
        (Standby, StopAsked) => (Stopping, &[Stop]),
        (Standby, UpgradeAsked | UpgradeAskedOfTooMany) => {
            (Standby, &[Refuse("upgrade refused: this process is not serving yet; ask again when it is")])
        }

        // An older generation that came back now would find the successor in its place.
        (Serving, UpgradeAsked) => (Upgrading, &[SettlePredecessor, StartSuccessor]),
        (Serving, UpgradeAskedOfTooMany) => (
            Serving,
            &[Refuse("upgrade refused: too many older generations still drain; ask again when one has ended")],
        ),
        (Serving, StopAsked) => (Stopping, &[SettlePredecessor, Stop]),

        // Retire first: from here to the successor's first accept(2), connections wait in the queue.
        (Upgrading, SuccessorReady) => (Retiring, &[Retire, YieldToSuccessor]),
        (Upgrading, SuccessorGone) => (Serving, &[DismissSuccessor]),
        (Upgrading, UpgradeAsked | UpgradeAskedOfTooMany) => {
            (Upgrading, &[Refuse("upgrade refused: one is under way; ask again when it is over")])
        }
        (Upgrading, StopAsked) => (Stopping, &[EndSuccessor, Stop]),

        (Retiring, SuccessorGone) => (Serving, &[DismissSuccessor, Accept]),
        (Retiring, SuccessorSettled) => (Settled, &[GiveUpListeners]),
        (Retiring, StopAsked) => (Stopping, &[GiveUpListeners]),
        // Settled by others, and not asked to stop itself: the first SIGTERM must not cut it short. A service manager
        // sends one to every generation, and the successor that gets it first settles this one.
        (Settled, StopAsked) => (Stopping, &[]),
        (Retiring | Settled, UpgradeAsked | UpgradeAskedOfTooMany) => {
            (state, &[Refuse("upgrade refused: this process has been replaced; ask its successor")])
        }

        (Stopping, UpgradeAsked | UpgradeAskedOfTooMany) => {
            (Stopping, &[Refuse("upgrade refused: this process is stopping")])
        }
        (Stopping, StopAsked) => (Ended, &[Cut]),

        (Retiring | Settled | Stopping, Drained) => (Ended, &[]),
        (Retiring | Settled | Stopping, DeadlinePassed) => (Ended, &[Cut]),

        // Everything else changes nothing: a word that came too late, or news that matters to nobody in this state.
        (state, _) => (state, &[]),
    }
}
// ANCHOR_END: next
// ANCHOR_END: all

#[cfg(test)]
mod tests {
    use std::collections::{HashSet, VecDeque};

    use super::*;

    // ANCHOR: transitions
    /// Every way through the table, from both states in which a process begins.
    fn transitions() -> Vec<(State, Event, State, &'static [Action])> {
        let mut seen = HashSet::from([State::Standby, State::Serving]);
        let mut queue: VecDeque<_> = seen.iter().copied().collect();
        let mut transitions = Vec::new();
        while let Some(state) = queue.pop_front() {
            for event in EVENTS {
                let (to, actions) = next(state, event);
                transitions.push((state, event, to, actions));
                if seen.insert(to) {
                    queue.push_back(to);
                }
            }
        }
        assert_eq!(seen.len(), STATES.len(), "a state that cannot be reached has no reason to exist");
        transitions
    }
    // ANCHOR_END: transitions

    fn accepts(state: State) -> bool {
        matches!(state, State::Serving | State::Upgrading)
    }

    // ANCHOR: begins_and_ceases
    #[test]
    fn whoever_begins_or_ceases_to_accept_does_it_by_an_action() {
        for (from, event, to, actions) in transitions() {
            let begins = actions.contains(&Action::Accept);
            let ceases = actions.iter().any(|action| matches!(action, Action::Retire | Action::Stop));
            assert_eq!(begins, !accepts(from) && accepts(to), "{from:?} × {event:?}");
            if accepts(from) && !accepts(to) {
                assert!(ceases, "{from:?} × {event:?} goes to {to:?} and would go on accepting");
            }
        }
    }
    // ANCHOR_END: begins_and_ceases

    #[test]
    fn two_stops_end_every_process() {
        for state in STATES {
            let (state, _) = next(state, Event::StopAsked);
            assert!(matches!(state, State::Stopping | State::Ended));
            let (state, _) = next(state, Event::StopAsked);
            assert_eq!(state, State::Ended);
        }
    }

    #[test]
    fn a_successor_is_started_only_by_the_one_that_serves_and_has_none() {
        for (from, event, to, actions) in transitions() {
            if actions.contains(&Action::StartSuccessor) {
                assert_eq!((from, event, to), (State::Serving, Event::UpgradeAsked, State::Upgrading));
            }
            // With a successor to its name, a process never comes to a state in which it could start another.
            if matches!(from, State::Upgrading | State::Retiring) && to == State::Serving {
                assert!(actions.contains(&Action::DismissSuccessor), "{from:?} × {event:?} leaves a successor behind");
            }
        }
    }

    #[test]
    fn a_successor_is_told_to_accept_only_after_we_have_ceased() {
        for (from, event, _, actions) in transitions() {
            if let Some(yields) = actions.iter().position(|action| *action == Action::YieldToSuccessor) {
                let retires = actions.iter().position(|action| *action == Action::Retire);
                assert!(retires < Some(yields) && retires.is_some(), "{from:?} × {event:?}");
            }
        }
    }

    // ANCHOR: lost_successor
    #[test]
    fn a_lost_successor_never_leaves_the_clients_alone() {
        for (from, event, to, _) in transitions() {
            if event == Event::SuccessorGone && matches!(from, State::Upgrading | State::Retiring) {
                assert_eq!(to, State::Serving, "{from:?} × {event:?}");
            }
        }
    }
    // ANCHOR_END: lost_successor

    #[test]
    fn who_ends_before_everything_is_answered_cuts_the_rest() {
        for (from, event, to, actions) in transitions() {
            if to == State::Ended && from != State::Ended {
                assert_eq!(actions.contains(&Action::Cut), event != Event::Drained, "{from:?} × {event:?}");
            }
        }
    }

    #[test]
    fn every_question_is_answered() {
        for state in STATES {
            for event in [Event::UpgradeAsked, Event::UpgradeAskedOfTooMany] {
                let (to, actions) = next(state, event);
                let answered = to != state || matches!(actions, [Action::Refuse(_)]);
                assert!(answered || state == State::Ended, "{state:?} × {event:?} is met with silence");
            }
        }
    }

    #[test]
    fn what_has_ended_stays_so() {
        for event in EVENTS {
            assert_eq!(next(State::Ended, event), (State::Ended, &[][..]));
        }
    }
}
