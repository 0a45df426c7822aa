//! A hundred upgrades under load, in every mode of every client: not one request lost, and not one connection.

use std::time::Duration;

use lab::load::{Client, Plan, Request, Tally};

use crate::server::start;

const CONNECTIONS: u32 = 16;

/// What people who think between requests look like, and what meets the keep-alive race.
const THINK: std::ops::Range<Duration> = Duration::ZERO..Duration::from_millis(20);

#[track_caller]
fn a_hundred_upgrades(plan: impl Fn(&str) -> Plan) -> Tally {
    let mut server = start(&[]);
    let plan = plan(server.address());
    let tally = server.upgrade_under(plan, 100);
    tally.assert_nothing_lost();
    tally.assert_every_close_announced();
    tally
}

#[track_caller]
fn nothing_is_lost_and_nothing_closed(plan: impl Fn(Plan) -> Plan) {
    let tally = a_hundred_upgrades(|address| plan(Plan::new(address).connections(CONNECTIONS)));
    assert_eq!(tally.closed_announced, 0, "a connection was closed, if politely: {tally:#?}");
    assert_eq!(tally.connections, u64::from(CONNECTIONS), "a client had to connect again: {tally:#?}");
}

#[test]
fn clients_in_full_use_keep_their_connections() {
    nothing_is_lost_and_nothing_closed(|plan| plan);
}

#[test]
fn clients_that_think_keep_their_connections() {
    nothing_is_lost_and_nothing_closed(|plan| plan.think(THINK));
}

#[test]
fn clients_that_send_bodies_keep_their_connections() {
    nothing_is_lost_and_nothing_closed(|plan| plan.request(Request::echo(100_000)));
}

#[test]
fn clients_that_send_small_bodies_keep_their_connections() {
    nothing_is_lost_and_nothing_closed(|plan| plan.request(Request::echo(10)));
}

#[test]
fn clients_that_are_answered_slowly_keep_their_connections() {
    nothing_is_lost_and_nothing_closed(|plan| plan.request(Request::get("/stream?chunks=3&interval=5ms")));
}

#[test]
fn pooled_clients_lose_nothing() {
    let _ = a_hundred_upgrades(|address| Plan::new(address).client(Client::Pooled).connections(CONNECTIONS));
}

#[test]
fn clients_with_a_connection_per_request_lose_nothing() {
    let _ = a_hundred_upgrades(|address| Plan::new(address).per_request().connections(8));
}

#[test]
fn http2_clients_are_drained_and_lose_nothing() {
    let _ = a_hundred_upgrades(|address| {
        Plan::new(address).client(Client::StrictHttp2 { streams: 4 }).connections(4).think(THINK)
    });
}
