//! Peers and ours, in turns.
//!
//! The invariant: a run that came to nothing is reported, and takes no other strategy's figures with it.

use crate::restart::{Figures, Outcome, Strategy, measure};

/// The results of all of them.
#[derive(Debug, Default)]
pub struct Measured {
    /// Of those that had a run which came to its end.
    pub outcomes: Vec<Outcome>,
    /// Runs that did not: whose, which, and why.
    pub failed: Vec<String>,
}

/// Measures each of the strategies `repeats` times, A B C A B C, and tells `watch` which one is at work, in which
/// repeat, after how many restarts.
pub fn in_turns(
    strategies: &[impl Strategy],
    repeats: u32,
    mut watch: impl FnMut(&dyn Strategy, u32, u32),
) -> Measured {
    let mut runs = vec![Vec::new(); strategies.len()];
    let mut failed = Vec::new();
    for repeat in 1..=repeats {
        for (strategy, runs) in strategies.iter().zip(&mut runs) {
            watch(strategy, repeat, 0);
            match measure(strategy, |number| watch(strategy, repeat, number)) {
                Ok(run) => runs.push(run.figures()),
                Err(error) => failed.push(format!("{}, run {repeat}: {error}", strategy.title())),
            }
        }
    }
    let outcomes = strategies.iter().zip(runs).filter(|(_, runs)| !runs.is_empty()).map(|(strategy, runs)| Outcome {
        name: strategy.name().to_owned(),
        title: strategy.title().to_owned(),
        figures: Figures::medians(&runs),
        runs,
    });
    Measured { outcomes: outcomes.collect(), failed }
}
