//! A server, restarted once under a small, steady load.
//!
//! The invariant: only processes of our own are signalled, and none of them outlives the recording.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use testkit::load::{Entry, Fate, Load, Plan, Request};
use testkit::{GaveUp, Program, try_await_exit};

use super::recording::{Bar, By, Recording, Span};
use super::way::Way;
use crate::upgrade_run::{Listening, next_listening};

/// Clients that ask for something short, and such that ask for something long: their number, what they ask for, and how
/// often. Small enough to see each request, and never all at work, as connections mostly are not.
const SHORT: Clients = Clients { number: 4, path: "/sleep/?duration=35ms", interval: Duration::from_millis(50) };
const LONG: Clients = Clients { number: 2, path: "/sleep/?duration=280ms", interval: Duration::from_millis(300) };

/// From the first request to the signal, and from there to the last request. Of the long requests, one is about to end
/// at the signal, and one has just begun.
const BEFORE: Duration = Duration::from_millis(500);
const AFTER: Duration = Duration::from_millis(680);

struct Clients {
    number: u32,
    path: &'static str,
    interval: Duration,
}

/// Why there is nothing to draw.
#[derive(Debug, thiserror::Error)]
pub enum CannotRecord {
    /// The program is not there, or is none.
    #[error("cannot start {0}: {1}")]
    Start(PathBuf, std::io::Error),
    /// It did not say where it listens, or did not end.
    #[error("{0}")]
    GaveUp(#[from] GaveUp),
    /// It was gone before it was told to go.
    #[error("cannot signal the server: {0}")]
    Signal(#[from] Errno),
    /// A request was answered by somebody else.
    #[error("a request was answered by pid {0}, which is neither the old process nor the new one")]
    Stranger(u32),
}

/// Restarts `server`, which is one of ours or behaves like them.
///
/// # Errors
/// If it cannot be started, signalled or told apart. Lost requests are no error, but the result.
pub fn record(server: &Path, way: Way) -> Result<Recording, CannotRecord> {
    let (mut program, Listening { address, pid: old_pid }) = start(server, "127.0.0.1:0")?;
    let loads = [SHORT.start(&address), LONG.start(&address)];
    sleep(BEFORE);

    let signalled = Instant::now();
    kill(old_pid, way.signal())?;
    // Held until the load is over: dropped, it would end the server.
    let mut successor = None;
    let (new_pid, listens, old_gone) = if way == Way::Upgrade {
        let new_pid = next_listening(&mut program)?.pid;
        let listens = Instant::now();
        try_await_exit(old_pid)?;
        (new_pid, listens, Instant::now())
    } else {
        try_await_exit(old_pid)?;
        let old_gone = Instant::now();
        let (program, Listening { pid, .. }) = start(server, &address)?;
        successor = Some(program);
        (pid, Instant::now(), old_gone)
    };
    sleep(AFTER.saturating_sub(signalled.elapsed()));
    let journal = journal(loads);
    drop(successor);

    let time = |moment| since(moment, signalled);
    let bar = |Entry { client, from, to, fate }| {
        let by = match fate {
            Fate::Answered(pid) if pid.cast_signed() == old_pid.as_raw() => By::Old,
            Fate::Answered(pid) if pid.cast_signed() == new_pid.as_raw() => By::New,
            Fate::Answered(pid) => return Err(CannotRecord::Stranger(pid)),
            Fate::Refused => By::NobodyRefused,
            Fate::Cut => By::NobodyCut,
        };
        Ok(Bar { client, span: Span { from: time(from), to: time(to) }, by })
    };
    let bars = journal.into_iter().map(bar).collect::<Result<Vec<_>, _>>()?;
    let first = bars.iter().map(|bar| bar.span.from).fold(0.0, f64::min);
    let last = bars.iter().map(|bar| bar.span.to).fold(0.0, f64::max);
    Ok(Recording {
        way,
        clients: SHORT.number + LONG.number,
        bars,
        old: Span { from: first, to: time(old_gone) },
        new: Span { from: time(listens), to: last },
    })
}

impl Clients {
    fn start(&self, address: &str) -> Load {
        let plan = Plan::new(address).connections(self.number).request(Request::get(self.path));
        plan.every(self.interval).journal().start()
    }
}

fn start(server: &Path, address: &str) -> Result<(Program, Listening), CannotRecord> {
    let mut command = Command::new(server);
    command.args(["--listen", address]).envs([("RUST_LOG", "info"), ("NO_COLOR", "1")]);
    let mut program = Program::try_start(&mut command).map_err(|error| CannotRecord::Start(server.into(), error))?;
    let listening = next_listening(&mut program)?;
    Ok((program, listening))
}

/// All requests, the clients of the second load counted on from those of the first.
fn journal([short, long]: [Load; 2]) -> impl Iterator<Item = Entry> {
    let long = long.stop().journal.into_iter().map(|entry| Entry { client: entry.client + SHORT.number, ..entry });
    short.stop().journal.into_iter().chain(long)
}

fn since(moment: Instant, signalled: Instant) -> f64 {
    let after = moment.saturating_duration_since(signalled);
    let before = signalled.saturating_duration_since(moment);
    (after.as_secs_f64() - before.as_secs_f64()) * 1000.0
}
