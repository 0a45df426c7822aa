//! Wrong turn: nothing is handed over. Every process binds the port for itself, with `SO_REUSEPORT`; the new one is
//! started, and the old one is told to stop.
//!
//! What is wrong: a connection that the kernel put into the old one's queue after it looked for the last time is reset. And
//! anybody of the same user can bind there, too.

use std::error::Error;
use std::net::TcpListener;
use std::process::ExitCode;

use clap::Parser;
use graceful_shutdown::{Address, Listener, Options, Server, block_on, demo, log_to_stderr};
use signal_channel::{Signal, exit, notify};
use socket2::{Domain, Socket, Type};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    exit::run(|args: Args| serve(&args.options))
}

fn serve(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM])?;
    let Address::Tcp(address) = options.listen[0] else { return Err("this one takes only HOST:PORT".into()) };
    // ANCHOR: wrong
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    // ANCHOR_END: wrong
    let listener = Listener::Tcp(TcpListener::from(socket));
    block_on(async {
        let server = Server::new();
        let address = listener.address()?;
        server.serve(listener, demo::service("zero", 1, server.draining()))?;
        tracing::info!(%address, pid = std::process::id(), "listening");
        Ok(server.run(signals, options.drain_timeout).await)
    })
}
