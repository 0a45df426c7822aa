//! What the processes go by: the table, and what is done beside it.
//!
//! The invariant: with [`Rules::REAL`] nothing is left out, and the table is the one that the server runs.

use std::mem::discriminant;

use graceful_upgrade::lifecycle::{Action, Event, Life, State, next};

use crate::model::Message;

/// What the processes go by.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Rules {
    /// Whether an old process waits until its successor has proven itself, as in chapter 6.
    pub probation: bool,
    /// Whether an old process hands its connections over, as in chapter 5.
    pub handover: bool,
    /// Whether an init supervisor passes signals on, as in chapter 6.
    pub supervised: bool,
    /// Whether the actions of a transition are one step, up to an accept: fewer worlds, and no crash between two actions.
    pub at_once: bool,
    /// What is left out.
    pub mutant: Option<Mutant>,
}

/// Something that is left out, to see that an invariant depends on it.
#[derive(Debug, Clone, Copy)]
pub enum Mutant {
    /// A row of the table: in this state, the event changes nothing.
    Ignores(State, Event),
    /// An action of a row: only these are left.
    Performs(State, Event, &'static [Action]),
    /// A duty of the runner or of the handover.
    Neglects(Duty),
}

/// What is done beside the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// To send this message.
    Send(Message),
    /// To wait for the end of a successor that is dismissed.
    Reap,
    /// To notice that the successor that was dismissed was told to stop, and meant the service.
    HearTheDismissed,
    /// To stop accepting before the drain.
    CloseTheSocket,
    /// To answer the clients in the queue before the socket is closed.
    EmptyTheQueue,
    /// To stay for as long as the successor is on probation.
    StayInProbation,
    /// To stay for as long as the predecessor may send connections.
    WaitForArrivals,
    /// To take back only connections that were not acknowledged.
    TakeBackOnlyOurs,
    /// To take back a connection that was not acknowledged.
    TakeBack,
    /// The supervisor's: to pass a stop on to every generation that it knows, and not only to the newest.
    SignalEveryGeneration,
    /// The supervisor's: to pass a stop on to a generation of which it hears later.
    SignalLateComers,
    /// To send the supervisor a handle of the process that serves, and not its pid, which may soon be another process's.
    SendAHandle,
}

impl Rules {
    /// Those of the server.
    pub const REAL: Rules = Rules { probation: true, handover: true, supervised: false, at_once: false, mutant: None };

    pub(crate) fn next(&self, life: Life, event: Event) -> (Life, &'static [Action]) {
        let is_here = |state, other: &Event| life.state == state && discriminant(&event) == discriminant(other);
        match self.mutant {
            Some(Mutant::Ignores(state, other)) if is_here(state, &other) => (life, &[]),
            Some(Mutant::Performs(state, other, actions)) if is_here(state, &other) => (next(life, event).0, actions),
            _ => next(life, event),
        }
    }

    pub(crate) fn keep(&self, duty: Duty) -> bool {
        !matches!(self.mutant, Some(Mutant::Neglects(neglected)) if neglected == duty)
    }
}
