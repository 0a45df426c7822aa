//! What a person sees at the end.
//!
//! The invariant: the report only formats; every number in it was measured elsewhere.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};
use indicatif::HumanCount;
use testkit::load::Latency;

use crate::options::Who;
use crate::upgrade_run::{Upgrade, UpgradeRun};

/// A line under the header, and nothing else: the numbers are the picture.
pub(crate) const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table for a terminal: a first column of words, and others of numbers.
pub(crate) fn terminal(header: Vec<String>, rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    let cells = |texts: Vec<String>| {
        let right = |(index, text)| {
            let alignment = if index == 0 { CellAlignment::Left } else { CellAlignment::Right };
            Cell::new(text).set_alignment(alignment)
        };
        texts.into_iter().enumerate().map(right).collect::<Vec<_>>()
    };
    table.set_header(cells(header));
    for row in rows {
        table.add_row(cells(row));
    }
    table
}

/// The runs side by side.
#[must_use]
pub fn table(runs: &[UpgradeRun]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    table.set_header([Cell::new("")].into_iter().chain(runs.iter().map(|run| right(run.scenario.to_string()))));
    let mut row = |label: &str, value: &dyn Fn(&UpgradeRun) -> String| {
        table.add_row([Cell::new(label)].into_iter().chain(runs.iter().map(|run| right(value(run)))));
    };
    row("upgrades", &|run| run.upgrades.len().to_string());
    row("requests", &|run| count(run.tally.requests));
    row("lost", &|run| count(run.tally.lost));
    if runs.iter().any(|run| run.tally.given_back > 0) {
        row("given back unread, sent again", &|run| count(run.tally.given_back));
    }
    row("connections closed with notice", &|run| told(run, run.tally.closed_announced));
    row("connections closed without", &|run| told(run, run.tally.closed_unannounced));
    row("", &|_| String::new());
    row("after the signal (median … worst)", &|_| String::new());
    row("  new process answers", &|run| spread(run, |upgrade| upgrade.first_answer));
    row("  old process gone", &|run| spread(run, |upgrade| upgrade.old_gone));
    row("", &|_| String::new());
    row("latency (calm → upgrading)", &|_| String::new());
    for (label, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
        row(&format!("  {label}"), &|run| {
            let value = |latency: &Latency| duration(latency.quantile(share));
            format!("{} → {}", value(&run.tally.latency.rest), value(&run.tally.latency.during))
        });
    }
    table
}

/// Table and sentence as the book includes them.
#[must_use]
pub fn listing(runs: &[UpgradeRun]) -> String {
    let table = table(runs).to_string();
    let lines: Vec<_> = table.lines().map(str::trim_end).collect();
    format!("```text\n{}\n\n{}\n```\n", lines.join("\n"), verdict(runs))
}

/// Why requests were lost; empty if none were.
#[must_use]
pub fn losses(runs: &[UpgradeRun]) -> String {
    let losing = runs.iter().filter(|run| run.tally.lost > 0);
    let lines = losing.map(|run| format!("lost, {}:\n{}\n", run.scenario, run.tally.describe_losses()));
    lines.collect::<Vec<_>>().concat()
}

/// The whole in one sentence.
#[must_use]
pub fn verdict(runs: &[UpgradeRun]) -> String {
    let upgrades: usize = runs.iter().map(|run| run.upgrades.len()).sum();
    let requests = runs.iter().map(|run| run.tally.requests).sum();
    format!("{upgrades} upgrades, {} requests, {} lost.", count(requests), count(lost(runs)))
}

/// How many requests were lost in all.
#[must_use]
pub fn lost(runs: &[UpgradeRun]) -> u64 {
    runs.iter().map(|run| run.tally.lost).sum()
}

/// A time, always in milliseconds, so that all can be compared at a glance.
#[must_use]
pub fn duration(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A number of connections, unless the client keeps it to itself.
fn told(run: &UpgradeRun, connections: u64) -> String {
    if run.scenario.who == Who::Pooled { "–".to_owned() } else { count(connections) }
}

fn spread(run: &UpgradeRun, of: impl Fn(&Upgrade) -> Duration) -> String {
    let mut all: Vec<Duration> = run.upgrades.iter().map(of).collect();
    all.sort_unstable();
    let (Some(median), Some(worst)) = (all.get(all.len() / 2), all.last()) else { return "–".to_owned() };
    format!("{} … {}", duration(*median), duration(*worst))
}
