//! Wrong turn: on SIGUSR2, retire first and start the new process then. From the first until the second is ready nobody
//! accepts; and if it never is, nobody ever will.

use std::error::Error;
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use clap::Parser;
use graceful_shutdown::{Options, Server, demo, log_to_stderr};
use inherited_fds::{Bequest, Inherited};
use signal_channel::{Signal, exit, notify};

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
    let listeners = Inherited::from_env()?.listen(demo::names().zip(&options.listen))?;
    let mut signals = notify(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR2])?;
    let runtime = tokio::runtime::Runtime::new()?;
    let signal = runtime.block_on(async {
        let server = Server::new();
        for (name, listener) in &listeners {
            server.serve(listener.try_clone()?, demo::service(name, 1, server.draining()))?;
            tracing::info!(address = %listener.address()?, pid = std::process::id(), "listening");
        }
        let signal = signals.recv().await;
        server.retire();
        server.drained().await;
        Ok::<_, Box<dyn Error>>(signal)
    })?;
    if signal == Some(Signal::SIGUSR2) {
        let mut bequest = Bequest::new();
        for (name, listener) in &listeners {
            bequest.add(name, listener.as_fd())?;
        }
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        bequest.fork_exec(&std::env::current_exe()?, &arguments)?;
    }
    Ok(ExitCode::SUCCESS)
}
