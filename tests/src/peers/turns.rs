//! Peers and ours, in turns.
//!
//! The invariant: a run that came to nothing is told, and takes no other contender's figures with it.

use crate::restart::{Contender, Figures, Outcome, measure};

/// What all of them came to.
#[derive(Debug, Default)]
pub struct Measured {
    /// Of those that had a run which came to its end.
    pub outcomes: Vec<Outcome>,
    /// Runs that did not: whose, which, and why.
    pub failed: Vec<String>,
}

/// Measures each of the contenders `repeats` times, A B C A B C, and tells `watch` who is at it, in which repeat, after how
/// many restarts.
pub fn in_turns(
    contenders: &[impl Contender],
    repeats: u32,
    mut watch: impl FnMut(&dyn Contender, u32, u32),
) -> Measured {
    let mut runs = vec![Vec::new(); contenders.len()];
    let mut failed = Vec::new();
    for repeat in 1..=repeats {
        for (contender, runs) in contenders.iter().zip(&mut runs) {
            watch(contender, repeat, 0);
            match measure(contender, |number| watch(contender, repeat, number)) {
                Ok(run) => runs.push(run.figures()),
                Err(error) => failed.push(format!("{}, run {repeat}: {error}", contender.title())),
            }
        }
    }
    let outcomes = contenders.iter().zip(runs).filter(|(_, runs)| !runs.is_empty()).map(|(contender, runs)| Outcome {
        name: contender.name().to_owned(),
        title: contender.title().to_owned(),
        figures: Figures::medians(&runs),
        runs,
    });
    Measured { outcomes: outcomes.collect(), failed }
}
