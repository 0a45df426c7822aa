//! What the library promises beyond what the program uses.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use graceful_shutdown::{Address, HttpService, Listener, Outcome, RequestBody, Server, block_on};
use hyper::service::service_fn;
use hyper::{Request, Response};
use lab::{Ending, Wire};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Only a failing test waits so long.
pub(crate) const A_LONG_TIME: Duration = Duration::from_secs(20);

pub(crate) fn bind() -> (Listener, String) {
    let address: Address = "127.0.0.1:0".parse().expect("an address");
    let listener = address.bind().expect("any port will do");
    let address = listener.address().expect("it is bound").to_string();
    (listener, address)
}

pub(crate) fn hello() -> impl HttpService {
    service_fn(async |_: Request<RequestBody>| Ok::<_, Infallible>(Response::new("hello".to_owned())))
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_before_connections_are_waited_for() {
    // The handler answers only after the hook has run: were it the other way round, both would wait for ever.
    let hook_ran = Arc::new(Semaphore::new(0));
    let (called, calls) = mpsc::channel();
    let (listener, address) = bind();
    let server = Server::new();
    let gate = Arc::clone(&hook_ran);
    let patient = service_fn(move |_: Request<RequestBody>| {
        called.send(()).expect("the test listens");
        let gate = Arc::clone(&gate);
        async move {
            let _open = gate.acquire().await.expect("the gate is never closed");
            Ok::<_, Infallible>(Response::new("after the hook".to_owned()))
        }
    });
    server.serve(listener, patient).expect("the runtime waits on it");
    server.on_shutdown(move || hook_ran.add_permits(1));

    let mut client = Wire::connect(&address);
    client.send("GET / HTTP/1.0\r\n\r\n");
    calls.recv().expect("the request is taken up");
    let drain = tokio::spawn(async move { server.shutdown(A_LONG_TIME).await });
    assert_eq!(client.reply().text(), "after the hook");
    drop(client);
    assert_eq!(drain.await.expect("no panic"), Outcome { finished: 1, cut: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hook_runs_once() {
    let (called, calls) = mpsc::channel();
    let server = Server::new();
    for number in [1, 2] {
        let called = called.clone();
        server.on_shutdown(move || called.send(number).expect("the test listens"));
    }
    server.stop();
    let _ = server.shutdown(A_LONG_TIME).await;
    assert_eq!(calls.try_iter().collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_slow_to_read_is_not_a_silent_one() {
    // Handed to hyper in one piece: for the service the answer is done at once, for the client it is not.
    const LARGE: usize = 16 << 20;
    let large = service_fn(async |_: Request<RequestBody>| Ok::<_, Infallible>(Response::new("x".repeat(LARGE))));
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener, large).expect("the runtime waits on it");
    let mut client = Wire::connect(&address);
    client.get("/");
    client.wait_for("\r\n\r\n");
    let mut silent = Wire::connect(&address);
    let drain = tokio::spawn(async move { server.shutdown(A_LONG_TIME).await });
    assert_eq!(silent.ending(), Ending::Eof, "the patience with silence is over now");
    assert_eq!(client.reply().body.len(), LARGE);
    drop(client);
    assert_eq!(drain.await.expect("no panic").cut, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_can_be_called_off() {
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener.try_clone().expect("a descriptor"), hello()).expect("the runtime waits on it");
    let mut kept_alive = Wire::connect(&address);
    let mut asks_meanwhile = Wire::connect(&address);
    assert_eq!(kept_alive.ask("/").status, 200);
    assert_eq!(asks_meanwhile.ask("/").status, 200);

    server.retire();
    assert!(server.draining().is_draining());
    assert!(asks_meanwhile.ask("/").says_close(), "in a drain, an answer says that it is the last");
    // Its place is in the queue of the socket, which `listener` keeps open.
    let mut waits = Wire::connect(&address);
    waits.get("/");

    server.resume();
    server.serve(listener, hello()).expect("the runtime waits on it");
    assert_eq!(waits.reply().status, 200, "the server accepts again");
    for _ in 0..2 {
        assert!(!kept_alive.ask("/").says_close(), "the drain was called off, so the connection lives on");
    }
    assert_eq!(asks_meanwhile.ending(), Ending::Eof);
    drop((kept_alive, waits, asks_meanwhile));
    assert_eq!(server.shutdown(A_LONG_TIME).await, Outcome { finished: 0, cut: 0 }, "the count starts anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_server_leaves_the_queue_to_its_successor() {
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener.try_clone().expect("a descriptor"), hello()).expect("the runtime waits on it");
    server.retire();
    timeout(A_LONG_TIME, server.drained()).await.expect("nobody is connected");
    let mut waits = Wire::connect(&address);
    waits.get("/");
    assert_eq!(server.shutdown(A_LONG_TIME).await, Outcome { finished: 0, cut: 0 });

    let successor = Server::new();
    successor.serve(listener, hello()).expect("the runtime waits on it");
    assert_eq!(waits.reply().text(), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_can_be_emptied_without_accepting_more() {
    let (listener, address) = bind();
    let mut waits = Wire::connect(&address);
    waits.get("/");
    let server = Server::new();
    server.stop();
    server.serve_queue(listener, hello()).expect("the runtime waits on it");
    assert!(waits.reply().says_close());
    drop(waits);
    assert_eq!(server.shutdown(A_LONG_TIME).await, Outcome { finished: 1, cut: 0 });
    assert!(Wire::try_connect(&address).is_err(), "the listener should be closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_on_its_way_out_is_counted() {
    // As above: hyper has all of it, the client has not.
    let large = service_fn(async |_: Request<RequestBody>| Ok::<_, Infallible>(Response::new("x".repeat(16 << 20))));
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener, large).expect("the runtime waits on it");
    let mut client = Wire::connect(&address);
    client.get("/");
    client.wait_for("xxx");
    assert_eq!(server.shutdown(Duration::from_millis(100)).await.cut, 1);
}

#[test]
fn a_handler_that_blocks_its_thread_does_not_keep_the_process() {
    let (ended, end) = mpsc::channel();
    let (called, calls) = mpsc::channel();
    let (release, blocked) = mpsc::channel::<()>();
    let (listener, address) = bind();
    let blocked = Arc::new(std::sync::Mutex::new(blocked));
    let stubborn = service_fn(move |_: Request<RequestBody>| {
        let (called, blocked) = (called.clone(), Arc::clone(&blocked));
        async move {
            called.send(()).expect("the test listens");
            // Comes back when the test lets go of the other end.
            let _ = blocked.lock().expect("nobody panics").recv();
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
