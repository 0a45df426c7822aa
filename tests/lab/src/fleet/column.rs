//! The figures that are shown, each with its name and its unit.
//!
//! The invariant: the table on the terminal, the book's table and its values show the same figures, written alike.

use super::figures::Figures;
use super::machines::MACHINES;
use crate::digits::{count, millis};

/// A figure that is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// The end of the keys of its values: `haproxy_in_place_lost`.
    pub(super) key: &'static str,
    title: &'static str,
    write: fn(&Figures) -> String,
    /// The same before the roll, which stands in the same cell.
    calm: Option<fn(&Figures) -> String>,
}

/// Counts, from left to right.
pub(super) const COUNTS: [Column; 8] = [
    column("requests", "requests", |figures| count(figures.requests)),
    column("lost", "lost", |figures| count(figures.lost)),
    column("lost_in_worst_run", "in the worst run", |figures| count(figures.lost_in_worst_run)),
    column("sent_again", "sent again by the balancer", |figures| count(figures.sent_again)),
    column("opened", "connections opened to instances", |figures| count(figures.opened)),
    column("opened_in_worst_run", "in the worst run", |figures| count(figures.opened_in_worst_run)),
    column("closed", "clients' connections closed", |figures| count(figures.closed)),
    column("done", "new version", |figures| format!("{} of {}", count(figures.done), MACHINES.len())),
];

/// And times.
pub(super) const TIMES: [Column; 3] = [
    column("gap", "longest gap", |figures| millis(figures.gap)).calm(|figures| millis(figures.calm_gap)),
    column("worst", "worst latency", |figures| millis(figures.worst)).calm(|figures| millis(figures.calm_worst)),
    column("took", "the roll took", |figures| millis(figures.took)),
];

const fn column(key: &'static str, title: &'static str, write: fn(&Figures) -> String) -> Column {
    Column { key, title, write, calm: None }
}

impl Column {
    const fn calm(self, calm: fn(&Figures) -> String) -> Column {
        Column { calm: Some(calm), ..self }
    }

    /// What stands above its cells.
    pub(super) fn heading(&self) -> String {
        let calm = if self.calm.is_some() { " (calm)" } else { "" };
        format!("{}{calm}", self.title)
    }

    /// What stands in a cell: the figure, and in parentheses the one before the roll.
    pub(super) fn cell(&self, figures: &Figures) -> String {
        let figure = (self.write)(figures);
        self.calm.map_or(figure.clone(), |calm| format!("{figure} ({})", calm(figures)))
    }

    /// Its values, each with the end of its key.
    pub(super) fn values(&self, figures: &Figures) -> Vec<(String, String)> {
        let calm = self.calm.map(|calm| (format!("calm_{}", self.key), calm(figures)));
        [(self.key.to_owned(), (self.write)(figures))].into_iter().chain(calm).collect()
    }
}
