//! Fifty upgrades under load, in every mode of every client, and not one request lost.

use std::time::Duration;

use testkit::load::{Client, Plan, Request};

use crate::server::start;

/// The pauses of people who think between requests: they provoke the keep-alive race.
const THINK: std::ops::Range<Duration> = Duration::ZERO..Duration::from_millis(20);

#[track_caller]
fn fifty_upgrades_lose_nothing(plan: impl Fn(&str) -> Plan) {
    let mut server = start(&[]);
    let plan = plan(server.address());
    let _ = server.assert_upgrades_lose_nothing(plan, 50);
}

#[test]
fn strict_clients_that_keep_connections_alive_lose_nothing() {
    fifty_upgrades_lose_nothing(Plan::new);
}

#[test]
fn strict_clients_that_think_lose_nothing() {
    fifty_upgrades_lose_nothing(|address| Plan::new(address).think(THINK));
}

#[test]
fn strict_clients_with_a_connection_per_request_lose_nothing() {
    fifty_upgrades_lose_nothing(|address| Plan::new(address).per_request().connections(8));
}

#[test]
fn strict_clients_that_send_bodies_lose_nothing() {
    fifty_upgrades_lose_nothing(|address| Plan::new(address).request(Request::echo(100_000)).connections(4));
}

#[test]
fn strict_clients_that_send_small_bodies_lose_nothing() {
    fifty_upgrades_lose_nothing(|address| Plan::new(address).request(Request::echo(10)).connections(4));
}

#[test]
fn pooled_clients_that_keep_connections_alive_lose_nothing() {
    fifty_upgrades_lose_nothing(|address| Plan::new(address).client(Client::Pooled).connections(16));
}

#[test]
fn pooled_clients_that_think_lose_nothing() {
    fifty_upgrades_lose_nothing(|address| Plan::new(address).client(Client::Pooled).think(THINK));
}

#[test]
fn pooled_clients_with_a_connection_per_request_lose_nothing() {
    fifty_upgrades_lose_nothing(|address| Plan::new(address).client(Client::Pooled).per_request().connections(8));
}
