//! Fifty upgrades under load, in every mode of every client: not one request lost, and no HTTP/1 connection closed.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use testkit::load::{Client, Plan, Request, Tally};
use testkit::{Wire, await_exit};

use crate::server::start;

const UPGRADES: u32 = 50;
const CONNECTIONS: u32 = 16;

/// The pauses of people who think between requests. They meet the keep-alive race.
const THINK: std::ops::Range<Duration> = Duration::ZERO..Duration::from_millis(20);

#[track_caller]
fn fifty_upgrades(plan: impl Fn(Plan) -> Plan) -> Tally {
    let mut server = start(&[]);
    let plan = plan(Plan::new(server.address()).connections(CONNECTIONS));
    server.assert_upgrades_lose_nothing(plan, UPGRADES)
}

#[track_caller]
fn nothing_is_lost_and_nothing_closed(plan: impl Fn(Plan) -> Plan) {
    let tally = fifty_upgrades(plan);
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
fn clients_with_a_timetable_keep_their_connections() {
    nothing_is_lost_and_nothing_closed(|plan| plan.every(Duration::from_millis(10)));
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
    let _ = fifty_upgrades(|plan| plan.client(Client::Pooled));
}

#[test]
fn pooled_clients_that_think_lose_nothing() {
    let _ = fifty_upgrades(|plan| plan.client(Client::Pooled).think(THINK));
}

#[test]
fn clients_with_a_connection_per_request_lose_nothing() {
    let _ = fifty_upgrades(|plan| plan.per_request().connections(8));
}

#[test]
fn pooled_clients_with_a_connection_per_request_lose_nothing() {
    let _ = fifty_upgrades(|plan| plan.client(Client::Pooled).per_request().connections(8));
}

#[test]
fn http2_clients_are_drained_and_lose_nothing() {
    let _ = fifty_upgrades(|plan| plan.client(Client::StrictHttp2 { streams: 4 }).connections(4).think(THINK));
}

#[test]
fn http2_clients_with_a_connection_per_request_lose_nothing() {
    let _ = fifty_upgrades(|plan| plan.client(Client::StrictHttp2 { streams: 1 }).per_request().connections(4));
}

/// Each connection has up to this many requests under way, and every answer must be its own, in order.
const PIPELINED: u64 = 8;

#[test]
fn clients_that_pipeline_keep_their_connections_and_are_answered_in_order() {
    let mut server = start(&[]);
    let stop = AtomicBool::new(false);
    let address = server.address().to_owned();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| pipeline(&address, &stop))).collect();
        for _ in 0..UPGRADES {
            await_exit(server.upgrade());
        }
        stop.store(true, Relaxed);
        for client in clients {
            let answered = client.join().expect("every answer should be the right one, and say nothing of a close");
            assert!(answered > u64::from(UPGRADES), "a client had no more than {answered} answers");
        }
    });
}

/// Asks on one connection until it is told to stop, and returns how many answers there were.
fn pipeline(address: &str, stop: &AtomicBool) -> u64 {
    let mut client = Wire::connect(address);
    let (mut asked, mut answered) = (0_u64, 0);
    while !stop.load(Relaxed) || answered < asked {
        while !stop.load(Relaxed) && asked < answered + PIPELINED {
            // Some with bodies, some without, of any length; sent in pieces that do not end where the requests do.
            let number = format!("{asked:0width$}", width = 1 + usize::try_from(asked * 37 % 3000).unwrap_or_default());
            let post = format!("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: {}\r\n\r\n{number}", number.len());
            let (first, second) = post.split_at(post.len() * 2 / 3);
            client.send(first);
            client.send(second);
            asked += 1;
        }
        let reply = client.reply();
        assert_eq!(reply.text().parse(), Ok(answered), "the answer to another request: {reply:?}");
        assert!(!reply.says_close(), "the connection should stay open: {reply:?}");
        answered += 1;
    }
    answered
}
