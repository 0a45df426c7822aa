//! One line of the table: samples, and what was asked of them.
//!
//! The invariant: the verdict is about the median. The spread says how far to trust it.

use std::time::Duration;

/// A number that was measured several times.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) asked: Asked,
    unit: Unit,
    /// Sorted.
    samples: Vec<f64>,
}

/// What the median has to be.
#[derive(Clone, Copy)]
pub(crate) enum Asked {
    AtLeast(f64),
    AtMost(f64),
    /// Anything: it is there to be compared with.
    Nothing,
}

#[derive(Clone, Copy)]
enum Unit {
    /// A part of the other one's.
    Ratio,
    Millis,
    Micros,
    Kib,
    PerSecond,
}

impl Row {
    fn new(what: impl Into<String>, unit: Unit, samples: impl IntoIterator<Item = f64>) -> Row {
        let mut samples: Vec<_> = samples.into_iter().collect();
        assert!(!samples.is_empty(), "a figure needs samples");
        samples.sort_unstable_by(f64::total_cmp);
        Row { what: what.into(), asked: Asked::Nothing, unit, samples }
    }

    pub(crate) fn ratio(what: impl Into<String>, samples: impl IntoIterator<Item = f64>) -> Row {
        Row::new(what, Unit::Ratio, samples)
    }

    pub(crate) fn millis(what: impl Into<String>, samples: impl IntoIterator<Item = Duration>) -> Row {
        Row::new(what, Unit::Millis, samples.into_iter().map(|time| time.as_secs_f64() * 1e3))
    }

    pub(crate) fn micros(what: impl Into<String>, samples: impl IntoIterator<Item = Duration>) -> Row {
        Row::new(what, Unit::Micros, samples.into_iter().map(|time| time.as_secs_f64() * 1e6))
    }

    pub(crate) fn kib(what: impl Into<String>, samples: impl IntoIterator<Item = f64>) -> Row {
        Row::new(what, Unit::Kib, samples)
    }

    pub(crate) fn per_second(what: impl Into<String>, samples: impl IntoIterator<Item = f64>) -> Row {
        Row::new(what, Unit::PerSecond, samples)
    }

    /// Asks for a median of no more than `limit`, in the row's unit.
    pub(crate) fn at_most(self, limit: f64) -> Row {
        Row { asked: Asked::AtMost(limit), ..self }
    }

    /// Asks for a median of no less than `limit`, in the row's unit.
    pub(crate) fn at_least(self, limit: f64) -> Row {
        Row { asked: Asked::AtLeast(limit), ..self }
    }

    /// Whether the median is what was asked for; `None` if nothing was.
    pub(crate) fn kept(&self) -> Option<bool> {
        match self.asked {
            Asked::AtLeast(limit) => Some(self.percentile(50) >= limit),
            Asked::AtMost(limit) => Some(self.percentile(50) <= limit),
            Asked::Nothing => None,
        }
    }

    pub(crate) fn asked(&self) -> String {
        match self.asked {
            Asked::AtLeast(limit) => format!("≥ {limit}{}", self.unit.sign()),
            Asked::AtMost(limit) => format!("≤ {limit}{}", self.unit.sign()),
            Asked::Nothing => String::new(),
        }
    }

    pub(crate) fn median(&self) -> String {
        self.unit.write(self.percentile(50)) + self.unit.sign()
    }

    /// Between which values eight of ten samples lie, and how many samples there are.
    pub(crate) fn spread(&self) -> String {
        let [low, high] = [10, 90].map(|percent| self.unit.write(self.percentile(percent)));
        format!("{low} … {high} ({})", self.samples.len())
    }

    fn percentile(&self, percent: usize) -> f64 {
        self.samples[(self.samples.len() - 1) * percent / 100]
    }
}

impl Unit {
    fn sign(self) -> &'static str {
        match self {
            Unit::Ratio => " ×",
            Unit::Millis => " ms",
            Unit::Micros => " µs",
            Unit::Kib => " KiB",
            Unit::PerSecond => " /s",
        }
    }

    fn write(self, value: f64) -> String {
        match self {
            Unit::Ratio => format!("{value:.3}"),
            Unit::Millis | Unit::Micros | Unit::Kib => format!("{value:.2}"),
            Unit::PerSecond => format!("{value:.0}"),
        }
    }
}
