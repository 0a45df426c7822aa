//! What the ways from a signal to code cost, one beside the other.
//!
//! The invariant: the order in which the page explains them is the order in which they were measured.

use super::AGAIN;
use super::values::values;

/// What the page on the costs of dispatch explains. It does not say how long each takes.
#[test]
fn the_ways_from_signal_to_code_stand_in_the_order_that_the_page_explains() {
    let values = values("gen/values.md");
    let number = |key: &str| {
        let number = values[key].split('\u{a0}').next().and_then(|number| number.parse::<f64>().ok());
        number.unwrap_or_else(|| panic!("{key} is {:?}, which is no number", values[key]))
    };
    for (less, more) in [
        ("floor", "flag"),
        ("floor", "self_pipe"),
        ("self_pipe", "signal_hook"),
        ("self_pipe", "registry"),
        ("signal_hook", "ours"),
        ("tokio", "tokio_workers"),
    ] {
        let [less, more] = [less, more].map(|way| format!("dispatch_{way}"));
        assert!(number(&less) < number(&more), "{less} should take less than {more}; {AGAIN}");
    }
    for (way, calls) in [("floor", 1.0), ("flag", 4.0), ("self_pipe", 4.0), ("signal_hook", 5.0)] {
        let key = format!("dispatch_{way}_system_calls");
        assert!((number(&key) - calls).abs() < f64::EPSILON, "the page explains {calls} calls for {key}");
    }
    for (way, other) in [("ours", "ours_async"), ("ours_async", "ours")] {
        let spread = &values[&format!("dispatch_{other}_range")];
        let bounds: Vec<f64> = spread.split(['\u{a0}', ' ']).filter_map(|bound| bound.parse().ok()).collect();
        let &[least, most] = bounds.as_slice() else { panic!("{spread:?} is no spread; {AGAIN}") };
        let median = number(&format!("dispatch_{way}"));
        assert!(
            least < median && median < most,
            "the page cannot tell {way} from {other}, but {median} is not in {spread}"
        );
    }
}
