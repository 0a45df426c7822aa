//! A client's connection: where it is, and which process may serve it.
//!
//! The invariant: as chapter 5 hands it over, at most one process may serve it at a time.

use crate::model::{Id, Phase, Process, Socket, World};
use crate::rules::{Duty, Rules};

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Connection {
    /// There is none, or it is answered and closed.
    #[default]
    None,
    /// In the queue of the listening socket.
    Queued,
    /// The same, but the client connected after a stop was asked for.
    Late,
    /// With this process, which serves it.
    With(Id),
    /// On its way, and still the old process's.
    Offered(Id, Id),
    /// Acknowledged, so the new process's; the old one has not read that.
    Taken(Id, Id),
    /// Two processes serve it.
    WithBoth(Id, Id),
    /// It ended with the process that was killed.
    Lost,
    /// Its time was up, or the second SIGTERM came.
    Cut,
    /// No process listened when the client connected.
    Refused,
    /// It was in the queue, and the last process that held the socket closed it.
    Reset,
    /// A process that was not killed ended, and had not answered it.
    Dropped,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Step {
    Connect,
    Accept(Id),
    Answer,
    /// To the successor.
    Offer(Id),
    Take,
    Decline,
    /// The old process waits no longer for an acknowledgement.
    Recall,
    /// The old process reads the acknowledgement.
    Settle,
}

impl Connection {
    pub(crate) fn steps(self, world: &World, rules: &Rules, steps: &mut Vec<crate::model::Step>) {
        let runs = |id: Id| world.process(id).phase == Phase::Running;
        let mut may = |step: Step, possible: bool| steps.extend(possible.then_some(crate::model::Step::Client(step)));
        match self {
            Connection::None => may(Step::Connect, world.left.clients > 0),
            Connection::Queued | Connection::Late => {
                let accepts = |it: &Process| matches!(it.socket, Socket::Accepts | Socket::Empties);
                for (id, _) in (0..).zip(&world.processes).filter(|(_, it)| accepts(it)) {
                    may(Step::Accept(id), runs(id));
                }
            }
            Connection::With(id) => {
                may(Step::Answer, runs(id));
                let Process { hands_over, successor, .. } = *world.process(id);
                let to = successor.filter(|it| hands_over && runs(id) && world.process(*it).is_alive());
                may(Step::Offer(to.unwrap_or_default()), to.is_some());
            }
            Connection::Offered(by, to) => {
                let serves = world.process(to).socket == Socket::Accepts || world.process(to).hands_over;
                may(Step::Take, runs(to) && serves);
                may(Step::Decline, runs(to) && serves);
                may(Step::Recall, runs(by) && rules.keep(Duty::TakeBack));
            }
            Connection::Taken(by, to) => {
                may(Step::Answer, runs(to));
                may(Step::Settle, runs(by));
                may(Step::Recall, runs(by) && !rules.keep(Duty::TakeBackOnlyOurs));
            }
            _ => {}
        }
    }

    pub(crate) fn take(&mut self, step: Step, connected: Connection) {
        *self = match (step, *self) {
            (Step::Connect, _) => connected,
            (Step::Accept(id), _) => Connection::With(id),
            (Step::Offer(to), Connection::With(by)) => Connection::Offered(by, to),
            (Step::Take, Connection::Offered(by, to)) => Connection::Taken(by, to),
            (Step::Decline | Step::Recall, Connection::Offered(by, _)) => Connection::With(by),
            (Step::Recall, Connection::Taken(by, to)) => Connection::WithBoth(by, to),
            (Step::Settle, Connection::Taken(_, to)) => Connection::With(to),
            _ => Connection::None,
        };
    }

    /// Whether this process may not end yet for its sake.
    #[must_use]
    pub fn is_with(self, id: Id) -> bool {
        match self {
            Connection::With(it) | Connection::Offered(it, _) => it == id,
            Connection::Taken(by, to) | Connection::WithBoth(by, to) => by == id || to == id,
            _ => false,
        }
    }

    /// A process ends, and what it served is `held` then.
    pub(crate) fn holder_ends(&mut self, id: Id, held: Connection) {
        *self = match *self {
            Connection::With(it) if it == id => held,
            Connection::Offered(by, to) if to == id => Connection::With(by),
            Connection::Offered(by, _) if by == id => held,
            Connection::Taken(by, to) if by == id => Connection::With(to),
            Connection::Taken(_, to) if to == id => held,
            other => other,
        };
    }

    /// No process holds the listening socket any more.
    pub(crate) fn queue_is_gone(&mut self) {
        match self {
            Connection::Queued => *self = Connection::Reset,
            Connection::Late => *self = Connection::Refused,
            _ => {}
        }
    }

    /// Whether it waits in the queue.
    #[must_use]
    pub fn is_queued(self) -> bool {
        matches!(self, Connection::Queued | Connection::Late)
    }

    /// Whether a process has it.
    #[must_use]
    pub fn is_held(self) -> bool {
        use Connection::{Offered, Taken, With, WithBoth};
        matches!(self, With(_) | Offered(..) | Taken(..) | WithBoth(..))
    }

    /// A process ends what it serves, and what is in its queue if no other process `listens`.
    pub(crate) fn cut(&mut self, id: Id, listens: bool) {
        self.holder_ends(id, Connection::Cut);
        if self.is_queued() && !listens {
            *self = Connection::Cut;
        }
    }
}
