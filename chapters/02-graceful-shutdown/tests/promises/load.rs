//! A server that stops under load: a client that was connected is answered; one that comes later is refused, and can tell.

use std::time::Duration;

use testkit::load::{Client, Plan, Request};

use crate::server::Server;

/// Stops the server in the middle of the load. Every request that was lost was refused a new connection.
#[track_caller]
fn assert_loses_only_the_refused(plan: impl FnOnce(Plan) -> Plan) {
    assert_loses_at_most(0, plan);
}

/// `instant`: how many the moment between the last accept(2) and the close(2) may cost.
#[track_caller]
fn assert_loses_at_most(instant: u64, plan: impl FnOnce(Plan) -> Plan) {
    let mut server = Server::start(&[]);
    let load = plan(Plan::new(&server.address)).start();
    load.wait_until_warm();
    load.wait_for_answers(200);
    server.drain();
    server.assert_ends_well();
    let tally = load.stop();
    let reasons = tally.describe_losses();
    assert!(
        tally.lost - tally.refused <= instant,
        "requests were lost on established connections, out of {}:\n{reasons}",
        tally.requests
    );
    assert_eq!(tally.closed_unannounced, 0, "an established connection was closed without notice");
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
fn clients_with_a_timetable_lose_nothing_they_were_connected_for() {
    assert_loses_only_the_refused(|plan| plan.every(Duration::from_millis(10)));
}

#[test]
fn clients_that_connect_for_each_request_lose_nothing_they_were_connected_for() {
    // The kernel resets a connection that it completes at the moment of the close. Only a successor could avoid that.
    assert_loses_at_most(2, Plan::per_request);
}

#[test]
fn clients_that_wait_for_their_answers_lose_nothing_they_were_connected_for() {
    assert_loses_only_the_refused(|plan| plan.request(Request::get("/sleep/?duration=50ms")));
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
fn clients_with_a_pool_lose_nothing_they_were_connected_for() {
    assert_loses_only_the_refused(|plan| plan.client(Client::Pooled));
}
