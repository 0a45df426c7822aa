//! The figures as the book includes them: `book/src/gen/figures.md`, a table for each figure, each of them and the whole
//! between anchors, for a page to include; `values.md`, every value by itself, for a sentence; and in
//! `growth`, a picture for each chart.
//!
//! The invariant: all files are of one run, and each is replaced as a whole, at the end.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lab::book::{anchored, facts, measured_with, table, value};
use lab::curve::draw;
use lab::machine;

use crate::Figure;
use crate::measured::{Line, Measured};
use crate::row::Row;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../book/src/gen");

const PICTURES: &str = "growth";

pub(crate) fn write(sections: &[(Figure, Measured)], load: f64) -> io::Result<()> {
    let machine = machine::facts(load);
    let figures = figures(sections, &machine);
    let values = values(sections, &machine);
    fs::create_dir_all(Path::new(DIRECTORY).join(PICTURES))?;
    for chart in sections.iter().flat_map(|(_, measured)| &measured.charts) {
        replace(&format!("{PICTURES}/{}.svg", chart.name), &draw(chart))?;
    }
    replace("figures.md", &figures)?;
    replace("values.md", &values)
}

fn figures(sections: &[(Figure, Measured)], machine: &[machine::Fact]) -> String {
    let sections = sections.iter().map(|(figure, measured)| section(figure, measured));
    anchored("all", &(measured_with(machine) + &sections.collect::<String>()))
}

fn section(figure: &Figure, measured: &Measured) -> String {
    let rows = &measured.rows;
    let Figure { name, title, .. } = figure;
    let (first, rest) = title.split_at(1);
    let columns = columns(rows);
    let header: Vec<_> = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    let rows = rows.iter().map(|row| columns.iter().map(|(_, cell)| cell(row)).collect());
    let (first, table) = (first.to_uppercase(), table(&header, rows));
    let lines = lines(measured);
    let anchored = anchored(name, &(table + &lines));
    format!("\n## {first}{rest} {{#{name}}}\n\n`cargo bench -p lab -- {name}`\n\n{anchored}")
}

/// Below the table: the lines through its curves.
fn lines(measured: &Measured) -> String {
    let line = |Line { what, words, explained, .. }| format!("- {what}: {words}; R² {explained}.\n");
    let lines: String = measured.lines().map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// A column: its title, and what it says about a row.
type Column = (&'static str, Box<dyn Fn(&Row) -> String>);

/// The columns of a table: those that every figure has; the limit, if any row has one; and what else there is to say,
/// in columns that all rows of a figure share.
fn columns(rows: &[Row]) -> Vec<Column> {
    let mut columns: Vec<Column> = vec![("figure", Box::new(|row| row.what.trim().to_owned()))];
    if rows.iter().any(|row| row.kept().is_some()) {
        columns.push(("asked", Box::new(asked)));
    }
    columns.push(("median", Box::new(Row::median)));
    columns.push(("range", Box::new(Row::range)));
    columns.push(("samples", Box::new(|row| row.samples().to_string())));
    let also = rows.first().map(|row| row.also.as_slice()).unwrap_or_default();
    let also = also
        .iter()
        .enumerate()
        .map(|(index, (title, _))| -> Column { (title, Box::new(move |row| row.also[index].1.clone())) });
    columns.extend(also);
    columns
}

fn asked(row: &Row) -> String {
    let verdict = row.kept().map(|kept| if kept { "kept" } else { "missed" });
    verdict.map_or_else(|| "–".to_owned(), |verdict| format!("{}, {verdict}", row.asked()))
}

/// The lines between two anchors are what a sentence includes.
fn values(sections: &[(Figure, Measured)], machine: &[machine::Fact]) -> String {
    let of_row = |row: &Row| {
        let also = row.also.iter().map(|(what, also)| value(&format!("{}_{}", row.key, what.replace(' ', "_")), also));
        let range = value(&format!("{}_range", row.key), &row.range());
        [value(&row.key, &row.about()), range].into_iter().chain(also).collect::<String>()
    };
    let rows = sections.iter().flat_map(|(_, measured)| &measured.rows).map(of_row);
    let of_line = |Line { key, words, explained, .. }| {
        [value(&format!("{key}_line"), &words), value(&format!("{key}_line_r2"), &explained)].concat()
    };
    let lines = sections.iter().flat_map(|(_, measured)| measured.lines()).map(of_line);
    rows.chain(lines).chain([facts(machine)]).collect()
}

fn replace(name: &str, text: &str) -> io::Result<()> {
    // Readable for all, as other files of the book are.
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(DIRECTORY)?;
    file.write_all(text.as_bytes())?;
    file.persist(Path::new(DIRECTORY).join(name))?;
    Ok(())
}
