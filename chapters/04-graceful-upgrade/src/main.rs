//! Chapter 4's program: it serves on several addresses, and `kill -USR2` replaces it.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use demo::{Options, ReadyTimeout, log_to_stderr};
use graceful_shutdown::{Address, ClientTimeouts, block_on};
use graceful_upgrade::{Limits, Services, Upgrader};

/// A server that replaces its own binary without dropping a request.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    ready: ReadyTimeout,
}

fn main() -> ExitCode {
    demo::run(|args: Args| serve(&args))
}

fn serve(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    let Args { options, ready: ReadyTimeout { ready_timeout } } = args;
    let Options { listen, drain_timeout, idle_timeout, head_timeout } = options;
    let addresses = listen.iter().map(|address| address.parse::<Address>()).collect::<Result<Vec<_>, _>>()?;
    let limits = Limits { drain_timeout: *drain_timeout, ready_timeout: *ready_timeout };

    let mut upgrader = Upgrader::from_env(limits)?;
    let generation = upgrader.generation();
    upgrader.listen(demo::names().zip(addresses))?;
    block_on(async {
        let timeouts = ClientTimeouts { idle: *idle_timeout, head: *head_timeout };
        let mut services = Services::new().with_timeouts(timeouts);
        for (name, _) in demo::names().zip(listen) {
            services.add(&name, demo::service(&name, generation, services.readiness()));
        }
        Ok(upgrader.run(services).await?)
    })
}
