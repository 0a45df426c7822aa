//! A server that stops under load: whoever was connected is answered; whoever comes later is refused, and can tell.

use std::time::Duration;

use lab::load::{Client, Plan, Request};

use crate::server::Server;

/// Stops the server in the middle of the load. Every request that was lost was refused a new connection.
#[track_caller]
fn assert_loses_only_the_refused(plan: impl FnOnce(Plan) -> Plan) {
    let mut server = Server::start(&[]);
    let load = plan(Plan::new(&server.address)).start();
    load.wait_until_warm();
    load.wait_for_answers(200);
    server.drain();
    server.assert_ends_well();
    let tally = load.stop();
    let reasons = tally.describe_losses();
    assert_eq!(
        tally.lost, tally.refused,
        "requests were lost on connections that had come about, out of {}:\n{reasons}",
        tally.requests
    );
    assert_eq!(tally.closed_unannounced, 0, "a connection that had come about was closed without notice");
}

#[test]
fn keep_alive_clients_in_full_use_lose_nothing_they_were_connected_for() {
    assert_loses_only_the_refused(|plan| plan.connections(16));
}

#[test]
fn clients_that_think_between_requests_lose_nothing_they_were_connected_for() {
    assert_loses_only_the_refused(|plan| plan.think(Duration::ZERO..Duration::from_millis(20)));
}

#[test]
fn clients_that_send_bodies_lose_nothing_they_were_connected_for() {
    assert_loses_only_the_refused(|plan| plan.connections(8).request(Request::echo(100_000)));
}

#[test]
fn clients_that_always_have_more_to_send_do_not_hold_a_drain() {
    assert_loses_only_the_refused(|plan| plan.connections(4).request(Request::echo(4_000_000)));
}

#[test]
fn http_2_clients_lose_nothing_they_were_connected_for() {
    assert_loses_only_the_refused(|plan| plan.connections(4).client(Client::StrictHttp2 { streams: 4 }));
}
