//! What is said about peers beside the figures that all ways to restart have.
//!
//! The invariant: words come from what was observed; a figure that is not there says why.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::restart::{CannotMeasure, Comparison};

use super::idle::Idle;

/// Everything else about one run of `lab peers`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What became of idle connections, by title.
    pub idle: Vec<(String, Result<Idle, String>)>,
    /// Runs that came to nothing, and why.
    pub failed: Vec<String>,
}

/// Both, as other programs read it.
#[derive(Serialize)]
struct Everything<'of> {
    #[serde(flatten)]
    comparison: &'of Comparison,
    #[serde(flatten)]
    report: &'of Report,
}

impl Report {
    /// Of what [`idle_across_an_upgrade`](super::idle_across_an_upgrade) and [`in_turns`](super::in_turns) returned.
    #[must_use]
    pub fn new(idle: Vec<(String, Result<Idle, CannotMeasure>)>, failed: Vec<String>) -> Report {
        let idle = idle.into_iter().map(|(title, idle)| (title, idle.map_err(|error| error.to_string())));
        Report { idle: idle.collect(), failed }
    }

    /// Writes the comparison and this as one JSON object.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_json(&self, comparison: &Comparison, file: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(&Everything { comparison, report: self })?;
        text.push('\n');
        fs::write(file, text)
    }

    /// Writes `idle.md` and `failed.md`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_for_book(&self, directory: &Path) -> io::Result<()> {
        let rows = self.idle.iter().map(|(title, idle)| format!("| {title} | {} |\n", said(idle)));
        let table = format!("| server | idle connections closed |\n| --- | --: |\n{}", rows.collect::<String>());
        fs::write(directory.join("idle.md"), format!("<!-- ANCHOR: idle -->\n{table}<!-- ANCHOR_END: idle -->\n"))?;
        let failed = match self.failed.len() {
            0 => "Every run came to its end.\n".to_owned(),
            _ => self.failed.iter().map(|failed| format!("- {}\n", first_line(failed))).collect(),
        };
        fs::write(directory.join("failed.md"), format!("<!-- ANCHOR: failed -->\n{failed}<!-- ANCHOR_END: failed -->\n"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Idle connections closed by one upgrade")?;
        for (title, idle) in &self.idle {
            writeln!(f, "  {title}: {}", said(idle))?;
        }
        for failed in &self.failed {
            writeln!(f, "came to nothing: {failed}")?;
        }
        Ok(())
    }
}

fn said(idle: &Result<Idle, String>) -> String {
    match idle {
        Ok(Idle { connections, closed }) => format!("{closed} of {connections}"),
        Err(why) => format!("not known: {}", first_line(why)),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
