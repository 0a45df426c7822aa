//! A comparison as the book includes it, and as other programs read it.
//!
//! The invariant: nothing is written before everything was measured; what is there then is of one run.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::column::{COLUMNS, counts_and_times, rows};
use super::draw::draw;
use super::measure::{CONNECTIONS, RESTARTS};
use super::turns::Outcome;
use crate::book::{self, value};
use crate::machine::Fact;

/// Everything about one comparison.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Where and with what it was made.
    pub machine: Vec<Fact>,
    /// How often each server was restarted in a run.
    pub restarts: u32,
    /// How many runs each strategy had.
    pub repeats: u32,
    /// How many connections the keep-alive client has.
    pub connections: u32,
    /// What it came to.
    pub outcomes: Vec<Outcome>,
}

impl Comparison {
    /// Of outcomes that [`side_by_side`](super::side_by_side) returned.
    #[must_use]
    pub fn new(machine: Vec<Fact>, repeats: u32, outcomes: Vec<Outcome>) -> Comparison {
        Comparison { machine, restarts: RESTARTS, repeats, connections: CONNECTIONS, outcomes }
    }

    /// Writes all of it as JSON: machine, versions and date, and every figure of every run. Times are in milliseconds.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_json(&self, file: &Path) -> io::Result<()> {
        book::write_json(file, self)
    }

    /// Writes what the book includes: `table.md`; `values.md`, every value between anchors, for a sentence; `figures.json`;
    /// and a chart for each figure that has one, as `lost.svg`. The name of the directory begins the ids of the pictures.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_for_book(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let of = directory.file_name().unwrap_or_default().to_string_lossy();
        for column in COLUMNS.iter().filter(|column| column.chart.is_some()) {
            let file = directory.join(column.key.replace('_', "-")).with_extension("svg");
            fs::write(file, draw(&of, column, &self.outcomes))?;
        }
        fs::write(directory.join("table.md"), self.table())?;
        fs::write(directory.join("values.md"), self.values())?;
        self.write_json(&directory.join("figures.json"))
    }

    /// Two tables, as one would be wider than a page: what the clients lost, and how long it took.
    fn table(&self) -> String {
        let [counts, times] = counts_and_times().map(|columns| {
            let (header, rows) = rows("way", &columns, &self.outcomes);
            book::table(&header, rows)
        });
        let parts = [("counts", counts), ("times", times), ("machine", book::measured_with(&self.machine))];
        parts.map(|(key, text)| book::anchored(key, &text)).join("\n")
    }

    fn values(&self) -> String {
        let of_outcome = |outcome: &Outcome| {
            let name = outcome.name.replace('-', "_");
            let title = value(&format!("{name}_title"), &outcome.title);
            let columns =
                COLUMNS.iter().map(|column| value(&format!("{name}_{}", column.key), &column.write(&outcome.figures)));
            title + &columns.collect::<String>()
        };
        let common = [("restarts", self.restarts), ("repeats", self.repeats), ("connections", self.connections)];
        let common = common.map(|(key, number)| value(key, &number.to_string()));
        let outcomes = self.outcomes.iter().map(of_outcome).chain(common);
        outcomes.chain([book::facts(&self.machine)]).collect()
    }
}
