//! Processes that have grown large, as servers with caches do, and start programs.
//!
//! The invariant: the memory is there, page by page, before the line `listening`, and it is not the successor's: so what
//! is measured is the start of a program, and not its way to the same size.

use std::error::Error;
use std::hint::black_box;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use demo::log_to_stderr;
use graceful_shutdown::block_on;
use graceful_upgrade::{Limits, Services, Upgrader};
use nix::sys::prctl::set_thp_disable;
use signal_hook::consts::SIGUSR2;
use signal_hook::iterator::Signals;

use crate::roles::ANYWHERE;

/// The smallest page there is on Linux.
const PAGE: usize = 4096;

/// The lines after a fork and exec by hand, and after the end of that program.
pub(crate) const FORKED: &str = "forked";
pub(crate) const REAPED: &str = "reaped";

/// Our server in a process of this many bytes. Its successors end as soon as they know that they are successors, and it
/// serves on.
pub(crate) fn upgradable(bytes: usize) -> ExitCode {
    log_to_stderr().expect("RUST_LOG was set by us");
    if std::env::var_os("LISTEN_FDS").is_some() {
        return ExitCode::FAILURE;
    }
    let timeout = Duration::from_secs(10);
    let limits = Limits { drain_timeout: timeout, ready_timeout: timeout };
    let serve = || {
        let mut upgrader = Upgrader::from_env(limits)?;
        upgrader.listen([("sized".to_owned(), ANYWHERE.parse().expect("it is an address"))])?;
        touch(bytes);
        block_on(async {
            let mut services = Services::new();
            services.add("sized", demo::service("sized", 1, services.readiness()));
            Ok::<_, Box<dyn Error>>(upgrader.run(services).await?)
        })
    };
    serve().unwrap_or_else(|error| panic!("{error}"))
}

/// Grows to this many bytes; and on SIGUSR2, on a thread of its own, starts a program with fork(2) and exec(2).
pub(crate) fn fork_when_told(bytes: usize) {
    touch(bytes);
    let mut signals = Signals::new([SIGUSR2]).expect("it can be caught");
    std::thread::spawn(move || {
        for _ in signals.forever() {
            let mut command = Command::new("/bin/true");
            // SAFETY: between fork and exec, only what is async-signal-safe is allowed; this does nothing. With such a function,
            // the standard library forks, and without one it does not (`posix_spawn`).
            unsafe { command.pre_exec(|| Ok(())) };
            let mut child = command.spawn().expect("there is a program `true`");
            println!("{FORKED}");
            child.wait().expect("it is our child");
            println!("{REAPED}");
        }
    });
}

/// Takes memory for good, in small pages: where the machine gives huge ones to every process, there would be next to no
/// page tables for a fork to copy, and that is not what a heap of small objects looks like.
fn touch(bytes: usize) {
    set_thp_disable(true).expect("any process may do without huge pages");
    let mut memory = vec![0_u8; bytes];
    for page in memory.chunks_mut(PAGE) {
        page[0] = 1;
    }
    // The compiler must believe that the memory is used.
    std::mem::forget(black_box(memory));
}
