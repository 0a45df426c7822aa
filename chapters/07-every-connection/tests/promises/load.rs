//! Upgrades under load: not one request lost, and no HTTP/2 connection closed.

use std::time::Duration;

use testkit::load::{Client, Plan, Request};

use crate::server::{start, upgrades};

const CONNECTIONS: u32 = 4;
const THINK: std::ops::Range<Duration> = Duration::ZERO..Duration::from_millis(20);

#[track_caller]
fn nothing_is_lost_and_nothing_closed(plan: impl Fn(Plan) -> Plan) {
    let mut server = start(&["--drain-timeout", "1h"]);
    let plan = plan(Plan::new(server.address()).connections(CONNECTIONS));
    let tally = server.assert_upgrades_lose_nothing(plan, upgrades());
    assert_eq!(tally.closed_announced, 0, "a connection was closed, if politely: {tally:#?}");
    assert_eq!(tally.connections, u64::from(CONNECTIONS), "a client had to connect again: {tally:#?}");
    assert_eq!(tally.given_back, 0, "a request had to be sent again: {tally:#?}");
}

#[test]
fn clients_in_full_use_keep_their_connections() {
    nothing_is_lost_and_nothing_closed(|plan| plan.client(Client::StrictHttp2 { streams: 8 }));
}

#[test]
fn clients_that_ask_one_by_one_keep_their_connections() {
    nothing_is_lost_and_nothing_closed(|plan| plan.client(Client::StrictHttp2 { streams: 1 }));
}

#[test]
fn clients_that_think_keep_their_connections() {
    nothing_is_lost_and_nothing_closed(|plan| plan.client(Client::StrictHttp2 { streams: 4 }).think(THINK));
}

#[test]
fn clients_that_send_bodies_keep_their_connections() {
    let body = |plan: Plan| plan.client(Client::StrictHttp2 { streams: 2 }).request(Request::echo(100_000));
    nothing_is_lost_and_nothing_closed(body);
}

#[test]
fn clients_that_are_answered_slowly_keep_their_connections() {
    let slow = Request::get("/stream?chunks=3&interval=5ms");
    nothing_is_lost_and_nothing_closed(|plan| {
        plan.client(Client::StrictHttp2 { streams: 2 }).request(slow.clone()).think(THINK)
    });
}

#[test]
fn clients_of_http_1_keep_their_connections() {
    nothing_is_lost_and_nothing_closed(|plan| plan.client(Client::Strict));
}
