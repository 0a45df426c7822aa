//! How a cost grows with the work: measured at a few sizes, in words and as a picture.
//!
//! The invariant: a line goes through the medians that were measured and through nothing else, and the words beside a
//! picture and those in a sentence are the same.
//!
//! Follow a cost: a [`Curve`] has a [`Point`] for each size; [`Line`] is the straight line that fits them best; a
//! [`Chart`] says it in the units of its axes, and [`draw`] draws it.

mod draw;
mod line;
mod unit;

pub use draw::draw;
pub use line::Line;
pub use unit::Unit;

/// One or more costs of the same work.
#[derive(Debug)]
pub struct Chart {
    /// Its name among the pictures, of letters and hyphens.
    pub name: &'static str,
    /// What it shows, in words.
    pub title: &'static str,
    /// What there is more and more of, for the axis: `listeners`.
    pub many: &'static str,
    /// One of them: `listener`.
    pub one: &'static str,
    /// What the costs are counted in.
    pub unit: Unit,
    /// The costs, three at most: there are no more marks to tell them apart.
    pub curves: Vec<Curve>,
}

/// One cost.
#[derive(Debug)]
pub struct Curve {
    /// Its name in the book, in snake case.
    pub key: &'static str,
    /// What costs it.
    pub what: &'static str,
    /// What it costs, from the smallest size to the largest.
    pub points: Vec<Point>,
}

/// What a size costs, in the unit of the chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// How much work.
    pub size: f64,
    /// The median of what was measured.
    pub cost: f64,
    /// Between which two most of it lies.
    pub spread: (f64, f64),
}

impl Curve {
    /// The straight line that fits best.
    #[must_use]
    pub fn line(&self) -> Line {
        let points: Vec<_> = self.points.iter().map(|point| (point.size, point.cost)).collect();
        Line::through(&points)
    }
}

impl Chart {
    /// The line of one of the curves: `2.4 ms + 11 µs per listener`.
    #[must_use]
    pub fn words(&self, curve: &Curve) -> String {
        let Line { at_zero, slope, .. } = curve.line();
        let sign = if slope < 0.0 { '−' } else { '+' };
        format!("{} {sign} {} per {}", self.unit.write(at_zero), self.unit.write(slope.abs()), self.one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_understands_the_line() {
        let chart = |unit, costs: [f64; 2]| {
            let points = costs.into_iter().zip([0.0, 100.0]);
            let points = points.map(|(cost, size)| Point { size, cost, spread: (cost, cost) }).collect();
            let curves = vec![Curve { key: "key", what: "what", points }];
            Chart { name: "name", title: "title", many: "listeners", one: "listener", unit, curves }
        };
        for (unit, costs, words) in [
            (Unit::Millis, [0.9, 2.0], "0.90\u{a0}ms + 11.0\u{a0}µs per listener"),
            (Unit::Millis, [2010.0, 2010.0], "2.01\u{a0}s + 0.00\u{a0}ns per listener"),
            (Unit::Millis, [-1.0, 6999.0], "−1.00\u{a0}ms + 70.0\u{a0}ms per listener"),
            (Unit::Kib, [2048.0, 2038.0], "2.00\u{a0}MiB − 102\u{a0}bytes per listener"),
        ] {
            let chart = chart(unit, costs);
            assert_eq!(chart.words(&chart.curves[0]), words);
        }
    }
}
