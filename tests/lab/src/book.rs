//! The forms in which the book includes what was measured.
//!
//! The invariant: a page finds a text by its anchor, and a value by its key, whatever was measured.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::machine::Fact;

/// A value by itself, for a sentence: what the page includes is the line between the two anchors.
#[must_use]
pub fn value(key: &str, value: &str) -> String {
    format!("ANCHOR: {key}\n{value}\nANCHOR_END: {key}\n")
}

/// Whole lines, for a page to include.
#[must_use]
pub fn anchored(key: &str, text: &str) -> String {
    format!("<!-- ANCHOR: {key} -->\n{text}<!-- ANCHOR_END: {key} -->\n")
}

/// A line on the machine.
#[must_use]
pub fn measured_with(machine: &[Fact]) -> String {
    let facts: Vec<_> = machine.iter().map(|fact| format!("{} {}", fact.what, fact.value)).collect();
    format!("Measured with: {}.\n", facts.join("; "))
}

/// The same, as values.
#[must_use]
pub fn facts(machine: &[Fact]) -> String {
    machine.iter().map(|fact| value(fact.key, &fact.value)).collect()
}

/// A table in Markdown: a first column of words, and others of numbers.
#[must_use]
pub fn table(header: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = header.iter().enumerate().map(|(index, _)| if index == 0 { "---" } else { "--:" }.to_owned());
    let head = [line(header), line(&rule.collect::<Vec<_>>())];
    head.into_iter().chain(rows.into_iter().map(|row| line(&row))).collect()
}

/// Writes everything for other programs, as JSON.
///
/// # Errors
/// What the file system says.
pub fn write_json(file: &Path, everything: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(everything)?;
    text.push('\n');
    fs::write(file, text)
}
