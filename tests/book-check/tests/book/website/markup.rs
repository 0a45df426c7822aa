//! What is on the pages once mdBook is done with them.
//!
//! The invariant: no directive is left over, and every picture stands in a `<figure>`, from which it gets its size and
//! its colours.

use scraper::{Html, Selector};

use super::built::Page;

/// What is wrong with a page.
pub(crate) fn complaints(page: &Page) -> Vec<String> {
    let html = Html::parse_document(&page.html);
    // The others are icons of mdBook.
    let pictures = Selector::parse("main svg[role=img]").expect("a selector");
    let figures = Selector::parse("figure > svg[role=img]").expect("a selector");

    let mut complaints = Vec::new();
    if page.html.contains("{{#") {
        complaints.push(format!("{}: an include is left over", page.name));
    }
    if html.select(&pictures).count() > html.select(&figures).count() {
        complaints.push(format!("{}: a picture stands right in a <figure>", page.name));
    }
    complaints
}

#[test]
fn what_mdbook_leaves_over_is_found() {
    let judged = |html: &str| complaints(&Page { name: "a.html".to_owned(), html: html.to_owned() });
    assert_eq!(judged("<main><figure><svg role=img></svg></figure></main>"), [""; 0]);
    assert_eq!(judged("<main>{{#include gone.md}}</main>"), ["a.html: an include is left over"]);
    assert_eq!(judged("<main><p><svg role=img></svg></p></main>"), ["a.html: a picture stands right in a <figure>"]);
}
