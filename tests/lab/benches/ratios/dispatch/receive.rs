//! A process that waits for signals in one of the ways, and says when it has one.
//!
//! The invariant: the clock is read first thing after the way has led to code of ours; all else comes later.

use std::io;
use std::process::ExitCode;

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use signal_channel::scratch::s1_flag;
use signal_channel::scratch::s2_self_pipe::SelfPipe;
use signal_channel::scratch::s3_registry;
use signal_channel::{Receiver, notify};
use signal_hook::iterator::Signals;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::clock::now;
use super::way::Way;
use super::{AT, READY, SIGNAL};

/// Receives this many signals.
pub(crate) fn play(way: Way, count: usize) -> ExitCode {
    receive(way, count).unwrap_or_else(|error| panic!("{}: {error}", way.key()));
    ExitCode::SUCCESS
}

fn receive(way: Way, count: usize) -> io::Result<()> {
    let ready = || println!("{READY} pid={}", std::process::id());
    let had = || println!("{AT}={}", now().as_nanos());
    match way {
        Way::Sigwait => {
            let set = SigSet::from(SIGNAL);
            set.thread_block()?;
            ready();
            for _ in 0..count {
                set.wait()?;
                had();
            }
        }
        Way::Signalfd => {
            let set = SigSet::from(SIGNAL);
            set.thread_block()?;
            let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?;
            ready();
            for _ in 0..count {
                signals.read_signal()?;
                had();
            }
        }
        Way::Flag => {
            s1_flag::install(SIGNAL)?;
            ready();
            for _ in 0..count {
                s1_flag::wait(SIGNAL)?;
                had();
            }
        }
        Way::SelfPipe => {
            let signals = SelfPipe::open(&[SIGNAL])?;
            ready();
            signals.take(count).for_each(|_| had());
        }
        Way::Registry => {
            let (sender, mut signals) = mpsc::channel(1);
            s3_registry::notify(&sender, &[SIGNAL])?;
            ready();
            for _ in 0..count {
                signals.blocking_recv().ok_or(io::ErrorKind::BrokenPipe)?;
                had();
            }
        }
        Way::SignalHook => {
            let mut signals = Signals::new([SIGNAL as i32])?;
            ready();
            signals.forever().take(count).for_each(|_| had());
        }
        Way::Tokio | Way::TokioWorkers => runtime(way)?.block_on(async {
            let mut signals = signal(SignalKind::user_defined1())?;
            ready();
            for _ in 0..count {
                signals.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
                had();
            }
            io::Result::Ok(())
        })?,
        Way::Ours => {
            let mut signals = notify(&[SIGNAL])?;
            ready();
            for _ in 0..count {
                signals.blocking_recv().ok_or(io::ErrorKind::BrokenPipe)?;
                had();
            }
        }
        Way::OursAsync | Way::OursWorkers => {
            let mut signals: Receiver = notify(&[SIGNAL])?;
            runtime(way)?.block_on(async {
                ready();
                for _ in 0..count {
                    signals.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
                    had();
                }
                io::Result::Ok(())
            })?;
        }
        Way::Go => return Err(io::Error::other("Go is a program of its own")),
    }
    Ok(())
}

fn runtime(way: Way) -> io::Result<Runtime> {
    let workers = matches!(way, Way::TokioWorkers | Way::OursWorkers);
    if workers { Builder::new_multi_thread() } else { Builder::new_current_thread() }.enable_all().build()
}
