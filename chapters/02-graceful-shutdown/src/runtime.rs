//! The runtime that a server lives in.
//!
//! The invariant: it ends when the server does. No handler can keep it.

use std::io;

use tokio::runtime::Builder;

/// Runs `main` on a multi-threaded runtime, as `#[tokio::main]` does, but does not wait for what is left at its end.
///
/// A runtime that is dropped waits until each of its threads comes back from the task it is polling. A handler that
/// blocks its thread does not come back, and the process would outlive every deadline. Its request is counted as cut
/// (see [`Server::cut`](crate::Server::cut)), and its thread ends with the process.
///
/// # Errors
/// What `main` returns; or what epoll_create(2) and the start of a thread say.
pub fn block_on<T, E: From<io::Error>>(main: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(main);
    runtime.shutdown_background();
    ended
}
