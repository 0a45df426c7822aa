//! The straight line through some points.
//!
//! The invariant: of all lines it is the one with the smallest sum of squared distances, and every point counts the same.

/// `at_zero + slope × size`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// The cost of no work at all, if the line holds that far.
    pub at_zero: f64,
    /// The cost of one more.
    pub slope: f64,
    /// How much of what differs between the points the line explains: R², 1 for all of it, 0 for nothing. If nothing
    /// differs, it is 1.
    pub explained: f64,
}

impl Line {
    /// The line that fits best, by least squares.
    ///
    /// # Panics
    /// If there are not two sizes.
    #[must_use]
    pub fn through(points: &[(f64, f64)]) -> Line {
        let count: f64 = points.iter().map(|_| 1.0).sum();
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (size, cost) = (mean(|point| point.0), mean(|point| point.1));
        let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| of(x - size, y - cost)).sum::<f64>();
        let (sizes, both, costs) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        assert!(sizes > 0.0, "a line needs two sizes");
        let slope = both / sizes;
        let explained = if costs > 0.0 { both * both / sizes / costs } else { 1.0 };
        Line { at_zero: cost - slope * size, slope, explained }
    }

    /// The cost of a size.
    #[must_use]
    pub fn at(&self, size: f64) -> f64 {
        self.at_zero + self.slope * size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_line(points: &[(f64, f64)], expected: Line) {
        let line = Line::through(points);
        for (number, expected) in
            [(line.at_zero, expected.at_zero), (line.slope, expected.slope), (line.explained, expected.explained)]
        {
            assert!((number - expected).abs() < 1e-9, "{line:?} through {points:?}");
        }
    }

    #[test]
    fn points_on_a_line_give_that_line() {
        assert_line(&[(1.0, 5.0), (2.0, 7.0), (9.0, 21.0)], Line { at_zero: 3.0, slope: 2.0, explained: 1.0 });
        assert_line(&[(1.0, 4.0), (256.0, 4.0)], Line { at_zero: 4.0, slope: 0.0, explained: 1.0 });
    }

    #[test]
    fn what_is_no_line_is_not_explained_by_one() {
        assert_line(&[(0.0, 0.0), (1.0, 3.0), (2.0, 0.0)], Line { at_zero: 1.0, slope: 0.0, explained: 0.0 });
    }

    #[test]
    #[should_panic(expected = "two sizes")]
    fn one_size_has_no_line() {
        let _ = Line::through(&[(1.0, 1.0), (1.0, 2.0)]);
    }
}
