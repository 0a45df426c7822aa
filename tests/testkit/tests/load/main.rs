//! The instrument can fail: each kind of misbehaviour shows, and shows as what it is.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test itself")]

mod http2;
mod journal;
mod latency;
mod server;

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use testkit::load::{Client, Plan, Request, Tally};

use server::{HELLO, answer_all, answer_and_close, request, tcp};

/// One connection, until the given number of answers.
fn ask(address: &str, client: Client, answers: u64) -> Tally {
    let load = Plan::new(address).client(client).connections(1).start();
    load.wait_for_answers(answers);
    load.stop()
}

/// The only reason in the tally.
fn reason(tally: &Tally) -> &str {
    assert_eq!(tally.reasons.len(), 1, "{}", tally.describe_losses());
    tally.reasons.keys().next().unwrap()
}

/// A server whose first connection is treated like this, and all later ones well.
fn first(treat: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> String {
    tcp(move |number, stream| if number == 0 { treat(stream) } else { answer_all(stream, HELLO) })
}

#[test]
fn a_server_that_answers_loses_nothing() {
    let tally = ask(&tcp(|_, stream| answer_all(stream, HELLO)), Client::Strict, 100);
    tally.assert_nothing_lost();
    assert!(tally.answered >= 100);
    assert_eq!(tally.by_generation.into_iter().collect::<Vec<_>>(), [(1, tally.answered)]);
    assert_eq!((tally.connections, tally.closed_announced, tally.closed_unannounced), (1, 0, 0));
    assert_eq!(tally.latency.rest.count(), tally.answered);
}

#[test]
fn a_request_without_an_answer_is_lost_for_either_client() {
    for client in [Client::Strict, Client::Pooled] {
        let address = first(|stream| assert!(request(stream)));
        let tally = ask(&address, client, 1);
        assert_eq!((tally.lost, tally.refused), (1, 0), "{client:?}: {:?}", tally.reasons);
        assert!(reason(&tally).contains("connection closed before message completed"), "{:?}", tally.reasons);
    }
}

/// The pool repeats only what was not written: this one was, on a connection that had served before.
#[test]
fn a_request_on_a_kept_connection_without_an_answer_is_lost_for_either_client() {
    for client in [Client::Strict, Client::Pooled] {
        let address = first(|stream| {
            assert!(request(stream));
            stream.write_all(HELLO.as_bytes()).unwrap();
            assert!(request(stream));
        });
        let tally = ask(&address, client, 2);
        assert_eq!(tally.lost, 1, "{client:?}: {:?}", tally.reasons);
        assert_eq!(tally.closed_unannounced, u64::from(client == Client::Strict));
    }
}

#[test]
#[should_panic(expected = "connection closed before message completed")]
fn asserting_that_nothing_was_lost_names_the_reason() {
    ask(&first(|stream| assert!(request(stream))), Client::Strict, 1).assert_nothing_lost();
}

#[test]
#[should_panic(expected = "proves nothing")]
fn a_load_that_asked_nothing_proves_nothing() {
    Tally::default().assert_nothing_lost();
}

#[test]
fn a_connection_closed_while_idle_is_counted_by_the_strict_client_and_hidden_by_the_pool() {
    let address = tcp(|_, stream| {
        assert!(request(stream));
        answer_and_close(stream, HELLO);
    });
    let strict = ask(&address, Client::Strict, 5);
    strict.assert_nothing_lost();
    assert_eq!(strict.connections, strict.answered);
    assert_eq!((strict.closed_announced, strict.closed_unannounced), (0, strict.connections));

    let pooled = ask(&address, Client::Pooled, 5);
    pooled.assert_nothing_lost();
    assert_eq!((pooled.closed_announced, pooled.closed_unannounced), (0, 0));
}

#[test]
#[should_panic(expected = "closed without notice")]
fn a_close_without_a_word_is_no_announced_one() {
    let address = tcp(|_, stream| {
        assert!(request(stream));
        answer_and_close(stream, HELLO);
    });
    ask(&address, Client::Strict, 2).assert_every_close_announced();
}

#[test]
fn a_close_that_is_announced_is_no_surprise() {
    let answer = HELLO.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let address = tcp(move |_, stream| {
        assert!(request(stream));
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let tally = ask(&address, Client::Strict, 5);
    tally.assert_nothing_lost();
    tally.assert_every_close_announced();
    assert_eq!((tally.closed_announced, tally.closed_unannounced), (tally.connections, 0));
}

#[test]
fn a_truncated_answer_is_lost() {
    for client in [Client::Strict, Client::Pooled] {
        let address = first(|stream| {
            assert!(request(stream));
            stream.write_all(HELLO.strip_suffix("lo").unwrap().as_bytes()).unwrap();
        });
        let tally = ask(&address, client, 1);
        assert_eq!(tally.lost, 1, "{client:?}");
        assert!(reason(&tally).contains("answer cut off"), "{:?}", tally.reasons);
    }
}

#[test]
fn an_answer_with_a_wrong_status_is_lost() {
    for client in [Client::Strict, Client::Pooled] {
        let answer = HELLO.replace("200 OK", "503 Service Unavailable");
        let address = first(move |stream| {
            assert!(request(stream));
            stream.write_all(answer.as_bytes()).unwrap();
            answer_all(stream, HELLO);
        });
        let tally = ask(&address, client, 1);
        assert_eq!(tally.lost, 1, "{client:?}");
        assert!(reason(&tally).contains("503"), "{:?}", tally.reasons);
    }
}

#[test]
fn an_echo_that_differs_is_lost() {
    let address = tcp(|_, stream| answer_all(stream, HELLO));
    let load = Plan::new(&address).request(Request::echo(5)).connections(1).start();
    load.wait_until_warm();
    let tally = load.stop();
    assert_eq!((tally.answered, tally.lost), (0, tally.requests));
    assert!(reason(&tally).contains("not what was sent"), "{:?}", tally.reasons);
}

#[test]
fn an_answer_that_never_comes_is_lost() {
    let address = first(|stream| while request(stream) {});
    let load = Plan::new(&address).connections(1).timeout(Duration::from_millis(50)).start();
    load.wait_for_answers(1);
    let tally = load.stop();
    assert!(tally.lost >= 1);
    assert!(reason(&tally).contains("no answer within 50ms"), "{:?}", tally.reasons);
}

#[test]
fn a_refused_connection_is_a_lost_request() {
    // Bound, so the port is ours, but not listening.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap().to_string();
    for client in [Client::Strict, Client::StrictHttp2 { streams: 2 }, Client::Pooled] {
        let load = Plan::new(&address).client(client).connections(1).start();
        load.wait_until_warm();
        let tally = load.stop();
        assert!(tally.refused > 0, "{client:?}: {:?}", tally.reasons);
        assert_eq!((tally.refused, tally.requests, tally.connections), (tally.lost, tally.lost, 0));
        assert!(reason(&tally).contains("Connection refused"), "{:?}", tally.reasons);
    }
}

#[test]
fn a_connection_per_request_is_closed_by_the_client() {
    for client in [Client::Strict, Client::Pooled] {
        let accepted = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&accepted);
        let address = tcp(move |_, stream| {
            counter.fetch_add(1, Ordering::SeqCst);
            answer_all(stream, HELLO);
        });
        let load = Plan::new(&address).client(client).connections(2).per_request().start();
        load.wait_for_answers(20);
        let tally = load.stop();
        tally.assert_nothing_lost();
        assert_eq!(accepted.load(Ordering::SeqCst), tally.requests);
        assert_eq!((tally.closed_announced, tally.closed_unannounced), (0, 0));
    }
}

#[test]
fn a_unix_socket_will_do_for_either_client() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    server::unix(&path, |_, stream| answer_all(stream, HELLO));
    for client in [Client::Strict, Client::Pooled] {
        ask(&format!("unix:{}", path.display()), client, 5).assert_nothing_lost();
    }
}

#[test]
fn the_first_answer_of_a_generation_is_noticed() {
    let address = tcp(|_, stream| {
        for _ in 0..10 {
            assert!(request(stream));
            stream.write_all(HELLO.as_bytes()).unwrap();
        }
        answer_all(stream, &HELLO.replace("x-generation: 1", "x-generation: 2"));
    });
    let load = Plan::new(&address).connections(1).start();
    let first = load.wait_for_generation(1);
    let second = load.wait_for_generation(2);
    assert!(first < second);
    let tally = load.stop();
    assert_eq!(tally.by_generation[&1], 10);
    assert_eq!(tally.by_generation[&2], tally.answered - 10);
}
