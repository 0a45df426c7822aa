//! Step 2: on SIGUSR2, start the new program. When it listens, it tells its parent to stop.

use std::error::Error;
use std::os::fd::AsFd as _;
use std::pin::pin;
use std::process::{self, Command, ExitCode};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use std::{env, io};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, http};
use hyper_util::rt::TokioIo;
use nix::sys::signal::kill;
use nix::unistd::getppid;
use signal_channel::{Receiver, Signal, notify};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// From the signal until what is left is cut. Whatever waits for this process must wait longer.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long a connection may be idle in a drain. Less than [`DEADLINE`], or one idle client would use all of it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// 1 in the first process, and one more in each that is started to replace another.
static GENERATION: LazyLock<u32> =
    LazyLock::new(|| env::var("GENERATION").ok().and_then(|number| number.parse().ok()).unwrap_or(1));

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Before the runtime, which starts threads.
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR2])?;
    Ok(Runtime::new()?.block_on(serve(signals))?)
}

async fn serve(mut signals: Receiver) -> io::Result<ExitCode> {
    let listener = listen().await?;
    let connections = TaskTracker::new();
    let exchanges = TaskTracker::new();
    let stopping = watch::Sender::new(false);
    eprintln!("listening address={} generation={} pid={}", listener.local_addr()?, *GENERATION, process::id());
    if *GENERATION > 1 {
        kill(getppid(), Signal::SIGTERM)?;
    }
    loop {
        tokio::select! {
            signal = signals.recv() => match signal {
                Some(Signal::SIGUSR2) => {
                    if let Err(error) = start(&listener) {
                        eprintln!("upgrade failed: {error}");
                    }
                }
                _ => break,
            },
            accepted = listener.accept() => {
                let (socket, _) = accepted?;
                connections.spawn(connection(socket, exchanges.clone(), stopping.subscribe()));
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    eprintln!("draining");
    connections.close();
    let _ = timeout(DEADLINE, connections.wait()).await;
    let cut = exchanges.len();
    eprintln!("stopped cut={cut}");
    Ok(if cut == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// The listener that the predecessor has left as our standard input, or a new one on `--listen A` or `--listen=A`.
async fn listen() -> io::Result<TcpListener> {
    if *GENERATION > 1 {
        return TcpListener::from_std(io::stdin().as_fd().try_clone_to_owned()?.into());
    }
    let arguments = env::args().collect::<Vec<_>>().join("=");
    let address = arguments.split_once("--listen=").and_then(|(_, rest)| rest.split('=').next());
    TcpListener::bind(address.unwrap_or("127.0.0.1:48567")).await
}

/// Starts the program that is on disk now, with the listener as its standard input.
fn start(listener: &TcpListener) -> io::Result<()> {
    let mut arguments = env::args_os();
    Command::new(arguments.next().unwrap_or_default())
        .args(arguments)
        .env("GENERATION", (*GENERATION + 1).to_string())
        .stdin(listener.as_fd().try_clone_to_owned()?)
        .spawn()?;
    Ok(())
}

/// A request that is being answered.
struct Exchange {
    /// How many are open on this connection.
    open: Arc<watch::Sender<usize>>,
    _counted: TaskTrackerToken,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.open.send_modify(|open| *open -= 1);
    }
}

/// Serves one client.
async fn connection(socket: TcpStream, exchanges: TaskTracker, stopping: watch::Receiver<bool>) {
    let open = Arc::new(watch::Sender::new(0));
    let counted = service_fn(async |request| {
        open.send_modify(|open| *open += 1);
        let exchange = Exchange { open: Arc::clone(&open), _counted: exchanges.token() };
        let mut response = answer(request).await?;
        if *stopping.borrow() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // From here on, the body holds it. hyper drops the body when it has the last byte, or gives up.
        let keep_open = move |error| {
            let _open = &exchange;
            error
        };
        Ok::<_, http::Error>(response.map(|body| body.map_err(keep_open)))
    });
    let mut http = pin!(http1::Builder::new().serve_connection(TokioIo::new(socket), counted));
    tokio::select! {
        biased;
        _ = http.as_mut() => return,
        () = idle_in_a_drain(stopping.clone(), open.subscribe()) => http.as_mut().graceful_shutdown(),
    }
    let _ = http.await;
}

/// Waits for the drain, and then until no exchange has been open, begun or ended for [`IDLE_TIMEOUT`].
async fn idle_in_a_drain(mut stopping: watch::Receiver<bool>, mut open: watch::Receiver<usize>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
    while timeout(IDLE_TIMEOUT, open.changed()).await.is_ok() || *open.borrow() > 0 {}
}

/// Answers `GET /` at once, and `GET /sleep/?duration=300ms` after 300 milliseconds.
async fn answer(request: Request<Incoming>) -> http::Result<Response<String>> {
    if let Some(duration) = request.uri().query().and_then(duration) {
        sleep(duration).await;
    }
    let (pid, generation) = (process::id(), *GENERATION);
    let answer = Response::builder().header("x-pid", pid).header("x-generation", generation);
    answer.body(format!("hello from pid {pid}, generation {generation}\n"))
}

/// Reads `duration=300ms` or `duration=3s`.
fn duration(query: &str) -> Option<Duration> {
    let value = query.strip_prefix("duration=")?;
    match value.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => value.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}
