//! The init supervisor, chapter 6's `init.rs`: a process beside the generations that passes signals on to them.
//!
//! The invariant: it knows only what the generations have said, and that late.

use crate::model::{Id, Phase, World};
use crate::rules::{Duty, Rules};

/// What it knows, and what is on its way to it and from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Supervisor {
    /// The generations that have said that they serve, and are not heard yet, a bit each. Their order, and how often, makes no
    /// difference to what it knows.
    said: u8,
    /// The generations that it knows, a bit each.
    knows: u8,
    /// It was told to stop.
    told: bool,
    /// The generations to which SIGTERM is on its way, a bit each: a second one that comes before the first is read is lost.
    signalled: u8,
    /// Among those that it knows is a process that is none of ours.
    knows_a_stranger: bool,
    /// And that has been sent a signal.
    pub hits_a_stranger: bool,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// SIGTERM to the supervisor.
    Stop,
    /// It hears that a generation serves.
    Hear(Id),
    /// It hears that, and another process has got the pid meanwhile.
    HearTooLate(Id),
    /// The signal that it has sent comes to a generation.
    Deliver(Id),
}

impl Supervisor {
    pub(crate) fn steps(self, world: &World, rules: &Rules, steps: &mut Vec<crate::model::Step>) {
        let mut may =
            |step: Step, possible: bool| steps.extend(possible.then_some(crate::model::Step::Supervisor(step)));
        // It hears all that has been said before it reads a signal. But one may be on its way while it hears.
        may(Step::Stop, world.left.stops > 0 && self.said == 0);
        for (id, process) in (0..).zip(&world.processes) {
            let said = self.said >> id & 1 == 1;
            may(Step::Hear(id), said);
            may(Step::HearTooLate(id), said && process.phase == Phase::Gone && !rules.keep(Duty::SendAHandle));
            may(Step::Deliver(id), self.signalled >> id & 1 == 1 && process.waits());
        }
    }

    /// The generation to which a signal comes with this step.
    pub(crate) fn take(&mut self, step: Step, is_alive: impl Fn(Id) -> bool, rules: &Rules) -> Option<Id> {
        match step {
            Step::Stop => {
                self.told = true;
                self.hits_a_stranger |= self.knows_a_stranger;
                let newest = self.knows.checked_ilog2().map_or(0, |id| 1 << id);
                self.signalled |= if rules.keep(Duty::SignalEveryGeneration) { self.knows } else { newest };
            }
            Step::Hear(id) => {
                self.said &= !(1 << id);
                let is_news = is_alive(id) && self.knows >> id & 1 == 0;
                self.knows |= u8::from(is_alive(id)) << id;
                let is_told = is_news && self.told && rules.keep(Duty::SignalLateComers);
                self.signalled |= u8::from(is_told) << id;
            }
            Step::HearTooLate(id) => {
                self.said &= !(1 << id);
                self.knows_a_stranger = true;
                self.hits_a_stranger |= self.told;
            }
            Step::Deliver(id) => {
                self.signalled &= !(1 << id);
                return Some(id);
            }
        }
        None
    }

    /// A generation says that it serves.
    pub(crate) fn say(&mut self, id: Id) {
        self.said |= 1 << id;
    }

    /// A generation has ended and is reaped.
    pub(crate) fn ends(&mut self, id: Id) {
        self.knows &= !(1 << id);
        self.signalled &= !(1 << id);
    }
}
