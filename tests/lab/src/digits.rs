//! How a measured number is written.
//!
//! The invariant: no more digits are shown than the number is worth, and the decimal point stays where people look for it.

use indicatif::{HumanCount, HumanFloatCount};

/// `number` with so many digits that count, and at most three behind the point: with two, `0.05`, `4.8`, `270`, `100,000`.
#[must_use]
pub fn significant(number: f64, digits: i32) -> String {
    let rounded = round(number, digits);
    let behind = if rounded == 0.0 { 0 } else { (digits - 1 - magnitude(rounded)).clamp(0, 3) };
    if behind == 0 {
        return HumanFloatCount(rounded).to_string();
    }
    #[expect(clippy::cast_sign_loss, reason = "it was clamped")]
    let behind = behind as usize;
    format!("{rounded:.behind$}")
}

/// A whole number, with commas: `1,024`.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a count")]
pub fn count(number: f64) -> String {
    HumanCount(number as u64).to_string()
}

/// A time, always in milliseconds, so that all can be compared; with a space that does not break before the unit.
#[must_use]
pub fn millis(number: f64) -> String {
    format!("{}\u{a0}ms", significant(number, 2))
}

/// `number`, rounded to so many digits that count.
#[must_use]
pub fn round(number: f64, digits: i32) -> f64 {
    if number == 0.0 {
        return 0.0;
    }
    // By way of text: a power of ten that is a fraction would bring in an error of its own.
    let digits = usize::try_from(digits - 1).unwrap_or_default();
    format!("{number:.digits$e}").parse().unwrap_or(number)
}

/// The power of ten of the first digit.
fn magnitude(number: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "it is a small whole number")]
    let magnitude = number.abs().log10().floor() as i32;
    magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_digits_that_count() {
        for (number, two, three) in [
            (0.0, "0", "0"),
            (0.044, "0.044", "0.044"),
            (0.9876, "0.99", "0.988"),
            (1.116, "1.1", "1.12"),
            (9.96, "10", "9.96"),
            (268.11, "270", "268"),
            (2007.51, "2,000", "2,010"),
            (100_868.0, "100,000", "101,000"),
            (-8.06, "-8.1", "-8.06"),
        ] {
            assert_eq!([significant(number, 2), significant(number, 3)], [two, three], "{number}");
        }
    }
}
