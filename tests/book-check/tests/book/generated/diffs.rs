//! What changed from one chapter's program to the next.
//!
//! The invariant: `patch` would make the later file from the earlier one, except for the anchors in them.

use std::fs;

use similar::{Algorithm, TextDiff};

use crate::golden::root;

/// Names of the differences, and the programs they are between.
pub(crate) const STEPS: [(&str, &str, &str); 10] = [
    (
        "ch2-s1-s2",
        "chapters/02-graceful-shutdown/examples/s1_exit_at_once.rs",
        "chapters/02-graceful-shutdown/examples/s2_wait.rs",
    ),
    (
        "ch2-s2-s3",
        "chapters/02-graceful-shutdown/examples/s2_wait.rs",
        "chapters/02-graceful-shutdown/examples/s3_deadline.rs",
    ),
    (
        "ch2-s3-s4",
        "chapters/02-graceful-shutdown/examples/s3_deadline.rs",
        "chapters/02-graceful-shutdown/examples/s4_close_idle.rs",
    ),
    (
        "ch2-s4-s5",
        "chapters/02-graceful-shutdown/examples/s4_close_idle.rs",
        "chapters/02-graceful-shutdown/examples/s5_polite.rs",
    ),
    (
        "ch3-s1-s2",
        "chapters/03-inherited-fds/examples/s1_bind_again.rs",
        "chapters/03-inherited-fds/examples/s2_leak.rs",
    ),
    (
        "ch3-s2-s3",
        "chapters/03-inherited-fds/examples/s2_leak.rs",
        "chapters/03-inherited-fds/examples/s3_by_number.rs",
    ),
    (
        "ch3-s3-s4",
        "chapters/03-inherited-fds/examples/s3_by_number.rs",
        "chapters/03-inherited-fds/examples/s4_by_name.rs",
    ),
    (
        "ch4-s1-s2",
        "chapters/04-graceful-upgrade/examples/s1_retire_first.rs",
        "chapters/04-graceful-upgrade/examples/s2_kill_parent.rs",
    ),
    (
        "ch4-s2-s3",
        "chapters/04-graceful-upgrade/examples/s2_kill_parent.rs",
        "chapters/04-graceful-upgrade/examples/s3_ready.rs",
    ),
    ("ch4-ch5", "chapters/04-graceful-upgrade/src/main.rs", "chapters/05-connection-handover/src/main.rs"),
];

/// The difference between two files as a block of Markdown.
pub(crate) fn diff(before: &str, after: &str) -> String {
    let [old, new] = [before, after].map(without_anchors);
    // Few lines survive from one program to the next: this algorithm aligns lines that occur once, not braces.
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_lines(&old, &new);
    // The reader of a step has just seen what is around a change.
    let context = if before.contains("/examples/") { 1 } else { 3 };
    let diff = diff.unified_diff().context_radius(context).header(before, after).to_string();
    format!("```diff\n{}\n```\n", diff.trim_end())
}

fn without_anchors(path: &str) -> String {
    let text = fs::read_to_string(root().join(path)).expect("each chapter has a main");
    text.split_inclusive('\n').filter(|line| !line.trim_start().starts_with("// ANCHOR")).collect()
}
