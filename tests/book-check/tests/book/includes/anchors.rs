//! `ANCHOR: name` and `ANCHOR_END: name`: the part of a file that a page shows.
//!
//! The invariant: what is marked in code is on a page. A marker that no page uses is a riddle to a reader of the code.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::directives::includes;
use super::files::Files;

/// As mdBook reads it.
static MARKER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bANCHOR(?<end>_END)?:\s*(?<name>[\w-]+)").expect("a regex"));

/// One line that begins or ends a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker<'text> {
    Start(&'text str),
    End(&'text str),
}

/// Every marker with its line, the first line being 1.
pub(crate) fn markers(text: &str) -> impl Iterator<Item = (usize, Marker<'_>)> {
    text.lines().zip(1..).filter_map(|(text, line)| {
        let marker = MARKER.captures(text)?;
        let name = marker.name("name")?.as_str();
        Some((line, if marker.name("end").is_some() { Marker::End(name) } else { Marker::Start(name) }))
    })
}

/// The lines between the markers of `anchor`, without other markers, as mdBook shows them.
pub(crate) fn anchored(text: &str, anchor: &str) -> Option<String> {
    let start = markers(text).find_map(|(line, marker)| (marker == Marker::Start(anchor)).then_some(line))?;
    let end = markers(text).find_map(|(line, marker)| (marker == Marker::End(anchor)).then_some(line))?;
    let part = text.lines().take(end - 1).skip(start).filter(|line| !MARKER.is_match(line));
    Some(part.collect::<Vec<_>>().join("\n"))
}

/// What is wrong with the anchors in the code.
pub(crate) fn complaints(files: &Files) -> Vec<String> {
    let pages = files.pages().flat_map(|(page, text)| includes(page, text));
    let used: BTreeSet<_> = pages.filter_map(|include| Some((include.file, include.anchor?))).collect();
    // In the tests, code that writes anchors is no anchor.
    let code = [("chapters/", ".rs"), ("book/", ".rs"), ("book/", ".go")];
    let code = code.into_iter().flat_map(|(folder, ending)| files.within(folder, ending));

    let mut complaints = Vec::new();
    for (path, text) in code {
        for (line, marker) in markers(text) {
            let how_often = markers(text).filter(|(_, other)| *other == marker).count();
            match marker {
                Marker::Start(name) if !markers(text).any(|(_, other)| other == Marker::End(name)) => {
                    complaints.push(format!("{path}:{line}: the anchor `{name}` does not end"));
                }
                Marker::Start(name) if !used.contains(&(path.to_owned(), name.to_owned())) => {
                    complaints.push(format!("{path}:{line}: no page uses the anchor `{name}`"));
                }
                Marker::End(name)
                    if !markers(text).any(|(begun, other)| other == Marker::Start(name) && begun < line) =>
                {
                    complaints.push(format!("{path}:{line}: the anchor `{name}` ends without having begun"));
                }
                Marker::Start(name) if how_often > 1 => {
                    complaints.push(format!("{path}:{line}: there is more than one anchor `{name}`"));
                }
                _ => {}
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_refused(code: &str, why: &[&str]) {
        let page = "{{#include ../../chapters/a.rs:used}}";
        assert_eq!(complaints(&Files::of([("chapters/a.rs", code), ("book/src/a.md", page)])), why, "for {code:?}");
    }

    #[test]
    fn a_part_is_shown_without_the_markers_of_others() {
        let text = "a\n// ANCHOR: out\nb\n// ANCHOR: in\nc\n// ANCHOR_END: in\nd\n// ANCHOR_END: out\ne";
        assert_eq!(anchored(text, "out").as_deref(), Some("b\nc\nd"));
        assert_eq!(anchored(text, "in").as_deref(), Some("c"));
        assert_eq!(anchored(text, "i"), None);
    }

    #[test]
    fn an_anchor_that_is_used_passes() {
        assert_refused("// ANCHOR: used\nfn a() {}\n// ANCHOR_END: used", &[]);
    }

    #[test]
    fn an_anchor_that_no_page_uses_is_refused() {
        assert_refused("// ANCHOR: other\n// ANCHOR_END: other", &["chapters/a.rs:1: no page uses the anchor `other`"]);
    }

    #[test]
    fn an_anchor_without_two_ends_is_refused() {
        assert_refused("// ANCHOR: used", &["chapters/a.rs:1: the anchor `used` does not end"]);
        assert_refused("// ANCHOR_END: used", &["chapters/a.rs:1: the anchor `used` ends without having begun"]);
        let twice = "// ANCHOR: used\n// ANCHOR: used\n// ANCHOR_END: used";
        let why = "there is more than one anchor `used`";
        assert_refused(twice, &[&format!("chapters/a.rs:1: {why}"), &format!("chapters/a.rs:2: {why}")]);
    }
}
