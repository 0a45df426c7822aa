//! How costs grow with the work.
//!
//! The invariant: what is drawn is what was measured, all of it, and each line is the one that the values name.

use scraper::{Html, Selector};

use super::AGAIN;
use super::values::{read, values};

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

#[test]
fn every_cost_that_grows_has_its_line() {
    let values = values("gen/values.md");
    for key in LINES {
        let line = values.get(&format!("{key}_line")).unwrap_or_else(|| panic!("no line of {key}; {AGAIN}"));
        let has_words = line.contains(" per ") || line.starts_with("no trend, ") || line.starts_with("flat, ");
        assert!(has_words, "{key}: {line:?} should say what costs how much; {AGAIN}");
        assert!(!line.starts_with('−'), "{key}: {line:?}: nothing costs less than nothing; {AGAIN}");
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
