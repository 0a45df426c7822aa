//! How other parts of a program learn where this process is in its life: a pid file, a service manager, a metric.
//!
//! The invariant: they see every transition of the table, in order, and cannot change one.

use crate::lifecycle::{Action, Event, Life};

// ANCHOR: observe
/// A step in the life of a process.
#[derive(Debug, Clone, Copy)]
pub struct Transition {
    /// Where it was.
    pub from: Life,
    /// What happened.
    pub event: Event,
    /// Where it is now.
    pub to: Life,
    /// What has to be done.
    pub actions: &'static [Action],
}

/// Is told of every transition. Must not block: signals wait meanwhile.
pub trait Observe: Send {
    /// The actions of this transition are about to be performed.
    fn before(&mut self, _transition: &Transition) {}

    /// They have been performed.
    fn after(&mut self, _transition: &Transition) {}

    /// An upgrade has come to nothing, for this reason, and this process serves on.
    fn failed(&mut self, _reason: &str) {}
}
// ANCHOR_END: observe
