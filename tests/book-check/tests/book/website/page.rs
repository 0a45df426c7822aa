//! One page in the browser.
//!
//! The invariant: what is looked at is the page as a reader has it, its scripts and all. Only for the themes, code is
//! cut down to one word of each colour.

use std::path::PathBuf;
use std::{env, fs};

use fantoccini::Locator;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use serde_json::Value;
use testkit::require;

use super::browser::Tab;
use crate::golden::root;

/// What a page may weigh, in bytes, with all that the browser loads for it.
const MOST: u64 = 700_000;

/// The width of a small phone.
const NARROW: u32 = 360;

/// What was seen of a page.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) weight: u64,
    pub(crate) complaints: Vec<String>,
}

/// The script that knows what people need to read a page, or how to get it.
pub(crate) fn axe() -> Option<String> {
    let installed = || root().join("target/npm-tools/node_modules/axe-core/axe.min.js");
    let path = env::var_os("AXE").map_or_else(installed, PathBuf::from);
    let missing = "this test needs axe: install it with `npm install --prefix target/npm-tools axe-core`, or set AXE \
                   to the path of axe.min.js";
    let script = fs::read_to_string(path).ok();
    require(script.is_some(), missing).then_some(script).flatten()
}

/// Opens a page and looks at all of it.
pub(crate) async fn look(tab: &Tab, url: &str, axe: &str) -> Result<Sight, CmdError> {
    tab.goto(url).await?;
    let loaded = tab.ask(include_str!("loaded.js")).await?;
    let weight = loaded["weight"].as_u64().unwrap_or(u64::MAX);
    let mut complaints = Vec::new();
    if weight > MOST {
        complaints.push(format!("it weighs {weight} bytes, and {MOST} is the most"));
    }
    complaints.extend(strings(&loaded["foreign"]).map(|url| format!("it loads {url}, which is not in the book")));
    // What is folded is read, too.
    tab.execute("for (const fold of document.querySelectorAll('details')) fold.open = true;", Vec::new()).await?;
    complaints.extend(walk_steppers(tab).await?);
    if tab.current_url().await?.as_str() != url {
        complaints.push("a key that was meant for a stepper turned the page".to_owned());
    }

    tab.set_width(Some(NARROW)).await?;
    let narrow = tab.ask(include_str!("narrow.js")).await?;
    complaints.extend(strings(&narrow).map(|complaint| format!("{NARROW} pixels wide, {complaint}")));
    tab.set_width(None).await?;

    // Last: it leaves little of the code.
    complaints.extend(barriers(tab, axe).await?);
    complaints.extend(tab.console_errors().await?.into_iter().map(|error| format!("the console shows: {error}")));
    Ok(Sight { weight, complaints })
}

/// What keeps people from reading the page as it is now, in any theme.
pub(crate) async fn barriers(tab: &Tab, axe: &str) -> Result<Vec<String>, CmdError> {
    tab.execute(axe, Vec::new()).await?;
    Ok(strings(&tab.ask(include_str!("themes.js")).await?).collect())
}

/// Walks through every stepper with the keys that it says it knows.
async fn walk_steppers(tab: &Tab) -> Result<Vec<String>, CmdError> {
    let mut complaints = Vec::new();
    for stepper in tab.find_all(Locator::Css(".stepper")).await? {
        let steps = stepper.find_all(Locator::Css("ol > li")).await?.len();
        let button = stepper.find(Locator::Css("button")).await?;
        let place = stepper.find(Locator::Css("[aria-live]")).await?;
        for (key, step) in [(Key::Right, 2), (Key::Left, 1), (Key::End, steps), (Key::Right, steps), (Key::Home, 1)] {
            button.send_keys(&key).await?;
            let (says, expected) = (place.text().await?, format!("Step {step} of {steps}"));
            if says != expected {
                complaints.push(format!("after {key:?}, a stepper says {says:?}, and not {expected:?}"));
            }
        }
    }
    Ok(complaints)
}

fn strings(value: &Value) -> impl Iterator<Item = String> {
    value.as_array().into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned))
}
