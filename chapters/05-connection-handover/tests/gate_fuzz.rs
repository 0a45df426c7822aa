//! hyper over a gate, handed over at random moments, against hyper alone: the same bytes in the same pieces must bring
//! the same answers, and the same requests to the handlers.
//!
//! `GATE_FUZZ_CASES` says how many cases to run, `GATE_FUZZ_SEED` which one to begin with.

use std::cell::Cell;
use std::convert::Infallible;
use std::env;
use std::future::poll_fn;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use connection_handover::gate::{Control, Gate, Protocol};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

// What a case consists of.

/// One case: what a client sends, in which pieces, and what happens between them.
#[derive(Debug)]
struct Case {
    pieces: Vec<Vec<u8>>,
    /// The client closes its side right behind its last piece, and not after the last answer.
    ends_early: bool,
}

fn case(rng: &mut fastrand::Rng) -> Case {
    let mut bytes = Vec::new();
    for number in 0..rng.usize(1..6) {
        if rng.u8(..) < 30 {
            bytes.extend_from_slice(pick(rng, &[&b"\r\n"[..], b"\r\n\r\n", b"\n", b"\r"]));
        }
        request(rng, number, &mut bytes);
        if number == 0 && rng.u8(..) < 80 {
            // Most clients repeat the same request.
            bytes = bytes.repeat(rng.usize(1..8));
        }
        if rng.u8(..) < 4 {
            // An accident.
            let at = rng.usize(..bytes.len());
            match rng.u8(..4) {
                0 => bytes[at] = pick(rng, b"\r\n :\0a5;,"),
                1 => bytes.insert(at, pick(rng, b"\r\n :\0a5;,")),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
    }
    if rng.u8(..) < 40 {
        bytes.extend_from_slice(pick(rng, &[&b"GET /half"[..], b"\r\n", b"\r", b"POST / HTTP/1.1\r\nContent-Le"]));
    }
    let mut pieces = Vec::new();
    let size = bytes.len() / pick(rng, &[300, 100, 30, 10, 4, 2, 1]) + 1;
    while !bytes.is_empty() {
        let rest = bytes.split_off(rng.usize(1..=size).min(bytes.len()));
        pieces.push(bytes);
        bytes = rest;
    }
    Case { pieces, ends_early: rng.u8(..) < 20 }
}

fn pick<T: Copy>(rng: &mut fastrand::Rng, list: &[T]) -> T {
    list[rng.usize(..list.len())]
}

/// A request that tells its handler, in its path, what to do.
fn request(rng: &mut fastrand::Rng, number: usize, bytes: &mut Vec<u8>) {
    let odd = rng.u8(..) < 40;
    let methods = ["GET", "POST", "HEAD", "CONNECT", "HEADX", "head"];
    let method = pick(rng, if odd { &methods } else { &methods[..3] });
    let answer = pick::<u8>(rng, if odd { b"fecnmkuwi" } else { b"ffec4" });
    let reads: &[u8] = if rng.u8(..) < 60 { b"pnlh" } else { b"alh" };
    let reads = pick(rng, reads);
    let delay = if rng.bool() { 0 } else { rng.u8(..4) };
    let version = if rng.u8(..) < 20 { "HTTP/1.0" } else { "HTTP/1.1" };
    let end = if odd && rng.u8(..) < 20 { "\n" } else { "\r\n" };
    let path = format!("/{}/{}/{delay}/{number}", char::from(answer), char::from(reads));
    let target = if method == "CONNECT" {
        format!("{}{}{delay}{number}:1", char::from(answer), char::from(reads))
    } else {
        path
    };
    let mut head = format!("{method} {target} {version}{end}Host: a{end}");
    let mut add = |line: &str| {
        head.push_str(line);
        head.push_str(end);
    };
    if version == "HTTP/1.0" && rng.bool() {
        add("Connection: keep-alive");
    }
    if rng.u8(..) < 6 {
        add("connection: close");
    }
    if answer == b'u' || rng.u8(..) < 5 {
        add("Connection: upgrade");
        add("Upgrade: echo");
    }
    let length = if method == "POST" || rng.u8(..) < 20 { pick(rng, &[0, 1, 7, 60, 3000]) } else { 0 };
    let mut body: Vec<u8> = (0..length).map(|_| pick(rng, b"abc\r\n0GET / HTTP/1.1:;")).collect();
    if rng.u8(..) < 10 {
        // A body that looks like a request.
        body = b"GET /f/a/0/smuggled HTTP/1.1\r\n\r\n".to_vec();
    }
    let chunked = rng.u8(..) < 90 && (method == "POST" || rng.u8(..) < 10);
    if chunked {
        let name = pick(rng, &["Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING"]);
        add(&format!("{name}:{}", pick(rng, &[" chunked", "chunked", "\t Chunked "])));
        body = chunks(rng, &body);
    } else if !body.is_empty() || method == "POST" {
        let name = pick(rng, &["Content-Length", "content-length"]);
        add(&format!("{name}: {}{}", pick(rng, &["", "0", " \t"]), body.len()));
    }
    if rng.u8(..) < 12 {
        add("Expect: 100-continue");
    }
    if rng.u8(..) < 12 {
        hostile(rng, &mut add, body.len());
    }
    head.push_str(end);
    bytes.extend_from_slice(head.as_bytes());
    bytes.append(&mut body);
}

/// A header that some parsers may take for framing.
fn hostile(rng: &mut fastrand::Rng, add: &mut impl FnMut(&str), length: usize) {
    let lines = [
        format!("Content-Length: {length}"),
        format!("Content-Length: {}", length + 1),
        format!("Content-Length : {length}"),
        format!("Content-Length\t: {length}"),
        format!(" Content-Length: {length}"),
        format!("Content-Length: +{length}"),
        format!("Content-Length: {length}, {length}"),
        "Content-Length:".to_owned(),
        "Content-Length: 99999999999999999999999999".to_owned(),
        "Content-Length: 18446744073709551615".to_owned(),
        "Content-Length: 0x5".to_owned(),
        "Content-Length: 5\u{b}".to_owned(),
        "Content-Length-X: 5".to_owned(),
        "Transfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding: gzip, chunked".to_owned(),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding: identity".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        "Transfer-Encoding: \u{b}chunked".to_owned(),
        "Transfer-Encoding: chunked;q=1".to_owned(),
        "Transfer-Encoding:".to_owned(),
        "X: folded\r\n Transfer-Encoding: chunked".to_owned(),
        "X: folded\r\n\tTransfer-Encoding: chunked".to_owned(),
        "X: a\rTransfer-Encoding: chunked".to_owned(),
        "X: a\nTransfer-Encoding: chunked".to_owned(),
        "X: a\n\nGET /f/a/0/inner HTTP/1.1".to_owned(),
        "X\0: 1".to_owned(),
        ": 1".to_owned(),
        "no colon".to_owned(),
        "Upgrade: h2c".to_owned(),
    ];
    add(&lines[rng.usize(..lines.len())]);
}

fn chunks(rng: &mut fastrand::Rng, mut body: &[u8]) -> Vec<u8> {
    let mut chunked = Vec::new();
    while !body.is_empty() {
        let (chunk, rest) = body.split_at(rng.usize(1..=body.len()));
        body = rest;
        let zeros = if rng.u8(..) < 20 { "000" } else { "" };
        chunked.extend_from_slice(format!("{zeros}{:x}", chunk.len()).as_bytes());
        extension(rng, &mut chunked);
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(pick(rng, &[&b"0"[..], b"0", b"00"]));
    extension(rng, &mut chunked);
    if rng.u8(..) < 40 {
        let odd = rng.u8(..) < 60;
        let trailers =
            [&b"X: 1\r\n"[..], b"Content-Length: 7\r\nA: b\r\n", b"bad trailer\r\n", b"X: 1\n\r\n", b"X: \r1\r\n"];
        chunked.extend_from_slice(pick(rng, if odd { &trailers } else { &trailers[..2] }));
    }
    chunked.extend_from_slice(b"\r\n");
    chunked
}

fn extension(rng: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    let extensions =
        [&b";a=b"[..], b";a=\"b;c\"", b" ", b" ;x", b"\t", b";", b"\n", b"\r", b";a\n", b";a\rb", b"g", b"-1"];
    let odd = rng.u8(..) < 30;
    if rng.u8(..) < 40 {
        bytes.extend_from_slice(pick(rng, if odd { &extensions } else { &extensions[..6] }));
    }
    bytes.extend_from_slice(b"\r\n");
}

// The wire between a client and a server.

#[derive(Default)]
struct Wire {
    sent: Vec<u8>,
    ended: bool,
    /// Written, and not flushed.
    written: Vec<u8>,
    /// Whether a flush completes: one tick after the last write.
    flushes: bool,
    received: Vec<u8>,
    /// The server has closed its side, or dropped the socket.
    closed: bool,
    /// How many bytes the client still takes.
    window: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The server's end.
struct Socket(Arc<Mutex<Wire>>);

fn locked(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().expect("one thread holds the lock")
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = locked(&self.0);
        if wire.sent.is_empty() && !wire.ended {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = wire.sent.len().min(buf.remaining());
        buf.put_slice(&wire.sent[..length]);
        wire.sent.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wire = locked(&self.0);
        assert!(!wire.closed, "the server writes behind its close");
        if wire.window == 0 {
            wire.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = wire.written.len();
        for buf in bufs {
            let length = buf.len().min(wire.window);
            wire.written.extend_from_slice(&buf[..length]);
            wire.window -= length;
        }
        wire.flushes = false;
        Poll::Ready(Ok(wire.written.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *locked(&self.0);
        if !wire.flushes && !wire.written.is_empty() {
            wire.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        wire.received.append(&mut wire.written);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        locked(&self.0).closed = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut wire = locked(&self.0);
        wire.closed = true;
        let wire = &mut *wire;
        wire.received.append(&mut wire.written);
    }
}

// The server.

/// What the handlers of one case share.
#[derive(Default)]
struct World {
    /// Handlers wait for it to advance.
    clock: AtomicU64,
    /// What they have seen.
    seen: Mutex<Vec<String>>,
    /// Tasks beside the connection: upgraded connections.
    tasks: Mutex<Vec<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

async fn wait(world: &World, ticks: u64) {
    let until = world.clock.load(SeqCst) + ticks;
    poll_fn(|_| if world.clock.load(SeqCst) < until { Poll::Pending } else { Poll::Ready(()) }).await;
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn handle(world: Arc<World>, mut request: Request<Incoming>) -> Result<Answer, Infallible> {
    let name = format!("{} {}", request.method(), request.uri());
    let plan: Vec<char> = request.uri().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let [answer, reads, delay] = [0, 1, 2].map(|at| plan.get(at).copied().unwrap_or('0'));
    let upgrade = (answer == 'u').then(|| hyper::upgrade::on(&mut request));
    let mut body = request.into_body();
    let mut seen = String::new();
    match reads {
        'p' => drop(body.frame().await),
        'n' => drop(body),
        'l' | 'h' => {
            // The request is answered at once, and its body is read later.
            let number = note(&world, format!("late {name} …"));
            let late = Arc::clone(&world);
            locked_tasks(&world).push(Box::pin(async move {
                wait(&late, if reads == 'h' { 5 } else { 0 }).await;
                let text = read(&mut body).await;
                late.seen.lock().expect("one thread holds the lock")[number] = format!("late {name} {text}");
            }));
            wait(&world, delay.to_digit(10).unwrap_or(0).into()).await;
            return Ok(compose(&world, answer, "late", upgrade));
        }
        _ => seen = read(&mut body).await,
    }
    note(&world, format!("{name} {seen}"));
    wait(&world, delay.to_digit(10).unwrap_or(0).into()).await;
    Ok(compose(&world, answer, &format!("{name} {}", seen.len()), upgrade))
}

async fn read(body: &mut Incoming) -> String {
    let mut bytes = Vec::new();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(b"[trailers]", |data| data)),
            Some(Err(_)) => return format!("{} broken", String::from_utf8_lossy(&bytes)),
            None => return String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

fn note(world: &World, seen: String) -> usize {
    let mut list = world.seen.lock().expect("one thread holds the lock");
    list.push(seen);
    list.len() - 1
}

fn locked_tasks(world: &World) -> MutexGuard<'_, Vec<Pin<Box<dyn Future<Output = ()> + Send>>>> {
    world.tasks.lock().expect("one thread holds the lock")
}

fn compose(world: &Arc<World>, answer: char, text: &str, upgrade: Option<hyper::upgrade::OnUpgrade>) -> Answer {
    let full = |text: String| Full::new(Bytes::from(text)).boxed();
    match answer {
        'e' => Response::new(Empty::new().boxed()),
        'c' => {
            // A stream that takes its time.
            let (world, mut left, mut next) = (Arc::clone(world), 3, 0);
            let text = text.to_owned();
            Response::new(
                Stream(move || {
                    if left == 0 {
                        return Poll::Ready(None);
                    }
                    if world.clock.load(SeqCst) < next {
                        return Poll::Pending;
                    }
                    left -= 1;
                    next = world.clock.load(SeqCst) + 1;
                    Poll::Ready(Some(Ok(Frame::data(Bytes::from(format!("{text} {left}\r\n"))))))
                })
                .boxed(),
            )
        }
        '4' => Response::builder().status(404).body(full(text.to_owned())).expect("a response"),
        'n' => Response::builder().status(204).body(Empty::new().boxed()).expect("a response"),
        'm' => {
            Response::builder().status(304).header("content-length", 5).body(Empty::new().boxed()).expect("a response")
        }
        'k' => Response::builder().header("connection", "close").body(full(text.to_owned())).expect("a response"),
        'w' => Response::new(full(text.repeat(500))),
        'i' => Response::builder().version(hyper::Version::HTTP_10).body(full(text.to_owned())).expect("a response"),
        'u' => {
            if let Some(upgrade) = upgrade {
                locked_tasks(world).push(Box::pin(async move {
                    let Ok(upgraded) = upgrade.await else { return };
                    let mut io = TokioIo::new(upgraded);
                    let mut bytes = [0; 64];
                    while let Ok(length @ 1..) = io.read(&mut bytes).await {
                        if io.write_all(&bytes[..length]).await.is_err() {
                            return;
                        }
                    }
                    let _ = io.shutdown().await;
                }));
            }
            let response = Response::builder().status(101).header("upgrade", "echo").header("connection", "upgrade");
            response.body(Empty::new().boxed()).expect("a response")
        }
        _ => Response::new(full(text.to_owned())),
    }
}

struct Stream<F>(F);

impl<F: FnMut() -> Poll<Option<Result<Frame<Bytes>, Infallible>>> + Unpin> Body for Stream<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        (self.0)()
    }
}

type Connection = Pin<Box<dyn Future<Output = ()>>>;

fn hyper(world: &Arc<World>, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Connection {
    let world = Arc::clone(world);
    let service = service_fn(move |request| handle(Arc::clone(&world), request));
    let mut builder = http1::Builder::new();
    let connection =
        builder.auto_date_header(false).half_close(true).serve_connection(TokioIo::new(io), service).with_upgrades();
    Box::pin(async move {
        let _ = connection.await;
    })
}

// The run.

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// A client, its wire and the server at the other end.
struct Run {
    wire: Arc<Mutex<Wire>>,
    world: Arc<World>,
    connection: Option<Connection>,
    control: Option<Control<Socket>>,
    moves: usize,
}

impl Run {
    fn new(gate: bool) -> Run {
        let (wire, world) = (Arc::new(Mutex::new(Wire::default())), Arc::default());
        let mut run = Run { wire, world, connection: None, control: None, moves: 0 };
        let socket = Socket(Arc::clone(&run.wire));
        if gate {
            run.serve(Gate::new(socket));
        } else {
            run.connection = Some(hyper(&run.world, socket));
        }
        run
    }

    fn serve(&mut self, gate: Gate<Socket>) {
        self.control = Some(gate.control());
        self.connection = Some(hyper(&self.world, gate));
    }

    /// Polls everything until nothing moves.
    fn poll(&mut self) {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut cx = Context::from_waker(&waker);
        for round in 0.. {
            let mut woken = flag.0.swap(false, SeqCst);
            if self.connection.as_mut().is_some_and(|connection| connection.as_mut().poll(&mut cx).is_ready()) {
                self.connection = None;
            }
            let tasks = std::mem::take(&mut *locked_tasks(&self.world));
            for mut task in tasks {
                if task.as_mut().poll(&mut cx).is_pending() {
                    locked_tasks(&self.world).push(task);
                } else {
                    woken = true;
                }
            }
            if !woken && !flag.0.load(SeqCst) {
                return;
            }
            assert!(round < 1000, "the server polls for ever");
        }
    }

    /// The client reads, and time passes.
    fn tick(&mut self, window: usize) {
        self.world.clock.fetch_add(1, SeqCst);
        {
            let mut wire = locked(&self.wire);
            wire.window = wire.window.saturating_add(window);
            wire.flushes = true;
            wire.writer.take().into_iter().for_each(Waker::wake);
        }
        self.poll();
    }

    fn send(&mut self, piece: &[u8]) {
        let mut wire = locked(&self.wire);
        wire.sent.extend_from_slice(piece);
        wire.reader.take().into_iter().for_each(Waker::wake);
        drop(wire);
    }

    fn end(&mut self) {
        let mut wire = locked(&self.wire);
        wire.ended = true;
        wire.reader.take().into_iter().for_each(Waker::wake);
    }

    /// Hands the connection over if it is quiet.
    fn hand_over(&mut self, polls_old: bool) -> bool {
        let Some(control) = &self.control else { return false };
        let quiet = control.is_quiet();
        if quiet {
            assert_eq!(control.owed(), 0, "a quiet connection owes nothing");
            assert!(matches!(control.protocol(), Protocol::Undecided | Protocol::Http1));
        }
        let Some((socket, bytes)) = control.take() else {
            assert!(!quiet, "a quiet connection can be taken");
            return false;
        };
        assert!(quiet, "only a quiet connection can be taken");
        assert!(locked(&self.wire).written.is_empty(), "what was answered is flushed");
        if polls_old {
            self.poll();
            assert!(self.connection.is_none(), "the library ends when its connection was taken");
        }
        self.serve(Gate::adopt(socket, bytes));
        self.moves += 1;
        true
    }

    fn outcome(&self) -> Outcome {
        let wire = locked(&self.wire);
        let seen = self.world.seen.lock().expect("one thread holds the lock").clone();
        (String::from_utf8_lossy(&wire.received).into_owned(), seen, wire.closed)
    }
}

/// Runs the case; hands over at moments that `rng` chooses, if there is one.
fn run(case: &Case, mut rng: Option<fastrand::Rng>, pace: &mut fastrand::Rng) -> Run {
    let mut run = Run::new(rng.is_some());
    let bytes = String::from_utf8_lossy(&case.pieces.concat()).into_owned();
    if ["/u/", "CONNECT u"].iter().any(|upgrades| bytes.contains(upgrades)) {
        // hyper forgets the head of a 101 that it cannot write at once.
        locked(&run.wire).window = usize::MAX;
    }
    let eager = rng.as_mut().map_or(0, |rng| pick(rng, &[20, 100, 250]));
    let mut held = false;
    let mut step = |run: &mut Run| {
        if let Some(rng) = &mut rng {
            if !held && rng.u8(..) < eager {
                run.control.as_ref().expect("there is a gate").hold();
                held = true;
            }
            if rng.bool() {
                run.poll();
            }
            if held && run.hand_over(rng.bool()) {
                held = false;
            }
            if held && rng.u8(..) < 30 {
                run.control.as_ref().expect("there is a gate").release();
                held = false;
            }
        }
    };
    for piece in &case.pieces {
        run.send(piece);
        step(&mut run);
        run.poll();
        step(&mut run);
        for _ in 0..pace.u8(..3) {
            let some = pace.usize(..200);
            run.tick(pick(pace, &[0, some, some, 10000]));
            step(&mut run);
        }
    }
    if case.ends_early {
        run.end();
    }
    for round in 0..60 {
        step(&mut run);
        if round > 40
            && let Some(control) = &run.control
        {
            control.release();
        }
        run.tick(100_000);
    }
    run.end();
    run.poll();
    // Long enough for a handler that reads a body late, and whose request came last.
    for _ in 0..10 {
        run.tick(100_000);
    }
    run
}

type Outcome = (String, Vec<String>, bool);

/// Whether the outcomes are equal, apart from two habits of hyper.
fn same(mut one: Outcome, mut other: Outcome) -> bool {
    // If a task reads a body after the answer, hyper yields the end of the body only with the next request. If hyper is
    // dropped before that, the task gets the bytes, an error and no trailers.
    for seen in one.1.iter_mut().chain(&mut other.1).filter(|seen| seen.starts_with("late")) {
        *seen = seen.replace("[trailers]", "").replace(" broken", "");
    }
    // hyper refuses a head in the HTTP version of the request before it, if it has answered that one; and if that
    // answer is not yet written, hyper refuses in the middle of it.
    for (received, ..) in [&mut one, &mut other] {
        // hyper may find a body broken while it writes the answer's head: then it stops at once.
        if let Some(last) = received.rfind("HTTP/1.").filter(|last| !received[*last..].contains("\r\n\r\n")) {
            received.truncate(last);
        }
        for refusal in ["400 Bad Request", "431 Request Header Fields Too Large"] {
            for start in [format!("HTTP/1.1 {refusal}\r\nconnection: close\r\n"), format!("HTTP/1.0 {refusal}\r\n")] {
                let refusal = format!("{start}content-length: 0\r\n\r\n");
                let count = received.matches(&refusal).count();
                *received = received.replace(&refusal, "") + &"[refused]".repeat(count);
            }
        }
    }
    one == other
}

/// The same bytes in other pieces.
fn cut_anew(case: &Case, rng: &mut fastrand::Rng) -> Case {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let (joins, cuts) = (pick(rng, &[20, 128, 230, 255]), pick(rng, &[0, 0, 10, 128]));
    for piece in &case.pieces {
        for (at, byte) in piece.iter().enumerate() {
            let joined = if at == 0 { rng.u8(..) < joins } else { rng.u8(..) >= cuts };
            match pieces.last_mut() {
                Some(last) if joined => last.push(*byte),
                _ => pieces.push(vec![*byte]),
            }
        }
    }
    Case { pieces, ends_early: case.ends_early }
}

/// What a case tells: how often the connection moved, and whether the answers depended on when the bytes arrived.
fn check(seed: u64) -> (usize, bool) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let case = case(&mut rng);
    let pace = rng.fork();
    let alone = run(&case, None, &mut pace.clone());
    let moved = run(&case, Some(rng.fork()), &mut pace.clone());
    if same(alone.outcome(), moved.outcome()) {
        return (moved.moves, false);
    }
    // A held connection reads later. If hyper alone answers otherwise then, that is no fault. (Once it took a
    // thousand.)
    for _ in 0..20_000 {
        if same(run(&cut_anew(&case, &mut rng), None, &mut rng.fork()).outcome(), moved.outcome()) {
            return (moved.moves, true);
        }
    }
    let text: Vec<_> = case.pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect();
    panic!(
        "seed {seed}, {} moves, ends early: {}\n{text:?}\n\nalone: {:#?}\n\nmoved: {:#?}",
        moved.moves,
        case.ends_early,
        alone.outcome(),
        moved.outcome()
    );
}

thread_local! {
    /// The last panic was one of hyper's debug assertions.
    static ASSERTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs cases until time or number is up.
fn fuzz(what: &str, mut check: impl FnMut(u64) -> usize) {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let hyper = panic.location().is_some_and(|place| place.file().contains("/hyper-1"));
        ASSERTED.set(hyper);
        if !hyper {
            report(panic);
        }
    }));
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let first = number("GATE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..1 << 40));
    let (cases, begin, mut ran, mut count) = (number("GATE_FUZZ_CASES"), Instant::now(), 0, 0);
    while cases.map_or(begin.elapsed() < Duration::from_millis(1500), |cases| ran < cases) {
        // In debug builds, hyper 1.12 asserts something that does not hold when it refuses a head while an answer is
        // not yet written. Such a case tells nothing.
        count += panic::catch_unwind(AssertUnwindSafe(|| check(first + ran)))
            .unwrap_or_else(|panic| if ASSERTED.get() { 0 } else { panic::resume_unwind(panic) });
        ran += 1;
    }
    println!("{ran} cases from seed {first}, {count} {what}, {:?}", begin.elapsed());
}

#[test]
fn a_connection_that_moves_gets_the_answers_of_one_that_stays() {
    let mut late = 0;
    fuzz("moves", |seed| {
        let (moves, depends) = check(seed);
        late += usize::from(depends);
        moves
    });
    println!("{late} of them depended on the time");
}

/// A client that pipelines sends until it is told to stop.
fn check_polite_close(seed: u64) -> usize {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for number in 0..rng.usize(1..6) {
        let (method, answer) = (pick(&mut rng, &["GET", "POST", "HEAD"]), pick(&mut rng, &['f', 'e', 'c', 'w']));
        let delay = rng.u8(..3);
        let mut body = vec![b'x'; if method == "POST" { rng.usize(..50) } else { 0 }];
        let mut head = format!("{method} /{answer}/a/{delay}/{number} HTTP/1.1\r\n");
        if rng.bool() {
            head.extend(["content-length: ", &body.len().to_string(), "\r\n\r\n"]);
        } else if method == "POST" {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
            body = chunks(&mut fastrand::Rng::with_seed(0), &body);
        } else {
            head.push_str("\r\n");
        }
        bytes.extend_from_slice(head.as_bytes());
        bytes.append(&mut body);
        ends.push(bytes.len());
    }
    let (mut run, close_at, mut sent) = (Run::new(true), rng.usize(..bytes.len()), 0);
    locked(&run.wire).window = usize::MAX;
    let says_close = |run: &Run| {
        let wire = locked(&run.wire);
        String::from_utf8_lossy(&[&wire.received[..], &wire.written].concat()).contains("connection: close")
    };
    while sent < bytes.len() && !says_close(&run) {
        let piece = rng.usize(1..=bytes.len().div_ceil(3)).min(bytes.len() - sent);
        run.send(&bytes[sent..sent + piece]);
        sent += piece;
        if sent >= close_at {
            run.control.as_ref().expect("there is a gate").close_politely();
        }
        for _ in 0..rng.u8(..5) {
            run.tick(0);
        }
    }
    (0..30).for_each(|_| run.tick(0));
    let (received, _, closed) = run.outcome();
    let (answers, complete) =
        (received.matches("HTTP/1.1 200").count(), ends.iter().filter(|end| **end <= sent).count());
    let what = format!("seed {seed}: {:?}\n{received:?}", String::from_utf8_lossy(&bytes[..sent]));
    assert_eq!(answers, complete, "each request that was sent is answered: {what}");
    assert_eq!(closed, says_close(&run), "the connection ends behind the answer that says so: {what}");
    if closed {
        assert!(ends.contains(&sent), "the client had begun another request: {what}");
        assert_eq!(received.matches("connection: close").count(), 1, "{what}");
    }
    usize::from(closed)
}

#[test]
fn a_polite_close_loses_no_request() {
    fuzz("closed", check_polite_close);
}
