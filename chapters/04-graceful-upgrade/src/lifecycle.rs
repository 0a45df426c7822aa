//! The life of a server that can be replaced, as a table: life × event → life × actions.
//!
//! The invariant: a process accepts only in its turn, and gives its turn away before another has it; so at no moment do two
//! generations accept. Nothing here has effects: the table is read, drawn and explored, one process at a time, and
//! [`Upgrader`](crate::Upgrader) performs it. All of the state that decides is in it.
//!
//! | state | accepts | may come back | what it waits for |
//! | --- | --- | --- | --- |
//! | [`Standby`](State::Standby) | no | – | its predecessor's message |
//! | [`Called`](State::Called) | no | – | the same, to stop then |
//! | [`Serving`](State::Serving) | yes | – | signals |
//! | [`Upgrading`](State::Upgrading) | yes | – | its successor's readiness |
//! | [`Retiring`](State::Retiring) | no | yes | its connections, and the end of the older generations |
//! | [`Committed`](State::Committed) | no | no | the same |
//! | [`Stopping`](State::Stopping) | no | no | the same |
//! | [`Ended`](State::Ended) | no | no | nothing |

// ANCHOR: words
/// Where in its life a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A successor that has everything it needs and has said so, and may not accept yet.
    Standby,
    /// The same, asked to stop. Its predecessor is in charge, and was told.
    Called,
    /// The one that accepts.
    Serving,
    /// Still the one that accepts, with a successor starting.
    Upgrading,
    /// Not accepting, in favour of a successor, and finishing what it owes. Comes back if the successor is lost.
    Retiring,
    /// The same, but no successor needs it to come back; or it could not.
    Committed,
    /// Asked to stop, and finishing what it owes.
    Stopping,
    /// Nothing left to do.
    Ended,
}

/// A process's part in the life of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Life {
    /// Where it is.
    pub state: State,
    /// How many older generations are alive, and drain. A process outlives those before it: so its end tells its
    /// successor that no older one is left.
    pub older: u8,
    /// Whether it has finished what it owes, in a drain.
    pub drained: bool,
    /// Whether its successor has said that it accepts. Until then, the retired process still counts as the one in
    /// charge: it stays, and a stop that comes to it is meant for both.
    pub replaced: bool,
}

/// What can happen to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// SIGUSR2; or SIGHUP, where that means the same.
    UpgradeAsked,
    /// SIGINT, SIGTERM, SIGHUP or SIGQUIT.
    StopAsked,
    /// Another generation got one of these signals, meant for the service: the successor, before it was in charge; or
    /// the predecessor, after it had retired and before it knew that we accept. Or the predecessor dismisses us.
    StopPassedOn,
    /// The predecessor has stopped accepting and says that it is our turn.
    Activated,
    /// This many older generations are alive now.
    Older(u8),
    /// The predecessor's end of the channel is closed: it is gone.
    PredecessorGone,
    /// The server cannot accept from its listeners.
    CannotAccept,
    /// The successor says that it can accept.
    SuccessorReady,
    /// The successor says that it accepts.
    SuccessorAccepts,
    /// The successor says that it needs no process to come back for it: it stops, or has a successor of its own.
    SuccessorCommitted,
    /// The successor could not be started, or is gone.
    SuccessorGone,
    /// The successor accepts, and is no good: a [`Rejecter`](crate::Rejecter) says so.
    SuccessorRejected,
    /// The last connection is closed, in a drain.
    Drained,
    /// The ready timeout or the drain timeout has passed.
    DeadlinePassed,
}

/// What has to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Log this sentence: what was asked cannot be done now.
    Refuse(&'static str),
    /// Start the program on disk, with the listeners.
    StartSuccessor,
    /// Accept from all listeners.
    Accept,
    /// Stop accepting, leave the queues to the successor, and drain.
    Retire,
    /// Tell the successor that it is its turn to accept.
    ActivateSuccessor,
    /// Tell the successor how many older generations are alive.
    TellOlder,
    /// Tell the predecessor that we need no process to come back for us.
    CommitToPredecessor,
    /// Tell the predecessor, which is in charge or still drains, to stop.
    StopPredecessor,
    /// Tell the successor, which is in charge and may not know it yet, to stop.
    StopSuccessor,
    /// Kill the successor. That it is gone is an event of its own, and comes after everything that it has said.
    KillSuccessor,
    /// End and reap the successor, and log why.
    DismissSuccessor,
    /// End and reap the successor, which has served no client yet: it would hold the listeners open while we stop.
    EndSuccessor,
    /// Stop accepting for good: answer the clients in the queues, close the listeners, remove socket files, and drain.
    Stop,
    /// Close the listeners: this drain cannot be called off any more.
    GiveUpListeners,
    /// Cut what is not answered yet.
    Cut,
}
// ANCHOR_END: words

/// Which timeout runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timeout {
    /// A successor has to become ready.
    Ready,
    /// A drain has to end, after an upgrade.
    Drain,
    /// A drain has to end, after a stop.
    Stop,
}

/// All states, for code that explores the table.
pub const STATES: [State; 8] = [
    State::Standby,
    State::Called,
    State::Serving,
    State::Upgrading,
    State::Retiring,
    State::Committed,
    State::Stopping,
    State::Ended,
];

/// All events, for code that explores the table; `Older` with two of its numbers.
pub const EVENTS: [Event; 15] = [
    Event::UpgradeAsked,
    Event::StopAsked,
    Event::StopPassedOn,
    Event::Activated,
    Event::Older(1),
    Event::Older(2),
    Event::PredecessorGone,
    Event::CannotAccept,
    Event::SuccessorReady,
    Event::SuccessorAccepts,
    Event::SuccessorCommitted,
    Event::SuccessorGone,
    Event::SuccessorRejected,
    Event::Drained,
    Event::DeadlinePassed,
];

/// Generations that may be alive at a time: one that serves and four that drain.
///
/// Each is a whole process with its memory, and a drain ends by its deadline: a fifth upgrade within one drain timeout is
/// asked for by a script gone wild.
pub const MOST_GENERATIONS: u8 = 5;

impl Life {
    /// Every process begins here, behind this many older generations. The first one has none, and is activated at once.
    #[must_use]
    pub fn begins(older: u8) -> Life {
        Life { state: State::Standby, older, drained: false, replaced: false }
    }

    /// The timeout that runs in this state. A change of state does not restart it.
    #[must_use]
    pub fn timeout(self) -> Option<Timeout> {
        match self.state {
            State::Upgrading => Some(Timeout::Ready),
            State::Retiring | State::Committed => Some(Timeout::Drain),
            State::Stopping => Some(Timeout::Stop),
            State::Standby | State::Called | State::Serving | State::Ended => None,
        }
    }
}

// ANCHOR: next
/// The table.
#[must_use]
#[allow(clippy::match_same_arms, reason = "a row of its own for each case that has a reason of its own")]
pub fn next(life: Life, event: Event) -> (Life, &'static [Action]) {
    use Action::{
        Accept, ActivateSuccessor, CommitToPredecessor, Cut, DismissSuccessor, EndSuccessor, GiveUpListeners,
        KillSuccessor, Refuse, Retire, StartSuccessor, Stop, StopPredecessor, StopSuccessor, TellOlder,
    };
    use Event::{
        Activated, CannotAccept, DeadlinePassed, Drained, Older, PredecessorGone, StopAsked, StopPassedOn,
        SuccessorAccepts, SuccessorCommitted, SuccessorGone, SuccessorReady, SuccessorRejected, UpgradeAsked,
    };
    use State::{Called, Committed, Ended, Retiring, Serving, Standby, Stopping, Upgrading};

    let Life { state, older, replaced, .. } = life;
    let to = |state| Life { state, ..life };
    let alone = |state| Life { state, older: 0, ..life };
    match (state, event) {
        (Ended, _) => (life, &[]),

        // It is our turn because the predecessor says so; or because it is gone, and no other process is there.
        (Standby, Activated) => (to(Serving), &[Accept]),
        (Standby, PredecessorGone) => (alone(Serving), &[Accept]),
        // The process in charge must hear of it. If it has retired meanwhile, our turn comes all the same.
        (Standby, StopAsked) => (to(Called), &[StopPredecessor]),
        (Called, Activated) => (to(Stopping), &[Accept, CommitToPredecessor, Stop]),
        (Called, PredecessorGone) => (alone(Stopping), &[Accept, Stop]),
        (Called, StopAsked) => (to(Ended), &[Cut]),
        // It will not be our turn any more.
        (Standby | Called, StopPassedOn) => (to(Ended), &[Cut]),
        (Standby | Called, UpgradeAsked) => {
            (life, &[Refuse("upgrade refused: this process is not serving yet; ask again when it is")])
        }

        (Serving, UpgradeAsked) if older >= MOST_GENERATIONS - 1 => {
            (life, &[Refuse("upgrade refused: too many older generations still drain; ask again when one has ended")])
        }
        // An older generation that came back now would find the successor in its place.
        (Serving, UpgradeAsked) => (to(Upgrading), &[CommitToPredecessor, StartSuccessor]),
        // Those that still drain stop with the service.
        (Serving, StopAsked | StopPassedOn) => (to(Stopping), &[CommitToPredecessor, StopPredecessor, Stop]),
        // Our end brings the predecessor back, or alerts whatever supervises us: so it does not wait for older
        // generations. But a process that was to come back still has clients.
        (Serving, CannotAccept) => (alone(Committed), &[Stop]),

        // Retire first: from here to the successor's first accept(2), connections wait in the queue.
        (Upgrading, SuccessorReady) => (to(Retiring), &[Retire, ActivateSuccessor]),
        (Upgrading, SuccessorGone | DeadlinePassed) => (to(Serving), &[DismissSuccessor]),
        (Upgrading, StopAsked | StopPassedOn) => (to(Stopping), &[StopPredecessor, EndSuccessor, Stop]),
        (Upgrading, UpgradeAsked) => (life, &[Refuse("upgrade refused: one is under way; ask again when it is over")]),

        (Retiring, SuccessorGone) => {
            (Life { state: Serving, older, drained: false, replaced: false }, &[DismissSuccessor, Accept])
        }
        // It may just have said that it stops, or has a successor of its own: then we do not come back.
        (Retiring, SuccessorRejected) => (life, &[KillSuccessor]),
        (Retiring, SuccessorAccepts) => or_ended(Life { replaced: true, ..life }, &[]),
        (Retiring, SuccessorCommitted) => or_ended(Life { replaced: true, ..to(Committed) }, &[GiveUpListeners]),
        (Retiring, StopAsked) if !replaced => {
            or_ended(to(Stopping), &[StopSuccessor, StopPredecessor, GiveUpListeners])
        }
        (Retiring, StopAsked) => (to(Stopping), &[GiveUpListeners]),
        // If this message comes late, the process in charge may be further down the chain.
        (Retiring | Committed, StopPassedOn) => {
            or_ended(to(Stopping), &[StopSuccessor, StopPredecessor, GiveUpListeners])
        }
        (Stopping, StopPassedOn) => or_ended(life, &[StopSuccessor, GiveUpListeners]),
        // Committed by others, and not asked to stop itself: the first SIGTERM must not cut it short. A service manager
        // sends one to every generation, and the successor that gets it first commits this one.
        (Committed, StopAsked) => (to(Stopping), &[]),
        (Retiring | Committed, UpgradeAsked) => {
            (life, &[Refuse("upgrade refused: this process has been replaced; ask its successor")])
        }

        (Stopping, StopAsked) => (to(Ended), &[Cut]),
        (Stopping, UpgradeAsked) => (life, &[Refuse("upgrade refused: this process is stopping")]),

        (Retiring | Committed | Stopping, Drained) => or_ended(Life { drained: true, ..life }, &[]),
        (Retiring | Committed | Stopping, PredecessorGone) => or_ended(alone(state), &[TellOlder]),
        (Retiring | Committed | Stopping, DeadlinePassed) => (to(Ended), &[Cut]),

        // Never more than before: a process that does not wait for them must not begin to, because of a message from before.
        (_, Older(alive)) => (Life { older: older.min(alive), ..life }, &[TellOlder]),
        (_, PredecessorGone) => (alone(state), &[TellOlder]),

        // Everything else changes nothing: a message that came too late, or news that does not matter in this state.
        (_, _) => (life, &[]),
    }
}

/// A drain is over when nothing is owed and no older generation is left. But until its successor accepts, a retired process
/// stays: if the successor is lost, there is still a process that can come back.
fn or_ended(life: Life, actions: &'static [Action]) -> (Life, &'static [Action]) {
    let may_come_back = life.state == State::Retiring && !life.replaced;
    let over = life.drained && life.older == 0 && !may_come_back;
    (Life { state: if over { State::Ended } else { life.state }, ..life }, actions)
}
// ANCHOR_END: next

#[cfg(test)]
mod tests {
    use std::collections::{HashSet, VecDeque};

    use super::*;

    // ANCHOR: transitions
    /// Every transition that can be reached from the lives that begin.
    fn transitions() -> Vec<(Life, Event, Life, &'static [Action])> {
        let mut seen: HashSet<_> = (0..MOST_GENERATIONS).map(Life::begins).collect();
        let mut queue: VecDeque<_> = seen.iter().copied().collect();
        let mut transitions = Vec::new();
        while let Some(life) = queue.pop_front() {
            for event in EVENTS {
                let (to, actions) = next(life, event);
                transitions.push((life, event, to, actions));
                if seen.insert(to) {
                    queue.push_back(to);
                }
            }
        }
        for state in STATES {
            assert!(
                seen.iter().any(|life| life.state == state),
                "{state:?} cannot be reached: it has no reason to exist"
            );
        }
        transitions
    }
    // ANCHOR_END: transitions

    fn accepts(life: Life) -> bool {
        matches!(life.state, State::Serving | State::Upgrading)
    }

    // ANCHOR: begins_and_ceases
    #[test]
    fn accepting_begins_and_ends_by_an_action() {
        for (from, event, to, actions) in transitions() {
            let begins = actions.contains(&Action::Accept);
            let ceases = actions.iter().any(|action| matches!(action, Action::Retire | Action::Stop | Action::Cut));
            // A process that was called accepts only for as long as it takes to stop.
            let begins_by_state =
                !accepts(from) && (accepts(to) || from.state == State::Called && to.state == State::Stopping);
            assert_eq!(begins, begins_by_state, "{from:?} × {event:?}");
            if (accepts(from) || begins) && !accepts(to) {
                assert!(ceases, "{from:?} × {event:?} goes to {to:?} and would go on accepting");
            }
        }
    }
    // ANCHOR_END: begins_and_ceases

    #[test]
    fn two_stops_end_every_process() {
        for (from, ..) in transitions() {
            let (after_one, _) = next(from, Event::StopAsked);
            assert!(matches!(after_one.state, State::Called | State::Stopping | State::Ended), "{from:?}");
            let (after_two, _) = next(after_one, Event::StopAsked);
            assert_eq!(after_two.state, State::Ended, "{from:?}");
        }
    }

    #[test]
    fn a_stop_is_never_forgotten() {
        for (from, event, to, _) in transitions() {
            let stops = |life: Life| matches!(life.state, State::Called | State::Stopping | State::Ended);
            assert!(!stops(from) || stops(to), "{from:?} × {event:?} goes to {to:?}: the stop is lost");
        }
    }

    #[test]
    fn a_successor_is_started_only_by_the_one_that_serves_and_has_none() {
        for (from, event, to, actions) in transitions() {
            if actions.contains(&Action::StartSuccessor) {
                assert_eq!((from.state, event, to.state), (State::Serving, Event::UpgradeAsked, State::Upgrading));
                assert!(from.older + 1 < MOST_GENERATIONS, "{from:?}: one more than the cap allows");
            }
            // A process that has a successor never reaches a state in which it could start another.
            if matches!(from.state, State::Upgrading | State::Retiring) && to.state == State::Serving {
                assert!(actions.contains(&Action::DismissSuccessor), "{from:?} × {event:?} leaves a successor behind");
            }
        }
    }

    #[test]
    fn a_successor_is_activated_only_after_we_have_retired() {
        for (from, event, _, actions) in transitions() {
            if let Some(activates) = actions.iter().position(|action| *action == Action::ActivateSuccessor) {
                let retires = actions.iter().position(|action| *action == Action::Retire);
                assert!(retires < Some(activates) && retires.is_some(), "{from:?} × {event:?}");
            }
        }
    }

    // ANCHOR: lost_successor
    #[test]
    fn a_lost_successor_never_leaves_the_clients_alone() {
        for (from, event, to, _) in transitions() {
            if event == Event::SuccessorGone && matches!(from.state, State::Upgrading | State::Retiring) {
                assert_eq!(to.state, State::Serving, "{from:?} × {event:?}");
            }
        }
    }
    // ANCHOR_END: lost_successor

    #[test]
    fn until_its_successor_accepts_a_retired_process_stays_and_a_stop_is_meant_for_both() {
        for (from, event, to, actions) in transitions() {
            if from.state == State::Retiring && !from.replaced {
                let stop = matches!(event, Event::StopAsked | Event::StopPassedOn);
                let news = stop || matches!(event, Event::SuccessorAccepts | Event::SuccessorCommitted);
                assert!(to.state != State::Ended || news || actions.contains(&Action::Cut), "{from:?} × {event:?}");
                assert_eq!(actions.contains(&Action::StopSuccessor), stop, "{from:?} × {event:?}");
            } else if event != Event::StopPassedOn {
                assert!(!actions.contains(&Action::StopSuccessor), "{from:?} × {event:?} stops a process in charge");
            }
        }
    }

    #[test]
    fn a_process_that_ends_before_everything_is_answered_cuts_the_rest() {
        for (from, event, to, actions) in transitions() {
            if to.state == State::Ended && from.state != State::Ended {
                let answered = from.drained || event == Event::Drained;
                assert!(answered || actions.contains(&Action::Cut), "{from:?} × {event:?}");
            }
        }
    }

    #[test]
    fn a_process_outlives_those_before_it_unless_it_is_cut() {
        for (from, event, to, actions) in transitions() {
            if to.state == State::Ended && from.state != State::Ended && !actions.contains(&Action::Cut) {
                assert_eq!(to.older, 0, "{from:?} × {event:?}");
            }
        }
    }

    #[test]
    fn a_process_that_waits_for_no_older_one_does_not_begin_to() {
        for (from, event, to, _) in transitions() {
            assert!(to.older <= from.older, "{from:?} × {event:?} goes to {to:?}");
        }
    }

    #[test]
    fn every_question_is_answered() {
        for (from, event, to, actions) in transitions() {
            if event == Event::UpgradeAsked && from.state != State::Ended {
                let answered = to != from || matches!(actions, [Action::Refuse(_)]);
                assert!(answered, "{from:?} × {event:?} is met with silence");
            }
        }
    }

    #[test]
    fn more_generations_than_there_can_be_are_too_many() {
        for older in [MOST_GENERATIONS, u8::MAX] {
            let (serving, _) = next(Life::begins(older), Event::Activated);
            assert!(matches!(next(serving, Event::UpgradeAsked), (life, [Action::Refuse(_)]) if life == serving));
        }
    }

    #[test]
    fn what_has_ended_stays_so() {
        for event in EVENTS {
            let ended = Life { state: State::Ended, older: 0, drained: true, replaced: true };
            assert_eq!(next(ended, event), (ended, &[][..]));
        }
    }
}
