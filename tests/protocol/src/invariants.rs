//! What must be true, whatever happens.
//!
//! The invariant: each of them fails if the code that keeps it is taken out; `tests/mutants.rs` does so.

use graceful_upgrade::lifecycle::{Action, Event, State};

use crate::connection::Connection;
use crate::model::{Phase, Process, Socket, World};
use crate::rules::Rules;

/// A sentence, and whether it holds. `settled`: nothing more happens without help from outside.
pub struct Invariant {
    /// The sentence.
    pub says: &'static str,
    /// Whether it holds in this world.
    pub holds: fn(world: &World, settled: bool, rules: &Rules) -> bool,
}

/// All of them.
pub const INVARIANTS: [Invariant; 11] = [
    Invariant {
        says: "never two processes accept",
        holds: |world, _, _| world.processes.iter().filter(|it| it.socket == Socket::Accepts).count() <= 1,
    },
    Invariant {
        says: "one process accepts in the end, unless a stop was asked for, or a crash left none that could take over",
        holds: |world, settled, _| {
            let accepts = |it: &Process| it.socket == Socket::Accepts && it.life.state == State::Serving;
            !settled || world.past.asked || world.past.unguarded || world.processes.iter().any(accepts)
        },
    },
    Invariant {
        says: "a stop reaches every process, unless the one that is to pass it on ends before it can",
        holds: |world, settled, _| {
            // An old process that drains is out of reach if one between it and the newest has ended before it.
            let may_drain = |state| state == State::Stopping || state == State::Committed && world.past.cut;
            let goes_on = |it: &Process| it.is_alive() && !may_drain(it.life.state);
            !settled || !world.past.told || world.past.lost || !world.processes.iter().any(goes_on)
        },
    },
    Invariant {
        says: "no process holds the listening socket in the end if none accepts from it",
        holds: |world, settled, _| {
            let accepts = world.processes.iter().any(|it| it.socket == Socket::Accepts);
            !settled || accepts || world.processes.iter().all(|it| it.socket == Socket::Closed)
        },
    },
    Invariant {
        says: "no connection is served by two processes",
        holds: |world, _, _| !matches!(world.connection, Connection::WithBoth(..)),
    },
    Invariant {
        says: "no process ends that serves a connection, unless it is killed or its time is up",
        holds: |world, _, _| world.connection != Connection::Dropped,
    },
    Invariant {
        says: "no connection is refused, unless a stop was asked for, or a crash left no process that could take over",
        holds: |world, _, _| world.connection != Connection::Refused || world.past.asked || world.past.unguarded,
    },
    Invariant {
        says: "no connection that was there before a stop is left in the queue, unless a process has crashed or was cut",
        holds: |world, settled, _| match world.connection {
            Connection::Reset => world.past.cut,
            Connection::Queued | Connection::Late => !settled,
            _ => true,
        },
    },
    Invariant {
        says: "every process that does not accept ends once the last connection is answered, and needs no timeout for that",
        holds: |world, settled, _| {
            let is_left = |it: &Process| it.is_alive() && it.socket != Socket::Accepts;
            !settled || world.connection.is_held() || !world.processes.iter().any(is_left)
        },
    },
    Invariant {
        says: "the process that accepts knows in the end how many older ones are alive, unless one has crashed or was cut",
        holds: |world, settled, _| {
            let alive = world.processes.iter().filter(|it| it.is_alive()).count();
            let knows = |it: &Process| it.socket != Socket::Accepts || usize::from(it.life.older) + 1 == alive;
            !settled || world.past.cut || world.processes.iter().all(knows)
        },
    },
    Invariant {
        says: "an upgrade that is asked for begins or is refused, and a timeout that passes has a consequence",
        holds: |world, _, rules| {
            let runs = |it: &&Process| it.phase == Phase::Running && it.life.state != State::Ended;
            world.processes.iter().filter(runs).all(|it| {
                let (_, actions) = rules.next(it.life, Event::UpgradeAsked);
                let is_answered = matches!(actions, [Action::Refuse(_)]) || actions.contains(&Action::StartSuccessor);
                let is_heeded = it.life.timeout().is_none() || rules.next(it.life, Event::DeadlinePassed).0 != it.life;
                is_answered && is_heeded
            })
        },
    },
];

/// What an init supervisor adds.
pub const SUPERVISED: [Invariant; 2] = [
    Invariant {
        says: "a stop reaches every process, whichever ends before it can pass the stop on",
        holds: |world, settled, _| {
            let goes_on = |it: &Process| it.is_alive() && it.life.state != State::Stopping;
            !settled || !world.past.told || !world.processes.iter().any(goes_on)
        },
    },
    Invariant {
        says: "a signal that it passes on reaches a generation or no process",
        holds: |world, _, _| !world.supervisor.hits_a_stranger,
    },
];

/// The first invariant that does not hold.
#[must_use]
pub fn broken(world: &World, settled: bool, rules: &Rules) -> Option<&'static str> {
    let supervised = if rules.supervised { &SUPERVISED[..] } else { &[] };
    INVARIANTS.iter().chain(supervised).find(|it| !(it.holds)(world, settled, rules)).map(|it| it.says)
}
