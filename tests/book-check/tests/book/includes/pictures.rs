//! The pictures.
//!
//! The invariant: a picture is a file that some page includes; it says in words what it shows, takes its size and its
//! colours from the page, and can stand beside any other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use scraper::{ElementRef, Html, Selector};

use super::directives::includes;
use super::files::{Files, PAGES, line};

const STYLE: &str = "book/assets/book.css";

/// A colour given to a shape: as an attribute, or as a style.
static COLOUR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\b(?:fill|stroke|color)(?:="|\s*:\s*)(?<colour>[^";]*)"#).expect("a regex"));

/// An element that another one refers to.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"(?:url\(|href=")#(?<id>[\w-]+)"#).expect("a regex"));

/// What is wrong with the pictures.
pub(crate) fn complaints(files: &Files) -> Vec<String> {
    let style = files.text(STYLE).unwrap_or_default();
    let used: BTreeSet<_> = files.pages().flat_map(|(page, text)| includes(page, text)).map(|it| it.file).collect();
    let mut owners = BTreeMap::new();
    let mut complaints = Vec::new();
    for (path, text) in files.within(PAGES, ".svg") {
        if !used.contains(path) {
            complaints.push(format!("{path}: no page includes this picture"));
        }
        for id in ids(&Html::parse_fragment(text)) {
            if let Some(other) = owners.insert(id.clone(), path) {
                complaints.push(format!("{path}: the id `{id}` is taken by {other}"));
            }
        }
        complaints.extend(faults(text, style).into_iter().map(|fault| format!("{path}: {fault}")));
    }
    for (page, text) in files.pages() {
        if let Some(offset) = text.find("<svg") {
            complaints.push(format!("{page}:{}: a picture is a file of its own: include it", line(text, offset)));
        }
    }
    complaints
}

/// What is wrong with one picture, by itself.
fn faults(text: &str, style: &str) -> Vec<String> {
    let html = Html::parse_fragment(text);
    let Some(svg) = html.select(&selector("svg")).next() else {
        return vec!["this is no SVG".to_owned()];
    };
    let mut faults = Vec::new();
    if text.trim().lines().any(|line| line.trim().is_empty()) {
        faults.push("an empty line would end it in the middle of a page".to_owned());
    }
    if svg.attr("viewBox").is_none() || svg.attr("width").is_some() || svg.attr("height").is_some() {
        faults.push("it has a `viewBox`, and its size from the page: no `width`, no `height`".to_owned());
    }
    if svg.attr("role") != Some("img") {
        faults.push("it needs `role=\"img\"`".to_owned());
    }
    let labels: Vec<_> = svg.attr("aria-labelledby").unwrap_or_default().split_whitespace().collect();
    for part in ["title", "desc"] {
        let says = |element: ElementRef<'_>| element.text().any(|text| !text.trim().is_empty());
        let element = svg.select(&selector(&format!("svg > {part}"))).next().filter(|element| says(*element));
        if !element.is_some_and(|element| element.attr("id").is_some_and(|id| labels.contains(&id))) {
            faults.push(format!("it needs a `<{part}>` with words, and its id in `aria-labelledby`"));
        }
    }
    for colour in COLOUR.captures_iter(text).map(|found| found["colour"].to_owned()) {
        let follows = ["none", "inherit", "currentColor", "context-fill", "context-stroke", "var(", "url("];
        if !follows.iter().any(|start| colour.starts_with(start)) {
            faults.push(format!("the colour `{colour}` does not follow the theme"));
        }
    }
    let classes: BTreeSet<_> =
        html.select(&selector("[class]")).flat_map(|element| element.value().classes()).collect();
    for class in classes {
        let known = Regex::new(&format!(r"\.{}\b", regex::escape(class))).expect("a regex");
        if !known.is_match(style) {
            faults.push(format!("{STYLE} has no class `{class}`"));
        }
    }
    let ids = ids(&html);
    for reference in REFERENCE.captures_iter(text).filter(|reference| !ids.iter().any(|id| *id == reference["id"])) {
        faults.push(format!("nothing in it has the id `{}`", &reference["id"]));
    }
    faults
}

fn ids(html: &Html) -> Vec<String> {
    html.select(&selector("[id]")).filter_map(|element| element.attr("id").map(str::to_owned)).collect()
}

fn selector(selector: &str) -> Selector {
    Selector::parse(selector).expect("a selector")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"<svg viewBox="0 0 9 9" role="img" aria-labelledby="t d">
<title id="t">A title</title>
<desc id="d">What it shows</desc>
<marker id="m"><path fill="currentColor"/></marker>
<path class="accent" style="stroke: none" marker-end="url(#m)"/>
</svg>
"#;

    /// What is refused once `part` of the good picture is replaced.
    #[track_caller]
    fn assert_refused(part: &str, replacement: &str, why: &[&str]) {
        assert!(GOOD.contains(part), "{part:?} is not part of the picture");
        assert_eq!(faults(&GOOD.replacen(part, replacement, 1), ".accent { fill: red }"), why, "for {replacement:?}");
    }

    #[test]
    fn a_good_picture_passes() {
        assert_refused("", "", &[]);
    }

    #[test]
    fn a_picture_without_words_is_refused() {
        let title = "it needs a `<title>` with words, and its id in `aria-labelledby`";
        let desc = title.replace("title", "desc");
        assert_refused("A title", " ", &[title]);
        assert_refused("<title id=\"t\">A title</title>\n", "", &[title]);
        assert_refused(r#"="t d""#, r#"="t""#, &[&desc]);
        assert_refused(r#" role="img""#, "", &["it needs `role=\"img\"`"]);
    }

    #[test]
    fn a_picture_that_does_not_fit_the_page_is_refused() {
        assert_refused("\n<desc", "\n \n<desc", &["an empty line would end it in the middle of a page"]);
        let size = "it has a `viewBox`, and its size from the page: no `width`, no `height`";
        assert_refused(r#"viewBox="0 0 9 9""#, "", &[size]);
        assert_refused("role", r#"width="9" role"#, &[size]);
    }

    #[test]
    fn a_picture_with_colours_of_its_own_is_refused() {
        assert_refused("currentColor", "#000", &["the colour `#000` does not follow the theme"]);
        assert_refused("stroke: none", "stroke: red", &["the colour `red` does not follow the theme"]);
        assert_refused("accent", "accent-3", &["book/assets/book.css has no class `accent-3`"]);
    }

    #[test]
    fn a_picture_that_refers_to_nothing_is_refused() {
        assert_refused("url(#m)", "url(#n)", &["nothing in it has the id `n`"]);
    }

    #[test]
    fn a_picture_that_no_page_has_is_refused() {
        let files = |page| Files::of([("book/src/a.md", page), ("book/src/a.svg", GOOD), (STYLE, ".accent {}")]);
        assert_eq!(complaints(&files("{{#include a.svg}}")), [""; 0]);
        assert_eq!(complaints(&files("")), ["book/src/a.svg: no page includes this picture"]);
    }

    #[test]
    fn two_pictures_share_no_id() {
        let page = "{{#include a.svg}} {{#include b.svg}}";
        let (style, other) = (".accent {}", GOOD.replace("\"t", "\"u").replace("\"d\"", "\"e\"").replace("u d", "u e"));
        let files =
            Files::of([("book/src/a.md", page), ("book/src/a.svg", GOOD), ("book/src/b.svg", &other), (STYLE, style)]);
        assert_eq!(complaints(&files), ["book/src/b.svg: the id `m` is taken by book/src/a.svg"]);
    }

    #[test]
    fn a_picture_in_the_middle_of_a_page_is_refused() {
        let files = Files::of([("book/src/a.md", "\n<figure><svg></svg></figure>")]);
        assert_eq!(complaints(&files), ["book/src/a.md:2: a picture is a file of its own: include it"]);
    }
}
