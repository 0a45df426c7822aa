//! Connections that speak another protocol after an upgrade (RFC 9110, section 7.8) stay, are counted and waited for.

use std::convert::Infallible;
use std::time::Duration;

use connection_handover::Server;
use graceful_shutdown::{Address, HttpService, IDLE_TIMEOUT, Outcome};
use graceful_upgrade::Serve as _;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, UPGRADE};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use testkit::{Ending, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::timeout;

/// Only a failing test waits so long.
pub(crate) const A_LONG_TIME: Duration = Duration::from_secs(20);

type Connection = TokioIo<Upgraded>;

/// Answers with 101, and gives the connection to the test, which is its handler from then on.
fn upgrade(to: UnboundedSender<Connection>) -> impl HttpService {
    service_fn(move |request: Request<Incoming>| {
        let to = to.clone();
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(request).await.expect("the client asked for it");
            to.send(TokioIo::new(upgraded)).expect("the test takes it");
        });
        let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).header(CONNECTION, "upgrade");
        let answer = answer.header(UPGRADE, "anything").body(Empty::<Bytes>::new()).expect("a valid answer");
        async move { Ok::<_, Infallible>(answer) }
    })
}

/// A server that serves, and its address.
pub(crate) fn serve(drain_timeout: Duration, service: impl HttpService) -> (Server, String) {
    let mut server = Server::new(drain_timeout);
    server.add("zero", service);
    let address = accept(&mut server);
    (server, address)
}

/// Lets it accept, and returns its address.
pub(crate) fn accept(server: &mut Server) -> String {
    let address: Address = "127.0.0.1:0".parse().expect("an address");
    let listener = address.bind().expect("any port will do");
    let address = listener.address().expect("it is bound").to_string();
    server.accept(vec![("zero".to_owned(), listener)]).expect("the runtime waits on it");
    address
}

/// Stops it, and waits until it is drained or has no more time.
pub(crate) async fn shutdown(server: &mut Server, deadline: Duration) -> Outcome {
    server.stop();
    let _ = timeout(deadline, server.drained()).await;
    server.cut().await
}

/// A server, its client, and the connection between them in the hands of a handler.
async fn upgraded() -> (Server, Wire, Connection) {
    let (sender, mut connections) = mpsc::unbounded_channel();
    let (server, address) = serve(A_LONG_TIME, upgrade(sender));
    let mut client = Wire::connect(&address);
    client.send("GET / HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: anything\r\n\r\n");
    assert_eq!(client.reply().status, 101);
    let connection = connections.recv().await.expect("it was upgraded");
    (server, client, connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_waited_for_and_neither_side_is_told_anything() {
    for stops in [true, false] {
        let (mut server, mut client, mut connection) = upgraded().await;
        if stops {
            server.stop();
        } else {
            server.retire(Vec::new());
        }
        // For longer than any idle connection would stay.
        assert!(timeout(IDLE_TIMEOUT * 3 / 2, server.drained()).await.is_err(), "it should be waited for");
        connection.write_all(b"leaving").await.expect("a drain does not cut it");
        client.wait_for("leaving");
        client.send("bye");
        let mut said = [0; 3];
        connection.read_exact(&mut said).await.expect("a drain does not cut it");
        assert_eq!(&said, b"bye");

        drop(connection);
        timeout(A_LONG_TIME, server.drained()).await.expect("it was the only one");
        assert_eq!(server.cut().await, Outcome { finished: 1, cut: 0 });
        assert_eq!(client.rest(), ("leaving".to_owned(), Ending::Eof));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_behind_the_request_belongs_to_the_new_protocol() {
    let (sender, mut connections) = mpsc::unbounded_channel();
    let (_server, address) = serve(A_LONG_TIME, upgrade(sender));
    let mut client = Wire::connect(&address);
    client.send("GET / HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: anything\r\n\r\nhello");
    assert_eq!(client.reply().status, 101);
    let mut connection = connections.recv().await.expect("it was upgraded");
    let mut said = [0; 5];
    timeout(A_LONG_TIME, connection.read_exact(&mut said)).await.expect("it was sent").expect("no error");
    assert_eq!(&said, b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ended_before_a_drain_is_not_counted_in_it() {
    let (mut server, mut client, connection) = upgraded().await;
    drop(connection);
    assert_eq!(client.ending(), Ending::Eof);
    // Now it is over.
    server.retire(Vec::new());
    timeout(A_LONG_TIME, server.drained()).await.expect("it was the only one");
    server.accept(Vec::new()).expect("there is nothing to wait on");
    assert_eq!(shutdown(&mut server, A_LONG_TIME).await, Outcome { finished: 0, cut: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_deadline_a_read_that_waits_ends_and_the_connection_counts_as_cut() {
    let (mut server, mut client, mut connection) = upgraded().await;
    let reading = tokio::spawn(async move { connection.read_u8().await });
    assert_eq!(shutdown(&mut server, Duration::from_millis(50)).await, Outcome { finished: 0, cut: 1 });
    let read = timeout(A_LONG_TIME, reading).await.expect("the reader should be woken at the deadline");
    assert!(read.expect("no panic").is_err(), "there is nothing more to read");
    client.rest();
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_deadline_a_write_that_waits_ends() {
    let (mut server, mut client, mut connection) = upgraded().await;
    // The client does not read, so this waits for ever.
    let writing = tokio::spawn(async move { while connection.write_all(&[0; 16384]).await.is_ok() {} });
    assert_eq!(shutdown(&mut server, Duration::from_millis(50)).await, Outcome { finished: 0, cut: 1 });
    client.rest();
    timeout(A_LONG_TIME, writing).await.expect("the write should end at the deadline").expect("no panic");
}
