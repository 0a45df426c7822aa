//! What stands between `{{#` and `}}`.
//!
//! The invariant: every directive is an include of a whole file or of an anchor, and puts something on the page. mdBook
//! itself stays silent: for an anchor that does not exist it puts nothing there, and for a file that does not exist
//! it leaves the directive as it is.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::anchors::{Marker, anchored, markers};
use super::files::{Files, line, resolve};

/// `{{#KIND ARGUMENT}}`, unless a backslash makes it plain text.
static DIRECTIVE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?<escape>\\)?\{\{\s*#(?<kind>\w*)\s*(?<argument>[^}]*)\}\}").expect("a regex"));

/// One `{{#include FILE:ANCHOR}}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Include {
    /// From the root of the repository.
    pub(crate) file: String,
    pub(crate) anchor: Option<String>,
    /// Where in the page it stands.
    pub(crate) place: Range<usize>,
}

/// The includes of a page, in order.
pub(crate) fn includes(page: &str, text: &str) -> Vec<Include> {
    let directives = DIRECTIVE.captures_iter(text).filter(|it| it.name("escape").is_none() && &it["kind"] == "include");
    let include = |directive: regex::Captures<'_>| {
        let argument = directive["argument"].trim();
        let (file, anchor) =
            argument.split_once(':').map_or((argument, None), |(file, it)| (file, Some(it.to_owned())));
        Include { file: resolve(page, file), anchor, place: directive.get_match().range() }
    };
    directives.map(include).collect()
}

/// What is wrong with the directives of all pages.
pub(crate) fn complaints(files: &Files) -> Vec<String> {
    let mut complaints = Vec::new();
    for (page, text) in files.pages() {
        for directive in DIRECTIVE.captures_iter(text).filter(|directive| directive.name("escape").is_none()) {
            if &directive["kind"] != "include" {
                let (line, kind) = (line(text, directive.get_match().start()), &directive["kind"]);
                complaints.push(format!("{page}:{line}: `{kind}` is not for this book: use `include`"));
            }
        }
        for include in includes(page, text) {
            if let Err(complaint) = look_up(files, &include) {
                complaints.push(format!("{page}:{}: {complaint}", line(text, include.place.start)));
            }
        }
    }
    complaints
}

/// Refuses an include that would put nothing on the page, or something that should not be there.
fn look_up(files: &Files, Include { file, anchor, .. }: &Include) -> Result<(), String> {
    let text = files.text(file).ok_or_else(|| format!("there is no {file}"))?;
    let Some(anchor) = anchor else {
        let shows_markers = markers(text).any(|(_, marker)| matches!(marker, Marker::Start(_)));
        return match () {
            () if text.trim().is_empty() => Err(format!("{file} is empty")),
            () if shows_markers => Err(format!("the page would show the anchors in {file}: give all of it one, too")),
            () => Ok(()),
        };
    };
    if anchor.starts_with(|first: char| first.is_ascii_digit() || first == ':') || anchor.is_empty() {
        return Err(format!("lines move: mark the part of {file} with an anchor"));
    }
    let part = anchored(text, anchor).ok_or_else(|| format!("{file} has no anchor `{anchor}`"))?;
    if part.trim().is_empty() { Err(format!("the anchor `{anchor}` in {file} is empty")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str =
        "//! Code.\n// ANCHOR: main\nfn main() {}\n// ANCHOR_END: main\n// ANCHOR: no\n\n// ANCHOR_END: no\n";

    #[track_caller]
    fn assert_refused(page: &str, why: &str) {
        let files = Files::of([("book/src/a.md", page), ("a.rs", CODE), ("b.rs", "mod a;"), ("empty", "\n")]);
        let complaints = complaints(&files);
        assert_eq!(complaints, [format!("book/src/a.md:2: {why}")], "for {page:?}");
    }

    #[test]
    fn what_includes_something_passes() {
        let page = "{{#include ../../a.rs:main}} and {{#include ../../b.rs}} and \\{{#include ../../c.rs}}";
        let files = Files::of([("book/src/a.md", page), ("a.rs", CODE), ("b.rs", "mod a;")]);
        assert_eq!(complaints(&files), [""; 0]);
        let included: Vec<_> = includes("book/src/a.md", page).into_iter().map(|it| (it.file, it.anchor)).collect();
        assert_eq!(included, [("a.rs".to_owned(), Some("main".to_owned())), ("b.rs".to_owned(), None)]);
    }

    #[test]
    fn what_includes_nothing_is_refused() {
        assert_refused("\n{{#include ../../c.rs}}", "there is no c.rs");
        assert_refused("\n{{#include ../../empty}}", "empty is empty");
        assert_refused("\n{{#include ../../a.rs:other}}", "a.rs has no anchor `other`");
        assert_refused("\n{{#include ../../a.rs:no}}", "the anchor `no` in a.rs is empty");
    }

    #[test]
    fn what_shows_more_than_it_should_is_refused() {
        assert_refused("\n{{#include ../../a.rs}}", "the page would show the anchors in a.rs: give all of it one, too");
        assert_refused("\n{{#include ../../b.rs:1:2}}", "lines move: mark the part of b.rs with an anchor");
        assert_refused("\n{{#playground ../../b.rs}}", "`playground` is not for this book: use `include`");
        assert_refused("\n{{#title Else}}", "`title` is not for this book: use `include`");
    }
}
