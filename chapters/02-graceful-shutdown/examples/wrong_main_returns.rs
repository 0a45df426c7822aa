//! Wrong turn: the drain is begun, and nobody waits for it. In Go, `ListenAndServe` returns as soon as `Shutdown` is
//! called.
//!
//! What is wrong: `main` waits for the end of *accepting*. The drain goes on in a task that dies with `main`.

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
    exit::run(|args: Args| serve(args.options))
}

#[tokio::main]
async fn serve(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    let mut signals = notify(&[Signal::SIGINT, Signal::SIGTERM])?;
    let server = Server::new();
    for (address, name) in options.listen.into_iter().zip(demo::names()) {
        let listener = address.bind()?;
        let address = listener.address()?;
        server.serve(listener, demo::service(&name, 1, server.draining()))?;
        tracing::info!(%address, pid = std::process::id(), "listening");
    }

    // ANCHOR: wrong
    let draining = server.draining();
    tokio::spawn(async move {
        let signal = signals.recv().await;
        tracing::info!(?signal, "draining");
        server.shutdown(options.drain_timeout).await.report();
    });
    draining.begun().await;
    Ok(ExitCode::SUCCESS)
    // ANCHOR_END: wrong
}
