//! The ways from a signal to code.
//!
//! The invariant: each is what a program would use, with no setting that only a benchmark would make.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// No handler at all: a thread sleeps in the kernel until the signal is pending.
    Sigwait,
    /// The same, through a descriptor.
    Signalfd,
    /// Chapter 1, step 1.
    Flag,
    /// Chapter 1, step 2.
    SelfPipe,
    /// Chapter 1, step 3.
    Registry,
    SignalHook,
    /// On the one thread of tokio's smaller runtime.
    Tokio,
    /// In `#[tokio::main]`: on the main thread, with one worker for each processor beside it.
    TokioWorkers,
    /// Chapter 1's library, read by blocking code.
    Ours,
    /// Read by async code, as in [`Tokio`](Way::Tokio).
    OursAsync,
    /// Read by async code, as in [`TokioWorkers`](Way::TokioWorkers).
    OursWorkers,
    /// The only one that is not this program: see [`go`](super::go).
    Go,
}

impl Way {
    pub(crate) const ALL: [Way; 12] = [
        Way::Sigwait,
        Way::Signalfd,
        Way::Flag,
        Way::SelfPipe,
        Way::Registry,
        Way::SignalHook,
        Way::Tokio,
        Way::TokioWorkers,
        Way::Ours,
        Way::OursAsync,
        Way::OursWorkers,
        Way::Go,
    ];

    /// Its key in the book; also the role that plays it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Way::Sigwait => "dispatch_floor",
            Way::Signalfd => "dispatch_signalfd",
            Way::Flag => "dispatch_flag",
            Way::SelfPipe => "dispatch_self_pipe",
            Way::Registry => "dispatch_registry",
            Way::SignalHook => "dispatch_signal_hook",
            Way::Tokio => "dispatch_tokio",
            Way::TokioWorkers => "dispatch_tokio_workers",
            Way::Ours => "dispatch_ours",
            Way::OursAsync => "dispatch_ours_async",
            Way::OursWorkers => "dispatch_ours_workers",
            Way::Go => "dispatch_go",
        }
    }

    pub(crate) fn what(self) -> &'static str {
        match self {
            Way::Sigwait => "the floor: sigwait(3), no handler",
            Way::Signalfd => "signalfd(2), no handler",
            Way::Flag => "step 1: a flag, waited for with ppoll(2)",
            Way::SelfPipe => "step 2: a self-pipe",
            Way::Registry => "step 3: a registry with its dispatcher",
            Way::SignalHook => "signal-hook, `Signals`",
            Way::Tokio => "tokio, `signal::unix`, one thread",
            Way::TokioWorkers => "tokio, `signal::unix`, `#[tokio::main]`",
            Way::Ours => "ours, `notify`, `blocking_recv`",
            Way::OursAsync => "ours, `notify`, `recv`, one thread",
            Way::OursWorkers => "ours, `notify`, `recv`, `#[tokio::main]`",
            Way::Go => "Go, `signal.Notify`",
        }
    }

    /// System calls that are not the way's but ours, to read the clock: the standard library of Go has no other means, and
    /// in Rust it takes none (vdso(7)).
    pub(crate) fn calls_for_the_clock(self) -> u64 {
        u64::from(self == Way::Go)
    }

    pub(crate) fn from_key(key: &str) -> Option<Way> {
        Way::ALL.into_iter().find(|way| way.key() == key)
    }
}
