//! A strategy to compare with: the listener is not passed on. Every process binds the port for itself, with `SO_REUSEPORT`; the
//! new one is started, and the old one is told to stop.
//!
//! What is wrong: a connection that the kernel puts into the old process's queue after the process has looked there for the
//! last time is reset. And any process of the same user can bind there, too.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use demo::{Options, log_to_stderr};
use graceful_shutdown::{Address, Listener, Server, block_on};
use signal_channel::{Signal, notify};
use socket2::{Domain, Socket, Type};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    demo::run(|args: Args| serve(&args.options))
}

fn serve(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM])?;
    let Address::Tcp(address) = options.listen[0].parse()? else { return Err("this one takes only HOST:PORT".into()) };
    // ANCHOR: wrong
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    // ANCHOR_END: wrong
    let listener = Listener::inherited(socket.into())?;
    block_on(async {
        let server = Server::new();
        let address = listener.address()?;
        server.serve(listener, demo::service("zero", 1, server.readiness()))?;
        tracing::info!(%address, pid = std::process::id(), "listening");
        Ok(server.run(signals, options.drain_timeout).await)
    })
}
