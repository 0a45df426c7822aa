//! The code blocks of a page.
//!
//! The invariant: Rust and Go on a page are one include each, of a file that is compiled, below a line that names it;
//! what a terminal shows comes from a transcript. Only commands that a reader may type are typed.

use std::collections::BTreeSet;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::directives::{Include, includes};
use super::files::{Files, PAGES, line};

/// A code block, and the file that the line above it names.
#[derive(Debug)]
struct Block<'text> {
    /// What stands behind the fence; `None` for an indented block.
    info: Option<String>,
    text: String,
    names: Option<&'text str>,
    offset: usize,
}

/// What is wrong with the code blocks of all pages; `compiled` are the files whose Rust may be shown.
pub(crate) fn complaints(files: &Files, compiled: &BTreeSet<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (page, text) in files.pages() {
        for (offset, html) in html_blocks(text) {
            if html.contains("```") {
                let line = line(text, offset);
                complaints.push(format!("{page}:{line}: leave a line empty between HTML and a code block"));
            }
        }
        for block in blocks(text) {
            if let Err(complaint) = judge(page, &block, compiled) {
                complaints.push(format!("{page}:{}: {complaint}", line(text, block.offset)));
            }
        }
    }
    complaints
}

fn judge(page: &str, block: &Block<'_>, compiled: &BTreeSet<String>) -> Result<(), String> {
    let comes_from = |folder: &str| {
        let folder = format!("{PAGES}gen/{folder}/");
        if page.starts_with(&folder) { Ok(()) } else { Err(format!("this comes from a file in {folder}: include it")) }
    };
    match block.info.as_deref() {
        Some("rust") => listing(page, block, |file| compiled.contains(file), "of a file that Cargo compiles"),
        Some("go") => listing(page, block, |file| file.starts_with("book/go/"), "of a file in book/go"),
        Some("console") if block.text.lines().all(|line| line.starts_with("$ ")) => Ok(()),
        Some("console") => comes_from("transcripts"),
        Some("diff") => comes_from("diffs"),
        Some("text" | "toml") => Ok(()),
        Some(other) => Err(format!("`{other}` is none of the fences rust, go, console, diff, text and toml")),
        None => Err("code stands in a fence that says what it is".to_owned()),
    }
}

/// One include, of a file that is `allowed`, below its name.
fn listing(page: &str, block: &Block<'_>, allowed: impl Fn(&str) -> bool, what: &str) -> Result<(), String> {
    let code = block.text.trim();
    let include = match <[Include; 1]>::try_from(includes(page, code)) {
        Ok([include]) if include.place == (0..code.len()) && allowed(&include.file) => include,
        _ => return Err(format!("a listing is one include {what}, and nothing else")),
    };
    if block.names == Some(&include.file) {
        Ok(())
    } else {
        Err(format!("above the listing stands `<p class=\"file\">{}</p>`", include.file))
    }
}

/// All code blocks, in order.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut names = None;
    let mut code: Option<Block<'_>> = None;
    for (event, range) in parser(text) {
        match (event, &mut code) {
            (Event::Start(Tag::CodeBlock(kind)), _) => {
                let info = match kind {
                    CodeBlockKind::Fenced(info) => Some(info.to_string()),
                    CodeBlockKind::Indented => None,
                };
                code = Some(Block { info, text: String::new(), names: names.take(), offset: range.start });
            }
            (Event::Text(part), Some(block)) => block.text.push_str(&part),
            (Event::End(TagEnd::CodeBlock), _) => blocks.extend(code.take()),
            (Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock), _) => {}
            (Event::Html(_), _) => names = named(&text[range]),
            _ => names = None,
        }
    }
    blocks
}

/// Where each block of HTML begins, and the block.
fn html_blocks(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let starts = parser(text).filter(|(event, _)| matches!(event, Event::Start(Tag::HtmlBlock)));
    starts.map(|(_, range)| (range.start, &text[range]))
}

/// The file that a line of HTML names.
fn named(html: &str) -> Option<&str> {
    html.trim().strip_prefix(r#"<p class="file">"#)?.strip_suffix("</p>")
}

/// Markdown as mdBook reads it, as far as blocks are concerned.
fn parser(text: &str) -> impl Iterator<Item = (Event<'_>, std::ops::Range<usize>)> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_GFM
        | Options::ENABLE_HEADING_ATTRIBUTES;
    Parser::new_ext(text, options).into_offset_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, page: &str) -> Vec<String> {
        complaints(&Files::of([(name, page)]), &BTreeSet::from(["chapters/a.rs".to_owned()]))
    }

    #[track_caller]
    fn assert_refused(page: &str, why: &str) {
        assert_eq!(judged("book/src/a.md", page), [format!("book/src/a.md:{why}")], "for {page:?}");
    }

    const NAME: &str = "<p class=\"file\">chapters/a.rs</p>\n\n";

    #[test]
    fn a_listing_below_its_name_passes() {
        let page = format!("{NAME}```rust\n{{{{#include ../../chapters/a.rs:part}}}}\n```\n");
        assert_eq!(judged("book/src/a.md", &page), [""; 0]);
        let folded = format!("<details><summary>Solution</summary>\n\n{page}\n</details>");
        assert_eq!(judged("book/src/a.md", &folded), [""; 0]);
        let go = "<p class=\"file\">book/go/main.go</p>\n\n```go\n{{#include ../go/main.go}}\n```";
        assert_eq!(judged("book/src/a.md", go), [""; 0]);
    }

    #[test]
    fn a_listing_without_its_name_is_refused() {
        let why = "above the listing stands `<p class=\"file\">chapters/a.rs</p>`";
        let listing = "```rust\n{{#include ../../chapters/a.rs}}\n```";
        assert_refused(listing, &format!("1: {why}"));
        assert_refused(&format!("<p class=\"file\">chapters/b.rs</p>\n\n{listing}"), &format!("3: {why}"));
        assert_refused(&format!("{NAME}Words between.\n\n{listing}"), &format!("5: {why}"));
    }

    #[test]
    fn a_name_that_swallows_its_listing_is_refused() {
        let page = "<p class=\"file\">chapters/a.rs</p>\n```rust\n{{#include ../../chapters/a.rs}}\n```";
        assert_refused(page, "1: leave a line empty between HTML and a code block");
    }

    #[test]
    fn typed_code_is_refused() {
        let why = "3: a listing is one include of a file that Cargo compiles, and nothing else";
        assert_refused(&format!("{NAME}```rust\nfn main() {{}}\n```"), why);
        assert_refused(&format!("{NAME}```rust\n{{{{#include ../../chapters/b.rs}}}}\n```"), why);
        assert_refused(&format!("{NAME}```rust\n// Typed.\n{{{{#include ../../chapters/a.rs}}}}\n```"), why);
        let twice = "{{#include ../../chapters/a.rs}}\n{{#include ../../chapters/a.rs}}";
        assert_refused(&format!("{NAME}```rust\n{twice}\n```"), why);
        let why = "1: a listing is one include of a file in book/go, and nothing else";
        assert_refused("```go\nfunc main() {}\n```", why);
    }

    #[test]
    fn what_a_terminal_shows_comes_from_a_transcript() {
        let typed = "```console\n$ echo hello\nhello\n```";
        assert_refused(typed, "1: this comes from a file in book/src/gen/transcripts/: include it");
        assert_eq!(judged("book/src/gen/transcripts/a.md", typed), [""; 0]);
        assert_eq!(judged("book/src/a.md", "```console\n$ echo hello\n$ true\n```"), [""; 0]);
        assert_refused("```diff\n+ a\n```", "1: this comes from a file in book/src/gen/diffs/: include it");
    }

    #[test]
    fn other_fences_are_refused() {
        let none = "is none of the fences rust, go, console, diff, text and toml";
        assert_refused(&format!("{NAME}```rust,ignore\nfn\n```"), &format!("3: `rust,ignore` {none}"));
        assert_refused("```\nfn\n```", &format!("1: `` {none}"));
        assert_refused("Words.\n\n    fn main() {}", "3: code stands in a fence that says what it is");
        assert_eq!(judged("book/src/a.md", "```text\na\n```\n\n```toml\n[a]\n```"), [""; 0]);
    }
}
