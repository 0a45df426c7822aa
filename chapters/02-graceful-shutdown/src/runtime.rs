//! The runtime that a server lives in.
//!
//! The invariant: it ends when the server does. No handler can keep it, and its end keeps nobody else waiting.

use std::fs;
use std::io;

use rustix::process::{Pid, setpriority_process};
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
    give_way();
    ended
}

/// Lets everybody else go first: what is left to do is done for nobody.
///
/// The kernel takes the memory of a process back in the last of its threads, whichever that is: milliseconds, if there were
/// ten thousand connections, in which others would wait for that processor. On Linux each thread has a nice value of its
/// own (setpriority(2)).
fn give_way() {
    const LAST: i32 = 19;
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for thread in threads.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)) {
        // `Err` if it has ended meanwhile.
        let _ = setpriority_process(Some(thread), LAST);
    }
}
