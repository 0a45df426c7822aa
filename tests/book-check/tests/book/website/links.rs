//! The links of the built book.
//!
//! The invariant: a link within the book leads to a file, and to a place in it if it names one; and whatever a page
//! loads is in the book. A link out of the book is for the reader to follow.

use std::collections::{BTreeMap, BTreeSet};

use scraper::{Html, Selector};

use super::built::Page;

/// What is wrong with the links of `pages`, which may lead to each other and to `files`.
pub(crate) fn complaints(pages: &[Page], files: &BTreeSet<String>) -> Vec<String> {
    let parsed: BTreeMap<_, _> =
        pages.iter().map(|page| (page.name.as_str(), Html::parse_document(&page.html))).collect();
    let places: BTreeMap<_, _> = parsed.iter().map(|(name, html)| (*name, ids(html))).collect();
    let linked = Selector::parse("[href], [src], [data]").expect("a selector");

    let mut complaints = Vec::new();
    for (page, html) in &parsed {
        for element in html.select(&linked) {
            let urls = ["href", "src", "data"].iter().filter_map(|attribute| element.attr(attribute));
            for url in urls {
                let follows = element.value().name() == "a";
                if let Err(complaint) = judge(page, url, follows, &places, files) {
                    complaints.push(format!("{page}: {complaint}"));
                }
            }
        }
    }
    complaints
}

fn judge(
    page: &str,
    url: &str,
    follows: bool,
    places: &BTreeMap<&str, BTreeSet<String>>,
    files: &BTreeSet<String>,
) -> Result<(), String> {
    if url.starts_with("//") || url.split(['/', '?', '#']).next().is_some_and(|start| start.contains(':')) {
        let stays = follows || url.starts_with("data:");
        return if stays { Ok(()) } else { Err(format!("loads {url}, which is not in the book")) };
    }
    let (path, place) = url.split_once('#').unwrap_or((url, ""));
    let file = match path.split('?').next().unwrap_or_default().trim_start_matches('/') {
        "" if path.starts_with('/') => "index.html",
        "" => page,
        file => file,
    };
    if !files.contains(file) {
        return Err(format!("{url} leads nowhere: there is no {file}"));
    }
    let named = |file| places.get(file).is_some_and(|places| places.contains(place));
    if place.is_empty() || named(file) { Ok(()) } else { Err(format!("{url} leads nowhere: {file} has no such place")) }
}

fn ids(html: &Html) -> BTreeSet<String> {
    let selector = Selector::parse("[id]").expect("a selector");
    html.select(&selector).filter_map(|element| element.attr("id").map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_judged(html: &str, complaint: &[&str]) {
        let page = |name: &str, html: &str| Page { name: name.to_owned(), html: html.to_owned() };
        let pages = [page("a.html", html), page("b.html", "<h1 id=place>B</h1>")];
        let files = ["a.html", "b.html", "c.css"].map(str::to_owned).into();
        assert_eq!(complaints(&pages, &files), complaint, "for {html}");
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        assert_judged("<a href='b.html'>b</a> <a href='b.html?from=a#place'>b</a> <link href='c.css'>", &[]);
        assert_judged("<a href='#here'>here</a> <a href='https://www.rfc-editor.org/#id'>out</a> <p id=here>", &[]);
        assert_judged("<img src='data:image/png;base64,AA'>", &[]);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        assert_judged("<a href='d.html'>d</a>", &["a.html: d.html leads nowhere: there is no d.html"]);
        assert_judged("<script src='d.js'></script>", &["a.html: d.js leads nowhere: there is no d.js"]);
        assert_judged("<a href='#there'>x</a>", &["a.html: #there leads nowhere: a.html has no such place"]);
        assert_judged(
            "<a href='b.html#there'>x</a>",
            &["a.html: b.html#there leads nowhere: b.html has no such place"],
        );
    }

    #[test]
    fn what_is_loaded_from_elsewhere_is_found() {
        for html in
            ["<script src='//cdn.example/x.js'>", "<link href='//cdn.example/x.js'>", "<img src='//cdn.example/x.js'>"]
        {
            assert_judged(html, &["a.html: loads //cdn.example/x.js, which is not in the book"]);
        }
        assert_judged(
            "<iframe src='https://x.example'>",
            &["a.html: loads https://x.example, which is not in the book"],
        );
    }
}
