//! Chapter 3's program: bind, pass the listeners to a child process by name, and let the child serve.

use std::env;
use std::error::Error;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{self, ExitCode};

use clap::Parser;
use demo::{Options, log_to_stderr};
use graceful_shutdown::{Address, ClientTimeouts, ParseAddressError, Server, block_on};
use inherited_fds::{Inherited, PassedFds, supervise, terminate_with_parent};
use signal_channel::{Signal, die_by, notify};

/// Name of the channel between parent and child.
const PARENT: &str = "parent";

/// The signals that stop the server.
const STOP: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// A server that binds in one process and serves in another
///
/// It binds, starts itself again as a child with the listeners, and passes signals on to the child, which serves.
/// Started with LISTEN_FDS, by itself or by systemd, it serves on the listeners that it was given.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    demo::run(|args: Args| run(&args.options))
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    // First, while there is one thread and nothing else is open.
    let (inherited, parent) = Inherited::from_parent(PARENT)?;
    if inherited.is_empty() { start_child(options, inherited) } else { serve(options, inherited, parent) }
}

// ANCHOR: parent
fn start_child(options: &Options, nothing: Inherited) -> Result<ExitCode, Box<dyn Error>> {
    let mut listeners = nothing.listen(addresses(options)?)?;
    let mut passed = PassedFds::new();
    // Our end stays open until we end. Its end of file then ends the child.
    let _channel = passed.add_channel(PARENT)?;
    for (name, listener) in &listeners {
        passed.add(name, listener)?;
    }
    // Before there is a child whose end could be missed.
    let mut signals = notify(&[&STOP[..], &[Signal::SIGCHLD]].concat())?;
    let program = env::current_exe()?;
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let child = passed.spawn(&program, &arguments);
    let mut child = child.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    tracing::info!(pid = process::id(), child = %child.pid(), "listeners passed on");

    // From here on, only the child holds the listeners: when it ends, clients are refused instead of left waiting.
    let _files: Vec<_> = listeners.iter_mut().filter_map(|(_, listener)| listener.take_file()).collect();
    drop(listeners);
    let end = supervise(&mut child, &mut signals)?;
    Ok(match end.signal().and_then(|signal| Signal::try_from(signal).ok()) {
        Some(signal) => die_by(signal),
        None => end.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
    })
}
// ANCHOR_END: parent

fn serve(options: &Options, inherited: Inherited, parent: Option<OwnedFd>) -> Result<ExitCode, Box<dyn Error>> {
    let signals = notify(&STOP)?;
    let listeners = inherited.listen(addresses(options)?)?;
    if let Some(parent) = parent {
        terminate_with_parent(parent)?;
    }
    block_on(async {
        let timeouts = ClientTimeouts { idle: options.idle_timeout, head: options.head_timeout };
        let server = Server::new().with_timeouts(timeouts);
        for (name, listener) in listeners {
            let address = listener.address()?;
            server.serve(listener, demo::service(&name, 1, server.readiness()))?;
            tracing::info!(%address, pid = process::id(), "listening");
        }
        Ok(server.run(signals, options.drain_timeout).await)
    })
}

/// Where to listen: each address with the name under which its listener is passed.
fn addresses(options: &Options) -> Result<Vec<(String, Address)>, ParseAddressError> {
    demo::names().zip(&options.listen).map(|(name, address)| Ok((name, address.parse()?))).collect()
}
