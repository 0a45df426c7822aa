//! Many strategies, in turns.
//!
//! The invariant: A, B, C, and again A, B, C: what the machine does meanwhile falls on all of them.

use serde::Serialize;

use super::figures::Figures;
use super::measure::measure;
use super::strategy::{CannotMeasure, Strategy};

/// What a strategy came to.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// [`Strategy::name`].
    pub name: String,
    /// [`Strategy::title`].
    pub title: String,
    /// Medians over all runs.
    pub figures: Figures,
    /// Each run by itself.
    pub runs: Vec<Figures>,
}

/// Measures each of the strategies `repeats` times, and tells `watch` who is at it, in which repeat, after how many
/// restarts.
///
/// # Errors
/// If one of them cannot be measured: which, and why.
pub fn side_by_side(
    strategies: &[Box<dyn Strategy>],
    repeats: u32,
    mut watch: impl FnMut(&dyn Strategy, u32, u32),
) -> Result<Vec<Outcome>, CannotMeasure> {
    let mut runs = vec![Vec::new(); strategies.len()];
    for repeat in 1..=repeats {
        for (strategy, runs) in strategies.iter().zip(&mut runs) {
            watch(&**strategy, repeat, 0);
            let run = measure(&**strategy, |number| watch(&**strategy, repeat, number))
                .map_err(|error| CannotMeasure::Strategy(strategy.name().to_owned(), Box::new(error)))?;
            runs.push(run.figures());
        }
    }
    let outcomes = strategies.iter().zip(runs).map(|(strategy, runs)| Outcome {
        name: strategy.name().to_owned(),
        title: strategy.title().to_owned(),
        figures: Figures::medians(&runs),
        runs,
    });
    Ok(outcomes.collect())
}
