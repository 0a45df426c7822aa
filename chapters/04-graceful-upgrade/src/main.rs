//! Chapter 4's program, the article's demo: it serves on several addresses, and `kill -USR2` replaces it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use graceful_shutdown::{Options, demo, log_to_stderr, parse_duration};
use graceful_upgrade::{Config, Service, run};
use signal_channel::exit;

/// A server that replaces its own binary without dropping a request.
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
}

fn main() -> ExitCode {
    exit::run(|args: Args| serve(args))
}

fn serve(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    log_to_stderr()?;
    let Args { options: Options { listen, drain_timeout }, ready_timeout, pid_file } = args;
    let services = listen.into_iter().zip(demo::names()).map(|(address, name)| {
        Service::new(name.clone(), address, move |context| {
            demo::service(&name, context.generation, context.draining.clone())
        })
    });
    Ok(run(Config { drain_timeout, ready_timeout, pid_file }, services.collect())?)
}
