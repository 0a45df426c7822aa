//! The strict client over HTTP/2, against hyper's server told to end its connections in one way or another, and against
//! a few bytes that make it end them at a bad moment.

use std::convert::Infallible;
use std::future::pending;
use std::io::{Read, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::Full;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper::{Response, body::Bytes};
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::load::{Client, Plan, Tally};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::reason;
use crate::server::tcp;

/// What happens to each connection when its tenth request arrives.
#[derive(Debug, Clone, Copy)]
enum AtTheTenth {
    /// It is answered like all the others.
    GoOn,
    /// It is answered, GOAWAY is sent, and the connection ends when all its requests are answered.
    GoAway,
    /// The connection is dropped under it.
    Cut,
}

fn serve(ending: AtTheTenth) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(connection(stream, ending));
            }
        });
    });
    address
}

async fn connection(stream: tokio::net::TcpStream, ending: AtTheTenth) {
    let tenth = Arc::new(Notify::new());
    let (requests, arrived) = (AtomicU64::new(0), Arc::clone(&tenth));
    let service = service_fn(move |_| {
        let is_tenth = requests.fetch_add(1, Ordering::Relaxed) == 9;
        if is_tenth {
            arrived.notify_one();
        }
        async move {
            if is_tenth && matches!(ending, AtTheTenth::Cut) {
                pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
        }
    });
    let mut connection = pin!(Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = tenth.notified() => {}
    }
    match ending {
        AtTheTenth::GoOn => drop(connection.await),
        AtTheTenth::GoAway => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
        AtTheTenth::Cut => {}
    }
}

fn ask(ending: AtTheTenth, answers: u64) -> Tally {
    let client = Client::StrictHttp2 { streams: 8 };
    let load = Plan::new(&serve(ending)).client(client).connections(2).start();
    load.wait_for_answers(answers);
    load.stop()
}

#[test]
fn streams_share_a_connection() {
    let tally = ask(AtTheTenth::GoOn, 200);
    tally.assert_nothing_lost();
    assert_eq!((tally.connections, tally.closed_announced, tally.closed_unannounced), (2, 0, 0));
}

#[test]
fn a_goaway_is_an_announcement_and_loses_nothing() {
    let tally = ask(AtTheTenth::GoAway, 1000);
    tally.assert_nothing_lost();
    assert!(tally.closed_announced >= 10, "{tally:?}");
    assert_eq!(tally.closed_unannounced, 0, "{tally:?}");
}

#[test]
fn a_connection_that_is_cut_loses_its_requests_and_is_counted_once() {
    let tally = ask(AtTheTenth::Cut, 100);
    assert!(tally.lost >= 5, "{tally:?}");
    assert_eq!(tally.closed_announced, 0, "{tally:?}");
    assert!((5..=tally.connections).contains(&tally.closed_unannounced), "{tally:?}");
}

#[test]
fn a_connection_per_request_has_one_stream() {
    let client = Client::StrictHttp2 { streams: 8 };
    let load = Plan::new(&serve(AtTheTenth::GoOn)).client(client).connections(2).per_request().start();
    load.wait_for_answers(20);
    let tally = load.stop();
    tally.assert_nothing_lost();
    assert_eq!(tally.connections, tally.requests);
}

/// A frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Reads frames up to the next request; `false` if the client has left instead.
fn request(stream: &mut impl Read) -> bool {
    let mut header = [0; 9];
    while stream.read_exact(&mut header).is_ok() {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).unwrap();
        if header[3] == 1 {
            return true;
        }
    }
    false
}

/// Answers one client, and on its first connection only the first few requests: the next one is given back.
fn give_back_after(answers: u8) -> Tally {
    let address = tcp(move |number, stream| {
        // The client's preface, 24 bytes, and ours, empty SETTINGS.
        stream.read_exact(&mut [0; 24]).unwrap();
        stream.write_all(&frame(4, 0, 0, &[])).unwrap();
        for (index, id) in (1..=u8::MAX).step_by(2).enumerate() {
            if !request(stream) {
                return;
            }
            if number == 0 && index == usize::from(answers) {
                let last = (answers * 2).saturating_sub(1);
                stream.write_all(&frame(7, 0, 0, &[0, 0, 0, last, 0, 0, 0, 0])).unwrap();
                while request(stream) {}
                return;
            }
            // END_HEADERS and END_STREAM; in HPACK, 0x88 is `:status: 200`.
            stream.write_all(&frame(1, 5, id, &[0x88])).unwrap();
        }
    });
    let load = Plan::new(&address).client(Client::StrictHttp2 { streams: 1 }).connections(1).start();
    load.wait_for_answers(5);
    load.stop()
}

#[test]
fn a_request_that_is_given_back_unread_is_counted_and_sent_again() {
    let tally = give_back_after(2);
    tally.assert_nothing_lost();
    assert_eq!(tally.given_back, 1);
    assert_eq!((tally.closed_announced, tally.closed_unannounced), (1, 0));
}

#[test]
fn the_first_request_of_a_connection_that_is_given_back_is_lost() {
    let tally = give_back_after(0);
    assert_eq!((tally.lost, tally.given_back), (1, 0));
    assert!(reason(&tally).starts_with("on a new connection"), "{}", tally.describe_losses());
}
