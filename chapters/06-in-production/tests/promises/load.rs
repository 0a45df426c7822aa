//! Fifty upgrades under load, in every mode of every client: not one request lost, and no HTTP/1 connection closed.

use std::ops::Range;
use std::time::Duration;

use testkit::ThirdParty;
use testkit::load::{Client, Plan, Request, Tally};

use crate::server::start;

const UPGRADES: u32 = 50;

/// The pauses of people who think between requests.
const THINK: Range<Duration> = Duration::ZERO..Duration::from_millis(20);

#[track_caller]
fn fifty_upgrades_lose_nothing(plan: impl Fn(Plan) -> Plan) {
    let _ = fifty_upgrades(&[], plan);
}

#[track_caller]
fn fifty_upgrades(options: &[&str], plan: impl Fn(Plan) -> Plan) -> Tally {
    let mut server = start(options);
    let plan = plan(Plan::new(server.address()));
    server.assert_upgrades_lose_nothing(plan, UPGRADES)
}

#[track_caller]
fn fifty_upgrades_close_nothing(plan: impl Fn(Plan) -> Plan) {
    let tally = fifty_upgrades(&[], plan);
    assert_eq!(tally.closed_announced, 0, "connections should have been handed over: {tally:#?}");
}

#[test]
fn keep_alive_clients_in_full_use() {
    fifty_upgrades_close_nothing(|plan| plan);
}

#[test]
fn clients_that_think_between_requests() {
    fifty_upgrades_close_nothing(|plan| plan.think(THINK));
}

#[test]
fn clients_with_a_timetable() {
    fifty_upgrades_close_nothing(|plan| plan.every(Duration::from_millis(10)));
}

#[test]
fn clients_that_connect_for_each_request() {
    // The client closes its connections.
    fifty_upgrades_lose_nothing(|plan| plan.per_request().connections(8));
}

#[test]
fn clients_that_wait_for_their_answers() {
    fifty_upgrades_close_nothing(|plan| plan.request(Request::get("/sleep/?duration=20ms")));
}

#[test]
fn clients_that_send_bodies() {
    fifty_upgrades_close_nothing(|plan| plan.request(Request::echo(100_000)).connections(4));
}

#[test]
fn clients_that_send_small_bodies() {
    fifty_upgrades_close_nothing(|plan| plan.request(Request::echo(10)).connections(4));
}

#[test]
fn http2_clients() {
    // An HTTP/2 connection is closed with GOAWAY, and not handed over.
    fifty_upgrades_lose_nothing(|plan| plan.client(Client::StrictHttp2 { streams: 4 }).connections(4).think(THINK));
}

#[test]
fn clients_with_a_pool() {
    fifty_upgrades_lose_nothing(|plan| plan.client(Client::Pooled).connections(16));
}

#[test]
fn clients_with_a_pool_that_think() {
    fifty_upgrades_lose_nothing(|plan| plan.client(Client::Pooled).think(THINK));
}

#[test]
fn clients_with_a_pool_that_connect_for_each_request() {
    fifty_upgrades_lose_nothing(|plan| plan.client(Client::Pooled).per_request().connections(8));
}

#[test]
fn keep_alive_clients_of_a_server_that_hands_nothing_over() {
    let tally = fifty_upgrades(&["--handover=off"], |plan| plan.think(THINK));
    assert!(tally.closed_announced > 0, "nothing was handed over, so connections should have been closed: {tally:#?}");
}

#[test]
fn the_clients_that_others_wrote() {
    for client in [ThirdParty::Wrk, ThirdParty::Ab, ThirdParty::AbPerRequest, ThirdParty::H2load] {
        client.assert_nothing_lost(&mut start(&[]), 5);
    }
}
