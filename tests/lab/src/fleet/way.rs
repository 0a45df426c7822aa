//! How a new version gets onto the instances.
//!
//! The invariant: one instance after the other, and the next one only when the last one serves with its new version; for an
//! upgrade in place, the exit status of the command that upgrades decides, and nothing else.

use testkit::probe;

use crate::restart::CannotMeasure;

use super::balancer::Balancer;
use super::instance::{Instance, Programs, Version};
use super::machines::FRONT;
use super::until::until;

/// A way to roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Each instance replaces itself. The balancer is told nothing.
    InPlace,
    /// Each instance is stopped gracefully and started again. The balancer finds out by itself.
    StopStart,
    /// The same, but the balancer sends it no requests meanwhile.
    Drained,
    /// As in place, but the new version is none that works.
    Broken,
}

/// How far a roll came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Roll {
    /// Instances that serve with the new version.
    pub(super) done: usize,
    /// Why it went no further: what the command said.
    pub(super) stopped: Option<String>,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 4] = [Way::InPlace, Way::StopStart, Way::Drained, Way::Broken];

    /// To ask for it by, and in the keys of its figures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Way::InPlace => "in-place",
            Way::StopStart => "stop-start",
            Way::Drained => "drained",
            Way::Broken => "broken",
        }
    }

    /// For people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Way::InPlace => "upgrade in place",
            Way::StopStart => "stop and start",
            Way::Drained => "drain, stop and start",
            Way::Broken => "upgrade in place, broken version",
        }
    }

    fn version(self) -> Version {
        if self == Way::Broken { Version::Broken } else { Version::Good }
    }

    /// Rolls the new version over the instances behind the balancer.
    pub(super) fn roll(
        self,
        programs: &Programs,
        instances: &mut [Instance],
        balancer: &mut dyn Balancer,
    ) -> Result<Roll, CannotMeasure> {
        let mut roll = Roll::default();
        for instance in instances {
            instance.deploy(programs, self.version())?;
            match self {
                Way::InPlace | Way::Broken => {
                    if let Err(reason) = instance.upgrade()? {
                        roll.stopped = Some(reason);
                        break;
                    }
                }
                Way::StopStart => {
                    instance.stop()?;
                    instance.start()?;
                    await_answer(instance)?;
                }
                Way::Drained => {
                    balancer.drain(instance.machine)?;
                    instance.stop()?;
                    instance.start()?;
                    balancer.undrain(instance.machine)?;
                    await_answer(instance)?;
                }
            }
            roll.done += 1;
        }
        Ok(roll)
    }
}

/// Waits until the balancer sends the instance requests again: with two instances out of three left out, the last one would
/// have to carry the load alone, and with three, none.
fn await_answer(instance: &Instance) -> Result<(), CannotMeasure> {
    let pid = instance.pid().as_raw().cast_unsigned();
    Ok(until("the balancer sends requests to the instance", || probe(FRONT).is_ok_and(|answerer| answerer.pid == pid))?)
}
