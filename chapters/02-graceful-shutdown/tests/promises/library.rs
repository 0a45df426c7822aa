//! What the library promises beyond what the program uses.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use graceful_shutdown::{Address, ClientAddress, HttpService, Listener, Outcome, Server, block_on};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use testkit::{Ending, Program, Wire};

use crate::server::command;

/// Only a failing test waits so long.
pub(crate) const A_LONG_TIME: Duration = Duration::from_secs(20);

pub(crate) fn bind() -> (Listener, String) {
    let address: Address = "127.0.0.1:0".parse().expect("an address");
    let listener = address.bind().expect("any port will do");
    let address = listener.address().expect("it is bound").to_string();
    (listener, address)
}

pub(crate) fn hello() -> impl HttpService {
    service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("hello".to_owned())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_slow_to_read_gets_all_of_its_answer() {
    // Handed to hyper in one piece: for the service the answer is done at once, for the client it is not.
    const LARGE: usize = 16 << 20;
    let large = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("x".repeat(LARGE))));
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener, large).expect("the runtime waits on it");
    let mut client = Wire::connect(&address);
    client.get("/");
    client.wait_for("\r\n\r\n");
    let mut idle = Wire::connect(&address);
    let drain = tokio::spawn(async move { server.shutdown(A_LONG_TIME).await });
    assert_eq!(idle.ending(), Ending::Eof, "idle connections are closed now");
    assert_eq!(client.reply().body.len(), LARGE);
    drop(client);
    assert_eq!(drain.await.expect("no panic").cut, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_can_be_answered_without_accepting_more() {
    let (listener, address) = bind();
    let mut waits = Wire::connect(&address);
    waits.get("/");
    let server = Server::new();
    server.stop();
    server.answer_queue(listener, hello()).expect("the runtime waits on it");
    assert!(waits.reply().says_close());
    drop(waits);
    assert_eq!(server.shutdown(A_LONG_TIME).await, Outcome { finished: 1, cut: 0 });
    assert!(Wire::try_connect(&address).is_err(), "the listener should be closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_dropped_cuts() {
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener, hello()).expect("the runtime waits on it");
    let mut client = Wire::connect(&address);
    assert_eq!(client.ask("/").status, 200);
    drop(server);
    assert_eq!(client.ending(), Ending::Eof, "its connections should not live on without it");
    let begin = Instant::now();
    while Wire::try_connect(&address).is_ok() {
        assert!(begin.elapsed() < A_LONG_TIME, "its listener should be closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_sending_side_behind_a_request_is_answered() {
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener, hello()).expect("the runtime waits on it");
    let mut client = Wire::connect(&address);
    client.get("/");
    client.close_our_side();
    assert_eq!(client.reply().text(), "hello");
    assert_eq!(client.ending(), Ending::Eof);
    assert_eq!(server.shutdown(A_LONG_TIME).await, Outcome { finished: 0, cut: 0 });
}

/// Answers with the address of the client.
fn whose() -> impl HttpService {
    service_fn(async |request: Request<Incoming>| {
        let client = request.extensions().get::<ClientAddress>().map(ToString::to_string);
        Ok::<_, Infallible>(Response::new(client.unwrap_or_default()))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_is_told_the_address_of_its_client() {
    let (listener, address) = bind();
    let stay = |mut client: TcpStream| {
        client.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").expect("it is connected");
        let (mut answer, own) = (String::new(), client.local_addr().expect("it is connected").to_string());
        client.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with(&format!("\r\n\r\n{own}")), "{answer:?} should be for {own}");
    };
    let from_the_queue = TcpStream::connect(&address).expect("the kernel accepts for it");
    let server = Server::new();
    server.answer_queue(listener.try_clone().expect("a descriptor"), whose()).expect("the runtime waits on it");
    stay(from_the_queue);
    server.serve(listener, whose()).expect("the runtime waits on it");
    stay(TcpStream::connect(&address).expect("it listens"));

    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let unix = format!("unix:{}", directory.path().join("socket").display());
    server.serve(unix.parse::<Address>().expect("an address").bind().expect("it is free"), whose()).expect("as above");
    assert_eq!(Wire::connect(&unix).ask("/").text(), "unix");
}

#[test]
fn at_level_debug_each_answer_is_a_line() {
    let mut program = Program::start(command(&["--listen", "127.0.0.1:0"]).env("RUST_LOG", "debug"));
    let mut client = Wire::connect(&program.listening());
    client.ask("/sleep/?duration=0s");
    let line = program.line("answered");
    assert!(line.contains("client=127.0.0.1:") && line.contains("method=GET path=\"/sleep/\" status=200"), "{line}");
    client.send("GET /secret HTTP/1.1\r\n\r\n");
    let line = program.line("answered");
    assert!(line.contains("path=\"/secret\" status=400"), "{line}");
}

#[test]
fn a_handler_that_blocks_its_thread_does_not_keep_the_process() {
    let (ended, end) = mpsc::channel();
    let (called, calls) = mpsc::channel();
    let (release, blocked) = mpsc::channel::<()>();
    let (listener, address) = bind();
    let blocked = Arc::new(std::sync::Mutex::new(blocked));
    let stubborn = service_fn(move |_: Request<Incoming>| {
        let (called, blocked) = (called.clone(), Arc::clone(&blocked));
        async move {
            called.send(()).expect("the test listens");
            // Comes back when the test lets go of the other end.
            let _ = blocked.lock().expect("no thread panics").recv();
            Ok::<_, Infallible>(Response::new("too late".to_owned()))
        }
    });
    let mut client = Wire::connect(&address);
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let server = std::thread::spawn(move || {
        let outcome = block_on(async {
            let server = Server::new();
            server.serve(listener, stubborn)?;
            tokio::task::spawn_blocking(move || calls.recv()).await.map_err(std::io::Error::other)?.expect("a request");
            Ok::<_, std::io::Error>(server.shutdown(Duration::ZERO).await)
        });
        ended.send(outcome).expect("the test listens");
    });

    let outcome = end.recv_timeout(A_LONG_TIME).expect("the runtime waits for a handler that does not come back");
    assert_eq!(outcome.expect("a runtime can be had"), Outcome { finished: 0, cut: 1 });
    drop(release);
    server.join().expect("no panic");
}
