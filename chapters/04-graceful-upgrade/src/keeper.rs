// ANCHOR: all
//! What runs as process 1, say in a container: not the server, but somebody who stays while generations come and go.
//!
//! The invariant: process 1 ends when the last generation has ended, with its exit status, and not before; for with it
//! the kernel kills every process of its namespace (`pid_namespaces(7)`), the successor among them.
//!
//! So process 1 starts the program once more, as generation 1, and from then on passes signals on and reaps orphans. It
//! knows no pid: every generation inherits one end of its channel, the one that serves listens to it, and the end of
//! the channel says that none is left.

use std::os::fd::AsFd as _;
use std::process::ExitCode;

use inherited_fds::{Bequest, Inherited};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use signal_channel::{Signal, notify};

use crate::channel::{Channel, FileIds, Names, Word};
use crate::error::StartError;
use crate::program::Program;
use crate::successor::Successor;

/// The name under which a generation finds its end of the keeper's channel.
pub(crate) const KEEPER: &str = "keeper";

// ANCHOR: keep
/// Starts generation 1 with everything that was inherited, and stays until no generation is left.
///
/// # Errors
/// If it cannot be started.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn keep(program: &Program, mut inherited: Inherited) -> Result<ExitCode, StartError> {
    let mut signals = notify(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR2, Signal::SIGCHLD])?;
    let (generations, theirs) = Channel::new()?;
    let names: Vec<_> = inherited.names().map(str::to_owned).collect();
    let sockets: Vec<_> = names.iter().filter_map(|name| Some((name, inherited.take(name)?))).collect();
    let mut bequest = Bequest::new();
    bequest.add(KEEPER, theirs.as_fd())?;
    for (index, (name, socket)) in sockets.iter().enumerate() {
        // systemd gives all sockets of a unit one name; they are claimed by address.
        let again = names[..index].contains(name);
        let name = if again { format!("{name}-{index}") } else { (*name).clone() };
        bequest.add(&name, socket.as_fd())?;
    }
    let hello = Word::Hello { generation: 1, older: 0, files: Names::new(), file_ids: FileIds::new() };
    let first = Successor::start(program, bequest, &hello)?.await?;
    drop((theirs, sockets));
    tracing::info!(pid = std::process::id(), server = %first.pid(), "keeping the server, as process 1");
    loop {
        tokio::select! {
            word = first.channel().hear() => {
                if let Some(Word::Ready { .. }) = word {
                    first.channel().say(&Word::YourTurn);
                }
                break;
            }
            Some(signal) = signals.recv() => match signal {
                // It has served nobody yet, and may hang.
                Signal::SIGINT | Signal::SIGTERM => {
                    let end = first.dismiss().await;
                    tracing::info!(%signal, end, "told to stop before the server was ready");
                    return Ok(ExitCode::from(128 + signal as u8));
                }
                // Not yet: until it is dismissed or let go, the pid of the first generation has to stay its own.
                Signal::SIGCHLD => {}
                signal => generations.say(&Word::Signal(signal as i32)),
            },
        }
    }
    // From here on, to the first generation we are a predecessor that is gone.
    drop(first);
    reap_all();

    let mut status = ExitCode::FAILURE;
    loop {
        tokio::select! {
            word = generations.hear() => match word {
                Some(Word::Status(code)) => status = ExitCode::from(code),
                Some(_) => {}
                None => return Ok(status),
            },
            Some(signal) = signals.recv() => match signal {
                Signal::SIGCHLD => reap_all(),
                signal => generations.say(&Word::Signal(signal as i32)),
            },
        }
    }
}

/// Every orphan of the namespace becomes our child, and stays a zombie until we ask for its status.
fn reap_all() {
    let any = Pid::from_raw(-1);
    while !matches!(waitpid(any, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive) | Err(_)) {}
}
// ANCHOR_END: keep
// ANCHOR_END: all
