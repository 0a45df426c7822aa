//! No invariant is empty: whatever is left out of the table or of the duties beside it, one of them fails.

use graceful_upgrade::lifecycle::{Action, EVENTS, Event, Life, MOST_GENERATIONS, STATES, State, next};
use protocol::explore::explore;
use protocol::model::{Limits, Message};
use protocol::rules::{Duty, Mutant, Rules};

/// Small worlds first: most mutants do not live long.
const LIMITS: [Limits; 6] = [
    Limits { generations: 2, crashes: 1, stops: 1, rejections: 0, clients: 0 },
    Limits { generations: 2, crashes: 1, stops: 1, rejections: 1, clients: 1 },
    Limits { generations: 3, crashes: 0, stops: 0, rejections: 0, clients: 1 },
    Limits { generations: 3, crashes: 1, stops: 0, rejections: 0, clients: 0 },
    Limits { generations: 3, crashes: 1, stops: 1, rejections: 1, clients: 0 },
    Limits { generations: 3, crashes: 0, stops: 1, rejections: 0, clients: 1 },
];

/// Duties that are there only under a supervisor.
const SUPERVISION: [Duty; 3] = [Duty::SignalEveryGeneration, Duty::SignalLateComers, Duty::SendAHandle];

fn is_caught(mutant: Mutant) -> Option<&'static str> {
    LIMITS.iter().find_map(|limits| {
        let at_once = limits.generations == 3;
        let supervised = matches!(mutant, Mutant::Neglects(duty) if SUPERVISION.contains(&duty));
        let rules = Rules { at_once, supervised, mutant: Some(mutant), ..Rules::REAL };
        explore(*limits, &rules).broken.map(|(says, _)| says)
    })
}

fn lives() -> impl Iterator<Item = Life> {
    STATES.into_iter().flat_map(|state| {
        (0..MOST_GENERATIONS).flat_map(move |older| {
            [false, true].into_iter().flat_map(move |drained| {
                [false, true].into_iter().map(move |replaced| Life { state, older, drained, replaced })
            })
        })
    })
}

/// The rows that change anything, each with all that it may ask for.
fn rows() -> Vec<(State, Event, &'static [Action])> {
    let mut rows = Vec::new();
    for state in STATES {
        for event in EVENTS.into_iter().filter(|event| *event != Event::Older(2)) {
            let longest = lives()
                .filter(|life| life.state == state)
                .map(|life| (life, next(life, event)))
                .filter(|(life, (to, actions))| life != to || !actions.is_empty())
                .map(|(_, (_, actions))| actions)
                .max_by_key(|actions| actions.len());
            rows.extend(longest.map(|actions| (state, event, actions)));
        }
    }
    rows
}

/// Everything that can be left out: each row of the table, each action of a row, each duty beside it.
fn mutants() -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for (state, event, actions) in rows() {
        mutants.push(Mutant::Ignores(state, event));
        for without in (0..actions.len()).filter(|it| !matches!(actions[*it], Action::Refuse(_))) {
            let mut left = actions.to_vec();
            left.remove(without);
            mutants.push(Mutant::Performs(state, event, left.leak()));
        }
    }
    let messages = [
        Message::Ready,
        Message::Activate,
        Message::Accepting,
        Message::Replaced,
        Message::Committed,
        Message::Stop,
        Message::Older(1),
    ];
    let duties = [
        Duty::Reap,
        Duty::HearTheDismissed,
        Duty::CloseTheSocket,
        Duty::EmptyTheQueue,
        Duty::StayInProbation,
        Duty::WaitForArrivals,
        Duty::TakeBackOnlyOurs,
        Duty::TakeBack,
    ];
    mutants.extend(messages.into_iter().map(Duty::Send).chain(duties).chain(SUPERVISION).map(Mutant::Neglects));
    mutants
}

/// Why none of the invariants needs it.
fn is_not_needed(mutant: &Mutant) -> Option<&'static str> {
    use Action::{CommitToPredecessor, DismissSuccessor, GiveUpListeners, StopPredecessor, StopSuccessor, TellOlder};
    use Event::{Activated, Older, PredecessorGone, StopAsked, StopPassedOn, SuccessorGone, SuccessorRejected};
    use State::{Called, Committed, Retiring, Serving, Standby, Stopping, Upgrading};
    let lacks = |state, event, left: &[Action], action| {
        next_with_all(state, event).contains(&action) && !left.contains(&action)
    };
    let why = match *mutant {
        Mutant::Neglects(Duty::Send(Message::Older(_)))
        | Mutant::Ignores(_, Older(_))
        | Mutant::Performs(_, Older(_), _) => {
            "the number of older processes only limits how many there may be, and every process outlives those before it"
        }
        Mutant::Performs(state, PredecessorGone, left) if lacks(state, PredecessorGone, left, TellOlder) => "as above",
        Mutant::Ignores(Called | Stopping, StopAsked) | Mutant::Performs(Called | Stopping, StopAsked, _) => {
            "the second stop only cuts it short: the tests of the table ask for that"
        }
        Mutant::Ignores(Committed, StopAsked) => {
            "it ends anyway; only the next stop must cut it short, and not this one"
        }
        Mutant::Ignores(Standby | Called, StopPassedOn) | Mutant::Performs(Standby | Called, StopPassedOn, _) => {
            "a process that is dismissed is killed if it does not end by itself"
        }
        Mutant::Ignores(Called, Activated) => "its predecessor has read of the stop by then, and ends it",
        Mutant::Performs(Called, Activated, left) if lacks(Called, Activated, left, CommitToPredecessor) => {
            "the predecessor has read of the stop, which says the same"
        }
        Mutant::Performs(Called, PredecessorGone, [Action::Stop]) => {
            "the clients in the queue are those of a process that has crashed"
        }
        Mutant::Performs(Serving, StopAsked | StopPassedOn, left) if !left.contains(&CommitToPredecessor) => {
            "the stop says the same"
        }
        Mutant::Performs(Upgrading | Retiring | Committed, StopPassedOn, left) if !left.contains(&StopPredecessor) => {
            "the one that passed it on has told the older ones, or has no older ones"
        }
        Mutant::Performs(Upgrading | Retiring, SuccessorGone, left) if !left.contains(&DismissSuccessor) => {
            "the runner reaps a successor that is gone in any case; the action logs why"
        }
        Mutant::Ignores(Retiring, SuccessorRejected) | Mutant::Performs(Retiring, SuccessorRejected, _) => {
            "a successor that is no good accepts, too: the tests of chapter 6 ask for more"
        }
        Mutant::Ignores(Stopping, StopPassedOn) => "it drains, and its successor hears of the stop by itself",
        Mutant::Performs(Committed | Stopping, StopPassedOn, left)
            if !left.contains(&StopSuccessor) || !left.contains(&GiveUpListeners) =>
        {
            "as above, and it has closed the socket before"
        }
        Mutant::Neglects(Duty::Send(Message::Replaced)) => "it only says when a line may be logged",
        Mutant::Neglects(Duty::StayInProbation) => "only chapter 6 promises a way back after the drain, and tests it",
        Mutant::Neglects(Duty::TakeBack) => "the connection comes back when the successor ends",
        _ => return None,
    };
    Some(why)
}

/// The longest row for this state and event.
fn next_with_all(state: State, event: Event) -> &'static [Action] {
    rows().into_iter().find(|(row, of, _)| *row == state && *of == event).map_or(&[], |(_, _, actions)| actions)
}

/// Those for which this is not so, half of them on each of two threads.
fn without(
    mutants: &[Mutant],
    is_so: impl Fn(Option<&'static str>) -> bool + Sync,
) -> Vec<(Mutant, Option<&'static str>)> {
    let judge = |some: &[Mutant]| {
        let judged = some.iter().map(|mutant| (*mutant, is_caught(*mutant)));
        judged.filter(|(_, caught)| !is_so(*caught)).collect::<Vec<_>>()
    };
    let (even, odd) = mutants.split_at(mutants.len() / 2);
    std::thread::scope(|scope| {
        let half = scope.spawn(|| judge(even));
        let other = judge(odd);
        half.join().expect("a search ends").into_iter().chain(other).collect()
    })
}

#[test]
fn whatever_an_invariant_needs_is_missed() {
    let needed: Vec<_> = mutants().into_iter().filter(|mutant| is_not_needed(mutant).is_none()).collect();
    assert!(needed.len() >= 70, "{}", needed.len());
    let survivors = without(&needed, |caught| caught.is_some());
    assert!(survivors.is_empty(), "no invariant misses them: {survivors:#?}");
}

/// `cargo test -p protocol -- --ignored`: a minute, since each of them has to be explored to the end.
#[test]
#[ignore = "takes a minute"]
fn what_is_said_not_to_be_needed_is_not() {
    let needless: Vec<_> = mutants().into_iter().filter(|mutant| is_not_needed(mutant).is_some()).collect();
    let caught = without(&needless, |caught| caught.is_none());
    assert!(caught.is_empty(), "an invariant needs them: {caught:#?}");
}
