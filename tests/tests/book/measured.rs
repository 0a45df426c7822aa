//! What was measured is there, whole, and keeps its promises.
//!
//! The invariant: no test here asserts a time. Another machine measures others; what must not change with the machine is
//! the verdict on each limit, and what a picture shows. (That no page includes a value that is
//! not there is a matter of `includes`.)

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use regex::Regex;
use scraper::{Html, Selector};

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

/// Costs that grow with the work, or are promised not to: each has a straight line.
const LINES: [&str; 10] = [
    "fork",
    "spawn",
    "listeners",
    "listeners_gone",
    "idle_cpu",
    "idle_answer",
    "idle_worst",
    "idle_gone",
    "generations",
    "generations_memory",
];

/// The pictures of them, how many costs each shows, and at how many sizes.
const CHARTS: [(&str, usize, usize); 8] = [
    ("spawn", 2, 4),
    ("listeners", 2, 6),
    ("idle", 2, 4),
    ("idle-cpu", 1, 4),
    ("idle-gone", 1, 4),
    ("generations", 1, 5),
    ("generations-memory", 1, 5),
    ("handover", 1, 4),
];

/// Figures, and how many of their rows have a limit.
const LIMITS: [(&str, usize); 11] = [
    ("throughput", 2),
    ("memory", 1),
    ("first-answer", 1),
    ("both-accept", 1),
    ("old-gone", 1),
    ("spawn", 6),
    ("listeners", 0),
    ("idle", 0),
    ("generations", 4),
    ("handover", 2),
    ("dispatch", 0),
];

/// What to do about a failure.
const AGAIN: &str = "measure again, on a quiet machine: cargo bench -p lab -- --book";
const DRAW_AGAIN: &str = "draw again: cargo run --release -p lab -- timelines book/src/gen/timelines";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../book/src").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between the anchors of a file of values, by key.
fn values(path: &str) -> BTreeMap<String, String> {
    let text = read(path);
    let value = Regex::new(r"ANCHOR: (\w+)\n(.+)\nANCHOR_END: (\w+)\n").expect("it is a pattern");
    let mut values = BTreeMap::new();
    for captures in value.captures_iter(&text) {
        let [key, value, end] = captures.extract().1;
        assert_eq!(key, end, "{path}: an anchor should end before the next begins");
        let before = values.insert(key.to_owned(), value.to_owned());
        assert_eq!(before, None, "{path}: there are two values called {key}");
    }
    assert_eq!(
        values.len() * 3,
        text.lines().count(),
        "{path} should have an anchor, a line and an anchor for each value"
    );
    values
}

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
        for column in ["figure", "median", "8 in 10 lie in", "samples"] {
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
fn every_cost_that_grows_has_its_line() {
    let values = values("gen/values.md");
    for key in LINES {
        let line = values.get(&format!("{key}_line")).unwrap_or_else(|| panic!("no line of {key}; {AGAIN}"));
        assert!(line.contains(" per "), "{key}: {line:?} should say what costs how much; {AGAIN}");
        assert!(values.contains_key(&format!("{key}_line_r2")), "no R² of {key}; {AGAIN}");
    }
}

#[test]
fn a_chart_shows_every_cost_at_every_size() {
    let values = values("gen/values.md");
    for (name, curves, sizes) in CHARTS {
        let svg = Html::parse_fragment(&read(&format!("gen/growth/{name}.svg")));
        let marks = |path: &str| svg.select(&Selector::parse(path).expect("it is a selector")).count();
        let marks = marks("g circle") + marks("g rect") + marks("g path[d$=z]");
        assert_eq!(marks, curves * sizes, "{name}.svg should have a mark for each cost and size; {AGAIN}");
        let text = Selector::parse("text").expect("it is a selector");
        let lines = svg.select(&text).filter_map(|text| Some(text.text().next()?.split_once(": ")?.1.to_owned()));
        let unknown: Vec<_> = lines.filter(|line| !values.values().any(|value| value == line)).collect();
        assert_eq!(unknown, [""; 0], "{name}.svg and values.md should be of one run; {AGAIN}");
    }
}

#[test]
fn tables_and_values_are_of_one_run() {
    let tables = read("gen/figures.md");
    for (key, value) in values("gen/values.md") {
        let stands_there = tables.contains(&format!(" {value} |")) || tables.contains(&format!(" {value}; "));
        assert!(
            stands_there || tables.contains(&format!(" {value}.\n")),
            "{key} is {value} only in values.md; {AGAIN}"
        );
    }
}

#[test]
fn every_limit_is_kept() {
    let figures = figures();
    for (name, limits) in LIMITS {
        let rows = figures.iter().find(|(figure, _)| figure == name).map(|(_, rows)| rows);
        let rows = rows.unwrap_or_else(|| panic!("figures.md has no {name}; {AGAIN}"));
        let missed = rows.iter().find(|row| row.iter().any(|cell| cell.ends_with(", missed")));
        assert_eq!(missed, None, "{name}: the book promises more than was measured; {AGAIN}");
        let kept = rows.iter().flatten().filter(|cell| cell.ends_with(", kept")).count();
        assert_eq!(kept, limits, "{name}: how many rows have a limit; {AGAIN}");
    }
    assert_eq!(figures.len(), LIMITS.len(), "a figure is in the book that this test does not know");
}

/// What the page on the costs of dispatch explains. It does not say how long each takes.
#[test]
fn the_ways_from_signal_to_code_stand_in_the_order_that_the_page_explains() {
    let values = values("gen/values.md");
    let number = |key: &str| {
        let number = values[key].split('\u{a0}').next().and_then(|number| number.parse::<f64>().ok());
        number.unwrap_or_else(|| panic!("{key} is {:?}, which is no number", values[key]))
    };
    for (less, more) in [
        ("floor", "flag"),
        ("floor", "self_pipe"),
        ("self_pipe", "signal_hook"),
        ("self_pipe", "registry"),
        ("signal_hook", "ours"),
        ("ours", "ours_async"),
        ("tokio", "tokio_workers"),
    ] {
        let [less, more] = [less, more].map(|way| format!("dispatch_{way}"));
        assert!(number(&less) < number(&more), "{less} should take less than {more}; {AGAIN}");
    }
    for (way, calls) in [("floor", 1.0), ("flag", 4.0), ("self_pipe", 4.0), ("signal_hook", 5.0)] {
        let key = format!("dispatch_{way}_system_calls");
        assert!((number(&key) - calls).abs() < f64::EPSILON, "the page explains {calls} calls for {key}");
    }
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

/// The bars of one class, in a committed timeline.
fn bars(svg: &Html, class: &str) -> usize {
    svg.select(&Selector::parse(&format!("g.{class} rect")).expect("it is a selector")).count()
}

fn timeline(name: &str) -> Html {
    Html::parse_fragment(&read(&format!("gen/timelines/{name}.svg")))
}

#[test]
fn only_an_upgrade_loses_no_request() {
    for name in ["kill", "stop-start"] {
        assert!(bars(&timeline(name), "lost") > 0, "{name}.svg should show lost requests; {DRAW_AGAIN}");
    }
    assert_eq!(
        bars(&timeline("upgrade"), "lost"),
        0,
        "upgrade.svg shows a lost request: find out why, or {DRAW_AGAIN}"
    );
}

/// What the introduction says about the first two pictures.
#[test]
fn a_graceful_stop_cuts_nothing_off_and_loses_more_than_a_kill() {
    let values = values("gen/timelines/values.md");
    let count = |key: &str| values[key].parse::<usize>().unwrap_or_else(|error| panic!("{key}: {error}"));
    assert!(count("kill_cut") > 0, "a kill should cut requests off; {DRAW_AGAIN}");
    assert_eq!(count("stop_start_cut"), 0, "a graceful stop should cut nothing off; {DRAW_AGAIN}");
    assert!(count("stop_start_lost") > count("kill_lost"), "the stop should lose more than the kill; {DRAW_AGAIN}");
}

#[test]
fn a_timeline_says_what_it_shows() {
    let values = values("gen/timelines/values.md");
    for name in ["kill", "stop-start", "upgrade"] {
        let svg = timeline(name);
        let [old, new, lost] = ["accent", "accent-2", "lost"].map(|class| bars(&svg, class));
        assert!(old > 0 && new > 0, "{name}.svg should show both processes at work; {DRAW_AGAIN}");

        let desc = svg.select(&Selector::parse("desc").expect("it is a selector")).next();
        let desc: String = desc.expect("a picture has a description").text().collect();
        let numbers = format!("{} answered, {lost} lost.", old + new);
        assert!(desc.starts_with(&numbers), "{name}.svg has the bars of {numbers:?}, and says {desc:?}");

        let value = |what: &str| values[&format!("{}_{what}", name.replace('-', "_"))].as_str();
        assert_eq!(value("answered"), (old + new).to_string(), "{name}: values.md is of another run; {DRAW_AGAIN}");
        assert_eq!(value("lost"), lost.to_string(), "{name}: values.md is of another run; {DRAW_AGAIN}");
    }
}

#[test]
fn a_timeline_can_be_included_in_a_page() {
    for name in ["kill", "stop-start", "upgrade"] {
        let svg = read(&format!("gen/timelines/{name}.svg"));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("\n\n"), "{name}.svg");
        let labelled = format!("aria-labelledby=\"timeline-{name}-title timeline-{name}-desc\"");
        assert!(svg.contains(&labelled), "{name}.svg should be labelled by its own title and description");
    }
}

/// The ways to restart, from the first to the last.
const WAYS: [&str; 7] =
    ["kill_start", "stop_start", "share_port", "retire_first", "close_idle", "polite_drain", "handover"];
const COMPARE_AGAIN: &str = "compare again: cargo run --release -p lab -- compare --book book/src/gen/compare";

/// A figure of a way, as a number.
fn compared(values: &BTreeMap<String, String>, way: &str, figure: &str) -> f64 {
    let key = format!("{way}_{figure}");
    let value = values.get(&key).unwrap_or_else(|| panic!("gen/compare/values.md has no {key}; {COMPARE_AGAIN}"));
    let number = value.trim_end_matches("\u{a0}ms").replace(',', "");
    number.parse().unwrap_or_else(|error| panic!("{key} is {value:?}: {error}"))
}

#[test]
fn every_way_to_restart_is_there_with_every_figure() {
    let (values, table) = (values("gen/compare/values.md"), read("gen/compare/table.md"));
    for way in WAYS {
        for column in lab::restart::COLUMNS {
            let number = compared(&values, way, column.key);
            assert!(number >= 0.0, "{way}_{} is {number}; {COMPARE_AGAIN}", column.key);
            let value = &values[&format!("{way}_{}", column.key)];
            assert!(table.contains(&format!(" {value} |")), "{way}_{} is {value} only in values.md", column.key);
        }
        assert!(compared(&values, way, "requests") > 1000.0, "{way} was hardly under load; {COMPARE_AGAIN}");
    }
    let restarts: u32 = values["restarts"].parse().expect("it is a number");
    let repeats: u32 = values["repeats"].parse().expect("it is a number");
    assert!(restarts >= 5 && repeats >= 3, "{repeats} runs of {restarts} restarts are too few for a median");
    for what in ["processors", "kernel", "rustc", "packages", "date"] {
        assert!(values.contains_key(&format!("machine_{what}")), "the machine's {what} is missing; {COMPARE_AGAIN}");
    }
}

/// What the page on the seven ways is about. That is so on any machine; how much and how long, is not.
#[test]
fn each_way_to_restart_costs_what_its_page_explains() {
    let values = values("gen/compare/values.md");
    let number = |way, figure| compared(&values, way, figure);
    for ours in ["polite_drain", "handover"] {
        assert_eq!(values[&format!("{ours}_lost_in_worst_run")], "0", "{ours} lost a request: find out why");
    }
    for losing in ["kill_start", "stop_start", "close_idle"] {
        assert!(number(losing, "lost") > 0.0, "{losing} should lose requests; {COMPARE_AGAIN}");
    }
    for refusing in ["kill_start", "stop_start"] {
        assert!(number(refusing, "refused") > 0.0, "{refusing} should refuse connections; {COMPARE_AGAIN}");
        assert!(number(refusing, "without_service") > number(refusing, "calm_without_service"), "{refusing}");
    }
    assert!(number("stop_start", "lost") > number("kill_start", "lost"), "the stop should lose more; {COMPARE_AGAIN}");
    // Whoever waits in the queue is not refused; but nobody serves.
    assert!(number("retire_first", "without_service") > number("polite_drain", "without_service"));
    // At each restart, all of them, but for those that were not open at that moment.
    let all = number("polite_drain", "closed");
    for way in WAYS.into_iter().filter(|way| *way != "handover") {
        let closed = number(way, "closed");
        assert!(closed > all / 2.0, "{way} should close every connection, and closed {closed}; {COMPARE_AGAIN}");
    }
    assert_eq!(values["handover_closed"], "0", "a connection was closed: find out why");
}

#[test]
fn a_comparison_for_other_programs_is_that_of_the_page() {
    let comparison: serde_json::Value = serde_json::from_str(&read("gen/compare/figures.json")).expect("it is JSON");
    let values = values("gen/compare/values.md");
    let outcomes = comparison["outcomes"].as_array().expect("there are outcomes");
    let names: Vec<_> = outcomes.iter().filter_map(|outcome| outcome["name"].as_str()).collect();
    assert_eq!(names.join(" ").replace('-', "_"), WAYS.join(" "), "{COMPARE_AGAIN}");
    for (outcome, way) in outcomes.iter().zip(WAYS) {
        let lost = outcome["figures"]["lost"].as_f64().expect("it is a number");
        assert!((lost - compared(&values, way, "lost")).abs() < f64::EPSILON, "{way}: of another run; {COMPARE_AGAIN}");
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
        assert_eq!(bars, more_than_nothing, "{}.svg is of another run; {COMPARE_AGAIN}", column.key);
        assert!(!svg.contains("\n\n"), "{}.svg has an empty line, which would end it in a page", column.key);
    }
}
