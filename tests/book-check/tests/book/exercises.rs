//! The exercises can be solved, and are not solved yet.
//!
//! They are run as a reader runs them, by Cargo, in the workspace they belong to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::golden::{names, root};

/// Whether each of an exercise's tests passed.
type Verdicts = BTreeMap<String, Vec<bool>>;

#[test]
fn every_exercise_fails_until_it_is_solved_and_passes_then() {
    let unsolved = verdicts(&[]);
    let solved = verdicts(&["--features", "solutions"]);

    let names: Vec<_> = files("src").filter(|name| name != "lib").collect();
    assert_eq!(names, solved.keys().cloned().collect::<Vec<_>>(), "an exercise without a test, or a test without one");
    assert_eq!(
        names,
        files("solutions").collect::<Vec<_>>(),
        "an exercise without a solution, or a solution without one"
    );
    for name in &names {
        assert!(unsolved[name].contains(&false), "{name} passes unsolved: nothing is left for the reader to do");
        assert!(solved[name].iter().all(|passed| *passed), "our solution of {name} does not pass");
        assert_eq!(unsolved[name].len(), solved[name].len(), "{name} has other tests unsolved than solved");
    }
}

#[test]
fn every_exercise_is_on_a_page() {
    let pages = names("book/src", "md").into_iter().map(|page| root().join("book/src").join(page + ".md"));
    let pages: String = pages.map(|page| fs::read_to_string(page).expect("a page can be read")).collect();
    for name in files("src").filter(|name| name != "lib") {
        let command = format!("`cargo exercise {name}`");
        assert!(pages.contains(&command), "no page says {command}: no reader will meet this exercise");
    }
}

/// Runs `cargo exercise`, and reads what libtest prints for each test.
fn verdicts(features: &[&str]) -> Verdicts {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["exercise", "--locked"]).args(features).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let run = cargo.output().expect("Cargo is there: it has just built us");
    let mut verdicts = Verdicts::new();
    let output = String::from_utf8_lossy(&run.stdout);
    for line in output.lines() {
        // test ch1_errno::a_handler_leaves_… ... ok
        if let Some((test, verdict)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
            && let Some((exercise, _)) = test.split_once("::")
        {
            verdicts.entry(exercise.to_owned()).or_default().push(verdict == "ok");
        }
    }
    assert!(!verdicts.is_empty(), "no test ran; Cargo says:\n{}", String::from_utf8_lossy(&run.stderr));
    verdicts
}

/// The names of the Rust files in a folder of the exercises, in order.
fn files(folder: &str) -> impl Iterator<Item = String> + use<> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book/exercises").join(folder);
    let mut names: Vec<_> = folder
        .read_dir()
        .expect("the exercises are in the checkout")
        .map(|entry| entry.expect("it can be read").path())
        .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.into_iter()
}
