//! What a figure came to.
//!
//! The invariant: what could not be measured is named, with the reason; nothing is left out in silence.

use crate::row::Row;

/// The rows of one figure.
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    /// What is missing here, and why, a sentence each.
    pub(crate) left_out: Vec<String>,
}

impl Measured {
    /// A figure with nothing left out.
    pub(crate) fn all(rows: impl IntoIterator<Item = Row>) -> Measured {
        Measured { rows: rows.into_iter().collect(), left_out: Vec::new() }
    }
}
