//! Every way behind every balancer, in turns.
//!
//! The invariant: A, B, C, and again A, B, C: what the machine does meanwhile falls on all of them. A run that came to nothing
//! is reported, and takes no other run's figures with it.

use std::path::PathBuf;

use serde::Serialize;

use super::balancer::Kind;
use super::figures::Figures;
use super::instance::Programs;
use super::measure::measure;
use super::way::Way;

/// What a way came to, behind one balancer.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// [`Kind::name`].
    pub balancer: &'static str,
    /// [`Way::name`].
    pub way: &'static str,
    /// Both, for people.
    pub title: String,
    /// Medians over all runs.
    pub figures: Figures,
    /// Each run by itself.
    pub runs: Vec<Figures>,
    /// What the upgrading command said in the last run that it stopped.
    pub stopped: Option<String>,
    /// Why requests were lost, in the last run that lost any.
    pub losses: String,
}

/// Rolls in each of the ways behind each of the balancers, `repeats` times, and tells `watch` which run begins. Returns what
/// came of it, and of the runs that came to nothing, why.
#[must_use]
pub fn in_turns(
    balancers: &[(Kind, PathBuf)],
    ways: &[Way],
    repeats: u32,
    programs: &Programs,
    mut watch: impl FnMut(&str),
) -> (Vec<Outcome>, Vec<String>) {
    let all = balancers.iter().flat_map(|(kind, path)| ways.iter().map(move |way| (*kind, path, *way)));
    let mut outcomes: Vec<_> = all
        .map(|(kind, path, way)| {
            let (balancer, name, title) = (kind.name(), way.name(), format!("{}, {}", kind.title(), way.title()));
            let (runs, figures, losses) = (Vec::new(), Figures::default(), String::new());
            (kind, path, way, Outcome { balancer, way: name, title, figures, runs, stopped: None, losses })
        })
        .collect();
    let mut failed = Vec::new();
    for repeat in 1..=repeats {
        for (kind, path, way, outcome) in &mut outcomes {
            let which = format!("{}, run {repeat} of {repeats}", outcome.title);
            watch(&which);
            match measure(*way, *kind, path, programs) {
                Ok(run) => {
                    outcome.runs.push(run.figures());
                    outcome.stopped = run.stopped().map(str::to_owned).or(outcome.stopped.take());
                    outcome.losses = Some(run.losses()).filter(|why| !why.is_empty()).unwrap_or(outcome.losses.clone());
                }
                Err(error) => failed.push(format!("{which}: {error}")),
            }
        }
    }
    let outcomes = outcomes.into_iter().map(|(.., outcome)| outcome).filter(|outcome| !outcome.runs.is_empty());
    let outcomes = outcomes.map(|outcome| Outcome { figures: Figures::medians(&outcome.runs), ..outcome });
    (outcomes.collect(), failed)
}
