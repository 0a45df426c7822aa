//! Wrong turn: everything right but the end. The new process says that it is ready, and then the old one closes every idle
//! connection at once, as hyper-util's `GracefulShutdown` does.
//!
//! What is wrong: a request that is on its way at that moment meets a closed connection, and nobody has read it.

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::pin::pin;
use std::process::ExitCode;

use clap::Parser;
use graceful_shutdown::{Listener, Options, Server, demo, log_to_stderr};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use inherited_fds::{Bequest, Inherited};
use signal_channel::{Receiver, Signal, exit, notify};
use tokio::net::TcpListener;

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
    let mut inherited = Inherited::from_env()?;
    let ready = inherited.take("ready");
    let mut listeners = inherited.listen(demo::names().zip(&options.listen))?;
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR2])?;
    let Listener::Tcp(listener) = listeners.remove(0).1 else { return Err("this one takes only HOST:PORT".into()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        tracing::info!(address = %listener.local_addr()?, pid = std::process::id(), "listening");
        if let Some(ready) = ready {
            File::from(ready).write_all(b"r")?;
        }
        let service = demo::service("zero", 1, Server::new().draining());
        // ANCHOR: wrong
        let graceful = GracefulShutdown::new();
        let mut replaced = pin!(replaced(signals, &listener));
        loop {
            let (stream, _) = tokio::select! {
                accepted = listener.accept() => accepted?,
                replaced = &mut replaced => break replaced?,
            };
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
            tokio::spawn(graceful.watch(connection));
        }
        graceful.shutdown().await;
        // ANCHOR_END: wrong
        Ok(ExitCode::SUCCESS)
    })
}

/// Ready when a new process is, or when there shall be none.
async fn replaced(mut signals: Receiver, listener: &TcpListener) -> Result<(), Box<dyn Error>> {
    if signals.recv().await != Some(Signal::SIGUSR2) {
        return Ok(());
    }
    let (mut ready, says_ready) = std::io::pipe()?;
    let mut bequest = Bequest::new();
    bequest.add("zero", listener.as_fd())?;
    bequest.add("ready", says_ready.as_fd())?;
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    bequest.fork_exec(&std::env::current_exe()?, &arguments)?;
    drop(says_ready);
    Ok(tokio::task::spawn_blocking(move || ready.read_exact(&mut [0])).await??)
}
