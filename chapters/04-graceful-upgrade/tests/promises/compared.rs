//! What `lab compare` says about this server, said of the binary that was just built.

use std::path::Path;

use lab::restart::{Figures, Ours, measure};

use crate::server::BINARY;

fn compared(way: &str) -> Figures {
    let ways = Ours::of(Path::new(BINARY));
    let way = ways.iter().find(|contender| contender.name() == way).expect("it is one of the ways");
    measure(&**way, |_| ()).unwrap_or_else(|error| panic!("{error}")).figures()
}

fn assert_equal(left: f64, right: f64, why: &str) {
    assert!((left - right).abs() < f64::EPSILON, "{why}: {left}");
}

#[test]
fn whoever_kills_the_server_and_starts_it_again_turns_clients_away() {
    let killed = compared("kill-start");
    assert!(killed.refused > 0.0, "{killed:?}");
    assert!(killed.closed_unannounced > 0.0, "{killed:?}");
}

#[test]
fn an_upgrade_loses_nothing_and_closes_connections_only_with_notice() {
    let upgraded = compared("polite-drain");
    assert_equal(upgraded.lost, 0.0, "lost requests");
    assert!(upgraded.closed_announced > 0.0, "{upgraded:?}");
    assert_equal(upgraded.closed_unannounced, 0.0, "connections closed without notice");
}
