//! The lifecycle's transitions, in words.
//!
//! The invariant: an action without words does not compile, and a case without words cannot be written.

use graceful_upgrade::lifecycle::{Action, Event, Life, MOST_GENERATIONS, STATES, State, Timeout, next};

/// An event, with what else in a life decides about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    event: Event,
    older: u8,
    drained: bool,
    replaced: bool,
    /// In as few words as fit beside an arrow.
    pub(crate) in_short: &'static str,
    /// To be read after "when".
    pub(crate) words: &'static str,
}

/// All cases that lead from one state to another, or back to it, by the same actions.
pub(crate) struct Transition {
    pub(crate) from: State,
    pub(crate) cases: Vec<Case>,
    pub(crate) actions: &'static [Action],
    pub(crate) to: State,
}

/// Every transition that does something, in the order of the table.
pub(crate) fn transitions() -> Vec<Transition> {
    let mut transitions: Vec<Transition> = Vec::new();
    for state in STATES {
        for case in CASES {
            let Case { event, older, drained, replaced, .. } = case;
            let from = Life { state, older, drained, replaced };
            // Nothing is drained there; and nothing but a retired process waits for its successor to accept.
            if drained && !matches!(from.timeout(), Some(Timeout::Drain | Timeout::Stop))
                || !replaced && state != State::Retiring
            {
                continue;
            }
            let (to, actions) = next(from, event);
            let same = |known: &&mut Transition| (known.from, known.to, known.actions) == (state, to.state, actions);
            if let Some(known) = transitions.iter_mut().find(same) {
                known.cases.push(case);
            } else if (to.state, to.drained, to.replaced) != (state, drained, replaced) || !actions.is_empty() {
                transitions.push(Transition { from: state, cases: vec![case], actions, to: to.state });
            }
        }
    }
    transitions
}

const fn case(event: Event, older: u8, drained: bool, in_short: &'static str, words: &'static str) -> Case {
    Case { event, older, drained, replaced: true, in_short, words }
}

/// Before its successor has said that it accepts.
const fn early(event: Event, drained: bool, in_short: &'static str, words: &'static str) -> Case {
    Case { event, older: 0, drained, replaced: false, in_short, words }
}

const CASES: [Case; 19] = [
    case(Event::UpgradeAsked, 0, false, "asked to upgrade", "it is asked to upgrade"),
    case(
        Event::UpgradeAsked,
        MOST_GENERATIONS - 1,
        false,
        "asked to upgrade too often",
        "it is asked to upgrade with too many generations alive",
    ),
    case(Event::StopAsked, 0, false, "asked to stop", "it is asked to stop"),
    case(Event::StopPassedOn, 1, false, "asked to stop", "another generation passes a stop on to it"),
    early(Event::StopAsked, false, "asked to stop", "it is asked to stop before its successor accepts"),
    case(Event::Activated, 1, false, "activated", "its predecessor says that it is its turn"),
    case(Event::Older(1), 2, false, "an older one gone", "one of several older generations has ended"),
    case(Event::PredecessorGone, 1, false, "predecessor gone", "its predecessor is gone"),
    case(Event::PredecessorGone, 1, true, "predecessor gone", "its predecessor is gone, and it has drained before"),
    case(Event::CannotAccept, 0, false, "cannot accept", "it cannot accept from its listeners"),
    case(Event::SuccessorReady, 0, false, "successor ready", "its successor is ready"),
    early(Event::SuccessorAccepts, false, "successor accepts", "its successor says that it accepts"),
    early(
        Event::SuccessorAccepts,
        true,
        "successor accepts",
        "its successor says that it accepts, and it has drained before",
    ),
    case(Event::SuccessorCommitted, 0, false, "successor committed", "its successor has committed"),
    case(Event::SuccessorGone, 0, false, "successor gone", "its successor is gone"),
    case(Event::Drained, 0, false, "drained", "it has drained"),
    case(Event::Drained, 1, false, "drained too early", "it has drained before an older generation has"),
    early(Event::Drained, false, "drained too early", "it has drained before its successor accepts"),
    case(Event::DeadlinePassed, 0, false, "deadline passed", "its timeout has passed"),
];

/// What is done about it, to be read after "it".
pub(crate) fn action(action: Action) -> String {
    match action {
        Action::Refuse(sentence) => format!("says “{sentence}”"),
        Action::StartSuccessor => "starts a successor".to_owned(),
        Action::Accept => "accepts".to_owned(),
        Action::Retire => "stops accepting, leaves the queues to its successor, and drains".to_owned(),
        Action::ActivateSuccessor => "tells its successor that it is its turn".to_owned(),
        Action::TellOlder => "tells its successor, if it has one, how many older generations are alive".to_owned(),
        Action::CommitToPredecessor => "tells its predecessor not to come back".to_owned(),
        Action::StopPredecessor => "tells its predecessor to stop".to_owned(),
        Action::StopSuccessor => "passes the stop on to its successor".to_owned(),
        Action::KillSuccessor => "kills its successor".to_owned(),
        Action::DismissSuccessor => "ends its successor, and logs why".to_owned(),
        Action::EndSuccessor => "ends its successor, which has served no client yet".to_owned(),
        Action::Stop => "stops accepting for good, and drains".to_owned(),
        Action::GiveUpListeners => "closes the listeners".to_owned(),
        Action::Cut => "cuts what is not answered yet".to_owned(),
    }
}
