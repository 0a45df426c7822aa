//! Chapter 6's program, the one to run: everything on.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use connection_handover::Server;
use demo::{Options, ReadyTimeout, log_to_stderr};
use graceful::{FdReserve, PidFile, init};
use graceful_shutdown::{Address, ClientTimeouts, block_on};
use graceful_upgrade::{Limits, Upgrader};

/// A server that replaces its own binary and keeps its HTTP/1 connections open
///
/// In a container, be it process 1 or started by a process 1 that is a small init (docker run --init, tini, sh -c), it
/// starts the server as a process of its own and supervises it, so that upgrades do not end the container. Put no wrapper
/// between that init and this program: it does not supervise there, and says so when it is upgraded.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    ready: ReadyTimeout,

    /// A file that always holds the pid of the process that serves
    #[arg(long, value_name = "PATH", env = "PID_FILE")]
    pid_file: Option<PathBuf>,

    /// Whether open connections go to the new process, or are closed politely
    #[arg(long, value_name = "WHETHER", env = "HANDOVER", default_value = "on")]
    handover: Switch,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

fn main() -> ExitCode {
    demo::run(serve)
}

fn serve(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    let Args { options, ready: ReadyTimeout { ready_timeout }, pid_file, handover } = args;
    let Options { listen, drain_timeout, idle_timeout, head_timeout } = options;
    let addresses = listen.iter().map(|address| address.parse::<Address>()).collect::<Result<Vec<_>, _>>()?;
    if let Some(status) = init::supervise()? {
        return Ok(status);
    }

    // ANCHOR: compose
    let mut upgrader = Upgrader::from_env(Limits { drain_timeout, ready_timeout })?;
    init::report(&mut upgrader)?;
    let timeouts = ClientTimeouts { idle: idle_timeout, head: head_timeout };
    let mut server = Server::new(drain_timeout).with_timeouts(timeouts);
    if handover == Switch::On {
        server.hand_over(&mut upgrader);
    }
    for (name, _) in demo::names().zip(&listen) {
        server.add(&name, demo::service(&name, upgrader.generation(), server.readiness()));
    }
    upgrader.observe(FdReserve::for_listeners(listen.len())?);
    if let Some(path) = pid_file {
        PidFile::keep(path, &mut upgrader)?;
    }
    upgrader.listen(demo::names().zip(addresses))?;
    block_on(async { Ok(upgrader.run(server).await?) })
    // ANCHOR_END: compose
}
