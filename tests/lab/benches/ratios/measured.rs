//! The result of a figure.
//!
//! The invariant: what could not be measured is named, with the reason; nothing is left out in silence.

use lab::curve::Chart;

use crate::row::Row;

/// The rows of one figure.
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    /// How some of them grow with the work.
    pub(crate) charts: Vec<Chart>,
    /// What is missing here, and why, a sentence each.
    pub(crate) left_out: Vec<String>,
}

/// The straight line through a curve, in words.
pub(crate) struct Line {
    /// The curve's name in the book.
    pub(crate) key: &'static str,
    pub(crate) what: &'static str,
    /// The line itself.
    pub(crate) words: String,
    /// R²: how much of what differs from size to size it explains.
    pub(crate) explained: String,
}

impl Measured {
    /// A figure with nothing left out.
    pub(crate) fn all(rows: impl IntoIterator<Item = Row>) -> Measured {
        Measured { rows: rows.into_iter().collect(), charts: Vec::new(), left_out: Vec::new() }
    }

    /// With all of another behind it.
    pub(crate) fn and(mut self, more: Measured) -> Measured {
        self.rows.extend(more.rows);
        self.charts.extend(more.charts);
        self.left_out.extend(more.left_out);
        self
    }

    /// With these charts of its rows, except those that have too few sizes left for a line.
    pub(crate) fn and_charts(self, charts: impl IntoIterator<Item = Chart>) -> Measured {
        let has_lines = |chart: &Chart| chart.curves.iter().all(|curve| curve.points.len() > 1);
        Measured { charts: charts.into_iter().filter(has_lines).collect(), ..self }
    }

    /// With the sentences on what is missing.
    pub(crate) fn without(self, left_out: impl IntoIterator<Item = String>) -> Measured {
        Measured { left_out: self.left_out.into_iter().chain(left_out).collect(), ..self }
    }

    /// The lines through all curves.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line> {
        self.charts.iter().flat_map(|chart| {
            chart.curves.iter().map(|curve| Line {
                key: curve.key,
                what: curve.what,
                words: chart.words(curve),
                explained: format!("{:.3}", curve.line().explained),
            })
        })
    }
}
