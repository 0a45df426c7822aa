//! What changed from one chapter's program to the next.
//!
//! The invariant: `patch` would make the later file of the earlier one, but for the marks that pages include them by.

use std::fs;

use similar::{Algorithm, TextDiff};

use crate::golden::root;

/// Names of the differences, and the programs they are between.
pub(crate) const STEPS: [(&str, &str, &str); 4] = [
    ("ch1-ch2", "chapters/01-signal-channel/src/main.rs", "chapters/02-graceful-shutdown/src/main.rs"),
    ("ch2-ch3", "chapters/02-graceful-shutdown/src/main.rs", "chapters/03-inherited-fds/src/main.rs"),
    ("ch3-ch4", "chapters/03-inherited-fds/src/main.rs", "chapters/04-graceful-upgrade/src/main.rs"),
    ("ch4-ch5", "chapters/04-graceful-upgrade/src/main.rs", "chapters/05-connection-handover/src/main.rs"),
];

/// The difference between two files as a block of Markdown.
pub(crate) fn diff(before: &str, after: &str) -> String {
    let [old, new] = [before, after].map(without_anchors);
    // Few lines survive from one program to the next: this algorithm keeps to those that occur once, not to braces.
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_lines(&old, &new);
    let diff = diff.unified_diff().context_radius(3).header(before, after).to_string();
    format!("```diff\n{}\n```\n", diff.trim_end())
}

fn without_anchors(path: &str) -> String {
    let text = fs::read_to_string(root().join(path)).expect("each chapter has a main");
    text.split_inclusive('\n').filter(|line| !line.trim_start().starts_with("// ANCHOR")).collect()
}
