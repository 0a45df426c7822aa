//! The protocol of the generations, explored within limits.
//!
//! The invariant: what is explored is everything that can happen within them.

use std::collections::HashSet;

use crate::invariants::broken;
use crate::model::{Limits, Step, World};
use crate::rules::Rules;
use crate::search::{Explored, Model, search};

/// The generations of a server, within these limits.
struct Generations<'a>(Limits, &'a Rules);

impl Model for Generations<'_> {
    type World = World;
    type Step = Step;

    fn first(&self) -> World {
        World::new(self.0, self.1)
    }

    fn steps(&self, world: &World) -> Vec<Step> {
        world.steps(self.1)
    }

    fn after(&self, world: World, step: Step) -> World {
        world.after(step, self.1)
    }

    fn is_internal(&self, step: Step) -> bool {
        step.is_internal()
    }

    fn broken(&self, world: &World, settled: bool) -> Option<&'static str> {
        broken(world, settled, self.1)
    }
}

/// Explores everything that can happen within these limits, until an invariant is broken.
#[must_use]
pub fn explore(limits: Limits, rules: &Rules) -> Explored<Step> {
    search(&Generations(limits, rules))
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
