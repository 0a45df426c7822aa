//! One line of the table: samples, and what was asked of them.
//!
//! The invariant: the verdict is about the median. The spread says how far to trust it. And the key, by which the book
//! finds a figure, is the row's own: no two rows have the same.

use std::time::Duration;

use indicatif::HumanFloatCount;
use lab::curve::Point;
use lab::digits::{round, significant};

/// With fewer samples than this, a tenth of them is none.
const FOR_TENTHS: usize = 9;

/// The digits of a number in a table, and of the same number in a sentence.
const TABLE: i32 = 3;
const PROSE: i32 = 2;

/// A number that was measured several times.
pub(crate) struct Row {
    /// Its name in the book, in snake case.
    pub(crate) key: String,
    pub(crate) what: String,
    /// What else there is to say about it, each under the name of a column.
    pub(crate) also: Vec<(&'static str, String)>,
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
    /// A multiple of another value.
    Ratio,
    Millis,
    Micros,
    Kib,
    PerSecond,
    Count,
}

impl Row {
    fn new(key: impl Into<String>, what: impl Into<String>, unit: Unit, samples: impl IntoIterator<Item = f64>) -> Row {
        let mut samples: Vec<_> = samples.into_iter().collect();
        assert!(!samples.is_empty(), "a figure needs samples");
        samples.sort_unstable_by(f64::total_cmp);
        Row { key: key.into(), what: what.into(), also: Vec::new(), asked: Asked::Nothing, unit, samples }
    }

    pub(crate) fn ratio(
        key: impl Into<String>,
        what: impl Into<String>,
        samples: impl IntoIterator<Item = f64>,
    ) -> Row {
        Row::new(key, what, Unit::Ratio, samples)
    }

    pub(crate) fn millis(
        key: impl Into<String>,
        what: impl Into<String>,
        samples: impl IntoIterator<Item = Duration>,
    ) -> Row {
        Row::new(key, what, Unit::Millis, samples.into_iter().map(|time| time.as_secs_f64() * 1e3))
    }

    pub(crate) fn micros(
        key: impl Into<String>,
        what: impl Into<String>,
        samples: impl IntoIterator<Item = Duration>,
    ) -> Row {
        Row::new(key, what, Unit::Micros, samples.into_iter().map(|time| time.as_secs_f64() * 1e6))
    }

    pub(crate) fn kib(key: impl Into<String>, what: impl Into<String>, samples: impl IntoIterator<Item = f64>) -> Row {
        Row::new(key, what, Unit::Kib, samples)
    }

    pub(crate) fn per_second(
        key: impl Into<String>,
        what: impl Into<String>,
        samples: impl IntoIterator<Item = f64>,
    ) -> Row {
        Row::new(key, what, Unit::PerSecond, samples)
    }

    pub(crate) fn count(
        key: impl Into<String>,
        what: impl Into<String>,
        samples: impl IntoIterator<Item = f64>,
    ) -> Row {
        Row::new(key, what, Unit::Count, samples)
    }

    /// Asks for a median of no more than `limit`, in the row's unit.
    pub(crate) fn at_most(self, limit: f64) -> Row {
        self.asking(Asked::AtMost(limit))
    }

    /// Asks for a median of no less than `limit`, in the row's unit.
    pub(crate) fn at_least(self, limit: f64) -> Row {
        self.asking(Asked::AtLeast(limit))
    }

    /// Asks for this.
    pub(crate) fn asking(self, asked: Asked) -> Row {
        Row { asked, ..self }
    }

    /// Adds what else there is to say.
    pub(crate) fn and(self, also: impl IntoIterator<Item = (&'static str, String)>) -> Row {
        Row { also: also.into_iter().collect(), ..self }
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
            Asked::AtLeast(limit) => format!("≥\u{a0}{limit}{}", self.unit.sign()),
            Asked::AtMost(limit) => format!("≤\u{a0}{limit}{}", self.unit.sign()),
            Asked::Nothing => String::new(),
        }
    }

    pub(crate) fn median(&self) -> String {
        self.unit.write(self.percentile(50), TABLE) + self.unit.sign()
    }

    /// The median for a sentence: a rounded form of what the table says.
    pub(crate) fn about(&self) -> String {
        let median = self.percentile(50);
        let median = if matches!(self.unit, Unit::Count) { median } else { round(median, TABLE) };
        self.unit.write(median, PROSE) + self.unit.sign()
    }

    /// Between which values the samples lie: eight in ten of them, or all, if there are few.
    pub(crate) fn range(&self) -> String {
        let (low, high) = self.bounds();
        let [low, high] = [low, high].map(|value| self.unit.write(value, TABLE));
        format!("{low}\u{a0}…\u{a0}{high}{}", self.unit.sign())
    }

    fn bounds(&self) -> (f64, f64) {
        let (low, high) = if self.samples.len() < FOR_TENTHS { (0, 100) } else { (10, 90) };
        (self.percentile(low), self.percentile(high))
    }

    /// Where a picture has it, as what a size costs: in milliseconds or KiB.
    pub(crate) fn point(&self, size: f64) -> Point {
        Point { size, cost: self.percentile(50), spread: self.bounds() }
    }

    /// How many samples there are.
    pub(crate) fn samples(&self) -> usize {
        self.samples.len()
    }

    fn percentile(&self, percent: usize) -> f64 {
        self.samples[(self.samples.len() - 1) * percent / 100]
    }
}

impl Unit {
    /// With a space that does not break: a number and its unit stay together.
    fn sign(self) -> &'static str {
        match self {
            Unit::Ratio => "\u{a0}×",
            Unit::Millis => "\u{a0}ms",
            Unit::Micros => "\u{a0}µs",
            Unit::Kib => "\u{a0}KiB",
            Unit::PerSecond => "\u{a0}/s",
            Unit::Count => "",
        }
    }

    /// A count is exact, and what was measured has so many digits.
    fn write(self, value: f64, digits: i32) -> String {
        match self {
            Unit::Count => HumanFloatCount(value.round()).to_string(),
            _ => significant(value, digits),
        }
    }
}
