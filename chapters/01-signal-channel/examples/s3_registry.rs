//! Step 3 at work: two channels with different masks. One logs every signal, one waits for those that say quit.

use std::{io, process, thread};

use signal_channel::Signal;
use signal_channel::scratch::s3_registry::{notify, stop};
use tokio::sync::mpsc;

fn main() -> io::Result<()> {
    let (log, mut logged) = mpsc::channel(8);
    let (quit, mut quitting) = mpsc::channel(1);
    notify(&log, &[Signal::SIGUSR1, Signal::SIGINT, Signal::SIGTERM])?;
    notify(&quit, &[Signal::SIGINT, Signal::SIGTERM])?;
    println!("waiting for SIGUSR1, SIGINT or SIGTERM, pid {}", process::id());

    let writer = thread::spawn(move || {
        while let Some(signal) = logged.blocking_recv() {
            println!("log channel: {signal}");
        }
    });
    let reason = quitting.blocking_recv();

    // Both senders of the log channel go, the registry's and ours. So the channel ends, and with it the thread.
    stop(&log)?;
    drop(log);
    let _ = writer.join();
    println!("quit channel: {}", reason.map_or("closed", Signal::as_str));
    Ok(())
}
