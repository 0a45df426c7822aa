//! Experiment: SIGTERM arrives before the program has asked for it.
//!
//! Its default action kills the process. A process that blocks it first and then asks for it gets it a little later.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::{env, io};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::getpid;
use signal_channel::notify;

fn main() -> io::Result<()> {
    match env::args().nth(1).as_deref() {
        Some("unprepared") => signal_then_notify(),
        Some("prepared") => {
            SigSet::from(Signal::SIGTERM).thread_block()?;
            signal_then_notify()
        }
        _ => {
            println!("signal, then notify:        {}", run("unprepared")?);
            println!("block, signal, then notify: {}", run("prepared")?);
            Ok(())
        }
    }
}

fn signal_then_notify() -> io::Result<()> {
    // To the process, as `kill PID` does. raise(3) would send it to this one thread, which keeps blocking it.
    kill(getpid(), Signal::SIGTERM)?;
    let mut signals = notify(&[Signal::SIGTERM])?;
    signals.blocking_recv().ok_or(io::ErrorKind::BrokenPipe)?;
    Ok(())
}

/// Runs this program again in one of its two roles and says how that ended.
fn run(role: &str) -> io::Result<String> {
    let status = Command::new(env::current_exe()?).arg(role).status()?;
    Ok(match status.signal().map(Signal::try_from) {
        Some(signal) => format!("killed by {}", signal?),
        None if status.success() => "heard it".to_owned(),
        None => status.to_string(),
    })
}
