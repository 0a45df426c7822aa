//! Chapter 3's program: bind, hand the listeners to another process by name, and let that one serve.

use std::env;
use std::error::Error;
use std::os::fd::AsFd as _;
use std::process::{self, ExitCode};

use clap::Parser;
use graceful_shutdown::{Address, Listener, Options, Server, SocketFile, block_on, demo, log_to_stderr};
use inherited_fds::{Bequest, Inherited, Supervisor};
use nix::sys::wait::WaitStatus;
use signal_channel::{Signal, exit, notify};

/// A server that binds in one process and serves in the next
///
/// It binds, starts itself again with the listeners, and passes signals on to the child, which serves. Started with
/// LISTEN_FDS, by itself or by systemd, it serves what it was given.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    options: Options,

    /// Replace this process instead of starting a child: the pid stays
    #[arg(long)]
    exec: bool,

    /// Set by --exec: this program takes the place of the one that bound, and its socket files are now ours to remove
    #[arg(long, hide = true)]
    replaced: bool,
}

fn main() -> ExitCode {
    exit::run(|args: Args| run(&args))
}

fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    // First, while there is one thread and nothing else is open.
    let inherited = Inherited::from_env()?;
    if inherited.is_empty() { hand_over(args, inherited) } else { serve(args, inherited) }
}

fn hand_over(args: &Args, nothing: Inherited) -> Result<ExitCode, Box<dyn Error>> {
    let listeners = nothing.listen(demo::names().zip(&args.options.listen))?;
    let mut bequest = Bequest::new();
    for (name, listener) in &listeners {
        bequest.add(name, listener.as_fd())?;
    }
    let program = env::current_exe()?;
    let mut arguments: Vec<_> = env::args_os().skip(1).collect();
    let cannot_start = |error| format!("cannot start {}: {error}", program.display());

    if args.exec {
        arguments.push("--replaced".into());
        match bequest.exec(&program, &arguments).map_err(cannot_start)? {}
    }
    let supervisor = Supervisor::new()?;
    let mut child = bequest.fork_exec(&program, &arguments).map_err(cannot_start)?;
    tracing::info!(pid = process::id(), child = %child.pid(), "handed over");

    // From here on, only the child holds the listeners: when it ends, clients are refused instead of left waiting.
    let files: Vec<_> = listeners.into_iter().filter_map(|(_, listener)| file_of(listener)).collect();
    let end = supervisor.wait(&mut child)?;
    drop(files);
    Ok(match end {
        WaitStatus::Signaled(_, signal, _) => exit::die_by(signal),
        WaitStatus::Exited(_, status) => u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from),
        _ => ExitCode::FAILURE,
    })
}

fn serve(args: &Args, inherited: Inherited) -> Result<ExitCode, Box<dyn Error>> {
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM])?;
    let listeners = inherited.listen(demo::names().zip(&args.options.listen))?;
    block_on(async {
        let server = Server::new();
        for ((name, mut listener), asked) in listeners.into_iter().zip(&args.options.listen) {
            if let (true, Listener::Unix(_, file), Address::Unix(path)) = (args.replaced, &mut listener, asked) {
                *file = Some(SocketFile::at(path)?);
            }
            let address = listener.address()?;
            server.serve(listener, demo::service(&name, 1, server.draining()))?;
            tracing::info!(%address, pid = process::id(), "listening");
        }
        Ok(server.run(signals, args.options.drain_timeout).await)
    })
}

/// Closes a listener, but for the right to remove its file.
fn file_of(listener: Listener) -> Option<SocketFile> {
    match listener {
        Listener::Unix(_, file) => file,
        Listener::Tcp(_) => None,
    }
}
