//! Every measured figure: as a table with its limits, and as values for sentences.
//!
//! The invariant: table and values are of one run, on a machine that is named; and what was missed is
//! said.

use std::collections::BTreeSet;

use lab::digits::significant;

use super::AGAIN;
use super::values::{read, values};

/// Those that pages are built around, whether a sentence includes them at the moment or not.
const PROMISED: [&str; 26] = [
    "throughput_keep_alive",
    "throughput_per_request",
    "memory_idle",
    "memory_ratio",
    "first_answer_ours",
    "first_answer_ratio",
    "both_accept",
    "old_gone",
    "spawn_2gib",
    "spawn_2gib_worst",
    "fork_2gib",
    "fork_2gib_worst",
    "listeners_1",
    "listeners_256",
    "idle_cpu_10000",
    "idle_gone_10000",
    "generations_ratio",
    "generations_memory_ratio",
    "dispatch_floor",
    "dispatch_flag",
    "dispatch_self_pipe",
    "dispatch_registry",
    "dispatch_signal_hook",
    "dispatch_tokio",
    "dispatch_ours",
    "dispatch_go",
];

/// Figures, and how many of their rows have a limit.
const LIMITS: [(&str, usize); 13] = [
    ("throughput", 4),
    ("instructions", 1),
    ("upgrades", 1),
    ("memory", 1),
    ("first-answer", 2),
    ("both-accept", 1),
    ("old-gone", 1),
    ("spawn", 6),
    ("listeners", 0),
    ("idle", 0),
    ("generations", 4),
    ("handover", 2),
    ("dispatch", 0),
];

/// A section of `figures.md`: its name, and the cells of its table, without the header.
fn figures() -> Vec<(String, Vec<Vec<String>>)> {
    let text = read("gen/figures.md");
    let section = |section: &str| {
        let (heading, rest) = section.split_once('\n').expect("a heading ends");
        let name = heading.split_once("{#").and_then(|(_, name)| name.strip_suffix('}'));
        let name = name.unwrap_or_else(|| panic!("a heading has an id to link to: {heading:?}"));
        let command = format!("`cargo bench -p lab -- {name}`");
        assert!(rest.contains(&command), "{name} should say how to measure it: {command}");
        let lines = rest.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
        let table: Vec<Vec<_>> = lines.map(|line| line.split(" | ").map(str::to_owned).collect()).collect();
        let [header, _, rows @ ..] = table.as_slice() else { panic!("{name} has no table") };
        for column in ["figure", "median", "range", "samples"] {
            assert!(header.iter().any(|title| title == column), "{name} has no column {column:?}");
        }
        assert!(rows.iter().all(|row| row.len() == header.len()), "{name}: every row has a cell for each column");
        (name.to_owned(), rows.to_vec())
    };
    text.split("\n## ").skip(1).map(section).collect()
}

#[test]
fn every_promised_figure_is_there() {
    let values = values("gen/values.md");
    for key in PROMISED {
        assert!(values.contains_key(key), "gen/values.md has no {key}; {AGAIN}");
        assert!(values.contains_key(&format!("{key}_range")), "gen/values.md has no range of {key}; {AGAIN}");
    }
}

#[test]
fn tables_and_values_are_of_one_run() {
    let tables = read("gen/figures.md");
    // A sentence has a number with two digits, the table with three.
    let rounded: BTreeSet<_> = figures().into_iter().flat_map(|(_, rows)| rows.concat()).map(rounded).collect();
    for (key, value) in values("gen/values.md") {
        let stands_there = [" |", "; ", ".\n"].iter().any(|end| tables.contains(&format!(" {value}{end}")));
        assert!(stands_there || rounded.contains(&value), "{key} is {value} only in values.md; {AGAIN}");
    }
}

/// A cell as a sentence has it, if it is a number and a unit.
fn rounded(cell: String) -> String {
    let Some((number, unit)) = cell.split_once('\u{a0}') else { return cell };
    let number = number.replace(',', "").parse().map(|number| significant(number, 2));
    number.map_or(cell.clone(), |number| format!("{number}\u{a0}{unit}"))
}

#[test]
fn every_limit_is_kept_or_the_page_says_why_not() {
    let (figures, page) = (figures(), read("figures.md"));
    let why_not = page.split("{#missed}").nth(1).and_then(|section| section.split("\n## ").next()).unwrap_or_default();
    for (name, limits) in LIMITS {
        let rows = figures.iter().find(|(figure, _)| figure == name).map(|(_, rows)| rows);
        let rows = rows.unwrap_or_else(|| panic!("figures.md has no {name}; {AGAIN}"));
        for row in rows.iter().filter(|row| row.iter().any(|cell| cell.ends_with(", missed"))) {
            let said = why_not.contains(&format!("**{}**", row[0]));
            assert!(said, "{name}: {row:?} was missed, and the page does not say why; {AGAIN}");
        }
        let has_limit = |cell: &&String| cell.ends_with(", kept") || cell.ends_with(", missed");
        assert_eq!(rows.iter().flatten().filter(has_limit).count(), limits, "{name}: rows with a limit; {AGAIN}");
    }
    assert_eq!(figures.len(), LIMITS.len(), "a figure is in the book that this test does not know");
}

#[test]
fn the_machine_and_the_versions_are_recorded() {
    let values = values("gen/values.md");
    for what in ["processors", "memory", "kernel", "rustc", "go", "packages", "load", "date"] {
        assert!(
            values.contains_key(&format!("machine_{what}")),
            "gen/values.md does not say the machine's {what}; {AGAIN}"
        );
    }
    for package in ["hyper ", "signal-hook ", "tokio "] {
        assert!(values["machine_packages"].contains(package), "the version of {package}is missing; {AGAIN}");
    }
}
