//! The ways to restart, side by side.
//!
//! The invariant: table, charts, values and `figures.json` are of one run, and each way costs what its page explains.

use std::collections::BTreeMap;

use super::values::{number, read, values};

/// What to do about a failure.
const AGAIN: &str = "compare again: cargo run --release -p lab -- compare --book book/src/gen/compare";

/// The ways to restart, from the first to the last.
const WAYS: [&str; 7] =
    ["kill_start", "stop_start", "share_port", "retire_first", "close_idle", "polite_drain", "handover"];

/// Whether a table has the value: in a cell of its own, before a parenthesis or in it.
pub(super) fn in_a_cell(table: &str, value: &str) -> bool {
    let cells = [format!(" {value} |"), format!(" {value} ("), format!("({value})")];
    cells.iter().any(|cell| table.contains(cell))
}

/// A figure of a way, as a number.
fn compared(values: &BTreeMap<String, String>, way: &str, figure: &str) -> f64 {
    number(values, &format!("{way}_{figure}"), AGAIN)
}

#[test]
fn every_way_to_restart_is_there_with_every_figure() {
    let (values, table) = (values("gen/compare/values.md"), read("gen/compare/table.md"));
    for way in WAYS {
        for column in lab::restart::COLUMNS {
            let number = compared(&values, way, column.key);
            assert!(number >= 0.0, "{way}_{} is {number}; {AGAIN}", column.key);
            let value = &values[&format!("{way}_{}", column.key)];
            assert!(in_a_cell(&table, value), "{way}_{} is {value} only in values.md", column.key);
        }
        assert!(compared(&values, way, "requests") > 1000.0, "{way} was hardly under load; {AGAIN}");
    }
    let restarts: u32 = values["restarts"].parse().expect("it is a number");
    let repeats: u32 = values["repeats"].parse().expect("it is a number");
    assert!(restarts >= 5 && repeats >= 3, "{repeats} runs of {restarts} restarts are too few for a median");
    for what in ["processors", "kernel", "rustc", "packages", "date"] {
        assert!(values.contains_key(&format!("machine_{what}")), "the machine's {what} is missing; {AGAIN}");
    }
}

/// What the page on the seven ways explains. It holds on any machine; how much and how long it takes does not.
#[test]
fn each_way_to_restart_costs_what_its_page_explains() {
    let values = values("gen/compare/values.md");
    let number = |way, figure| compared(&values, way, figure);
    for ours in ["polite_drain", "handover"] {
        assert_eq!(values[&format!("{ours}_lost_in_worst_run")], "0", "{ours} lost a request: find out why");
    }
    for losing in ["kill_start", "stop_start", "close_idle"] {
        assert!(number(losing, "lost") > 0.0, "{losing} should lose requests; {AGAIN}");
    }
    for refusing in ["kill_start", "stop_start"] {
        assert!(number(refusing, "refused") > 0.0, "{refusing} should refuse connections; {AGAIN}");
        assert!(number(refusing, "without_service") > number(refusing, "calm_without_service"), "{refusing}");
    }
    assert!(number("stop_start", "lost") > number("kill_start", "lost"), "the stop should lose more; {AGAIN}");
    // A client in the queue is not refused; but no process serves it.
    assert!(number("retire_first", "without_service") > number("polite_drain", "without_service"));
    // Each restart closes all connections, except those that are not open at that moment.
    let all = number("polite_drain", "closed");
    for way in WAYS.into_iter().filter(|way| *way != "handover") {
        let closed = number(way, "closed");
        assert!(closed > all / 2.0, "{way} should close every connection, and closed {closed}; {AGAIN}");
    }
    assert_eq!(values["handover_closed"], "0", "a connection was closed: find out why");
}

#[test]
fn a_comparison_for_other_programs_is_that_of_the_page() {
    let comparison: serde_json::Value = serde_json::from_str(&read("gen/compare/figures.json")).expect("it is JSON");
    let values = values("gen/compare/values.md");
    let outcomes = comparison["outcomes"].as_array().expect("there are outcomes");
    let names: Vec<_> = outcomes.iter().filter_map(|outcome| outcome["name"].as_str()).collect();
    assert_eq!(names.join(" ").replace('-', "_"), WAYS.join(" "), "{AGAIN}");
    for (outcome, way) in outcomes.iter().zip(WAYS) {
        let lost = outcome["figures"]["lost"].as_f64().expect("it is a number");
        assert!((lost - compared(&values, way, "lost")).abs() < f64::EPSILON, "{way}: of another run; {AGAIN}");
        let runs = outcome["runs"].as_array().map(Vec::len);
        assert_eq!(runs.map(|runs| runs.to_string()).as_deref(), Some(values["repeats"].as_str()), "{way}");
    }
}

#[test]
fn a_bar_chart_has_a_bar_for_whatever_is_more_than_nothing() {
    let values = values("gen/compare/values.md");
    for column in lab::restart::COLUMNS.iter().filter(|column| column.chart.is_some()) {
        let svg = read(&format!("gen/compare/{}.svg", column.key.replace('_', "-")));
        let more_than_nothing = WAYS.iter().filter(|way| compared(&values, way, column.key) > 0.0).count();
        let bars = svg.matches("<rect ").count();
        assert_eq!(bars, more_than_nothing, "{}.svg is of another run; {AGAIN}", column.key);
        assert!(!svg.contains("\n\n"), "{}.svg has an empty line, which would end it in a page", column.key);
    }
}
