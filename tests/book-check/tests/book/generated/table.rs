//! The lifecycle as a table.
//!
//! The invariant: every transition that does something is a row, and no other.

use super::transitions::{Transition, action, transitions};

/// The table in Markdown.
pub(crate) fn table() -> String {
    let rows = transitions().iter().map(row).collect::<String>();
    format!("| when it is | and | it | and is then |\n| --- | --- | --- | --- |\n{rows}")
}

fn row(Transition { from, cases, actions, to }: &Transition) -> String {
    let cases: Vec<_> = cases.iter().map(|case| case.words).collect();
    let actions: Vec<_> = actions.iter().copied().map(action).collect();
    let actions = if actions.is_empty() { "has nothing to do".to_owned() } else { actions.join("; ") };
    format!("| {from:?} | {} | {actions} | {to:?} |\n", cases.join(", or "))
}
