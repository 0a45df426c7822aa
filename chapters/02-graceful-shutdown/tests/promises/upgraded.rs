//! Connections that speak another protocol after an upgrade (RFC 9110, section 7.8): counted and waited for, too.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use graceful_shutdown::{Address, HttpService, Outcome, RequestBody, Server};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use lab::{Ending, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::timeout;

/// Only a failing test waits so long.
const A_LONG_TIME: Duration = Duration::from_secs(20);

type Connection = TokioIo<Upgraded>;

/// Answers with 101, and gives the connection to the test, which is its handler from then on.
fn upgrade(to: UnboundedSender<Connection>) -> impl HttpService {
    service_fn(move |request: Request<RequestBody>| {
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

/// A server, its client, and the connection between them in the hands of a handler.
async fn upgraded() -> (Server, Wire, Connection) {
    let server = Server::new();
    let address: Address = "127.0.0.1:0".parse().expect("an address");
    let listener = address.bind().expect("any port will do");
    let address = listener.address().expect("it is bound").to_string();
    let (sender, mut connections) = mpsc::unbounded_channel();
    server.serve(listener, upgrade(sender)).expect("the runtime waits on it");

    let mut client = Wire::connect(&address);
    client.send("GET / HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: anything\r\n\r\n");
    assert_eq!(client.reply().status, 101);
    let connection = connections.recv().await.expect("it was upgraded");
    (server, client, connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_waited_for_and_its_handler_hears_of_the_drain() {
    let (server, mut client, mut connection) = upgraded().await;
    let draining = server.draining();
    let drain = tokio::spawn(async move { server.shutdown(A_LONG_TIME).await });
    draining.begun().await;
    connection.write_all(b"leaving").await.expect("a drain does not cut it");
    client.wait_for("leaving");
    client.send("bye");
    let mut said = [0; 3];
    connection.read_exact(&mut said).await.expect("a drain does not cut it");
    assert_eq!(&said, b"bye");
    assert!(!drain.is_finished(), "the drain should wait for the handler to let go of the connection");

    drop(connection);
    assert_eq!(drain.await.expect("no panic"), Outcome { finished: 1, cut: 0 });
    assert_eq!(client.rest(), ("leaving".to_owned(), Ending::Eof));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ended_before_the_drain_is_not_counted() {
    let (server, mut client, connection) = upgraded().await;
    drop(connection);
    assert_eq!(client.ending(), Ending::Eof);
    assert_eq!(server.shutdown(A_LONG_TIME).await, Outcome { finished: 0, cut: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_deadline_a_read_that_waits_fails_and_the_connection_counts_as_cut() {
    let (server, mut client, mut connection) = upgraded().await;
    let reading = tokio::spawn(async move { connection.read_u8().await });
    assert_eq!(server.shutdown(Duration::from_millis(50)).await, Outcome { finished: 0, cut: 1 });
    let read = timeout(A_LONG_TIME, reading).await.expect("the reader should be woken at the deadline");
    let error = read.expect("no panic").expect_err("the read should fail at the deadline");
    assert!(error.to_string().contains("deadline"), "{error}");
    client.rest();
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_deadline_a_read_that_waits_fails_whatever_another_task_has_written_meanwhile() {
    let (server, mut client, connection) = upgraded().await;
    let (mut reader, mut writer) = split(connection);
    let (looked, mut looks) = mpsc::unbounded_channel();
    let reading = tokio::spawn(async move {
        let mut read = pin!(reader.read_u8());
        poll_fn(|cx| {
            let polled = read.as_mut().poll(cx);
            let _ = looked.send(());
            polled
        })
        .await
    });
    looks.recv().await.expect("the reader waits now");
    tokio::spawn(async move { writer.write_all(b"hello").await }).await.expect("no panic").expect("the client reads");
    client.wait_for("hello");

    assert_eq!(server.shutdown(Duration::ZERO).await, Outcome { finished: 0, cut: 1 });
    let read = timeout(A_LONG_TIME, reading).await.expect("the reader's task should be woken at the deadline");
    assert!(read.expect("no panic").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_deadline_a_write_that_waits_fails() {
    let (server, _client, mut connection) = upgraded().await;
    // The client does not read, so this waits for ever.
    let writing = tokio::spawn(async move { while connection.write_all(&[0; 16384]).await.is_ok() {} });
    assert_eq!(server.shutdown(Duration::from_millis(50)).await, Outcome { finished: 0, cut: 1 });
    timeout(A_LONG_TIME, writing).await.expect("the write should fail at the deadline").expect("no panic");
}
