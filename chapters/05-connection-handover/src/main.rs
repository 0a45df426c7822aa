//! Chapter 5's program: chapter 4's, with connections that stay open when `kill -USR2` replaces it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use connection_handover::handover;
use graceful_shutdown::{Options, demo, log_to_stderr, parse_duration};
use graceful_upgrade::{Config, Service, run_with};
use signal_channel::exit;

/// A server that replaces its own binary without closing a connection.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    options: Options,

    /// How long a new process may take to say that it is ready
    #[arg(long, value_name = "DUR", env = "READY_TIMEOUT", value_parser = parse_duration, default_value = "10s")]
    ready_timeout: Duration,

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
    exit::run(|args: Args| serve(args))
}

fn serve(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    log_to_stderr()?;
    let Args { options: Options { listen, drain_timeout }, ready_timeout, pid_file, handover: switch } = args;
    let services = listen.into_iter().zip(demo::names()).map(|(address, name)| {
        Service::new(name.clone(), address, move |context| {
            demo::service(&name, context.generation, context.draining.clone())
        })
    });
    let handover = (switch == Switch::On).then(handover);
    Ok(run_with(Config { drain_timeout, ready_timeout, pid_file }, services.collect(), handover)?)
}
