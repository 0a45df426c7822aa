//! Waits for SIGINT or SIGTERM, says so, and dies by it: chapter 1's program.

use std::io;
use std::process::{self, ExitCode};

use clap::Parser;
use signal_channel::{Signal, die_by, notify};

/// Waits for SIGINT (Ctrl-C) or SIGTERM (kill), says so, and ends.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// End with exit status 0 instead of dying by the signal
    #[arg(long)]
    exit_zero: bool,
}

fn main() -> ExitCode {
    demo::run(|args: Args| {
        let signal = wait_for_quit()?;
        io::Result::Ok(if args.exit_zero { ExitCode::SUCCESS } else { die_by(signal) })
    })
}

fn wait_for_quit() -> io::Result<Signal> {
    let mut signals = notify(&[Signal::SIGINT, Signal::SIGTERM])?;
    println!("waiting for SIGINT or SIGTERM, pid {}", process::id());
    let signal = signals.blocking_recv().ok_or(io::ErrorKind::BrokenPipe)?;
    println!("quit signal received, quit");
    Ok(signal)
}
