//! The page *Use it in your server* promises that its programs are upgraded without a loss. They are.

use std::error::Error as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use axum::http::uri::PathAndQuery;
use graceful_shutdown::ONE_WISH;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::load::Plan;
use testkit::{Generations, Program, StalledPipe, TIMEOUT, Wire, await_exit, example, field, freeze, thaw, wait_until};
use tokio::runtime::Builder;
use tokio::sync::Mutex;
use tonic::{Code, body::Body, client::Grpc};
use tonic_prost::ProstCodec;
use tower::{service_fn, util::BoxCloneService};

const UPGRADES: u64 = 20;

fn path(name: &str) -> PathBuf {
    example(env!("CARGO_BIN_EXE_graceful-demo"), name)
}

fn start(name: &str) -> Generations {
    start_on(1, name)
}

/// Starts one that listens on this many addresses.
fn start_on(addresses: usize, name: &str) -> Generations {
    let mut command = Command::new(path(name));
    // Their log has colours otherwise.
    Generations::start(command.arg("127.0.0.1:0").env("NO_COLOR", "1"), addresses)
}

/// Upgrades it, and waits for the last old process, whose probation this ends. On a busy machine old processes would pile up
/// otherwise, and the next upgrade would be refused.
fn upgrade(server: &mut Generations, old: &mut Option<Pid>) {
    if let Some(older) = old.replace(server.upgrade()) {
        await_exit(older);
    }
}

#[track_caller]
fn is_upgraded_without_a_loss(server: &mut Generations) {
    let load = Plan::new(server.address()).start();
    load.wait_until_warm();
    let mut old = None;
    for _ in 0..UPGRADES {
        upgrade(server, &mut old);
        load.wait_for_generation(server.generation);
    }
    let tally = load.stop();
    tally.assert_nothing_lost();
    tally.assert_every_close_announced();
    assert_eq!(tally.closed_announced, 0, "connections should have been handed over: {tally:#?}");
}

#[test]
fn a_hyper_service() {
    is_upgraded_without_a_loss(&mut start("hyper_hello"));
}

/// Its log waits for the reader, and so the second signal is read late.
#[test]
fn two_signals_that_come_close_together_are_one_wish_however_long_a_line_takes_in_between() {
    let mut log = StalledPipe::new();
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" 127.0.0.1:0 2>"$1""#]).arg(path("hyper_hello")).arg(log.path());
    let mut program = Program::start(command.env("NO_COLOR", "1"));
    let mut said = String::new();
    wait_until("it listens", || {
        said.push_str(&log.read());
        said.contains("address=")
    });
    let address = field(&said, "address").expect("it says where");
    let mut client = Wire::connect(address);
    client.send("GET / HTTP/1.1\r\n");
    // In this order, so the process has the half of the other head.
    assert_eq!(Wire::connect(address).ask("/").status, 200);

    log.fill();
    freeze(program.pid());
    program.signal(Signal::SIGTERM);
    program.signal(Signal::SIGINT);
    thaw(program.pid());
    std::thread::sleep(4 * ONE_WISH);
    wait_until("it drains", || log.read().contains("draining"));
    client.send("Host: lab\r\n\r\n");
    assert_eq!(client.reply().status, 200, "one stop cuts nothing");
    drop(client);
    assert_eq!(program.wait().code(), 0);
}

/// With a stream of events that is told to end at each upgrade, and comes again.
#[test]
fn an_axum_service_with_state_and_server_sent_events() {
    let mut server = start("axum_hello");
    let mut events = Wire::connect(server.address());
    events.get("/ticks");
    events.wait_for("tick 0 of generation 1");
    server.upgrade();
    // The end of the chunks: an event stream has no other end.
    events.wait_for("\r\n0\r\n\r\n");
    let mut events = Wire::connect(server.address());
    events.get("/ticks");
    events.wait_for("tick 0 of generation 2");
    is_upgraded_without_a_loss(&mut server);
}

/// No line is lost: a client has the answer to every line that it sent before the goodbye, and then finds the next process.
#[test]
fn a_plain_tcp_line_server() {
    let mut server = start("line_server");
    let mut old = None;
    for _ in 0..UPGRADES {
        let mut client = TcpStream::connect(server.address()).expect("it listens");
        let mut answers = BufReader::new(client.try_clone().expect("descriptors are left")).lines();
        let mut next = || answers.next().expect("an answer").expect("the connection is whole");
        for number in 0..10 {
            writeln!(client, "line {number}").expect("it is connected");
            assert_eq!(next(), format!("generation {}: line {number}", server.generation));
        }
        upgrade(&mut server, &mut old);
        assert_eq!(next(), "goodbye");
    }
}

/// A datagram that waits while the processes change places is answered by the next one.
#[test]
fn a_udp_socket_a_background_task_and_hooks() {
    let mut server = start_on(2, "parts");
    let line = server.program.line("echo");
    let address = field(&line, "udp").expect("it says where").to_owned();
    let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("it is not zero");
    client.connect(address).expect("it is an address");
    let mut asked = 0;
    let mut answered = 0;
    let mut old = None;
    for generation in 1..=UPGRADES {
        let mut answer = [0; 512];
        for _ in 0..10 {
            asked += 1;
            client.send(b"hello").expect("it is bound");
            let length = client.recv(&mut answer).expect("each datagram is answered");
            assert_eq!(String::from_utf8_lossy(&answer[..length]), format!("{generation}: hello"));
            answered += 1;
        }
        upgrade(&mut server, &mut old);
        server.program.line(&format!("the drain begins generation={generation}"));
        server.program.line(&format!("the end generation={generation}"));
    }
    assert_eq!(answered, asked);
    assert_eq!(Wire::connect(server.address()).ask("/").text(), "true\n");
    server.stop();
}

/// A stream that was accepted, and has had an answer.
fn pipe(server: &Generations) -> TcpStream {
    let mut stream = TcpStream::connect(&server.addresses[1]).expect("it listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("it is not zero");
    stream.write_all(b"hello").expect("it is connected");
    stream.read_exact(&mut [0; 5]).expect("it comes back");
    stream
}

#[test]
fn a_drain_hook_runs_once_in_each_drain_and_an_end_hook_once() {
    let mut server = start_on(2, "parts");
    let (first, held) = (server.serving, pipe(&server));
    server.upgrade();
    server.program.line("the drain begins generation=1");
    kill(server.serving, Signal::SIGKILL).expect("it serves");
    (server.serving, server.generation) = (first, 0);
    server.next_generation(2);
    assert_eq!(server.program.count("the end"), 0, "it came back: {}", server.program.output());
    server.upgrade();
    server.program.line("the drain begins generation=1");
    drop(held);
    await_exit(first);
    server.stop();
    let log = server.program.wait_all();
    for (hook, times) in [
        ("the drain begins generation=1", 2),
        ("the end generation=1", 1),
        ("the drain begins generation=2", 1),
        ("the end generation=2", 1),
    ] {
        assert_eq!(server.program.count(hook), times, "{hook}: {log}");
    }
}

/// The counters as the page for Prometheus has them: connections accepted, closed and open, and what was cut.
fn counted(client: &mut Wire) -> [u64; 4] {
    let text = client.ask("/metrics").text();
    ["connections_accepted_total", "connections_closed_total", "connections_open", "requests_cut_total"].map(|name| {
        let value = text.lines().find_map(|line| line.strip_prefix("graceful_")?.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is not in {text}"))
    })
}

#[test]
fn streams_are_counted_from_their_accept_to_their_end_or_cut_over_an_upgrade_as_well() {
    let mut server = start_on(2, "parts");
    // Is handed over, and so counted as one connection.
    let mut client = Wire::connect(server.address());
    let (first, one, _held) = (server.serving, pipe(&server), [pipe(&server), pipe(&server)]);
    assert_eq!(counted(&mut client), [4, 0, 4, 0]);
    drop(one);
    wait_until("its end is counted", || counted(&mut client) == [4, 1, 3, 0]);
    server.upgrade();
    wait_until("the client is handed over", || client.ask("/metrics").text().contains("graceful_generation 2\n"));
    wait_until("the old process has written it down", || counted(&mut client)[2] == 3);
    assert_eq!(counted(&mut client), [4, 1, 3, 0]);
    let _new = pipe(&server);
    assert_eq!(counted(&mut client), [5, 1, 4, 0]);
    // The second time, it cuts what is left.
    kill(first, Signal::SIGTERM).expect("it has two streams");
    std::thread::sleep(2 * ONE_WISH);
    kill(first, Signal::SIGTERM).expect("it has two streams");
    server.program.line("the end generation=1");
    await_exit(first);
    assert_eq!(counted(&mut client), [5, 3, 2, 2]);
}

/// No unary call fails. The stream is told to end at each upgrade, and begins again in the next process.
#[test]
fn a_tonic_service_with_a_server_streaming_call() {
    let mut server = start("tonic_ticks");
    // One thread: on two, a request that is handed to hyper while its connection ends may never be answered.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads are left");
    let client = Client::of(server.address());
    let ((answered, answers), (ticked, ticks)) = (mpsc::channel(), mpsc::channel());
    let asks = runtime.spawn(client.clone().ask(answered));
    let watches = runtime.spawn(client.watch(ticked));
    let has_come = |generation| {
        while ticks.recv_timeout(TIMEOUT).expect("a tick") != (Tick { generation, number: 2 }) {}
        while answers.recv_timeout(TIMEOUT).expect("an answer") != generation {}
    };
    has_come(1);
    let mut old = None;
    for _ in 0..UPGRADES {
        upgrade(&mut server, &mut old);
        has_come(server.generation);
    }
    drop((ticks, answers));
    runtime.block_on(asks).expect("no call has failed");
    runtime.block_on(watches).expect("no stream has failed");
}

#[derive(Clone, PartialEq, prost::Message)]
struct Tick {
    #[prost(uint64, tag = "1")]
    generation: u64,
    #[prost(uint64, tag = "2")]
    number: u64,
}

/// All its calls share a connection, as with tonic's own channel. That one reconnects, too, but sends nothing again.
#[derive(Clone)]
struct Client(Grpc<BoxCloneService<Request<Body>, Response<Incoming>, tonic::Status>>);

impl Client {
    fn of(address: &str) -> Client {
        let (address, connection) = (Arc::<str>::from(address), Arc::default());
        let origin = format!("http://{address}").parse().expect("it is an authority");
        let send = service_fn(move |request| send(Arc::clone(&address), Arc::clone(&connection), request));
        Client(Grpc::with_origin(BoxCloneService::new(send), origin))
    }

    /// Asks until its results are no longer wanted.
    async fn ask(mut self, answered: mpsc::Sender<u64>) {
        let path = PathAndQuery::from_static("/ticks.Ticks/Generation");
        loop {
            let answer = self.0.unary(tonic::Request::new(()), path.clone(), ProstCodec::<(), u64>::default()).await;
            if answered.send(answer.expect("no call fails").into_inner()).is_err() {
                return;
            }
        }
    }

    /// Watches until its results are no longer wanted. Each tick is the next one of its generation, or the first one of the next.
    async fn watch(mut self, ticked: mpsc::Sender<Tick>) {
        let path = PathAndQuery::from_static("/ticks.Ticks/Watch");
        let mut due = Tick { generation: 1, number: 0 };
        loop {
            let codec = ProstCodec::<(), Tick>::default();
            let stream = self.0.server_streaming(tonic::Request::new(()), path.clone(), codec).await;
            let mut stream = stream.expect("no call fails").into_inner();
            let end = loop {
                match stream.message().await {
                    Ok(tick) => {
                        let tick = tick.expect("it does not end as if that was all");
                        assert_eq!(tick, due);
                        due.number += 1;
                        if ticked.send(tick).is_err() {
                            return;
                        }
                    }
                    Err(end) => break end,
                }
            };
            assert_eq!((end.code(), end.message()), (Code::Unavailable, "the service is being replaced: come again"));
            // A process that is asked once more before its GOAWAY has arrived says the same, without a tick.
            if due.number > 0 {
                due = Tick { generation: due.generation + 1, number: 0 };
            }
        }
    }
}

type Connection = SendRequest<Full<Bytes>>;

/// Sends a request again if a GOAWAY has left it unprocessed, as RFC 9113 allows (section 6.8) and gRPC calls a transparent
/// retry. Whatever else fails is a loss.
async fn send(
    address: Arc<str>,
    connection: Arc<Mutex<Option<Connection>>>,
    request: Request<Body>,
) -> Result<Response<Incoming>, tonic::Status> {
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head, Full::from(body.collect().await?.to_bytes()));
    loop {
        let mut sender = {
            let mut connection = connection.lock().await;
            match connection.take_if(|sender| !sender.is_closed()) {
                Some(sender) => connection.insert(sender).clone(),
                None => connection.insert(connect(&address).await).clone(),
            }
        };
        match sender.try_send_request(request.clone()).await {
            Ok(response) => return Ok(response),
            // hyper has not sent it, or the server said that it came too late to be looked at.
            Err(error) if error.message().is_some() || is_given_back(error.error()) => {}
            Err(error) => return Err(tonic::Status::from_error(error.into_error().into())),
        }
    }
}

/// Whether this is what h2 says of a request above the last one that a GOAWAY names.
fn is_given_back(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|error| error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR))
}

async fn connect(address: &str) -> Connection {
    let socket = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    sender
}
