//! Wrong turn: the new process ends the old one with `kill(getppid())`, as in the article. Whoever started us with
//! listeners is our parent, and not always our predecessor: here it is a supervisor, and gets killed.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use graceful_shutdown::{Options, Server, demo, log_to_stderr};
use inherited_fds::Inherited;
use nix::sys::signal::kill;
use nix::unistd::getppid;
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
    let inherited = Inherited::from_env()?;
    let did_inherit = !inherited.is_empty();
    let listeners = inherited.listen(demo::names().zip(&options.listen))?;
    let mut signals = notify(&[Signal::SIGINT, Signal::SIGTERM])?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let server = Server::new();
        for (name, listener) in listeners {
            let address = listener.address()?;
            server.serve(listener, demo::service(&name, 1, server.draining()))?;
            tracing::info!(%address, pid = std::process::id(), "listening");
        }
        if did_inherit {
            kill(getppid(), Signal::SIGTERM)?;
        }
        signals.recv().await;
        Ok(server.shutdown(options.drain_timeout).await.code().into())
    })
}
