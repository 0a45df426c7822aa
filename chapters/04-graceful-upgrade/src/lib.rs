// ANCHOR: all
// ANCHOR: promise
//! Chapter 4: a server that replaces its own binary under load, and no client notices.
//!
//! The invariant: until a successor has said that it is ready, and been told that it is its turn, nothing changes for any
//! client; from then on the old process answers what it was asked, and nothing else.
//!
//! One call, [`run`], does it all. Follow an upgrade through the code: SIGUSR2 comes to `shell`, which asks
//! [`lifecycle`] what to do; `program` knows what to start, `listening` what to pass on, `successor` starts it, and the
//! two generations talk over a `channel`.
// ANCHOR_END: promise

// ANCHOR: parts
mod channel;
mod error;
mod handover;
mod keeper;
pub mod lifecycle;
mod listening;
mod pid_file;
mod program;
mod reserve;
mod shell;
mod spawn;
mod successor;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use graceful_shutdown::{Server, block_on};
use inherited_fds::Inherited;
use signal_channel::{Signal, notify};

pub use error::StartError;
pub use handover::{Adopter, Handover};
pub use listening::{Context, Service};

use channel::{FarEnd, FileIds, Names, Word};
use handover::CONNECTIONS;
use keeper::KEEPER;
use lifecycle::State;
use listening::Listeners;
use pid_file::PidFile;
use program::Program;
use reserve::Reserve;
use shell::{Progress, Shell};
use successor::{CHANNEL, keep_children_until_reaped};
// ANCHOR_END: parts

// ANCHOR: config
/// How patient an upgradable server is, and where it says which process serves.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long a drain may take, at the end of the server or of an old generation, before the rest is cut.
    pub drain_timeout: Duration,
    /// How long a successor may take until it is ready; then it is killed, and the old process serves on.
    pub ready_timeout: Duration,
    /// A file that always holds the pid of the process that serves.
    pub pid_file: Option<PathBuf>,
}
// ANCHOR_END: config

// ANCHOR: signature
/// Serves `services` until SIGINT or SIGTERM, and starts the program on disk anew on SIGUSR2.
///
/// Call it in `main`, on the only thread: it takes inherited descriptors from the environment, and it builds the tokio
/// runtime that the services run in. Returns the exit status that the outcome deserves (see
/// [`Outcome`](graceful_shutdown::Outcome::report)).
///
/// # Errors
/// A sentence that says why the server cannot start. Nothing is left behind then; if this was to be a successor, its
/// predecessor serves on.
pub fn run(config: Config, services: Vec<Service>) -> Result<ExitCode, StartError> {
    run_with(config, services, None)
}
// ANCHOR_END: signature

// ANCHOR: run_with
/// [`run`], and hands open connections to the successor, instead of closing them, where `handover` says how.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    config: Config,
    services: Vec<Service>,
    handover: Option<Box<dyn Handover>>,
) -> Result<ExitCode, StartError> {
    // ANCHOR_END: run_with
    // ANCHOR: born
    let Config { drain_timeout, ready_timeout, pid_file } = config;
    keep_children_until_reaped()?;
    let mut inherited = Inherited::from_env_vouched_by(CHANNEL)?;
    let far_end = inherited.take(CHANNEL).map(FarEnd::inherited).transpose()?;
    let program = Program::of_this_process(far_end.is_some()).map_err(StartError::Program)?;
    if far_end.is_none() && std::process::id() == 1 {
        return keeper::keep(&program, inherited);
    }
    let keeper = inherited.take(KEEPER).map(FarEnd::inherited).transpose()?;
    let arrivals = if handover.is_some() { inherited.channel(CONNECTIONS)? } else { None };
    let hello = far_end.as_ref().map(FarEnd::first_word).transpose().map_err(StartError::Predecessor)?;
    let (generation, older, files, file_ids) = match hello {
        Some(Word::Hello { generation, older, files, file_ids }) => (generation, older, files, file_ids),
        _ => (1, 0, Names::new(), FileIds::new()),
    };
    // ANCHOR_END: born
    // ANCHOR: listeners
    // Before anything is bound, and long before we say that we are ready: who serves must hear its signals.
    let signals = notify(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR2])?;

    let server = Arc::new(Server::new());
    let context = Context { generation, draining: server.draining() };
    let mut listeners = Listeners::inherit_or_bind(services, &context, &mut inherited, &files, &file_ids)?;
    // What cannot be passed on is refused now, not at the first upgrade.
    drop(listeners.bequeath()?);
    let reserve = Reserve::for_listeners(listeners.count());
    // An inherited listener that is held and never accepted from would keep its clients waiting for ever.
    let unused: Names = inherited.names().map(str::to_owned).collect();
    drop(inherited);
    let pid_file = pid_file.map(PidFile::create).transpose()?;
    // ANCHOR_END: listeners

    // ANCHOR: life
    block_on(async {
        let keeper = keeper.map(FarEnd::into_channel).transpose()?;
        let predecessor = far_end.map(FarEnd::into_channel).transpose()?;
        let state = if let Some(predecessor) = &predecessor {
            predecessor.say(&Word::Ready { unused });
            State::Standby
        } else {
            listeners.accept(&server, generation)?;
            State::Serving
        };
        #[rustfmt::skip]
        let shell = Shell {
            generation, drain_timeout, ready_timeout, program, server, listeners, reserve, pid_file, signals, predecessor,
            older, keeper, handover, arrivals, progress: Progress::default(),
        };
        Ok(shell.run(state).await)
    })
}
// ANCHOR_END: life
// ANCHOR_END: all
