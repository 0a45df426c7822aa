//! What others do, each in a small world of its own, and the shortest way in which a promise is broken there.
//!
//! The invariant: each world is what its program does, and no more; with the one thing mended that its file names, the promise
//! holds.

use std::hash::Hash;

use crate::search::{Model, search};

pub mod ecdysis;
pub mod kill_parent;
pub mod nginx;
pub mod retire_first;
pub mod share_port;

/// Something that can happen in such a world.
#[derive(Debug)]
pub struct Step<World> {
    /// It, in a sentence.
    pub says: &'static str,
    /// Whether it comes sooner or later, without an operator, a client, or bad luck.
    pub is_internal: bool,
    /// When it can happen.
    pub may: fn(&World) -> bool,
    /// What is different then.
    pub then: fn(&mut World),
}

const fn within<World>(says: &'static str, may: fn(&World) -> bool, then: fn(&mut World)) -> Step<World> {
    Step { says, is_internal: true, may, then }
}

const fn outside<World>(says: &'static str, may: fn(&World) -> bool, then: fn(&mut World)) -> Step<World> {
    Step { says, is_internal: false, may, then }
}

/// A program of others.
#[derive(Debug)]
pub struct Other<World: 'static> {
    /// The world in which everything begins.
    pub first: World,
    /// All that can happen.
    pub steps: &'static [Step<World>],
    /// What must be true.
    pub promise: &'static str,
    /// Whether it is. `settled`: nothing more happens without help from outside.
    pub holds: fn(world: &World, settled: bool) -> bool,
}

impl<World: Copy + Eq + Hash> Model for Other<World> {
    type World = World;
    type Step = &'static Step<World>;

    fn first(&self) -> World {
        self.first
    }

    fn steps(&self, world: &World) -> Vec<Self::Step> {
        self.steps.iter().filter(|step| (step.may)(world)).collect()
    }

    fn after(&self, mut world: World, step: Self::Step) -> World {
        (step.then)(&mut world);
        world
    }

    fn is_internal(&self, step: Self::Step) -> bool {
        step.is_internal
    }

    fn broken(&self, world: &World, settled: bool) -> Option<&'static str> {
        (!(self.holds)(world, settled)).then_some(self.promise)
    }
}

/// The shortest way in which a promise is broken.
#[derive(Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// What must be true, and is not.
    pub promise: &'static str,
    /// What happens until then.
    pub trace: Vec<&'static str>,
}

impl<World: Copy + Eq + Hash> Other<World> {
    /// The shortest way in which its promise is broken.
    #[must_use]
    pub fn counterexample(&self) -> Option<Counterexample> {
        let (promise, trace) = search(self).broken?;
        Some(Counterexample { promise, trace: trace.into_iter().map(|step| step.says).collect() })
    }
}

/// A name, and what is found with the program as it is, and with the one thing mended.
pub type Found = (&'static str, Option<Counterexample>, Option<Counterexample>);

/// All of them.
#[must_use]
pub fn all() -> [Found; 5] {
    fn both<World: Copy + Eq + Hash>(name: &'static str, other: fn(bool) -> Other<World>) -> Found {
        (name, other(false).counterexample(), other(true).counterexample())
    }
    [
        both("retire-first", retire_first::other),
        both("kill-parent", kill_parent::other),
        both("share-port", share_port::other),
        both("ecdysis", ecdysis::other),
        both("nginx", nginx::other),
    ]
}
