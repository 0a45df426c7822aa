//! What the built book promises its readers.
//!
//! The invariant: stock mdBook builds it without a complaint; every link in it leads somewhere; and in a real browser
//! every page can be read by everybody, in every theme, from the keyboard and with no network.
//!
//! A machine without mdBook, Chromium or axe skips what needs them, and says how to get them.

mod browser;
mod built;
mod epub;
mod host;
mod links;
mod markup;
mod page;
mod protocol;
mod reading;
mod tour;

use std::fs;

use ::protocol::model::Message;
use ::protocol::rules::Duty;
use fantoccini::Locator;
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;

use crate::golden;

use browser::{Browser, Tab};
use built::Built;
use host::Host;

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn mdbook_has_nothing_to_complain_about() {
    let Some(book) = Built::book() else { return };
    let lines = book.log().lines().filter(|line| !line.trim_start().starts_with("INFO"));
    assert_none(&lines.map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn every_directive_is_followed_and_every_picture_framed() {
    let Some(book) = Built::book() else { return };
    assert_none(&book.pages().iter().flat_map(markup::complaints).collect::<Vec<_>>());
}

#[test]
fn every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere() {
    let Some(book) = Built::book() else { return };
    assert_none(&links::complaints(&book.pages(), &book.files()));
}

#[test]
fn the_main_line_is_read_in_five_hours() {
    let Some(book) = Built::book() else { return };
    let summary = fs::read_to_string(golden::root().join("book/src/SUMMARY.md")).expect("the book has a summary");
    assert_none(&reading::complaints(&reading::main_line(&summary), &book.pages()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_can_be_read_by_everybody() {
    let (Some(book), Some(browser), Some(axe)) = (Built::book(), Browser::start(), page::axe()) else { return };
    let seen = tour::every_page(&browser, &book, &axe).await.expect("the browser does what it is told");
    if let Some((name, sight)) = seen.iter().max_by_key(|(_, sight)| sight.weight) {
        println!("the heaviest of {} pages is {name}, with {} bytes", seen.len(), sight.weight);
    }
    let complaints =
        seen.iter().flat_map(|(name, sight)| sight.complaints.iter().map(move |it| format!("{name}: {it}")));
    assert_none(&complaints.collect::<Vec<_>>());
}

/// The book, open in a browser.
struct Reader {
    book: Built,
    host: Host,
    tab: Tab,
    // Last: what it shows is served until it is gone.
    _browser: Browser,
}

impl Reader {
    async fn start() -> Option<Reader> {
        let (book, browser) = (Built::book()?, Browser::start()?);
        let tab = browser.open().await.expect("Chromium starts");
        Some(Reader { host: Host::of(book.directory()), book, tab, _browser: browser })
    }

    async fn open(&self, page: &str) -> Result<(), CmdError> {
        self.tab.goto(&self.host.url(page)).await
    }

    async fn find(&self, selector: &str) -> Result<Element, CmdError> {
        self.tab.wait().for_element(Locator::Css(selector)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_finds_a_signal() {
    let (Some(reader), Some(axe)) = (Reader::start().await, page::axe()) else { return };
    let search = async {
        reader.open("glossary.html").await?;
        reader.find("body").await?.send_keys("s").await?;
        reader.find("#mdbook-searchbar:focus").await?.send_keys("SIGTERM").await?;
        let result = reader.find("#mdbook-searchresults li a").await?;
        let barriers = page::barriers(&reader.tab, &axe).await?;
        result.click().await?;
        Ok::<_, CmdError>((barriers, reader.find("main").await?.text().await?))
    };
    let (barriers, found) = search.await.expect("the search has a result");
    assert_none(&barriers);
    assert!(found.contains("SIGTERM"), "the first result should be about SIGTERM:\n{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidebar_opens_from_the_keyboard() {
    let Some(reader) = Reader::start().await else { return };
    let press = async {
        reader.open("glossary.html").await?;
        let button = reader.find("button[aria-controls=mdbook-sidebar]").await?;
        let mut expanded = vec![button.attr("aria-expanded").await?];
        for key in [Key::Enter, Key::Enter] {
            button.send_keys(&key).await?;
            expanded.push(button.attr("aria-expanded").await?);
        }
        Ok::<_, CmdError>(expanded.into_iter().flatten().collect::<Vec<_>>())
    };
    assert_eq!(press.await.expect("there is a button"), ["true", "false", "true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pencil_on_a_page_names_its_file() {
    let Some(reader) = Reader::start().await else { return };
    let line = async {
        reader.open("lifecycle.html").await?;
        reader.find("a[rel=edit]").await?.click().await?;
        reader.find("#page-to-mend").await?.text().await
    };
    let line = line.await.expect("every page has a pencil");
    assert!(line.contains("book/src/lifecycle.md"), "{line:?} should name the page");

    for address in ["edit.html", "edit.html?file=/etc/passwd", "edit.html?file=book/src/%3Cb%3Ex%3C/b%3E.md"] {
        let line = async {
            reader.open(address).await?;
            reader.find("#page-to-mend").await?.text().await
        };
        assert_eq!(line.await.expect("the page is there"), "", "{address} names no page");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_takes_the_steps_that_the_explored_model_takes() {
    let Some(reader) = Reader::start().await else { return };
    let compare = async {
        reader.open("protocol.html").await?;
        let differences = protocol::differences(&reader.tab).await?;
        Ok::<_, CmdError>((differences, protocol::lamps(&reader.tab).await?))
    };
    let (differences, (lamps, broken)) = compare.await.expect("the page's script runs");
    assert!(differences.is_empty(), "{} walks differ; the first: {}", differences.len(), differences[0]);
    assert!(lamps.is_empty(), "{} worlds are judged otherwise; the first: {}", lamps.len(), lamps[0]);
    // The last one is about the table alone, which is the same for both.
    let compared = broken.split_last().is_some_and(|(_, broken)| broken.iter().all(|it| *it));
    assert!(compared, "a lamp that is never out compares nothing: {broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duty_that_is_forgotten_on_the_page_puts_the_lamp_out() {
    let Some(reader) = Reader::start().await else { return };
    reader.open("protocol.html").await.expect("the page is there");
    for duty in [Duty::CloseTheSocket, Duty::EmptyTheQueue, Duty::Send(Message::Stop), Duty::TakeBackOnlyOurs] {
        let (says, lamp) = protocol::counterexample(&reader.tab, duty).await.expect("the page's script runs");
        assert_eq!(lamp, false, "without {duty:?} it is not true that {says}");
    }
}

/// As a reader does who has no mouse.
#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_driven_from_the_keyboard_and_shared_by_its_address() {
    let Some(reader) = Reader::start().await else { return };
    let drive = async {
        reader.open("protocol.html").await?;
        for step in ["Upgrade0", "Start1", "ReadSuccessor0"] {
            reader.find(&format!("[data-drive={step}]")).await?.send_keys(&Key::Enter).await?;
        }
        // The button is gone, and one of the same process has the focus.
        let focused = reader.find("[aria-label='Process 0'] button:focus").await?.text().await?;
        let says = reader.find(".drive-status").await?.text().await?;
        let address = reader.tab.current_url().await?;
        reader.open("glossary.html").await?;
        reader.tab.goto(address.as_str()).await?;
        let shared = reader.find("[aria-label='Process 0'] p").await?.text().await?;
        reader.find(".drive-bar:not(:first-child) button").await?.send_keys(&Key::Enter).await?;
        let undone = reader.find("[aria-label='Process 0'] p").await?.text().await?;
        let shorter = reader.tab.current_url().await?;
        Ok::<_, CmdError>((focused, says, address, shared, undone, shorter))
    };
    let (focused, says, address, shared, undone, shorter) = drive.await.expect("there are buttons");
    assert!(!focused.is_empty());
    assert!(says.starts_with("Process 0: read from the successor: Ready. Now: Retiring"), "{says:?}");
    assert_eq!(address.fragment(), Some("drive/3/-/Upgrade0.Start1.ReadSuccessor0"));
    assert!(shared.starts_with("Process 0: Retiring"), "{shared:?}");
    assert!(undone.starts_with("Process 0: Upgrading"), "{undone:?}");
    assert_eq!(shorter.fragment(), Some("drive/3/-/Upgrade0.Start1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_each_puzzle_solves_it_and_an_impossible_address_is_cut_short() {
    let Some(reader) = Reader::start().await else { return };
    let drive = async {
        let mut solved = Vec::new();
        for puzzle in ["lose", "loseWithoutCrash", "outage"] {
            reader.open("protocol.html").await?;
            let answer = format!("[data-puzzle={puzzle}] details");
            reader.find(&format!("{answer} summary")).await?.click().await?;
            reader.find(&format!("{answer} button")).await?.click().await?;
            solved.push(reader.find(&format!("[data-puzzle={puzzle}] .drive-solved")).await?.text().await?);
        }
        reader.open("glossary.html").await?;
        reader.open("protocol.html#drive/2/-/Upgrade0.Exit0.Start1").await?;
        let says = reader.find(".drive-status").await?.text().await?;
        Ok::<_, CmdError>((solved, says, reader.tab.console_errors().await?))
    };
    let (solved, says, errors) = drive.await.expect("there are puzzles");
    assert!(solved.iter().all(|it| it.starts_with("Solved in ")), "{solved:?}");
    assert!(says.starts_with("The trace in the address ends here: its next step, Exit0"), "{says:?}");
    assert_none(&errors);
}

/// The checks above would be worth nothing if they could not fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_page_is_found_out() {
    let (Some(reader), Some(axe)) = (Reader::start().await, page::axe()) else { return };
    let directory = reader.book.directory();
    let good = fs::read_to_string(directory.join("404.html")).expect("mdBook writes one");
    let bad = good.replace("</main>", concat!(include_str!("website/bad.html"), "</main>"));
    fs::write(directory.join("bad.html"), bad).expect("the directory is ours");
    fs::write(directory.join("heavy.js"), " ".repeat(700_000)).expect("the directory is ours");

    let seen = page::look(&reader.tab, &reader.host.url("bad.html"), &axe).await.expect("the browser opens it");
    let complaints = seen.complaints.join("\n");
    let expected = [
        "700000 is the most",
        "it loads http://elsewhere.invalid/far.js, which is not in the book",
        "in light, color-contrast: ",
        "in ayu, color-contrast: ",
        "in light, image-alt: ",
        "in navy, \"faint\" in a picture has a contrast of 1.",
        "360 pixels wide, the page scrolls sideways: <p style=\"width: 400px\">",
        "after Right, a stepper says \"Step 1 of 2\", and not \"Step 2 of 2\"",
        "the console shows: ",
        "oh no",
    ];
    for part in expected {
        assert!(complaints.contains(part), "{part:?} should be among the complaints:\n{complaints}");
    }
}
