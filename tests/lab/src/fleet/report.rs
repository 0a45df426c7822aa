//! What the rolls came to, as a person sees it, as the book includes it, and as other programs read it.
//!
//! The invariant: it only formats; and nothing is written before everything was measured.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::column::{COUNTS, Column, TIMES};
use super::machines::MACHINES;
use super::turns::Outcome;
use crate::book::{self, value};
use crate::machine::Fact;
use crate::report::terminal;

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
        book::write_json(file, self)
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
        let markdown = |columns: &[Column]| {
            let (header, rows) = self.rows("balancer, way", columns);
            book::table(&header, rows)
        };
        let parts = [
            ("counts", markdown(&COUNTS)),
            ("times", markdown(&TIMES)),
            ("machine", book::measured_with(&self.machine)),
        ];
        parts.map(|(key, text)| book::anchored(key, &text)).join("\n")
    }

    /// A header, which begins with `first`, and a row for each outcome.
    fn rows(&self, first: &str, columns: &[Column]) -> (Vec<String>, Vec<Vec<String>>) {
        let row = |first: &str, of: &dyn Fn(&Column) -> String| {
            [first.to_owned()].into_iter().chain(columns.iter().map(of)).collect()
        };
        let rows = self.outcomes.iter().map(|outcome| row(&outcome.title, &|column| column.cell(&outcome.figures)));
        (row(first, &Column::heading), rows.collect())
    }

    fn values(&self) -> String {
        let of_outcome = |outcome: &Outcome| {
            let name = format!("{}_{}", outcome.balancer, outcome.way.replace('-', "_"));
            let stopped = outcome.stopped.iter().map(|reason| ("stopped".to_owned(), reason.clone()));
            let columns = COUNTS.iter().chain(&TIMES).flat_map(|column| column.values(&outcome.figures));
            columns.chain(stopped).map(|(key, text)| value(&format!("{name}_{key}"), &text)).collect::<String>()
        };
        let common = [("instances", self.instances.to_string()), ("repeats", self.repeats.to_string())];
        let common = common.map(|(key, number)| value(key, &number));
        let outcomes = self.outcomes.iter().map(of_outcome).chain(common);
        outcomes.chain([book::facts(&self.machine)]).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One table of all would be wider than a page.
        for columns in [&COUNTS[..], &TIMES] {
            let (header, rows) = self.rows("", columns);
            writeln!(f, "{}\n", terminal(header, rows))?;
        }
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
