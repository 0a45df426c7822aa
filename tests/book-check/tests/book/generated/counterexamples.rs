//! How others lose something, step by step.
//!
//! The invariant: every step is one that the search has found, and the last one breaks the promise that stands below.

use protocol::others::{self, Counterexample};

/// Names of the counterexamples, and each as a list.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, String)> {
    others::all().into_iter().filter_map(|(name, found, _)| Some((name, list(&found?))))
}

fn list(Counterexample { promise, trace }: &Counterexample) -> String {
    let steps = trace.iter().map(|step| format!("1. {step}")).collect::<Vec<_>>().join("\n") + "\n";
    format!("{steps}\nWhat should be true, and is not: *{promise}*.\n")
}
