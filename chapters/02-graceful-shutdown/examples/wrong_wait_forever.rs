//! Wrong turn: the drain has no deadline.
//!
//! What is wrong: one client that never finishes keeps the old process, its memory and its old code, for ever.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use graceful_shutdown::{Options, Server, demo, log_to_stderr};
use signal_channel::{Signal, exit, notify};

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
    let server = Server::new();
    for (address, name) in options.listen.iter().zip(demo::names()) {
        let listener = address.bind()?;
        let address = listener.address()?;
        server.serve(listener, demo::service(&name, 1, server.draining()))?;
        tracing::info!(%address, pid = std::process::id(), "listening");
    }

    // ANCHOR: wrong
    let signal = signals.recv().await;
    server.stop();
    tracing::info!(?signal, "draining");
    server.drained().await;
    let outcome = server.cut().await;
    outcome.report();
    Ok(outcome.code().into())
    // ANCHOR_END: wrong
}
