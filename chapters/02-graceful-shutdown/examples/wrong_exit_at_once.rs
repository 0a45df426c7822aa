//! Wrong turn: the signal ends the program.
//!
//! What is wrong: `main` returns, the runtime is dropped, and with it every connection: answers end in the middle.

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
    if let Some(signal) = signals.recv().await {
        tracing::info!(%signal, "bye");
    }
    Ok(ExitCode::SUCCESS)
    // ANCHOR_END: wrong
}
