//! Many contenders, in turns.
//!
//! The invariant: A, B, C, and again A, B, C: what the machine does meanwhile falls on all of them.

use serde::Serialize;

use super::contender::{CannotMeasure, Contender};
use super::figures::Figures;
use super::measure::measure;

/// What a contender came to.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// [`Contender::name`].
    pub name: String,
    /// [`Contender::title`].
    pub title: String,
    /// Medians over all runs.
    pub figures: Figures,
    /// Each run by itself.
    pub runs: Vec<Figures>,
}

/// Measures each of the contenders `repeats` times, and tells `watch` who is at it, in which repeat, after how many
/// restarts.
///
/// # Errors
/// If one of them cannot be measured: which, and why.
pub fn side_by_side(
    contenders: &[Box<dyn Contender>],
    repeats: u32,
    mut watch: impl FnMut(&dyn Contender, u32, u32),
) -> Result<Vec<Outcome>, CannotMeasure> {
    let mut runs = vec![Vec::new(); contenders.len()];
    for repeat in 1..=repeats {
        for (contender, runs) in contenders.iter().zip(&mut runs) {
            watch(&**contender, repeat, 0);
            let run = measure(&**contender, |number| watch(&**contender, repeat, number))
                .map_err(|error| CannotMeasure::Contender(contender.name().to_owned(), Box::new(error)))?;
            runs.push(run.figures());
        }
    }
    let outcomes = contenders.iter().zip(runs).map(|(contender, runs)| Outcome {
        name: contender.name().to_owned(),
        title: contender.title().to_owned(),
        figures: Figures::medians(&runs),
        runs,
    });
    Ok(outcomes.collect())
}
