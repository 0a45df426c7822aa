//! The lifecycle's transitions, in words.
//!
//! The invariant: a state, an event or an action without words does not compile.

use graceful_upgrade::lifecycle::{Action, EVENTS, Event, STATES, State, next};

/// All events that lead from one state to another, or back to it, by the same actions.
pub(crate) struct Transition {
    pub(crate) from: State,
    pub(crate) events: Vec<Event>,
    pub(crate) actions: &'static [Action],
    pub(crate) to: State,
}

/// Every transition that does something, in the order of the table.
pub(crate) fn transitions() -> Vec<Transition> {
    let mut transitions: Vec<Transition> = Vec::new();
    for from in STATES {
        for event in EVENTS {
            let (to, actions) = next(from, event);
            let same = |known: &&mut Transition| (known.from, known.to, known.actions) == (from, to, actions);
            if let Some(known) = transitions.iter_mut().find(same) {
                known.events.push(event);
            } else if to != from || !actions.is_empty() {
                transitions.push(Transition { from, events: vec![event], actions, to });
            }
        }
    }
    transitions
}

/// What happens, in as few words as fit beside an arrow.
pub(crate) fn event_in_short(event: Event) -> &'static str {
    match event {
        Event::UpgradeAsked => "asked to upgrade",
        Event::UpgradeAskedOfTooMany => "asked to upgrade too often",
        Event::StopAsked => "asked to stop",
        Event::PredecessorYields => "predecessor yields",
        Event::PredecessorGone => "predecessor gone",
        Event::SuccessorReady => "successor ready",
        Event::SuccessorSettled => "successor settled",
        Event::SuccessorGone => "successor gone",
        Event::Drained => "drained",
        Event::DeadlinePassed => "deadline passed",
    }
}

/// What happens, to be read after "when".
pub(crate) fn event(event: Event) -> &'static str {
    match event {
        Event::UpgradeAsked => "it is asked to upgrade",
        Event::UpgradeAskedOfTooMany => "it is asked to upgrade with too many generations alive",
        Event::StopAsked => "it is asked to stop",
        Event::PredecessorYields => "its predecessor yields",
        Event::PredecessorGone => "its predecessor is gone",
        Event::SuccessorReady => "its successor is ready",
        Event::SuccessorSettled => "its successor has settled",
        Event::SuccessorGone => "its successor is gone",
        Event::Drained => "it has drained",
        Event::DeadlinePassed => "the drain timeout has passed",
    }
}

/// What is done about it, to be read after "it".
pub(crate) fn action(action: Action) -> String {
    match action {
        Action::StartSuccessor => "starts a successor".to_owned(),
        Action::Refuse(sentence) => format!("says “{sentence}”"),
        Action::Accept => "accepts".to_owned(),
        Action::Retire => "stops accepting, leaves the queues to its successor, and drains".to_owned(),
        Action::YieldToSuccessor => "tells its successor that it is its turn".to_owned(),
        Action::SettlePredecessor => "tells its predecessor that nobody needs it to come back".to_owned(),
        Action::DismissSuccessor => "kills its successor, and says why".to_owned(),
        Action::EndSuccessor => "kills its successor, which has served nobody yet".to_owned(),
        Action::Stop => "stops accepting for good, and drains".to_owned(),
        Action::GiveUpListeners => "closes the listeners".to_owned(),
        Action::Cut => "cuts what is not answered yet".to_owned(),
    }
}
