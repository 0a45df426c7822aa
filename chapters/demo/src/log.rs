//! The log of every program.
//!
//! The invariant: one event is one line on stderr, and so is a panic.

use std::io::{self, IsTerminal as _};
use std::panic;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::stderr::Stderr;

/// Logs to stderr, one event a line: at level `info`, or as `RUST_LOG` says (`debug`, or `hyper=trace,info`).
///
/// # Errors
/// A sentence if `RUST_LOG` is not understood, or if this process has a logger already.
pub fn log_to_stderr() -> Result<(), String> {
    let directives = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter: Targets = directives.parse().map_err(|error| {
        format!("RUST_LOG={directives} is not understood ({error}): write a level, say debug, or TARGET=LEVEL")
    })?;
    // `fmt::layer` and not `fmt()`, which panics when stderr cannot be written (tokio-rs/tracing#3271).
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Stderr).with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry().with(lines).with(filter).try_init().map_err(|error| error.to_string())?;
    // The default hook writes to stderr itself, and waits.
    panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok(())
}
