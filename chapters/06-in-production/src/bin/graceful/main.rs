//! The command `graceful`: asks a running service for an upgrade, a stop, its status or its counters, and waits for the result.
//!
//! The invariant: exit status 0 means that what was asked has happened; otherwise it is 1, and stderr says why in a sentence.

mod answers;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use answers::ask;
use clap::{Parser, Subcommand};
use graceful::control::{Reply, Request, Status, Until};

/// Asks a running service for an upgrade, a stop, its status or its counters, and waits for the result
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The service's control socket
    #[arg(long, value_name = "PATH", env = "CONTROL")]
    control: PathBuf,

    #[command(subcommand)]
    ask: Ask,
}

#[derive(Subcommand)]
enum Ask {
    /// Replace the running program by the one on disk
    Upgrade {
        /// When to return: when the new process accepts, or when it has passed its probation
        #[arg(long, value_name = "WHEN", default_value = "trusted")]
        until: Until,
    },
    /// Say which process serves, and how it is
    Status {
        /// As one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Print its counters as Prometheus reads them
    Metrics,
    /// Stop gracefully
    Stop,
}

fn main() -> ExitCode {
    demo::run(|Args { control, ask }: Args| match ask {
        Ask::Upgrade { until } => upgrade(&control, until),
        Ask::Status { json } => status(&control, json),
        Ask::Metrics => metrics(&control),
        Ask::Stop => stop(&control),
    })
}

fn upgrade(control: &Path, until: Until) -> Result<ExitCode, String> {
    let mut since = None;
    loop {
        let mut answers = ask(control, &Request::Upgrade { until, since })?;
        loop {
            match answers.next()? {
                Some(Reply::Passed { part, after }) => say(&format!("{part} after {after} ms")),
                Some(Reply::Done(what)) => {
                    say(&what);
                    return Ok(ExitCode::SUCCESS);
                }
                Some(Reply::Failed(reason)) => return Err(format!("the upgrade failed: {reason}")),
                Some(Reply::Moved(generation)) => {
                    since = Some(generation);
                    break;
                }
                Some(other) => return Err(format!("the service gave an answer to another question: {other:?}")),
                None => return Err("the service ended before it had answered".to_owned()),
            }
        }
    }
}

fn status(control: &Path, json: bool) -> Result<ExitCode, String> {
    match ask(control, &Request::Status)?.next()? {
        Some(Reply::Status(status)) if json => say(&serde_json::to_string(&status).map_err(|error| error.to_string())?),
        Some(Reply::Status(status)) => say(&words(&status)),
        Some(Reply::Failed(reason)) => return Err(reason),
        other => return Err(format!("the service gave no status: {other:?}")),
    }
    Ok(ExitCode::SUCCESS)
}

fn metrics(control: &Path) -> Result<ExitCode, String> {
    match ask(control, &Request::Metrics)?.next()? {
        Some(Reply::Metrics(text)) => say(text.trim_end()),
        Some(Reply::Failed(reason)) => return Err(reason),
        other => return Err(format!("the service gave no counters: {other:?}")),
    }
    Ok(ExitCode::SUCCESS)
}

fn words(status: &Status) -> String {
    let Status { generation, pid, state, version, program, draining, connections, requests, .. } = status;
    let version = if version.is_empty() { String::new() } else { format!(", version {version}") };
    let older = match draining {
        0 => String::new(),
        1 => "; 1 older generation drains".to_owned(),
        more => format!("; {more} older generations drain"),
    };
    format!(
        "generation {generation}, pid {pid}{version}: {state}; {connections} connections, {requests} requests so far{older}; \
         program {program}"
    )
}

fn stop(control: &Path) -> Result<ExitCode, String> {
    let mut answers;
    loop {
        answers = ask(control, &Request::Stop)?;
        match answers.next()? {
            Some(Reply::Done(what)) => {
                say(&what);
                break;
            }
            Some(Reply::Moved(_)) => {}
            Some(Reply::Failed(reason)) => return Err(format!("the stop failed: {reason}")),
            other => return Err(format!("the service did not say that it stops: {other:?}")),
        }
    }
    // The connection ends with the process.
    while answers.next()?.is_some() {}
    say("stopped");
    Ok(ExitCode::SUCCESS)
}

/// A line on stdout. `Err`: it is closed, and no reader is left.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
