//! `SUMMARY.md`.
//!
//! The invariant: it lists every page once, and nothing else.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::files::{Files, PAGES};

static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)]*)\)").expect("a regex"));

/// What is wrong with the list of pages.
pub(crate) fn complaints(files: &Files) -> Vec<String> {
    let summary = format!("{PAGES}SUMMARY.md");
    let mut listed = BTreeMap::<_, usize>::new();
    for link in LINK.captures_iter(files.text(&summary).unwrap_or_default()) {
        *listed.entry(format!("{PAGES}{}", &link[1])).or_default() += 1;
    }
    // What is generated is part of a page, not one.
    let pages = files.pages().map(|(page, _)| page).filter(|page| !page.starts_with(&format!("{PAGES}gen/")));
    let pages = pages.filter(|page| *page != summary);

    let unlisted = pages.filter(|page| !listed.contains_key(*page)).map(|page| format!("{summary} lacks {page}"));
    let missing = listed.keys().filter(|page| files.text(page).is_none());
    let missing = missing.map(|page| format!("{summary} lists {page}, which does not exist"));
    let twice = listed.iter().filter(|(_, times)| **times > 1);
    let twice = twice.map(|(page, times)| format!("{summary} lists {page} {times} times"));
    unlisted.chain(missing).chain(twice).collect()
}

#[test]
fn a_summary_of_every_page_passes() {
    let summary = "# Summary\n\n[A](a.md)\n\n- [B](b.md)\n";
    let files = Files::of([
        ("book/src/SUMMARY.md", summary),
        ("book/src/a.md", ""),
        ("book/src/b.md", ""),
        ("book/src/gen/c.md", ""),
    ]);
    assert_eq!(complaints(&files), [""; 0]);
}

#[test]
fn a_summary_that_is_not_true_is_refused() {
    let files = Files::of([
        ("book/src/SUMMARY.md", "[A](a.md)\n[A](a.md)\n[C](c.md)"),
        ("book/src/a.md", ""),
        ("book/src/b.md", ""),
    ]);
    let expected = [
        "book/src/SUMMARY.md lacks book/src/b.md",
        "book/src/SUMMARY.md lists book/src/c.md, which does not exist",
        "book/src/SUMMARY.md lists book/src/a.md 2 times",
    ];
    assert_eq!(complaints(&files), expected);
}
