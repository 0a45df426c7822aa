//! Chapter 7's program: chapter 5's, whose HTTP/2 connections stay open, too, when `kill -USR2` replaces it.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use connection_handover::Server;
use demo::{Options, ReadyTimeout, log_to_stderr};
use every_connection::Http2;
use graceful_shutdown::{Address, ClientTimeouts, block_on};
use graceful_upgrade::{Limits, Upgrader};

/// A server that replaces its own binary and keeps its HTTP/1 and HTTP/2 connections open.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    ready: ReadyTimeout,
    /// Encrypt all connections, with the certificate and the key in this PEM file. Those of TLS 1.3 stay open.
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE")]
    tls: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    demo::run(|args: Args| serve(&args))
}

fn serve(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    let Args { options, ready: ReadyTimeout { ready_timeout }, .. } = args;
    let Options { listen, drain_timeout, idle_timeout, head_timeout } = options;
    let addresses = listen.iter().map(|address| address.parse::<Address>()).collect::<Result<Vec<_>, _>>()?;
    let limits = Limits { drain_timeout: *drain_timeout, ready_timeout: *ready_timeout };

    let mut upgrader = Upgrader::from_env(limits)?;
    let timeouts = ClientTimeouts { idle: *idle_timeout, head: *head_timeout };
    let mut server = Server::new(*drain_timeout).with_timeouts(timeouts);
    server.hand_over(&mut upgrader);
    for (name, _) in demo::names().zip(listen) {
        server.hand_over_http2(&name, Http2::new());
        server.add(&name, demo::service(&name, upgrader.generation(), server.readiness()));
        #[cfg(feature = "tls")]
        if let Some(pem) = &args.tls {
            server.encrypt(&name, every_connection::tls::Tls::from_pem_file(pem)?);
        }
    }
    upgrader.listen(demo::names().zip(addresses))?;
    block_on(async { Ok(upgrader.run(server).await?) })
}
