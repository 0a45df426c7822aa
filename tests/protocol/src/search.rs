//! The search: every world that can be reached, breadth first, so that the first counterexample is a shortest one.
//!
//! The invariant: each world is looked at once. Worlds are told apart by 64 bits of hash: among ten million, two share them
//! with a probability of one in four hundred thousand.

use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, Hash};

use rapidhash::RapidHashMap;
use rapidhash::fast::RandomState;

/// A world, what can happen in it, and what must be true.
pub trait Model {
    /// Everything, at one moment.
    type World: Copy + Eq + Hash;
    /// What can happen next.
    type Step: Copy;

    /// The world in which everything begins.
    fn first(&self) -> Self::World;

    /// Everything that can happen now.
    fn steps(&self, world: &Self::World) -> Vec<Self::Step>;

    /// The world after this step.
    fn after(&self, world: Self::World, step: Self::Step) -> Self::World;

    /// Whether it happens without help from outside, sooner or later.
    fn is_internal(&self, step: Self::Step) -> bool;

    /// The invariant that does not hold. `settled`: nothing more happens without help from outside.
    fn broken(&self, world: &Self::World, settled: bool) -> Option<&'static str>;
}

/// What a search came to.
#[derive(Debug)]
pub struct Explored<Step> {
    /// How many worlds there are.
    pub worlds: usize,
    /// How many steps lead from one to another.
    pub steps: usize,
    /// The invariant that does not hold, and the steps that show it.
    pub broken: Option<(&'static str, Vec<Step>)>,
}

/// Explores everything that can happen, until an invariant is broken.
pub fn search<M: Model>(model: &M) -> Explored<M::Step> {
    let state = RandomState::default();
    let key = |world: &M::World| state.hash_one(world);
    let first = model.first();
    let mut seen = RapidHashMap::default();
    seen.insert(key(&first), (0, None));
    let (mut layer, mut steps) = (vec![first], 0);
    while !layer.is_empty() {
        let mut next_layer = Vec::new();
        for world in layer {
            let after: Vec<_> = model.steps(&world).into_iter().map(|step| (step, model.after(world, step))).collect();
            let settled = !after.iter().any(|(step, next)| model.is_internal(*step) && *next != world);
            let from = key(&world);
            if let Some(says) = model.broken(&world, settled) {
                return Explored { worlds: seen.len(), steps, broken: Some((says, trace(&seen, from))) };
            }
            steps += after.len();
            for (step, next) in after {
                if let Entry::Vacant(entry) = seen.entry(key(&next)) {
                    entry.insert((from, Some(step)));
                    next_layer.push(next);
                }
            }
        }
        layer = next_layer;
    }
    Explored { worlds: seen.len(), steps, broken: None }
}

fn trace<Step: Copy>(seen: &RapidHashMap<u64, (u64, Option<Step>)>, mut at: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some((from, Some(step))) = seen.get(&at) {
        steps.push(*step);
        at = *from;
    }
    steps.reverse();
    steps
}
