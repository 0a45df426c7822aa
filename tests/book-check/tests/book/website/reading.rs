//! What a page asks of a reader.
//!
//! The invariant: the main line, which is the introduction and what stands unindented in the first part, can be read in five
//! hours: so many words beside the listings, and so many lines of Rust on a page. What is folded is for those who want it, and
//! is not counted.

use scraper::{ElementRef, Html, Node};

use super::built::Page;

/// Five hours, for a reader who thinks along.
const WORDS: usize = 25_000;
/// Listings longer than that are skipped, and not read.
const LINES: usize = 350;

/// The pages of the main line, as `SUMMARY.md` has them.
pub(super) fn main_line(summary: &str) -> Vec<String> {
    let until_part_two = summary.split("\n# Part II").next().unwrap_or_default();
    let entries = until_part_two.lines().filter(|line| line.starts_with('[') || line.starts_with("- ["));
    let file = |line: &str| Some(line.split_once("](")?.1.trim_end_matches(')').replace(".md", ".html"));
    entries.filter_map(file).collect()
}

/// What is too long.
pub(super) fn complaints(main_line: &[String], pages: &[Page]) -> Vec<String> {
    let of_page = |name: &String| pages.iter().find(|page| page.name == *name).map(Reading::of);
    let mut complaints = Vec::new();
    let mut words = 0;
    for name in main_line {
        let Some(reading) = of_page(name) else {
            complaints.push(format!("{name} is in SUMMARY.md and was not built"));
            continue;
        };
        words += reading.words;
        println!("{name}: {} words, {} lines of Rust", reading.words, reading.lines);
    }
    println!("main line: {words} words");
    if words > WORDS {
        complaints.push(format!("the main line has {words} words, and {WORDS} are the most"));
    }
    for page in pages.iter().filter(|page| page.name != "print.html") {
        let lines = Reading::of(page).lines;
        if lines > LINES {
            complaints.push(format!("{} shows {lines} lines of Rust, and {LINES} are the most", page.name));
        }
    }
    complaints
}

/// Of one page.
#[derive(Default)]
struct Reading {
    words: usize,
    lines: usize,
}

impl Reading {
    fn of(page: &Page) -> Reading {
        let html = Html::parse_document(&page.html);
        let mut reading = Reading::default();
        let main = scraper::Selector::parse("main").expect("a selector");
        html.select(&main).for_each(|main| reading.add(main));
        reading
    }

    fn add(&mut self, element: ElementRef<'_>) {
        match element.value().name() {
            "details" | "svg" | "script" | "style" | "nav" => {}
            "pre" => {
                let rust = scraper::Selector::parse("code.language-rust").expect("a selector");
                let listings = element.select(&rust).map(|code| code.text().collect::<String>());
                self.lines += listings.map(|text| text.trim_matches('\n').lines().count()).sum::<usize>();
            }
            _ => {
                for child in element.children() {
                    match child.value() {
                        Node::Text(text) => self.words += text.split_whitespace().count(),
                        Node::Element(_) => self.add(ElementRef::wrap(child).expect("it is an element")),
                        _ => {}
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_read_is_counted_and_what_is_folded_is_not() {
    let html = "<main><h1>Two words</h1><p>and <em>three</em> more</p><pre><code class=language-rust>let a = 1;\nlet b = 2;\n\
                </code></pre><details><summary>Why</summary><pre><code class=language-rust>c</code></pre></details></main>";
    let reading = Reading::of(&Page { name: String::new(), html: html.to_owned() });
    assert_eq!((reading.words, reading.lines), (5, 2));
    let long = Page { name: "a.html".to_owned(), html: format!("<main>{}</main>", "word ".repeat(25_001)) };
    let found = complaints(&["a.html".to_owned(), "b.html".to_owned()], &[long]);
    assert_eq!(
        found,
        ["b.html is in SUMMARY.md and was not built", "the main line has 25001 words, and 25000 are the most"]
    );
    let summary = "[A](a.md)\n\n# Part I\n\n- [B](b.md)\n  - [C](c.md)\n\n# Part II: hard\n\n- [D](d.md)\n";
    assert_eq!(main_line(summary), ["a.html", "b.html"]);
}
