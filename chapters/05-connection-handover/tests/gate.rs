//! The gate below hyper, on connections in memory.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use connection_handover::gate::{Control, Gate, Protocol};
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Socket for S {}

/// Serves a gate with a hyper of its own. Each answer names the server, the path and the request's body.
fn serve<S: Socket>(gate: Gate<S>, name: &'static str) -> JoinHandle<hyper::Result<()>> {
    tokio::spawn(async move {
        let service = service_fn(async |request: Request<hyper::body::Incoming>| {
            let path = request.uri().path().to_owned();
            if path == "/slow" {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let text = format!("{name} {path} {}", String::from_utf8_lossy(&body));
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
        });
        http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(gate), service).await
    })
}

fn connection(name: &'static str) -> (DuplexStream, Control<DuplexStream>, JoinHandle<hyper::Result<()>>) {
    let (client, server) = duplex(64 * 1024);
    let gate = Gate::new(server);
    let control = gate.control();
    (client, control, serve(gate, name))
}

/// Reads one answer; returns its head and its body.
async fn answer(client: &mut impl Socket) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.expect("an answer has a whole head"));
    }
    let head = String::from_utf8(head).expect("heads are text");
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    let mut body = vec![0; length.expect("answers have a length").parse().expect("a length is a number")];
    client.read_exact(&mut body).await.expect("an answer has a whole body");
    (head, String::from_utf8(body).expect("bodies are text"))
}

/// Waits until the connection is quiet.
async fn quiet(control: &Control<DuplexStream>) {
    let quiet = timeout(Duration::from_secs(5), control.quiet()).await.expect("the connection must become quiet");
    assert!(quiet, "the connection should be one that can be taken");
}

#[tokio::test]
async fn the_clock_of_a_head_starts_with_its_first_byte_and_stops_with_its_last() {
    let (mut client, control, _server) = connection("a");
    quiet(&control).await;
    let (connected, in_head) = control.waits_since().expect("it is quiet");
    assert!(!in_head);
    client.write_all(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HT").await.expect("the pipe is open");
    answer(&mut client).await;
    quiet(&control).await;
    let (first, in_head) = control.waits_since().expect("it is quiet");
    assert!(in_head && first > connected);
    client.write_all(b"TP/1.1\r\n").await.expect("the pipe is open");
    tokio::task::yield_now().await;
    assert_eq!(control.waits_since(), Some((first, true)), "more of the same head does not stop it");
    client.write_all(b"\r\nGET /3 HT").await.expect("the pipe is open");
    answer(&mut client).await;
    quiet(&control).await;
    let (second, in_head) = control.waits_since().expect("it is quiet");
    assert!(in_head && second > first, "that is another head");
    client.write_all(b"TP/1.1\r\n\r\n").await.expect("the pipe is open");
    answer(&mut client).await;
    quiet(&control).await;
    let (idle, in_head) = control.waits_since().expect("it is quiet");
    assert!(!in_head && idle > second);
}

#[tokio::test]
async fn half_a_head_goes_over_with_the_socket() {
    let (mut client, control, old) = connection("old");
    client.write_all(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HT").await.expect("the pipe is open");
    assert_eq!(answer(&mut client).await.1, "old /1 ");
    control.hold();
    quiet(&control).await;
    assert!(control.half_head());
    client.write_all(b"TP/1.1\r\nContent-Length: 3\r\n\r\nabc").await.expect("the pipe is open");
    let (socket, bytes) = control.take().expect("it is quiet");
    assert_eq!(bytes, b"GET /2 HT"[..]);
    let _ = old.await.expect("the old server ends");
    serve(Gate::adopt(socket, bytes), "new");
    assert_eq!(answer(&mut client).await.1, "new /2 abc");
}

#[tokio::test]
async fn a_held_connection_answers_what_was_released_and_keeps_the_rest() {
    let (mut client, control, _old) = connection("old");
    client.write_all(b"POST /slow HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab").await.expect("open");
    while control.owed() == 0 {
        tokio::task::yield_now().await;
    }
    control.hold();
    client.write_all(b"c\r\n0\r\n\r\nGET /next HTTP/1.1\r\n\r\n").await.expect("the pipe is open");
    assert!(!control.is_quiet(), "an answer is owed");
    assert!(control.take().is_none());
    quiet(&control).await;
    assert_eq!(answer(&mut client).await.1, "old /slow abc");
    let (socket, bytes) = control.take().expect("it is quiet");
    serve(Gate::adopt(socket, bytes), "new");
    assert_eq!(answer(&mut client).await.1, "new /next ");
}

#[tokio::test]
async fn a_polite_close_answers_all_that_was_sent_and_says_so_in_the_last_answer() {
    let (mut client, control, server) = connection("old");
    control.close_politely();
    client.write_all(b"GET /slow HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n").await.expect("the pipe is open");
    let (head, body) = answer(&mut client).await;
    assert!(!head.contains("connection"), "a request follows: {head}");
    assert_eq!(body, "old /slow ");
    let (head, body) = answer(&mut client).await;
    assert!(head.contains("connection: close\r\n"), "nothing follows: {head}");
    assert_eq!(body, "old /2 ");
    assert_eq!(client.read(&mut [0]).await.expect("the close is orderly"), 0);
    server.await.expect("the server ends").expect("and ends well");
    assert!(!control.quiet().await);
}

#[tokio::test]
async fn a_polite_close_that_was_said_is_not_called_off() {
    // The answer does not fit, so it is under way for as long as the client does not read.
    let (mut client, server) = duplex(60);
    let gate = Gate::new(server);
    let control = gate.control();
    serve(gate, "old");
    control.close_politely();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("the pipe is open");
    let mut start = [0; 1];
    client.read_exact(&mut start).await.expect("the answer has begun");
    control.release();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.expect("the close is orderly");
    assert!(rest.contains("connection: close\r\n"), "{rest}");
    assert!(rest.ends_with("old / "), "{rest}");
}

#[tokio::test]
async fn a_polite_close_is_believed_by_clients_of_http_1_0() {
    let (mut client, control, _server) = connection("old");
    control.close_politely();
    client.write_all(b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await.expect("the pipe is open");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("the close is orderly");
    assert!(!answer.contains("keep-alive"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_closes_its_side_is_answered() {
    let (mut client, _control, server) = connection("old");
    client.write_all(b"GET /slow HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n").await.expect("the pipe is open");
    client.shutdown().await.expect("the pipe is open");
    assert_eq!(answer(&mut client).await.1, "old /slow ");
    assert_eq!(answer(&mut client).await.1, "old /2 ");
    server.await.expect("the server ends").expect("and ends well");
}

#[tokio::test]
async fn the_preface_of_http_2_comes_in_one_piece() {
    let (mut client, server) = duplex(1024);
    let mut gate = Gate::new(server);
    let control = gate.control();
    let mut bytes = [0; 64];
    for piece in [&b"PRI * HTTP/2.0\r"[..], b"\n\r\nSM\r\n\r"] {
        client.write_all(piece).await.expect("the pipe is open");
        let read = poll_fn(|cx| Poll::Ready(std::pin::pin!(gate.read(&mut bytes)).poll(cx))).await;
        assert!(read.is_pending(), "half a preface must not be released");
        assert_eq!(control.protocol(), Protocol::Undecided);
    }
    client.write_all(b"\nframe").await.expect("the pipe is open");
    let read = gate.read(&mut bytes).await.expect("the pipe is open");
    assert_eq!(&bytes[..read], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframe");
    assert_eq!(control.protocol(), Protocol::Http2);
    assert!(!control.quiet().await);
}

/// The controls of all connections of a server.
type Controls = Arc<Mutex<Vec<Control<TcpStream>>>>;

async fn server() -> (SocketAddr, Controls) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let (address, controls) = (listener.local_addr().expect("it is bound"), Controls::default());
    let all = Arc::clone(&controls);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let gate = Gate::new(socket);
            all.lock().expect("no holder panics").push(gate.control());
            serve(gate, "tcp");
        }
    });
    (address, controls)
}

/// A client that sends two requests at a time, in two pieces; returns how many of its connections ended.
async fn client(address: SocketAddr, requests: usize) -> usize {
    let (mut socket, mut ended) = (TcpStream::connect(address).await.expect("the server accepts"), 0);
    for number in 0..requests {
        let get = format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n");
        let post = format!("POST /{number} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let (all, cut) = ([get.as_bytes(), post.as_bytes()].concat(), number % (get.len() + post.len()));
        for piece in [&all[..cut], &all[cut..]] {
            // The server may have closed meanwhile. Then it has said so.
            let _ = socket.write_all(piece).await;
            tokio::task::yield_now().await;
        }
        for expected in [format!("tcp /{number} "), format!("tcp /{number} hello")] {
            let first = !expected.ends_with("hello");
            let (head, body) = answer(&mut socket).await;
            assert_eq!(body, expected);
            if head.contains("connection: close") {
                let _ =
                    socket.read(&mut [0]).await.map(|read| assert_eq!(read, 0, "nothing comes behind the last answer"));
                socket = TcpStream::connect(address).await.expect("the server accepts");
                ended += 1;
                if first {
                    // The second request was sent behind the last answer.
                    socket.write_all(post.as_bytes()).await.expect("the server reads");
                }
            }
        }
    }
    ended
}

async fn clients(address: SocketAddr) -> usize {
    let clients: Vec<_> = (0..8).map(|_| tokio::spawn(client(address, 60))).collect();
    let mut ended = 0;
    for client in clients {
        ended += timeout(Duration::from_secs(30), client).await.expect("no answer is late").expect("no answer is lost");
    }
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_move_under_load_lose_nothing() {
    let (address, controls) = server().await;
    let moves = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&moves);
    let task = tokio::spawn(async move {
        loop {
            tokio::task::yield_now().await;
            let all = std::mem::take(&mut *controls.lock().expect("no holder panics"));
            for mut control in all {
                control.hold();
                // A client that has not sent all of its second request waits for the answer to the first.
                let quiet = timeout(Duration::from_millis(20), control.quiet()).await;
                if let Some((socket, bytes)) = control.take() {
                    let gate = Gate::adopt(socket, bytes);
                    control = gate.control();
                    serve(gate, "tcp");
                    count.fetch_add(1, SeqCst);
                }
                control.release();
                if quiet != Ok(false) {
                    controls.lock().expect("no holder panics").push(control);
                }
            }
        }
    });
    assert_eq!(clients(address).await, 0, "no connection ends");
    assert!(moves.load(SeqCst) > 20, "connections move");
    task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_close_politely_under_load_lose_nothing() {
    let (address, controls) = server().await;
    let closes = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            controls.lock().expect("no holder panics").drain(..).for_each(|control| control.close_politely());
        }
    });
    assert!(clients(address).await > 0, "connections end");
    closes.abort();
}

/// As a layer that encrypts does, the socket takes what is written, and waits for the client when it is flushed.
#[tokio::test]
async fn a_cut_wakes_what_waits_in_a_flush() {
    let (client, server) = duplex(1);
    let mut gate = Gate::passing(BufStream::new(server), Protocol::Tunnel);
    let control = gate.control();
    let handler = tokio::spawn(async move {
        gate.write_all(b"more than one").await.expect("it is kept");
        let mut flush = std::pin::pin!(gate.flush());
        poll_fn(|cx| Poll::Ready(flush.as_mut().poll(cx).is_pending())).await && flush.await.is_ok()
    });
    tokio::task::yield_now().await;
    control.cut();
    assert!(timeout(Duration::from_secs(10), handler).await.expect("it is woken").is_ok());
    drop(client);
}
