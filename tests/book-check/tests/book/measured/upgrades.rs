//! The table that the introduction shows of the program `lab`.
//!
//! The invariant: it is what the program prints, and it has nothing lost in it.

use super::values::read;

/// What to do about a failure.
const AGAIN: &str = "run it again: cargo run --release -p lab -- --book book/src/gen/lab.md";

#[test]
fn the_first_table_of_the_book_shows_no_lost_request() {
    let listing = read("gen/lab.md");
    for row in ["upgrades", "requests", "lost", "connections closed without"] {
        let row = listing.lines().find(|line| line.trim_start().starts_with(row));
        assert!(row.is_some(), "gen/lab.md has no row {row:?}; {AGAIN}");
    }
    let verdict = listing.lines().rev().nth(1).unwrap_or_default();
    assert!(verdict.starts_with("30 upgrades, ") && verdict.ends_with(" requests, 0 lost."), "{verdict:?}; {AGAIN}");
}
