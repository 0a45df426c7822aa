//! What became of each request, one by one: for a picture, where a count is not enough.
//!
//! The invariant: one entry for each request that the [`Tally`](super::Tally) counts, in it and lost alike.

use std::time::Instant;

use super::answer::{Answer, Loss};

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Which of the clients asked. They ask one request after the other.
    pub client: u32,
    /// From when it counts.
    pub from: Instant,
    /// When it was answered, or lost.
    pub to: Instant,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was answered by the process with this pid (`x-pid`; 0 where the server does not say).
    Answered(u32),
    /// No connection came about.
    Refused,
    /// The connection ended before the answer did, or the answer was none.
    Cut,
}

impl From<&Result<Answer, Loss>> for Fate {
    fn from(asked: &Result<Answer, Loss>) -> Fate {
        match asked {
            Ok(answer) => Fate::Answered(answer.pid),
            Err(Loss::Refused(_)) => Fate::Refused,
            Err(Loss::CutOff(_) | Loss::Wrong(_)) => Fate::Cut,
        }
    }
}
