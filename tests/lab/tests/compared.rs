//! What `lab compare` says about chapter 4's server.

use escargot::CargoBuild;
use lab::restart::{Figures, Ours, measure};

/// In the profile that the other tests run it in, which `cargo test` has built.
fn compared(way: &str) -> Figures {
    let build = CargoBuild::new().manifest_path("../../Cargo.toml").package("graceful-upgrade").bin("graceful-upgrade");
    let server = build.run().unwrap_or_else(|error| panic!("cannot build the server: {error}"));
    let ways = Ours::of(server.path());
    let way = ways.iter().find(|strategy| strategy.name() == way).expect("it is one of the ways");
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
