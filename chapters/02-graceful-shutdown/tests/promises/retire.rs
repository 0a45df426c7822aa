//! Retiring: another server accepts from the same socket, so nothing is refused, and nothing is lost at all.

use std::time::Duration;

use demo::Body;
use graceful_shutdown::{HttpService, Outcome, Server};
use testkit::Wire;
use testkit::load::{Client, Plan, Request};
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::timeout;

use crate::library::{A_LONG_TIME, bind, hello};

/// How often one server takes the place of another in a test.
const TIMES: u64 = 5;

fn demo(generation: u64) -> impl HttpService<Body = Body> {
    demo::service("zero", generation, || true)
}

/// Replaces the server in the middle of the load, again and again. Not one request is lost, and none is refused.
async fn assert_loses_nothing(plan: impl FnOnce(Plan) -> Plan) {
    let (listener, address) = bind();
    let mut server = Server::new();
    server.serve(listener.try_clone().expect("a descriptor"), demo(1)).expect("the runtime waits on it");
    let load = plan(Plan::new(&address)).start();
    block_in_place(|| load.wait_until_warm());
    for generation in 2..2 + TIMES {
        let next = Server::new();
        next.serve(listener.try_clone().expect("a descriptor"), demo(generation)).expect("the runtime waits on it");
        server.retire();
        block_in_place(|| load.wait_for_generation(generation));
        timeout(A_LONG_TIME, server.drained()).await.expect("every client goes on and closes its connection");
        assert_eq!(server.cut().await.cut, 0);
        server = next;
    }
    let tally = block_in_place(|| load.stop());
    assert_eq!(tally.closed_unannounced, 0, "a connection was closed without notice");
    tally.assert_nothing_lost();
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_alive_clients_in_full_use_lose_nothing() {
    assert_loses_nothing(|plan| plan.connections(16)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_think_between_requests_lose_nothing() {
    assert_loses_nothing(|plan| plan.think(Duration::ZERO..Duration::from_millis(20))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_a_timetable_lose_nothing() {
    assert_loses_nothing(|plan| plan.every(Duration::from_millis(10))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_connect_for_each_request_lose_nothing() {
    assert_loses_nothing(Plan::per_request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_wait_for_their_answers_lose_nothing() {
    assert_loses_nothing(|plan| plan.request(Request::get("/sleep/?duration=50ms"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_bodies_lose_nothing() {
    assert_loses_nothing(|plan| plan.connections(8).request(Request::echo(100_000))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_a_pool_lose_nothing() {
    assert_loses_nothing(|plan| plan.client(Client::Pooled)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_can_serve_again() {
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener.try_clone().expect("a descriptor"), hello()).expect("the runtime waits on it");
    let (mut kept_alive, mut asks_meanwhile) = (Wire::connect(&address), Wire::connect(&address));
    assert_eq!(kept_alive.ask("/").status, 200);
    assert_eq!(asks_meanwhile.ask("/").status, 200);

    server.retire();
    assert!(asks_meanwhile.ask("/").says_close(), "in a drain, an answer says that it is the last");
    // Its place is in the queue of the socket, which `listener` keeps open.
    let mut waits = Wire::connect(&address);
    waits.get("/");

    server.serve(listener, hello()).expect("the runtime waits on it");
    assert_eq!(waits.reply().status, 200, "the server accepts again");
    for _ in 0..2 {
        assert!(!kept_alive.ask("/").says_close(), "the drain is over, so the connection lives on");
    }
    drop((kept_alive, waits, asks_meanwhile));
    assert_eq!(server.shutdown(A_LONG_TIME).await, Outcome { finished: 0, cut: 0 }, "the count starts anew");
}

/// This runtime has one thread, so the server does nothing as long as the test does not wait.
#[tokio::test]
async fn the_queue_is_left_to_the_next_server() {
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener.try_clone().expect("a descriptor"), hello()).expect("the runtime waits on it");
    let mut waits = Wire::connect(&address);
    waits.get("/");
    server.retire();
    timeout(A_LONG_TIME, server.drained()).await.expect("no client is connected");
    assert_eq!(server.shutdown(A_LONG_TIME).await, Outcome { finished: 0, cut: 0 });

    let next = Server::new();
    next.serve(listener, hello()).expect("the runtime waits on it");
    let reply = spawn_blocking(move || waits.reply()).await.expect("the next server answers");
    assert!(!reply.says_close(), "it was answered in a drain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_retires_is_ready_since_another_one_answers() {
    let server = Server::new();
    let is_ready = server.readiness();
    assert!(is_ready());
    server.retire();
    assert!(is_ready(), "the next client is answered: by another server");
    server.stop();
    assert!(!is_ready());
}
