//! Step 3: wait until a deadline, and count the requests that it cuts.
//!
//! What is wrong: one idle client makes every stop as slow as the deadline.

use std::convert::Infallible;
use std::error::Error;
use std::process::{self, ExitCode};
use std::time::Duration;
use std::{env, io};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use signal_channel::{Receiver, Signal, notify};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

/// From the signal until what is left is cut. Whatever waits for this process must wait longer.
const DEADLINE: Duration = Duration::from_secs(5);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Before the runtime, which starts threads.
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM])?;
    Ok(Runtime::new()?.block_on(serve(signals))?)
}

async fn serve(mut signals: Receiver) -> io::Result<ExitCode> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    let listener = TcpListener::bind(address).await?;
    let connections = TaskTracker::new();
    let exchanges = TaskTracker::new();
    eprintln!("listening address={} pid={}", listener.local_addr()?, process::id());
    loop {
        let (socket, _) = tokio::select! {
            _ = signals.recv() => break,
            accepted = listener.accept() => accepted?,
        };
        connections.spawn(connection(socket, exchanges.clone()));
    }
    // The kernel has already connected the clients in the accept queue, and their requests may be there.
    let listener = listener.into_std()?;
    while let Ok((socket, _)) = listener.accept() {
        socket.set_nonblocking(true)?;
        connections.spawn(connection(TcpStream::from_std(socket)?, exchanges.clone()));
    }
    drop(listener);
    eprintln!("draining");
    connections.close();
    let _ = timeout(DEADLINE, connections.wait()).await;
    let cut = exchanges.len();
    eprintln!("stopped cut={cut}");
    Ok(if cut == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// Serves one client.
async fn connection(socket: TcpStream, exchanges: TaskTracker) {
    let counted = service_fn(async |request| {
        let exchange = exchanges.token();
        let response = answer(request).await?;
        // From here on, the body holds it. hyper drops the body when it has the last byte, or gives up.
        let keep_open = move |error| {
            let _open = &exchange;
            error
        };
        Ok::<_, Infallible>(response.map(|body| body.map_err(keep_open)))
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), counted).await;
}

/// Answers `GET /` at once, and `GET /sleep/300` after 300 milliseconds.
async fn answer(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let milliseconds = request.uri().path().strip_prefix("/sleep/").and_then(|number| number.parse().ok());
    sleep(Duration::from_millis(milliseconds.unwrap_or(0))).await;
    Ok(Response::new("hello\n".to_owned()))
}
