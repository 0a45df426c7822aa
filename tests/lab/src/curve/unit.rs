//! What a cost is counted in.
//!
//! The invariant: a number is written with the unit in which it has one to three digits before the point, and two that
//! count in all; so no reader has to count zeros.

use crate::digits::significant;

/// The unit of the numbers of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Millis,
    /// 1,024 bytes.
    Kib,
}

impl Unit {
    /// From the largest to the smallest: a name, and how many of ours one is.
    fn scale(self) -> &'static [(&'static str, f64)] {
        match self {
            Unit::Millis => &[("s", 1e3), ("ms", 1.0), ("µs", 1e-3), ("ns", 1e-6)],
            Unit::Kib => &[("GiB", 1_048_576.0), ("MiB", 1024.0), ("KiB", 1.0), ("bytes", 1.0 / 1024.0)],
        }
    }

    /// The name to label an axis with that goes to `most`, and how many of ours one is.
    pub(super) fn for_axis(self, most: f64) -> (&'static str, f64) {
        self.fitting(most, 1.0)
    }

    /// A number of this unit, written with the one that fits it.
    #[must_use]
    pub fn write(self, number: f64) -> String {
        // Half of something is still easily read: 0.90 ms, rather than 900 µs.
        let (name, one) = self.fitting(number.abs(), 0.5);
        let sign = if number < 0.0 { "−" } else { "" };
        format!("{sign}{}\u{a0}{name}", significant(number.abs() / one, 2))
    }

    /// The largest of which there are `least`.
    fn fitting(self, number: f64, least: f64) -> (&'static str, f64) {
        let scale = self.scale();
        let fitting = scale.iter().find(|(_, one)| number / one >= least);
        *fitting.unwrap_or(&scale[scale.len() - 1])
    }
}
