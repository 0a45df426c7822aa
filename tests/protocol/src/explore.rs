//! The search: every world that can be reached, breadth first, so that the first counterexample is a shortest one.
//!
//! The invariant: each world is looked at once. Worlds are told apart by 64 bits of hash: among ten million, two share them
//! with a probability of one in four hundred thousand.

use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher as _;

use rapidhash::RapidHashMap;
use rapidhash::fast::RandomState;

use crate::invariants::broken;
use crate::model::{Limits, Step, World};
use crate::rules::Rules;

/// What a search came to.
#[derive(Debug)]
pub struct Explored {
    /// How many worlds there are.
    pub worlds: usize,
    /// How many steps lead from one to another.
    pub steps: usize,
    /// The invariant that does not hold, and the steps that show it.
    pub broken: Option<(&'static str, Vec<Step>)>,
}

/// Explores everything that can happen within these limits, until an invariant is broken.
#[must_use]
pub fn explore(limits: Limits, rules: &Rules) -> Explored {
    let state = RandomState::default();
    let key = |world: &World| state.hash_one(world);
    let first = World::new(limits, rules);
    let mut seen: RapidHashMap<u64, (u64, Option<Step>)> = RapidHashMap::default();
    seen.insert(key(&first), (0, None));
    let (mut layer, mut steps) = (vec![first], 0);
    while !layer.is_empty() {
        let mut next_layer = Vec::new();
        for world in layer {
            let after: Vec<_> = world.steps(rules).into_iter().map(|step| (step, world.after(step, rules))).collect();
            let settled = !after.iter().any(|(step, next)| step.is_internal() && *next != world);
            let from = key(&world);
            if let Some(says) = broken(&world, settled, rules) {
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

/// Whether no world can be reached again from itself by internal steps alone, other than by one that changes nothing.
#[must_use]
pub fn has_no_cycle(limits: Limits, rules: &Rules) -> bool {
    let mut done = HashSet::new();
    let mut all = vec![World::new(limits, rules)];
    let mut seen: HashSet<_> = all.iter().copied().collect();
    while let Some(world) = all.pop() {
        // Depth first, along internal steps. A world is `open` until everything after it is done.
        let mut path = vec![(world, internal(&world, rules))];
        let mut open = HashSet::from([world]);
        while let Some((at, next)) = path.last_mut() {
            match next.pop() {
                Some(after) if open.contains(&after) => return false,
                Some(after) if done.contains(&after) => {}
                Some(after) => {
                    open.insert(after);
                    path.push((after, internal(&after, rules)));
                }
                None => {
                    open.remove(at);
                    done.insert(*at);
                    path.pop();
                }
            }
        }
        let after = world.steps(rules).into_iter().map(|step| world.after(step, rules));
        all.extend(after.filter(|after| seen.insert(*after)));
    }
    true
}

fn internal(world: &World, rules: &Rules) -> Vec<World> {
    let steps = world.steps(rules).into_iter().filter(|step| step.is_internal());
    steps.map(|step| world.after(step, rules)).filter(|after| after != world).collect()
}

fn trace(seen: &RapidHashMap<u64, (u64, Option<Step>)>, mut at: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some((from, Some(step))) = seen.get(&at) {
        steps.push(*step);
        at = *from;
    }
    steps.reverse();
    steps
}
