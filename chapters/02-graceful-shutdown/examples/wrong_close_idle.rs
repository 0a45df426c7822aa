//! Wrong turn: the library's graceful shutdown at the signal: hyper-util's `GracefulShutdown`, as in its own example.
//!
//! What is wrong: it closes what looks idle, unread requests or not (hyperium/hyper#3792). They are never answered.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use graceful_shutdown::{Listener, Options, Server, demo, log_to_stderr};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use signal_channel::{Signal, exit, notify};
use tokio::net::TcpListener;
use tokio::time::timeout;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    exit::run(|args: Args| serve(&args.options))
}

#[tokio::main]
async fn serve(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    let mut signals = notify(&[Signal::SIGINT, Signal::SIGTERM])?;
    let Listener::Tcp(listener) = options.listen[0].bind()? else { return Err("this one takes only HOST:PORT".into()) };
    let service = demo::service("zero", 1, Server::new().draining());
    let listener = TcpListener::from_std(listener)?;
    tracing::info!(address = %listener.local_addr()?, pid = std::process::id(), "listening");

    // ANCHOR: wrong
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = signals.recv() => break,
        };
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(graceful.watch(connection));
    }
    let said = async { tracing::info!("draining") };
    // Polled in this order: the connections have been told when the line is logged.
    let drained = timeout(options.drain_timeout, async { tokio::join!(biased; graceful.shutdown(), said) }).await;
    Ok(ExitCode::from(if drained.is_ok() { 0 } else { 3 }))
    // ANCHOR_END: wrong
}
