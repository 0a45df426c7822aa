//! What a `main` does with a server that listens: wait for a signal, drain, and say how it ended.
//!
//! The invariant: the exit status is the contract of our programs, whichever way the server ends.

use std::env;
use std::io;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use signal_channel::{Receiver, Signal, die_by};
use tokio::runtime::Builder;
use tokio::time::Instant;

use crate::server::Server;

/// Signals that come this close together are one wish. A wrapper passes on the SIGTERM that its whole process group
/// got, and the server gets it twice within milliseconds; a person who insists takes longer to press Ctrl-C again.
pub const ONE_WISH: Duration = Duration::from_millis(100);

impl Server {
    // ANCHOR: run
    /// Serves until a signal comes, then drains until it is done, `drain_timeout` has passed or a second signal comes.
    ///
    /// Returns 0 if nothing was cut and 3 if the deadline cut something. Dies by the second signal: to a shell, that is
    /// status 128 + n.
    pub async fn run(&self, mut signals: Receiver, drain_timeout: Duration) -> ExitCode {
        let signal = signals.recv().await;
        // Before the line is logged, so that its readers can rely on it.
        self.stop();
        if let Some(signal) = signal {
            tracing::info!(%signal, timeout = ?drain_timeout, "draining");
        }
        let since = Instant::now();
        tokio::select! {
            outcome = self.shutdown(drain_timeout) => {
                outcome.report();
                outcome.code().into()
            }
            second = later(&mut signals, since) => {
                self.cut().await.report();
                die_by(second)
            }
        }
    }
    // ANCHOR_END: run
}

/// The next signal that is not part of the first wish.
async fn later(signals: &mut Receiver, first: Instant) -> Signal {
    loop {
        match signals.recv().await {
            Some(signal) if first.elapsed() >= ONE_WISH => return signal,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// Runs `main` on a multi-threaded runtime, as `#[tokio::main]` does, but waits for no task that is left at its end.
///
/// A runtime that is dropped waits until each of its threads returns from the task that it is polling. A handler that
/// blocks its thread does not return, and the process would outlive every deadline. Here, its request is counted as
/// cut, and its thread ends with the process.
///
/// # Errors
/// The error of `main`; or if epoll_create(2) fails, or there are too few threads or descriptors.
pub fn block_on<T, E: From<io::Error>>(main: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let workers = workers();
    check_threads(workers)?;
    check_descriptors()?;
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let ended = runtime.block_on(main);
    runtime.shutdown_background();
    ended
}

/// As many worker threads as tokio starts by default.
fn workers() -> usize {
    let said = env::var("TOKIO_WORKER_THREADS").ok().and_then(|said| said.parse().ok()).filter(|workers| *workers > 0);
    said.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// Checks that a runtime can get the descriptors that it starts with: it panics if it lacks those for signals.
fn check_descriptors() -> io::Result<()> {
    let room: io::Result<Vec<_>> = (0..4).map(|_| UnixStream::pair()).collect();
    room.map(drop)
}

/// Checks that this many threads can start: a runtime that is one short panics, and then waits for those it has.
fn check_threads(workers: usize) -> io::Result<()> {
    // Twice as many: the kernel may count a thread for a moment after it was joined.
    let threads: Vec<_> = (0..2 * workers).map(|_| thread::Builder::new().spawn(thread::park)).collect();
    threads.into_iter().try_for_each(|thread| {
        let thread = thread.map_err(|error| {
            let sentence =
                format!("cannot start {workers} threads ({error}): raise the limit on processes, see ulimit -u");
            io::Error::new(error.kind(), sentence)
        })?;
        thread.thread().unpark();
        let _ = thread.join();
        Ok(())
    })
}
