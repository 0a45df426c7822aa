//! The runtime that a server lives in.
//!
//! The invariant: it ends when the server does. No handler can keep it, and its end keeps nobody else waiting.

use std::io;
use std::thread;
use std::time::Duration;

use nix::libc;
use tokio::runtime::Builder;

/// How long the threads of a runtime get to end. They need a fraction of a millisecond; what takes longer is a handler that
/// blocks its thread.
const GRACE: Duration = Duration::from_millis(10);

/// Runs `main` on a multi-threaded runtime, as `#[tokio::main]` does, but waits 10 ms at the most for what is left at its end.
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
    // The kernel takes the memory of a process back in the last of its threads: with the others gone, that is this one.
    runtime.shutdown_timeout(GRACE);
    give_way();
    ended
}

/// Lets everybody else go first: what this thread has left to do is done for nobody.
///
/// To take back the memory of ten thousand connections costs the kernel milliseconds, in which others would wait for this
/// processor. A low priority (nice) is not enough: it is about shares in the long run, and a thread that has begun a slice
/// may end it, unless somebody wakes up whose slice is shorter (`RUN_TO_PARITY` and `PREEMPT_SHORT`, kernel/sched/fair.c). So
/// this one's is as long as can be.
fn give_way() {
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: 19,
        sched_priority: 0,
        // In nanoseconds: the slice, since Linux 6.12 (sched_setattr(2)). The kernel takes no more than this.
        sched_runtime: 100_000_000,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `attributes`, as many bytes as its first field says, and keeps no pointer to it.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    // Who came before waits for the next tick of the scheduler otherwise.
    thread::yield_now();
}
