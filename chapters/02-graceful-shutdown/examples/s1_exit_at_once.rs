//! Step 1: the signal ends the program.
//!
//! What is wrong: `main` returns, which ends the runtime, and with it every answer that is on its way.

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

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Before the runtime, which starts threads.
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM])?;
    Ok(Runtime::new()?.block_on(serve(signals))?)
}

async fn serve(mut signals: Receiver) -> io::Result<ExitCode> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    let listener = TcpListener::bind(address).await?;
    eprintln!("listening address={} pid={}", listener.local_addr()?, process::id());
    loop {
        let (socket, _) = tokio::select! {
            _ = signals.recv() => break,
            accepted = listener.accept() => accepted?,
        };
        tokio::spawn(connection(socket));
    }
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
