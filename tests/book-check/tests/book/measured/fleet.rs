//! A new version, rolled over a fleet behind a balancer.
//!
//! The invariant: every way is there for both balancers, and what must not depend on the machine holds: in place, nothing is lost
//! and the balancer opens no connection; and a broken version stops the roll.

use super::values::{read, values};

/// What to do about a failure.
const AGAIN: &str = "roll again: cargo run --release -p lab -- fleet --repeats 3 --book book/src/gen/fleet";

#[test]
fn in_place_nothing_is_lost_and_no_connection_is_opened() {
    let (values, table) = (values("gen/fleet/values.md"), read("gen/fleet/table.md"));
    for balancer in ["haproxy", "nginx"] {
        for way in ["in_place", "broken"] {
            for figure in ["lost_in_worst_run", "opened_in_worst_run"] {
                assert_eq!(values[&format!("{balancer}_{way}_{figure}")], "0", "{balancer}, {way}: {figure}; {AGAIN}");
            }
        }
        assert_eq!(values[&format!("{balancer}_in_place_done")], "3 of 3", "{AGAIN}");
        assert_eq!(values[&format!("{balancer}_broken_done")], "0 of 3", "a broken version should stop the roll");
        for way in ["stop_start", "drained"] {
            let requests = &values[&format!("{balancer}_{way}_requests")];
            assert!(table.contains(&format!("| {requests} |")), "{balancer}, {way}: table and values differ; {AGAIN}");
        }
    }
    assert_ne!(
        values["nginx_drained_lost_in_worst_run"], "0",
        "the page explains what a reload of nginx loses; {AGAIN}"
    );
}
