//! Chapter 2's program: serve until a signal says stop, then answer what was asked, then end.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use demo::{Options, log_to_stderr};
use graceful_shutdown::{Address, ClientTimeouts, Server, block_on};
use signal_channel::{Signal, notify};

/// A server that stops without dropping a request.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    demo::run(|args: Args| serve(&args.options))
}

fn serve(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    // While there is one thread: see `notify`.
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT])?;
    let addresses = options.listen.iter().map(|address| address.parse::<Address>()).collect::<Result<Vec<_>, _>>()?;
    let listeners = addresses.iter().map(Address::bind).collect::<Result<Vec<_>, _>>()?;
    block_on(async {
        let timeouts = ClientTimeouts { idle: options.idle_timeout, head: options.head_timeout };
        let server = Server::new().with_timeouts(timeouts);
        for (listener, name) in listeners.into_iter().zip(demo::names()) {
            let address = listener.address()?;
            server.serve(listener, demo::service(&name, 1, server.readiness()))?;
            tracing::info!(%address, pid = std::process::id(), "listening");
        }
        Ok(server.run(signals, options.drain_timeout).await)
    })
}
