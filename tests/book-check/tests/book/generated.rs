//! What is compared, drawn or found from the code: the chapters' differences, the lifecycle as a table and as a diagram, the
//! protocol to be driven, and the counterexamples to what others do.
//!
//! The invariant: everything under `book/src/gen` has a maker that is known, and can be made again.

mod counterexamples;
mod diagram;
mod diffs;
pub(crate) mod protocol;
mod table;
mod transitions;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::golden::{bless_or_compare, names, root};

const GENERATED: &str = "book/src/gen";

/// What `book/bless --measure` writes: too slow for a test, and different on each machine.
const MEASURED: [&str; 8] = ["lab.md", "fleet", "figures.md", "values.md", "growth", "timelines", "compare", "peers"];

#[test]
fn the_differences_between_chapters_are_those_of_their_programs() {
    for (name, before, after) in diffs::STEPS {
        same(&format!("diffs/{name}.md"), &diffs::diff(before, after));
    }
}

#[test]
fn the_table_of_the_lifecycle_is_the_one_that_runs() {
    same("lifecycle-table.md", &table::table());
}

#[test]
fn the_diagram_of_the_lifecycle_is_the_table_drawn() {
    same("lifecycle.svg", &diagram::diagram());
}

#[test]
fn the_counterexamples_are_the_shortest_that_a_search_finds() {
    for (name, text) in counterexamples::all() {
        same(&format!("others/{name}.md"), &text);
    }
}

#[test]
fn the_protocol_on_the_page_is_the_one_that_was_explored() {
    same("protocol/table.js", &protocol::script());
    same("protocol/invariants.md", &protocol::invariants());
    same("protocol/explored.md", &protocol::explored());
    same("protocol/story.md", &protocol::story());
    same("protocol/puzzles.md", &protocol::puzzles());
}

#[test]
fn nothing_generated_is_made_by_nobody() {
    let mut known = BTreeSet::from(["lifecycle-table.md", "lifecycle.svg"].map(str::to_owned));
    known.extend(
        ["table.js", "invariants.md", "explored.md", "story.md", "puzzles.md"].map(|it| format!("protocol/{it}")),
    );
    known.extend(diffs::STEPS.map(|(name, ..)| format!("diffs/{name}.md")));
    known.extend(counterexamples::all().map(|(name, _)| format!("others/{name}.md")));
    known.extend(names("book/transcripts", "txt").iter().map(|name| format!("transcripts/{name}.md")));
    let orphans: Vec<_> = files(&root().join(GENERATED))
        .into_iter()
        .filter(|file| !known.contains(file) && !MEASURED.iter().any(|measured| file.starts_with(measured)))
        .collect();
    assert!(orphans.is_empty(), "nothing makes these files in {GENERATED} any more, delete them: {orphans:?}");
}

fn same(path: &str, generated: &str) {
    bless_or_compare(&format!("{GENERATED}/{path}"), generated).unwrap_or_else(|difference| panic!("{difference}"));
}

/// All files in a folder and in the folders below it, as paths from it.
fn files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("the folder is part of the repository") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(folder).expect("it is in it").display().to_string());
            }
        }
    }
    files
}
