//! Experiment: one signal and two channels, one of which is not read.
//!
//! What does not fit is dropped, and the other channel gets every signal.

use std::io;

use nix::sys::signal::{Signal, raise};
use signal_channel::scratch::s3_registry::{notify, stop};
use tokio::sync::mpsc;

fn main() -> io::Result<()> {
    let (unread, mut unread_end) = mpsc::channel(2);
    let (read, mut read_end) = mpsc::channel(2);
    notify(&unread, &[Signal::SIGUSR1])?;
    notify(&read, &[Signal::SIGUSR1])?;

    let sent = 5;
    let mut arrived = 0;
    for _ in 0..sent {
        raise(Signal::SIGUSR1)?;
        // Once it is here, the other channel, which registered earlier, has been tried.
        arrived += usize::from(read_end.blocking_recv().is_some());
    }
    stop(&unread)?;
    let kept = std::iter::from_fn(|| unread_end.try_recv().ok()).count();

    println!("SIGUSR1 was sent {sent} times, to two channels with room for 2");
    println!("the one that was read got {arrived}");
    println!("the one that was not got {kept}; {} were dropped", sent - kept);
    Ok(())
}
