//! Step 2: stop accepting, and wait for every connection.
//!
//! What is wrong: a connection ends when its client wants it to. One that is kept open and idle keeps the process.

use std::convert::Infallible;
use std::error::Error;
use std::process::{self, ExitCode};
use std::time::Duration;
use std::{env, io};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use signal_channel::{Receiver, Signal, notify};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Before the runtime, which starts threads.
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM])?;
    Ok(Runtime::new()?.block_on(serve(signals))?)
}

async fn serve(mut signals: Receiver) -> io::Result<ExitCode> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    let listener = TcpListener::bind(address).await?;
    let connections = TaskTracker::new();
    eprintln!("listening address={} pid={}", listener.local_addr()?, process::id());
    loop {
        let (socket, _) = tokio::select! {
            _ = signals.recv() => break,
            accepted = listener.accept() => accepted?,
        };
        connections.spawn(connection(socket));
    }
    // The kernel has already connected the clients in the accept queue, and their requests may be there.
    let listener = listener.into_std()?;
    while let Ok((socket, _)) = listener.accept() {
        socket.set_nonblocking(true)?;
        connections.spawn(connection(TcpStream::from_std(socket)?));
    }
    drop(listener);
    eprintln!("draining");
    connections.close();
    connections.wait().await;
    Ok(ExitCode::SUCCESS)
}

/// Serves one client.
async fn connection(socket: TcpStream) {
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)).await;
}

/// Answers `GET /` at once, and `GET /sleep/300` after 300 milliseconds.
async fn answer(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let milliseconds = request.uri().path().strip_prefix("/sleep/").and_then(|number| number.parse().ok());
    sleep(Duration::from_millis(milliseconds.unwrap_or(0))).await;
    Ok(Response::new("hello\n".to_owned()))
}
