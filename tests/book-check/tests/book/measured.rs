//! What was measured is there, whole, and keeps its promises.
//!
//! The invariant: no test here asserts a time. Another machine measures others; what must not change with the machine is
//! the verdict on each limit, and what a picture shows. (That no page includes a value that is
//! not there is a matter of `includes`.)

mod comparison;
mod dispatch;
mod figures;
mod fleet;
mod growth;
mod peers;
mod timelines;
mod upgrades;
mod values;

/// What to do about a failure in whatever the benchmark wrote.
const AGAIN: &str = "measure again, on a quiet machine: cargo bench -p lab -- --book";
