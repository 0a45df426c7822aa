//! What a person sees at the end: all figures as a table, and of some of them, bars.
//!
//! The invariant: it only formats; and a bar that is there is a number above zero.

use std::fmt::Write as _;

use super::column::{COLUMNS, Column, counts_and_times, rows};
use super::turns::Outcome;
use crate::report::terminal;

/// The longest bar, in characters.
const LONGEST: f64 = 50.0;

/// The outcomes under each other: what the clients lost, how long it took, and the bars.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let tables = counts_and_times().map(|columns| {
        let (header, rows) = rows("", &columns, outcomes);
        format!("{}\n\n", terminal(header, rows))
    });
    let bars = COLUMNS.iter().filter_map(|column| column.chart.map(|title| bars(column, title, outcomes)));
    tables.into_iter().chain(bars).collect()
}

fn bars(column: &Column, title: &str, outcomes: &[Outcome]) -> String {
    let names = outcomes.iter().map(|outcome| outcome.title.chars().count()).max().unwrap_or_default();
    let most = outcomes.iter().map(|outcome| column.of(&outcome.figures)).fold(f64::MIN_POSITIVE, f64::max);
    let mut text = format!("{title}\n");
    for Outcome { title, figures, .. } in outcomes {
        let number = column.of(figures);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and LONGEST")]
        let length = (number / most * LONGEST).ceil() as usize;
        let bar = "█".repeat(length);
        // A string takes all that is written to it.
        let _ = writeln!(text, "  {title:names$}  {bar} {}", column.write(figures));
    }
    text.push('\n');
    text
}
