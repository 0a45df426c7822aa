//! Chapter 6's program, the one to run: everything on.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Parser, ValueEnum};
use demo::{Options, ReadyTimeout, log_to_stderr, parse_duration};
use graceful::{Builder, ClientTimeouts, Error};

/// A server that replaces its own binary and keeps its HTTP/1 connections open
///
/// In a container, be it the first process or started by a first process that is a small init (docker run --init, tini, sh
/// -c), it starts the server as a process of its own and supervises it, so that upgrades do not end the container. Below
/// further wrappers it does so only with --supervise.
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

    /// A unix socket for the command `graceful`
    #[arg(long, value_name = "PATH", env = "CONTROL")]
    control: Option<PathBuf>,

    /// Stay as a supervisor until the last server has ended, wherever this runs: below several wrappers, with docker run --pid=host
    #[arg(long, env = "SUPERVISE", value_parser = BoolishValueParser::new())]
    supervise: bool,

    /// How long the old process stays ready to take over again, e.g. 10s
    #[arg(long, value_name = "DUR", env = "PROBATION", value_parser = parse_duration, default_value = "0s")]
    probation: Duration,

    /// How long a stop may take; without it, as long as --drain-timeout, which is then for old generations alone
    #[arg(long, value_name = "DUR", env = "STOP_TIMEOUT", value_parser = parse_duration)]
    stop_timeout: Option<Duration>,

    /// How long everything goes on after a stop was asked for, with /readyz at 503
    #[arg(long, value_name = "DUR", env = "PAUSE", value_parser = parse_duration, default_value = "0s")]
    pause: Duration,

    /// What the old process asks the new one on probation, e.g. /readyz
    #[arg(long, value_name = "PATH", env = "HEALTH_CHECK")]
    health_check: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

fn main() -> ExitCode {
    demo::run(serve)
}

fn serve(args: Args) -> Result<ExitCode, Error> {
    log_to_stderr()?;
    let Args { options, ready: ReadyTimeout { ready_timeout }, .. } = args;
    let Options { listen, drain_timeout, idle_timeout, head_timeout } = options;

    // ANCHOR: compose
    let mut builder = Builder::new()
        .handover(args.handover == Switch::On)
        .drain_timeout(drain_timeout)
        .stop_timeout(args.stop_timeout.unwrap_or(drain_timeout))
        .ready_timeout(ready_timeout)
        .client_timeouts(ClientTimeouts { idle: idle_timeout, head: head_timeout })
        .pause_before_stop(args.pause)
        .probation(args.probation)
        .supervised(args.supervise)
        .version(env!("CARGO_PKG_VERSION"));
    for (name, address) in demo::names().zip(&listen) {
        builder = builder.listen(name, address);
    }
    if let Some(path) = args.health_check {
        builder = builder.health_check("zero", path);
    }
    if let Some(path) = args.control {
        builder = builder.control(path);
    }
    if let Some(path) = args.pid_file {
        builder = builder.pid_file(path);
    }
    builder.run(async |setup| {
        for (name, _) in demo::names().zip(&listen) {
            setup.hyper(&name, demo::service(&name, setup.generation(), setup.readiness()));
        }
        Ok(())
    })
    // ANCHOR_END: compose
}
