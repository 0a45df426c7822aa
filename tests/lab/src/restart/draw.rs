//! A figure of all strategies as a bar chart, in SVG.
//!
//! The invariant: the axis begins at zero, so a bar that is twice as long is twice as much, and where nothing is, there is no
//! bar. What is drawn takes its colours from the page, by class and by `currentColor`, and there is no blank line in it: a
//! page includes it as it is.

use super::column::Column;
use super::turns::Outcome;

/// The width of the whole, in units that are pixels on a narrow screen: bars of which only the beginning is seen cannot be
/// compared, so it does not scroll, as other pictures do there. And the widest it becomes.
const WIDTH: f64 = 340.0;
const WIDEST: &str = "30rem";
/// A row: a line of words above a bar, as there is no room beside it.
const ROW: f64 = 36.0;
const WORDS: f64 = 12.0;
const BAR: f64 = 12.0;
/// What is more than nothing is to be seen.
const NARROWEST: f64 = 2.0;

/// Draws the `column` of all `outcomes`; `of` begins the ids, which no two pictures of the book may share.
#[must_use]
pub fn draw(of: &str, column: &Column, outcomes: &[Outcome]) -> String {
    let (key, title) = (column.key.replace('_', "-"), column.chart.unwrap_or(column.title));
    let most = outcomes.iter().map(|outcome| column.of(&outcome.figures)).fold(f64::MIN_POSITIVE, f64::max);
    let height = (0..outcomes.len()).fold(0.0, |height, _| height + ROW);
    let said: Vec<_> =
        outcomes.iter().map(|outcome| format!("{}: {}", outcome.title, column.write(&outcome.figures))).collect();
    let mut lines = vec![
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{of}-{key}-title {of}-{key}-desc\" \
             font-size=\"13\" fill=\"currentColor\" style=\"min-width: 0; max-width: {WIDEST}\">"
        ),
        format!("<title id=\"{of}-{key}-title\">{title}</title>"),
        format!("<desc id=\"{of}-{key}-desc\">{}.</desc>", said.join("; ")),
    ];
    for (outcome, row) in outcomes.iter().zip(0_u32..) {
        let top = f64::from(row) * ROW;
        let (name, number) = (&outcome.title, column.write(&outcome.figures));
        lines.push(format!(
            "<text x=\"0\" y=\"{}\">{name}: <tspan font-weight=\"bold\">{number}</tspan></text>",
            top + WORDS
        ));
        let share = column.of(&outcome.figures) / most;
        if share > 0.0 {
            let (y, width) = (top + WORDS + 5.0, (share * WIDTH).max(NARROWEST));
            let class = class(column);
            lines.push(format!("<rect class=\"{class}\" x=\"0\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\"/>"));
        }
    }
    lines.push("</svg>\n".to_owned());
    lines.join("\n")
}

/// What is lost has the colour of what is lost on every picture.
fn class(column: &Column) -> &'static str {
    if column.key == "lost" { "lost" } else { "accent" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restart::{COLUMNS, Figures};

    #[test]
    fn what_is_more_than_nothing_has_a_bar_and_nothing_has_none() {
        let outcome = |name: &str, lost| {
            let figures = Figures { lost, ..Figures::default() };
            Outcome { name: name.to_owned(), title: name.to_owned(), figures, runs: vec![figures] }
        };
        let lost = COLUMNS.iter().find(|column| column.key == "lost").expect("it is shown");
        let svg = draw("test", lost, &[outcome("many", 1000.0), outcome("one", 1.0), outcome("none", 0.0)]);
        assert_eq!(svg.matches("<rect ").count(), 2, "{svg}");
        assert!(svg.contains("many: 1,000; one: 1; none: 0."), "{svg}");
        assert!(!svg.contains("\n\n"), "a blank line would end it in the middle of a page:\n{svg}");
    }
}
