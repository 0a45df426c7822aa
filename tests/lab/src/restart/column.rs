//! The figures that are shown, each with its name and its unit.
//!
//! The invariant: table, book and charts show the same figures under the same names, in the same order.

use super::figures::Figures;
use super::turns::Outcome;
use crate::digits;

/// A figure that is shown.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The end of the keys of its values: `kill_start_lost`.
    pub key: &'static str,
    /// Above its column.
    pub title: &'static str,
    /// What it is a number of.
    unit: Unit,
    of: fn(&Figures) -> f64,
    /// What its chart shows, if it has one.
    pub chart: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Count,
    Millis,
}

/// The title of what the same load finds while nothing is restarted. It stands in the cell of the figure before it.
const CALM: &str = "calm";

/// All of them, from left to right.
pub const COLUMNS: [Column; 15] = [
    count("requests", "requests", |figures| figures.requests),
    count("lost", "lost", |figures| figures.lost).chart("Requests lost"),
    count("lost_in_worst_run", "in the worst run", |figures| figures.lost_in_worst_run),
    count("refused", "refused", |figures| figures.refused),
    count("closed", "connections closed", Figures::closed).chart("Connections closed under a client"),
    count("closed_unannounced", "of them without notice", |figures| figures.closed_unannounced),
    millis("first_answer", "new one answers", |figures| figures.first_answer),
    millis("without_service", "longest gap", |figures| figures.without_service)
        .chart("Longest time in which no fresh connection was answered"),
    millis("calm_without_service", CALM, |figures| figures.calm_without_service),
    millis("both_serve", "both serve", |figures| figures.both_serve),
    millis("old_gone", "old one gone", |figures| figures.old_gone),
    millis("worst", "worst latency", |figures| figures.worst).chart("Worst latency during restarts"),
    millis("calm_worst", CALM, |figures| figures.calm_worst),
    millis("p999", "p99.9", |figures| figures.p999),
    millis("calm_p999", CALM, |figures| figures.calm_p999),
];

const fn count(key: &'static str, title: &'static str, of: fn(&Figures) -> f64) -> Column {
    Column { key, title, unit: Unit::Count, of, chart: None }
}

const fn millis(key: &'static str, title: &'static str, of: fn(&Figures) -> f64) -> Column {
    Column { key, title, unit: Unit::Millis, of, chart: None }
}

/// Those that count, and those that are times: one table of all would be wider than a page.
pub(super) fn counts_and_times() -> [Vec<&'static Column>; 2] {
    let (counts, times) =
        COLUMNS.iter().filter(|column| column.title != CALM).partition(|column| matches!(column.unit, Unit::Count));
    [counts, times]
}

impl Column {
    const fn chart(self, title: &'static str) -> Column {
        Column { chart: Some(title), ..self }
    }

    /// The number.
    #[must_use]
    pub fn of(&self, figures: &Figures) -> f64 {
        (self.of)(figures)
    }

    /// The number as people read it, with a space that does not break before the unit.
    #[must_use]
    pub fn write(&self, figures: &Figures) -> String {
        let number = self.of(figures);
        match self.unit {
            Unit::Count => digits::count(number),
            Unit::Millis => digits::millis(number),
        }
    }

    /// The same without restarts, if it was measured.
    fn calm(&self) -> Option<&'static Column> {
        COLUMNS.iter().find(|other| other.title == CALM && other.key.strip_prefix("calm_") == Some(self.key))
    }

    /// What stands above its cells.
    pub(super) fn heading(&self) -> String {
        self.calm().map_or_else(|| self.title.to_owned(), |_| format!("{} ({CALM})", self.title))
    }

    /// What stands in a cell: the number, and in parentheses the one without restarts.
    pub(super) fn cell(&self, figures: &Figures) -> String {
        let number = self.write(figures);
        self.calm().map_or(number.clone(), |calm| format!("{number} ({})", calm.write(figures)))
    }
}

/// The outcomes as a table: its header, which begins with `first`, and its rows.
pub(super) fn rows(first: &str, columns: &[&Column], outcomes: &[Outcome]) -> (Vec<String>, Vec<Vec<String>>) {
    let row = |first: &str, of: &dyn Fn(&Column) -> String| {
        [first.to_owned()].into_iter().chain(columns.iter().map(|column| of(column))).collect()
    };
    let rows = outcomes.iter().map(|outcome| row(&outcome.title, &|column| column.cell(&outcome.figures)));
    (row(first, &Column::heading), rows.collect())
}
