//! What the rolls came to, as a person sees it, as the book includes it, and as other programs read it.
//!
//! The invariant: it only formats; and nothing is written before everything was measured.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;

use super::column::{COUNTS, Column, TIMES};
use super::machines::MACHINES;
use super::turns::Outcome;
use crate::machine::Fact;
use crate::report::STYLE;

/// Everything about one run of `lab fleet`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where and with what it was made.
    pub machine: Vec<Fact>,
    /// How many instances the fleet has.
    pub instances: usize,
    /// How many rolls each way had behind each balancer.
    pub repeats: u32,
    /// What came of it.
    pub outcomes: Vec<Outcome>,
    /// Runs that came to nothing, and why.
    pub failed: Vec<String>,
}

impl Report {
    /// Of outcomes that [`in_turns`](super::in_turns) returned.
    #[must_use]
    pub fn new(machine: Vec<Fact>, repeats: u32, outcomes: Vec<Outcome>, failed: Vec<String>) -> Report {
        Report { machine, instances: MACHINES.len(), repeats, outcomes, failed }
    }

    /// Writes all of it as JSON. Times are in milliseconds.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_json(&self, file: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(file, text)
    }

    /// Writes what the book includes: `table.md` (anchors `counts`, `times`, `machine`); `values.md`, every value between
    /// anchors, for a sentence; and `figures.json`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_for_book(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        fs::write(directory.join("table.md"), self.tables())?;
        fs::write(directory.join("values.md"), self.values())?;
        self.write_json(&directory.join("figures.json"))
    }

    fn tables(&self) -> String {
        let facts: Vec<_> = self.machine.iter().map(|fact| format!("{} {}", fact.what, fact.value)).collect();
        let machine = format!("Measured with: {}.\n", facts.join("; "));
        [("counts", self.markdown(&COUNTS)), ("times", self.markdown(&TIMES)), ("machine", machine)]
            .map(|(key, text)| format!("<!-- ANCHOR: {key} -->\n{text}<!-- ANCHOR_END: {key} -->\n"))
            .join("\n")
    }

    fn markdown(&self, columns: &[Column]) -> String {
        let line = |first: &str, cells: Vec<String>| format!("| {first} | {} |\n", cells.join(" | "));
        let with = |first: &str, of: &dyn Fn(&Column) -> String| line(first, columns.iter().map(of).collect());
        let header = with("balancer, way", &Column::heading);
        let rule = with("---", &|_| "--:".to_owned());
        let rows = self.outcomes.iter().map(|outcome| with(&outcome.title, &|column| column.cell(&outcome.figures)));
        [header, rule].into_iter().chain(rows).collect()
    }

    /// The line between two anchors is what a sentence includes.
    fn values(&self) -> String {
        let value = |key: &str, value: &str| format!("ANCHOR: {key}\n{value}\nANCHOR_END: {key}\n");
        let of_outcome = |outcome: &Outcome| {
            let name = format!("{}_{}", outcome.balancer, outcome.way.replace('-', "_"));
            let stopped = outcome.stopped.iter().map(|reason| ("stopped".to_owned(), reason.clone()));
            let columns = COUNTS.iter().chain(&TIMES).flat_map(|column| column.values(&outcome.figures));
            columns.chain(stopped).map(|(key, text)| value(&format!("{name}_{key}"), &text)).collect::<String>()
        };
        let common = [("instances", self.instances.to_string()), ("repeats", self.repeats.to_string())];
        let common = common.map(|(key, number)| value(key, &number));
        let facts = self.machine.iter().map(|fact| value(fact.key, &fact.value));
        self.outcomes.iter().map(of_outcome).chain(common).chain(facts).collect()
    }

    fn terminal(&self, columns: &[Column]) -> Table {
        let mut table = Table::new();
        table.load_style(STYLE);
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let titles = columns.iter().map(|column| right(column.heading()));
        table.set_header([Cell::new("")].into_iter().chain(titles));
        for Outcome { title, figures, .. } in &self.outcomes {
            table.add_row(
                [Cell::new(title)].into_iter().chain(columns.iter().map(|column| right(column.cell(figures)))),
            );
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One table of all would be wider than a page.
        writeln!(f, "{}\n\n{}\n", self.terminal(&COUNTS), self.terminal(&TIMES))?;
        for Outcome { title, figures, stopped, losses, .. } in &self.outcomes {
            if let Some(reason) = stopped {
                let instance = figures.done + 1.0;
                writeln!(f, "{title}: the roll stopped at instance {instance}, as the command failed: {reason}")?;
            }
            if !losses.is_empty() {
                writeln!(f, "{title}: lost:\n{losses}")?;
            }
        }
        for failed in &self.failed {
            writeln!(f, "came to nothing: {failed}")?;
        }
        Ok(())
    }
}
