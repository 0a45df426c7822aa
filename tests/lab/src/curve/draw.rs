//! A chart as SVG.
//!
//! The invariant: both axes begin at zero, so a cost that doubles looks twice as high, and what grows in proportion looks
//! straight. What is drawn takes its colours from the page, by class and by `currentColor`, and there is no blank line in
//! it: a page includes it as it is.

use std::fmt::Write as _;

use indicatif::HumanFloatCount;

use super::{Chart, Curve, Line, Point};

/// The size of the whole, in units that are pixels on a wide page.
const WIDTH: f64 = 720.0;
/// The height of what is between the axes.
const HEIGHT: f64 = 220.0;
/// Left of it: the numbers of the axis. And right of it: half a number.
const LEFT: f64 = 72.0;
const RIGHT: f64 = 28.0;
/// Above it, for each curve: its name and its line. And then a little.
const NAME: f64 = 20.0;
const GAP: f64 = 14.0;
/// Below it: the numbers of the axis, and what they count.
const AXIS: f64 = 44.0;
/// Half of a mark.
const MARK: f64 = 4.5;
/// How many numbers an axis has at most, beside the zero.
const TICKS: f64 = 5.0;

/// How a curve is told from the others: by the shape of its marks, the dashes of its line, and its colours.
struct Style {
    mark: fn(f64, f64) -> String,
    dashes: &'static str,
    /// Classes of the marks and of the line. Where there is none, they have the colour of the text.
    fill: &'static str,
    line: &'static str,
}

const STYLES: [Style; 3] = [
    Style { mark: circle, dashes: "none", fill: "accent", line: "accent-line" },
    Style { mark: square, dashes: "7 4", fill: "accent-2", line: "accent-2-line" },
    Style { mark: diamond, dashes: "2 3", fill: "", line: "soft-line" },
];

/// Draws it.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "a string takes all that is written to it")]
pub fn draw(chart: &Chart) -> String {
    let mut svg = String::new();
    Picture::of(chart).write(&mut svg).expect("a string takes all that is written to it");
    svg
}

struct Picture<'chart> {
    chart: &'chart Chart,
    /// The upper end of what is between the axes.
    top: f64,
    /// Where the axes end, and the numbers on them.
    size: Axis,
    cost: Axis,
}

struct Axis {
    most: f64,
    step: f64,
}

impl Axis {
    /// One that has room for `most`.
    fn to(most: f64) -> Axis {
        let rough = (most / TICKS).max(f64::MIN_POSITIVE);
        let power = 10_f64.powf(rough.log10().floor());
        // What people count in.
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        Axis { most: (most / step).ceil() * step, step }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (0..=10).map(|tick| f64::from(tick) * self.step).take_while(|tick| *tick <= self.most + self.step / 2.0)
    }
}

impl Picture<'_> {
    fn of(chart: &Chart) -> Picture<'_> {
        let points = || chart.curves.iter().flat_map(|curve| &curve.points);
        let size = points().map(|point| point.size).fold(0.0, f64::max);
        let cost = points().map(|point| point.spread.1.max(point.cost)).fold(0.0, f64::max);
        let curves: f64 = chart.curves.iter().map(|_| NAME).sum();
        Picture { chart, top: curves + GAP, size: Axis::to(size), cost: Axis::to(cost) }
    }

    fn write(&self, svg: &mut String) -> std::fmt::Result {
        let Chart { name, title, curves, .. } = self.chart;
        let height = self.top + HEIGHT + AXIS;
        writeln!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"curve-{name}-title curve-{name}-desc\" \
             font-size=\"14\" fill=\"currentColor\">"
        )?;
        writeln!(svg, "<title id=\"curve-{name}-title\">{title}</title>")?;
        writeln!(svg, "<desc id=\"curve-{name}-desc\">{}</desc>", self.description())?;
        self.axes(svg)?;
        for ((curve, style), row) in curves.iter().zip(&STYLES).zip(0_u32..) {
            self.name(svg, curve, style, f64::from(row) * NAME)?;
            self.curve(svg, curve, style)?;
        }
        writeln!(svg, "</svg>")
    }

    fn axes(&self, svg: &mut String) -> std::fmt::Result {
        let (bottom, right) = (self.top + HEIGHT, WIDTH - RIGHT);
        let (unit, one) = self.chart.unit.for_axis(self.cost.most);
        for tick in self.cost.ticks() {
            let y = self.y(tick);
            let number = HumanFloatCount(tick / one);
            writeln!(svg, "<path class=\"soft-line\" d=\"M{LEFT} {y:.1}H{right}\" stroke-width=\"0.5\"/>")?;
            let x = LEFT - 8.0;
            writeln!(svg, "<text x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\">{number} {unit}</text>", y + 5.0)?;
        }
        for tick in self.size.ticks() {
            let (x, number) = (self.x(tick), HumanFloatCount(tick));
            writeln!(svg, "<path d=\"M{x:.1} {bottom}v5\" stroke=\"currentColor\"/>")?;
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{number}</text>", bottom + 19.0)?;
        }
        writeln!(svg, "<path d=\"M{LEFT} {bottom}H{right}\" stroke=\"currentColor\"/>")?;
        let (x, many) = (f64::midpoint(LEFT, right), self.chart.many);
        writeln!(svg, "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{many}</text>", bottom + 38.0)
    }

    /// What it is, beside its mark.
    fn name(&self, svg: &mut String, curve: &Curve, style: &Style, top: f64) -> std::fmt::Result {
        let (middle, words) = (top + NAME / 2.0, self.chart.words(curve));
        let Style { mark, dashes, fill, line } = style;
        let [from, to] = [LEFT, LEFT + 28.0];
        if curve.trend().is_some() {
            writeln!(svg, "<path class=\"{line}\" d=\"M{from} {middle}H{to}\" stroke-dasharray=\"{dashes}\"/>")?;
        }
        writeln!(svg, "{}", mark(f64::midpoint(from, to), middle).replacen(' ', &class(fill), 1))?;
        writeln!(svg, "<text x=\"{}\" y=\"{}\">{}: {words}</text>", to + 8.0, middle + 5.0, curve.what)
    }

    fn curve(&self, svg: &mut String, curve: &Curve, style: &Style) -> std::fmt::Result {
        let Style { mark, dashes, fill, line } = style;
        if let Some(trend) = curve.trend() {
            let (from, to) = Self::visible(curve, trend);
            let [from, to] = [from, to].map(|size| (self.x(size), self.y(trend.at(size))));
            writeln!(
                svg,
                "<path class=\"{line}\" d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke-width=\"1.5\" stroke-dasharray=\"{dashes}\"/>",
                from.0, from.1, to.0, to.1
            )?;
        }
        writeln!(svg, "<g{}>", class(fill).trim_end())?;
        for Point { size, cost, spread: (low, high) } in &curve.points {
            let (x, [low, high]) = (self.x(*size), [low, high].map(|cost| self.y(*cost)));
            writeln!(svg, "<path class=\"{line}\" d=\"M{x:.1} {low:.1}V{high:.1}\"/>")?;
            writeln!(svg, "{}", mark(x, self.y(*cost)))?;
        }
        writeln!(svg, "</g>")
    }

    /// From which size to which the line is on the picture: from zero to the last one measured, unless it costs less than
    /// nothing there.
    fn visible(curve: &Curve, line: Line) -> (f64, f64) {
        let most = curve.points.iter().map(|point| point.size).fold(0.0, f64::max);
        let zero = -line.at_zero / line.slope;
        match (line.at(0.0) < 0.0, line.at(most) < 0.0) {
            (true, _) => (zero.clamp(0.0, most), most),
            (_, true) => (0.0, zero.clamp(0.0, most)),
            _ => (0.0, most),
        }
    }

    fn x(&self, size: f64) -> f64 {
        LEFT + size / self.size.most * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, cost: f64) -> f64 {
        self.top + HEIGHT * (1.0 - cost / self.cost.most)
    }

    fn description(&self) -> String {
        let Chart { many, unit, curves, .. } = self.chart;
        let of = |curve: &Curve| {
            let points = curve.points.iter();
            let points = points.map(|point| format!("{} at {}", unit.write(point.cost), HumanFloatCount(point.size)));
            let (what, points) = (curve.what, points.collect::<Vec<_>>().join(", "));
            format!("{what}, by {many}: {points}. In words: {}.", self.chart.words(curve))
        };
        curves.iter().map(of).collect::<Vec<_>>().join(" ")
    }
}

fn class(name: &str) -> String {
    if name.is_empty() { " ".to_owned() } else { format!(" class=\"{name}\" ") }
}

fn circle(x: f64, y: f64) -> String {
    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{MARK}\"/>")
}

fn square(x: f64, y: f64) -> String {
    let [x, y] = [x, y].map(|middle| middle - MARK + 0.5);
    let side = 2.0 * MARK - 1.0;
    format!("<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{side}\" height=\"{side}\"/>")
}

fn diamond(x: f64, y: f64) -> String {
    let (half, top) = (MARK + 0.5, y - MARK - 0.5);
    format!("<path d=\"M{x:.1} {top:.1}l{half} {half}l-{half} {half}l-{half} -{half}z\"/>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Unit;

    fn chart(costs: &[[f64; 3]]) -> String {
        let curve = |costs: &[f64; 3]| {
            let points = [0.0, 50.0, 100.0].into_iter().zip(costs);
            let points = points.map(|(size, cost)| Point { size, cost: *cost, spread: (*cost, cost + 1.0) }).collect();
            Curve { key: "key", what: "a thing", points }
        };
        let curves = costs.iter().map(curve).collect();
        let [name, title, many, one] = ["things", "Costs", "things", "thing"];
        draw(&Chart { name, title, many, one, unit: Unit::Millis, curves })
    }

    #[test]
    fn every_point_is_a_mark_and_the_words_name_them() {
        let svg = chart(&[[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]);
        // One more is beside the name of its curve.
        assert_eq!((svg.matches("<circle ").count(), svg.matches("<rect ").count()), (3 + 1, 3 + 1), "{svg}");
        for words in ["a thing: 1.0\u{a0}ms + 20\u{a0}µs per thing<", "2.0\u{a0}ms at 50, 3.0\u{a0}ms at 100."] {
            assert!(svg.contains(words), "{words:?} should be in\n{svg}");
        }
        assert!(!svg.contains("\n\n"), "a blank line would end it in the middle of a page:\n{svg}");
    }

    #[test]
    fn a_line_ends_where_it_meets_the_axis() {
        // Zero at a quarter of the way.
        let svg = chart(&[[-10.0, 10.0, 30.0]]);
        assert!(svg.contains("d=\"M227.0 254.0L692.0 "), "{svg}");
    }

    #[test]
    fn an_axis_is_numbered_as_people_count() {
        for (most, step, end) in [(256.0, 100.0, 300.0), (0.9, 0.2, 1.0), (9.0, 2.0, 10.0), (120.0, 25.0, 125.0)] {
            let axis = Axis::to(most);
            assert!(
                (axis.step - step).abs() < 1e-9 && (axis.most - end).abs() < 1e-9,
                "{most}: {} {}",
                axis.step,
                axis.most
            );
        }
    }
}
