//! What is said about peers beside the figures that all ways to restart have.
//!
//! The invariant: words come from what was observed; where something is not known, the report says why.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use comfy_table::Table;
use serde::Serialize;

use crate::book;
use crate::report::STYLE;
use crate::restart::{CannotMeasure, Comparison};

use super::fault::{Aftermath, Fault};
use super::peer::Peer;

/// A server's failed upgrades.
#[derive(Debug, Serialize)]
pub struct Beside {
    name: &'static str,
    title: &'static str,
    /// In the order of [`Fault::ALL`].
    faults: Vec<(Fault, Result<Option<Aftermath>, String>)>,
}

/// Everything else about one run of `lab peers`.
#[derive(Debug, Serialize)]
pub struct Report {
    beside: Vec<Beside>,
    /// Runs that came to nothing, and why.
    failed: Vec<String>,
}

/// Both, as other programs read it.
#[derive(Serialize)]
struct Everything<'of> {
    #[serde(flatten)]
    comparison: &'of Comparison,
    #[serde(flatten)]
    report: &'of Report,
}

impl Beside {
    /// Lets a server meet all of it.
    #[must_use]
    pub fn of(peer: &Peer) -> Beside {
        let why = |error: CannotMeasure| error.to_string();
        Beside {
            name: peer.name,
            title: peer.title,
            faults: Fault::ALL.into_iter().map(|fault| (fault, peer.meets(fault).map_err(why))).collect(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let faults = self.faults.iter().map(|(_, aftermath)| match aftermath {
            Ok(Some(aftermath)) => aftermath.said(),
            Ok(None) => "does not apply".to_owned(),
            Err(why) => unknown(why),
        });
        faults.collect()
    }
}

impl Report {
    /// Of servers that were looked at, and of runs that failed.
    #[must_use]
    pub fn new(beside: Vec<Beside>, failed: Vec<String>) -> Report {
        Report { beside, failed }
    }

    /// Writes the comparison and this as one JSON object.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_json(&self, comparison: &Comparison, file: &Path) -> io::Result<()> {
        book::write_json(file, &Everything { comparison, report: self })
    }

    /// Writes `faults.md` (anchors `faults`, `failed`) and `faults-values.md`: every cell between anchors, for a
    /// sentence.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_for_book(&self, directory: &Path) -> io::Result<()> {
        let line = |beside: &Beside| format!("| {} | {} |\n", beside.title, beside.cells().join(" | "));
        let rows = self.beside.iter().map(line).collect::<Vec<_>>().concat();
        let faults = Fault::ALL.map(Fault::title).join(" | ");
        let rule = " --- |".repeat(Fault::ALL.len());
        let failed = match self.failed.len() {
            0 => "Every run came to its end.\n".to_owned(),
            _ => self.failed.iter().map(|failed| format!("- {}\n", first_line(failed))).collect::<Vec<_>>().concat(),
        };
        let faults = format!("| server | {faults} |\n| --- |{rule}\n{rows}");
        let text = [("faults", faults), ("failed", failed)].map(|(key, text)| book::anchored(key, &text));
        fs::write(directory.join("faults.md"), text.join("\n"))?;
        let values = self.beside.iter().flat_map(|beside| {
            let name = beside.name.replace('-', "_");
            let cells = Fault::ALL.into_iter().zip(beside.cells());
            cells.map(move |(fault, cell)| book::value(&format!("{name}_{}", fault.key()), &cell))
        });
        fs::write(directory.join("faults-values.md"), values.collect::<String>())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(STYLE);
        table.set_header([""].into_iter().chain(Fault::ALL.map(Fault::title)));
        for beside in &self.beside {
            table.add_row([beside.title.to_owned()].into_iter().chain(beside.cells()));
        }
        writeln!(f, "{table}")?;
        for failed in &self.failed {
            writeln!(f, "came to nothing: {failed}")?;
        }
        Ok(())
    }
}

pub(super) fn unknown(why: &str) -> String {
    format!("not known: {}", first_line(why))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
