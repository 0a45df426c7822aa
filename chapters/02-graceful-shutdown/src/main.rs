//! Chapter 2's program: serve until SIGINT or SIGTERM, then answer what was asked, then end.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use graceful_shutdown::{Address, Options, Server, block_on, demo, log_to_stderr};
use signal_channel::{Signal, exit, notify};

/// A server that stops without dropping a request.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    exit::run(|args: Args| serve(&args.options))
}

fn serve(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    // While there is one thread: see `notify`.
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM])?;
    let listeners = options.listen.iter().map(Address::bind).collect::<Result<Vec<_>, _>>()?;
    block_on(async {
        let server = Server::new();
        for (listener, name) in listeners.into_iter().zip(demo::names()) {
            let address = listener.address()?;
            server.serve(listener, demo::service(&name, 1, server.draining()))?;
            tracing::info!(%address, pid = std::process::id(), "listening");
        }
        Ok(server.run(signals, options.drain_timeout).await)
    })
}
