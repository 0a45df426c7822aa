//! Another server that accepts from a listener of ours: what the gate can follow is closed as our own connections are, and what
//! it cannot follow is that server's to end. (Chapter 7's tests have such a server in a process of its own, and upgrade it.)

use std::convert::Infallible;
use std::time::Duration;

use connection_handover::{GatedListener, Server};
use graceful_shutdown::{IDLE_TIMEOUT, Outcome};
use graceful_upgrade::Serve as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use testkit::{Ending, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::upgraded::{A_LONG_TIME, accept, shutdown};

/// A server without a service, its listener, and its address.
fn listen() -> (Server, GatedListener, String) {
    let mut server = Server::new(A_LONG_TIME);
    let listener = server.listener("zero");
    let address = accept(&mut server);
    (server, listener, address)
}

/// An accept loop around hyper.
async fn hello(mut listener: GatedListener) {
    loop {
        let (client, _) = listener.accept().await;
        let service = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("hello".to_owned())));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(client), service));
    }
}

/// Reads this much of a request, and answers it.
async fn answer(listener: &mut GatedListener, length: usize, answer: &str) -> impl Drop + use<> {
    let (mut client, _) = listener.accept().await;
    client.read_exact(&mut vec![0; length]).await.expect("it has asked");
    client.write_all(answer.as_bytes()).await.expect("it is connected");
    client.flush().await.expect("it is connected");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_in_its_next_answer_and_an_idle_one_is_closed() {
    let (mut server, listener, address) = listen();
    tokio::spawn(hello(listener));
    let mut clients = [(); 2].map(|()| Wire::connect(&address));
    for client in &mut clients {
        assert!(!client.ask("/").says_close());
    }
    let [half, idle] = &mut clients;
    half.send("GET / HTTP/1.1\r\nHost: lab\r\n");
    server.stop();
    // Until it has heard of the stop.
    assert_eq!(idle.ending(), Ending::Eof);
    half.send("\r\n");
    assert!(half.reply().says_close());
    assert_eq!(half.ending(), Ending::Eof);
    timeout(A_LONG_TIME, server.drained()).await.expect("both are closed");
    assert_eq!(server.cut().await.cut, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_is_waited_for_and_counts_as_cut_at_the_deadline() {
    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: anything\r\n\r\n";
    let (mut server, mut listener, address) = listen();
    let mut client = Wire::connect(&address);
    client.send(REQUEST);
    let switches = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: anything\r\n\r\n";
    let tunnel = answer(&mut listener, REQUEST.len(), switches).await;
    assert_eq!(client.reply().status, 101);
    assert_eq!(shutdown(&mut server, IDLE_TIMEOUT * 3 / 2).await, Outcome { finished: 0, cut: 1 });
    drop(tunnel);
}

/// A line that ends with LF alone: the gate may read it differently.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_gate_is_unsure_of_ends_when_its_server_ends_it() {
    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: lab\nX: y\r\n\r\n";
    let (mut server, mut listener, address) = listen();
    let mut client = Wire::connect(&address);
    client.send(REQUEST);
    let unsure = answer(&mut listener, REQUEST.len(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.reply().status, 200);
    server.stop();
    assert!(timeout(IDLE_TIMEOUT * 3 / 2, server.drained()).await.is_err(), "it should be waited for");
    drop(unsure);
    timeout(A_LONG_TIME, server.drained()).await.expect("it was the only one");
    assert_eq!(server.cut().await.cut, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_the_server_never_looks_at_is_cut_and_counted() {
    let (mut server, _listener, address) = listen();
    let mut client = Wire::connect(&address);
    client.get("/");
    while server.counts()().open == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shutdown(&mut server, Duration::from_millis(50)).await.cut, 1);
    client.rest();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_server_that_has_ended_are_closed() {
    let (_server, listener, address) = listen();
    drop(listener);
    let mut client = Wire::connect(&address);
    client.get("/");
    client.rest();
}
