//! A single restart, request by request, as the introduction shows it.
//!
//! The invariant: a picture has a bar for each request that its words and the values count.

use scraper::{Html, Selector};

use super::values::{read, values};

/// What to do about a failure.
const AGAIN: &str = "draw again: cargo run --release -p lab -- timelines book/src/gen/timelines";

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
        assert!(bars(&timeline(name), "lost") > 0, "{name}.svg should show lost requests; {AGAIN}");
    }
    assert_eq!(bars(&timeline("upgrade"), "lost"), 0, "upgrade.svg shows a lost request: find out why, or {AGAIN}");
}

/// What the introduction says about the first two pictures.
#[test]
fn a_graceful_stop_cuts_nothing_off_and_loses_more_than_a_kill() {
    let values = values("gen/timelines/values.md");
    let count = |key: &str| values[key].parse::<usize>().unwrap_or_else(|error| panic!("{key}: {error}"));
    assert!(count("kill_cut") > 0, "a kill should cut requests off; {AGAIN}");
    assert_eq!(count("stop_start_cut"), 0, "a graceful stop should cut nothing off; {AGAIN}");
    assert!(count("stop_start_lost") > count("kill_lost"), "the stop should lose more than the kill; {AGAIN}");
}

#[test]
fn a_timeline_says_what_it_shows() {
    let values = values("gen/timelines/values.md");
    for name in ["kill", "stop-start", "upgrade"] {
        let svg = timeline(name);
        let [old, new, lost] = ["accent", "accent-2", "lost"].map(|class| bars(&svg, class));
        assert!(old > 0 && new > 0, "{name}.svg should show both processes at work; {AGAIN}");

        let desc = svg.select(&Selector::parse("desc").expect("it is a selector")).next();
        let desc: String = desc.expect("a picture has a description").text().collect();
        let numbers = format!("{} answered, {lost} lost.", old + new);
        assert!(desc.starts_with(&numbers), "{name}.svg has the bars of {numbers:?}, and says {desc:?}");

        let value = |what: &str| values[&format!("{}_{what}", name.replace('-', "_"))].as_str();
        assert_eq!(value("answered"), (old + new).to_string(), "{name}: values.md is of another run; {AGAIN}");
        assert_eq!(value("lost"), lost.to_string(), "{name}: values.md is of another run; {AGAIN}");
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
