//! All pages in the browser, one after the other.
//!
//! The invariant: every page that a reader can come to is looked at once, by one of two windows: two processors carry
//! no more.

use std::sync::Mutex;

use super::browser::Browser;
use super::built::Built;
use super::host::Host;
use super::page::{Sight, look};

/// Not pages of their own: the first page once more, the list of pages for browsers without scripts, and all pages in
/// one.
const NOT_LOOKED_AT: [&str; 3] = ["index.html", "toc.html", "print.html"];

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What was seen of each page, by its name.
pub(crate) async fn every_page(browser: &Browser, book: &Built, axe: &str) -> Result<Vec<(String, Sight)>, Failure> {
    let host = Host::of(book.directory());
    let names = book.pages().into_iter().map(|page| page.name).filter(|name| !NOT_LOOKED_AT.contains(&name.as_str()));
    let queue = Mutex::new(names.collect::<Vec<_>>());
    let next = || queue.lock().ok()?.pop();

    let window = async || {
        let tab = browser.open().await?;
        let mut seen = Vec::new();
        while let Some(name) = next() {
            seen.push((name.clone(), look(&tab, &host.url(&name), axe).await?));
        }
        Ok::<_, Failure>(seen)
    };
    let (one, other) = tokio::try_join!(window(), window())?;
    let mut seen = [one, other].into_iter().flatten().collect::<Vec<_>>();
    seen.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(seen)
}
