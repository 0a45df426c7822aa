//! A strategy to compare with: everything right but the end. The new process says that it is ready, and then the old one closes
//! every idle connection at once, as hyper-util's `GracefulShutdown` does.
//!
//! What is wrong: a request that is on its way at that moment meets a closed connection, and is never read.

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::pin;
use std::process::ExitCode;

use clap::Parser;
use demo::{Options, log_to_stderr};
use graceful_shutdown::Address;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use inherited_fds::{Inherited, PassedFds};
use signal_channel::{Receiver, Signal, notify};
use tokio::net::TcpListener;

/// The name of one end of a socketpair: it authenticates what was passed, and tells that the new process is ready.
const CHANNEL: &str = "predecessor";

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
    let (inherited, predecessor) = Inherited::from_parent(CHANNEL)?;
    let address: Address = options.listen[0].parse()?;
    let mut listeners = inherited.listen([("zero".to_owned(), address)])?;
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR2])?;
    let (_, listener) = listeners.remove(0);
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::from_std(OwnedFd::from(listener).into())?;
        tracing::info!(address = %listener.local_addr()?, pid = std::process::id(), "listening");
        if let Some(predecessor) = predecessor {
            File::from(predecessor).write_all(b"r")?;
        }
        let service = demo::service("zero", 1, || true);
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

/// Ready when a new process is, or when there will be none.
async fn replaced(mut signals: Receiver, listener: &TcpListener) -> Result<(), Box<dyn Error>> {
    if signals.recv().await != Some(Signal::SIGUSR2) {
        return Ok(());
    }
    let mut passed = PassedFds::new();
    passed.add("zero", listener.as_fd())?;
    let mut successor = File::from(passed.add_channel(CHANNEL)?);
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    passed.spawn(&std::env::current_exe()?, &arguments)?;
    Ok(tokio::task::spawn_blocking(move || successor.read_exact(&mut [0])).await??)
}
