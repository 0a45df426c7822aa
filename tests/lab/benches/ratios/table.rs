//! What a person sees at the end.
//!
//! The invariant: it only formats; every number in it was measured elsewhere.

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

use crate::Figure;
use crate::measured::Measured;
use crate::row::Row;

/// A line under the header, and nothing else, as in the program `lab`.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The rows under the titles of their figures.
pub(crate) fn table(sections: &[(Figure, Measured)]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    let numbers = ["asked", "median", "range (samples)", "verdict"].map(right);
    table.set_header([Cell::new("figure")].into_iter().chain(numbers));
    for (figure, measured) in sections {
        table.add_row([Cell::new(figure.title)]);
        for row in &measured.rows {
            let verdict = row.kept().map_or("", |kept| if kept { "kept" } else { "MISSED" });
            let figure = Cell::new(format!("  {}", row.what));
            let spread = format!("{} ({})", row.range(), row.samples());
            let numbers = [row.asked(), row.median(), spread, verdict.to_owned()].map(right);
            table.add_row([figure].into_iter().chain(numbers));
            if !row.also.is_empty() {
                table.add_row([Cell::new(also(row))]);
            }
        }
        for line in measured.lines() {
            table.add_row([Cell::new(format!("  {}: {}, R² {}", line.what, line.words, line.explained))]);
        }
    }
    table
}

fn also(row: &Row) -> String {
    let also: Vec<_> = row.also.iter().map(|(what, value)| format!("{what} {value}")).collect();
    format!("      {}", also.join(", "))
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
