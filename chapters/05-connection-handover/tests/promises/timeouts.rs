//! How long the server waits for a client, on a clock that jumps to whatever is due next; and that a drain that is
//! called off leaves nothing behind.

use std::convert::Infallible;
use std::time::Duration;

use graceful_shutdown::{Address, HttpService, Outcome};
use graceful_upgrade::Serve as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use testkit::{Ending, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::upgraded::{A_LONG_TIME, serve, shutdown};

const AN_HOUR: Duration = Duration::from_secs(3600);

fn hello() -> impl HttpService {
    service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("hello".to_owned())))
}

#[tokio::test(start_paused = true)]
async fn half_a_head_does_not_hold_a_drain_for_longer_than_it_may_take_at_other_times() {
    for half in ["GET / HT", "P"] {
        let (mut server, address) = serve(AN_HOUR, hello());
        let mut client = TcpStream::connect(&address).await.expect("it listens");
        client.write_all(half.as_bytes()).await.expect("it is read");
        let began = Instant::now();
        assert_eq!(shutdown(&mut server, AN_HOUR).await, Outcome { finished: 0, cut: 0 }, "{half:?}");
        assert!(began.elapsed() < Duration::from_secs(33), "it took {:?} after {half:?}", began.elapsed());
    }
}

/// Asks, and reads the answer of [`hello`].
async fn ask(client: &mut TcpStream) {
    client.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.expect("it is read");
    while client.read_u8().await.expect("an answer") != b'o' {}
}

/// Waits for the end of the connection, and returns how many seconds it took. Sends `drip` every 7.3 s.
async fn ends_after(client: &mut TcpStream, drip: Option<&str>) -> f64 {
    let began = Instant::now();
    loop {
        tokio::select! {
            read = client.read_u8() => if read.is_err() { return began.elapsed().as_secs_f64() },
            () = sleep(Duration::from_millis(7_300)) => {
                let _ = client.write_all(drip.unwrap_or_default().as_bytes()).await;
            }
        }
    }
}

/// Longer than balancers keep their idle connections.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_for_75_seconds() {
    for spoken in [true, false] {
        let (_server, address) = serve(AN_HOUR, hello());
        let mut client = TcpStream::connect(&address).await.expect("it listens");
        for _ in 0..2 * usize::from(spoken) {
            sleep(Duration::from_secs(40)).await;
            ask(&mut client).await;
        }
        let after = ends_after(&mut client, None).await;
        assert!((74.9..76.0).contains(&after), "it was closed after {after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_has_30_seconds_from_its_first_byte_however_many_more_follow() {
    for (spoken, half) in [(false, "P"), (false, "GET / HTTP/1.1\r\nHo"), (true, "GET / HTTP/1.1\r\nHo"), (true, "P")] {
        let (_server, address) = serve(AN_HOUR, hello());
        let mut client = TcpStream::connect(&address).await.expect("it listens");
        if spoken {
            ask(&mut client).await;
        }
        sleep(Duration::from_secs(55)).await;
        client.write_all(half.as_bytes()).await.expect("it is read");
        let after = ends_after(&mut client, Some("x")).await;
        assert!((29.9..38.5).contains(&after), "the server waited {after} s after {half:?}");
    }
}

/// Empty lines are no part of a request (RFC 9112, section 2.2).
#[tokio::test(start_paused = true)]
async fn empty_lines_are_silence() {
    for spoken in [true, false] {
        let (_server, address) = serve(AN_HOUR, hello());
        let mut client = TcpStream::connect(&address).await.expect("it listens");
        if spoken {
            ask(&mut client).await;
        }
        let after = ends_after(&mut client, Some("\r\n")).await;
        assert!((74.0..85.0).contains(&after), "it was closed after {after} s");
    }
}

/// The gate has lost sight of its heads; even so, the server does not wait for ever.
#[tokio::test(start_paused = true)]
async fn a_head_on_a_connection_that_the_gate_is_unsure_of_has_no_endless_time_either() {
    for half in ["\nGET / HTTP/1.1\r\nHo", "\nGET / HTTP/1.1\r\nHost: lab\r\n\r\n"] {
        let (_server, address) = serve(AN_HOUR, hello());
        let mut client = TcpStream::connect(&address).await.expect("it listens");
        client.write_all(half.as_bytes()).await.expect("it is read");
        let after = ends_after(&mut client, Some("x")).await;
        assert!((74.0..300.0).contains(&after), "the server waited {after} s after {half:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_that_an_answer_takes_is_not_its_clients() {
    let slow = service_fn(async |_: Request<Incoming>| {
        sleep(Duration::from_secs(200)).await;
        Ok::<_, Infallible>(Response::new("hello".to_owned()))
    });
    let (_server, address) = serve(AN_HOUR, slow);
    let mut client = TcpStream::connect(&address).await.expect("it listens");
    for _ in 0..2 {
        sleep(Duration::from_secs(70)).await;
        ask(&mut client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_http2_client_that_is_gone_without_a_word_does_not_keep_its_connection() {
    let (_server, address) = serve(AN_HOUR, hello());
    let mut client = TcpStream::connect(&address).await.expect("it listens");
    // The preface and empty SETTINGS (RFC 9113, section 3.4), and no more.
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("it is read");
    let began = Instant::now();
    let _ = client.read_to_end(&mut Vec::new()).await;
    assert!(began.elapsed() < Duration::from_secs(120), "it took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_is_called_off_leaves_nothing_behind() {
    let address: Address = "127.0.0.1:0".parse().expect("an address");
    let listener = address.bind().expect("any port will do");
    let address = listener.address().expect("it is bound").to_string();
    let copy = || vec![("zero".to_owned(), listener.try_clone().expect("a descriptor"))];
    let mut server = connection_handover::Server::new(A_LONG_TIME);
    server.add("zero", hello());
    server.accept(copy()).expect("the runtime waits on it");
    let ready = server.readiness();
    let mut kept_alive = Wire::connect(&address);
    let mut asks_meanwhile = Wire::connect(&address);
    assert_eq!(kept_alive.ask("/").status, 200);
    assert_eq!(asks_meanwhile.ask("/").status, 200);

    server.retire(Vec::new());
    assert!(asks_meanwhile.ask("/").says_close(), "in a drain, an answer says that it is the last");
    assert!(ready(), "the successor answers");
    // It waits in the accept queue of the socket, which `listener` keeps open.
    let mut waits = Wire::connect(&address);
    waits.get("/");

    server.accept(copy()).expect("the runtime waits on it");
    assert_eq!(waits.reply().status, 200, "the server accepts again");
    for _ in 0..2 {
        assert!(!kept_alive.ask("/").says_close(), "the drain was called off, so the connection lives on");
    }
    assert_eq!(asks_meanwhile.ending(), Ending::Eof);
    drop((kept_alive, waits, asks_meanwhile));
    assert_eq!(shutdown(&mut server, A_LONG_TIME).await, Outcome { finished: 0, cut: 0 }, "the count starts anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_slow_to_read_is_not_a_silent_one() {
    // Handed to hyper in one piece: for the service the answer is done at once, for the client it is not.
    const LARGE: usize = 16 << 20;
    let large = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("x".repeat(LARGE))));
    let (mut server, address) = serve(AN_HOUR, large);
    let mut client = Wire::connect(&address);
    client.get("/");
    client.wait_for("\r\n\r\n");
    let mut silent = Wire::connect(&address);
    let drain = tokio::spawn(async move { shutdown(&mut server, A_LONG_TIME).await });
    assert_eq!(silent.ending(), Ending::Eof, "the idle timeout should have passed");
    assert_eq!(client.reply().body.len(), LARGE);
    drop(client);
    assert_eq!(drain.await.expect("no panic").cut, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_on_its_way_out_is_counted() {
    // As above: hyper has all of it, the client has not.
    let large = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("x".repeat(16 << 20))));
    let (mut server, address) = serve(AN_HOUR, large);
    let mut client = Wire::connect(&address);
    client.get("/");
    client.wait_for("xxx");
    assert_eq!(shutdown(&mut server, Duration::from_millis(100)).await.cut, 1);
}
