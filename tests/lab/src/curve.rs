//! How a cost grows with the work: measured at a few sizes, in words and as a picture.
//!
//! The invariant: a line goes through the medians that were measured and through nothing else; where no straight line fits
//! them, none is drawn or quoted; and the words beside a picture and those in a sentence are the same.
//!
//! Follow a cost: a [`Curve`] has a [`Point`] for each size; [`Line`] is the straight line that fits them best; a
//! [`Chart`] says it in the units of its axes, and [`draw`] draws it.

mod draw;
mod line;
mod unit;

pub use draw::draw;
pub use line::Line;
pub use unit::Unit;

/// How much a straight line has to explain (R²), or the points have no trend.
const TREND: f64 = 0.9;

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
    /// The straight line that fits best, however badly.
    #[must_use]
    pub fn line(&self) -> Line {
        let points: Vec<_> = self.points.iter().map(|point| (point.size, point.cost)).collect();
        Line::through(&points)
    }

    /// The same, if it explains what differs between the points.
    #[must_use]
    pub fn trend(&self) -> Option<Line> {
        Some(self.line()).filter(|line| line.explained >= TREND && line.slope != 0.0)
    }

    /// The lowest cost and the highest.
    fn range(&self) -> [f64; 2] {
        let costs = || self.points.iter().map(|point| point.cost);
        [costs().fold(f64::MAX, f64::min), costs().fold(f64::MIN, f64::max)]
    }
}

impl Chart {
    /// The line of one of the curves, `2.4 ms + 11 µs per listener`; or that it has none, and what the costs are.
    #[must_use]
    pub fn words(&self, curve: &Curve) -> String {
        let Some(Line { at_zero, slope, .. }) = curve.trend() else {
            let [least, most] = curve.range().map(|cost| self.unit.write(cost));
            return if least == most { format!("flat, {least}") } else { format!("no trend, {least} to {most}") };
        };
        let each = format!("{} per {}", self.unit.write(slope.abs()), self.one);
        // Less than nothing is what the line comes to at zero, and not what anything costs.
        if at_zero < 0.0 {
            return each;
        }
        let sign = if slope < 0.0 { '−' } else { '+' };
        format!("{} {sign} {each}", self.unit.write(at_zero))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_understands_the_line() {
        let chart = |unit, costs: [f64; 3]| {
            let points = costs.into_iter().zip([0.0, 50.0, 100.0]);
            let points = points.map(|(cost, size)| Point { size, cost, spread: (cost, cost) }).collect();
            let curves = vec![Curve { key: "key", what: "what", points }];
            Chart { name: "name", title: "title", many: "listeners", one: "listener", unit, curves }
        };
        for (unit, costs, words) in [
            (Unit::Millis, [0.9, 1.45, 2.0], "0.90\u{a0}ms + 11\u{a0}µs per listener"),
            (Unit::Millis, [2010.0, 2010.0, 2010.0], "flat, 2.0\u{a0}s"),
            (Unit::Millis, [-1.0, 3499.0, 6999.0], "70\u{a0}ms per listener"),
            (Unit::Millis, [4.1, 7.7, 4.9], "no trend, 4.1\u{a0}ms to 7.7\u{a0}ms"),
            (Unit::Kib, [2048.0, 2043.0, 2038.0], "2.0\u{a0}MiB − 100\u{a0}bytes per listener"),
        ] {
            let chart = chart(unit, costs);
            assert_eq!(chart.words(&chart.curves[0]), words);
        }
    }
}
