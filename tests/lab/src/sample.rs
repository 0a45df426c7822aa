//! From what was counted and timed to numbers that can be compared.
//!
//! The invariant: a time is in milliseconds, and the median of nothing is 0.

use std::time::Duration;

/// Half of the values lie below it.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "no run of seconds counts so far")]
pub(crate) fn count(number: u64) -> f64 {
    number as f64
}
