//! What third-party clients report.
//!
//! The invariant: the verdict is theirs, and it can be a bad one: `tests/steps.rs` has a server under which wrk complains.

use testkit::ThirdParty;

use crate::server::start;

const UPGRADES: u32 = 10;

#[test]
fn wrk_loses_nothing() {
    ThirdParty::Wrk.assert_nothing_lost(&mut start(&[]), UPGRADES);
}

#[test]
fn ab_with_a_connection_per_request_loses_nothing() {
    ThirdParty::AbPerRequest.assert_nothing_lost(&mut start(&[]), UPGRADES);
}

#[test]
fn h2load_loses_nothing() {
    ThirdParty::H2load.assert_nothing_lost(&mut start(&[]), UPGRADES);
}
