//! What clients say that others wrote: nothing is lost, and no connection is closed.
//!
//! The invariant: the verdict is theirs, to the last request that they were told to send.

use testkit::ThirdParty;

use crate::server::start;

const UPGRADES: u32 = 10;

#[test]
fn wrk_loses_nothing() {
    ThirdParty::Wrk.assert_nothing_lost(&mut start(&[]), UPGRADES);
}

/// The only one of them that counts the answers after which the connection stays open.
#[test]
fn ab_loses_nothing_and_not_one_answer_announces_a_close() {
    let Some(verdict) = ThirdParty::Ab.assert_nothing_lost(&mut start(&[]), UPGRADES) else { return };
    assert_eq!(Some(verdict.after("Keep-Alive requests:")), ThirdParty::Ab.asked(), "{verdict:?}");
}

#[test]
fn h2load_loses_nothing() {
    ThirdParty::H2load.assert_nothing_lost(&mut start(&[]), UPGRADES);
}
